"""`python -m train`: the command line of training. Parses, calls one function, prints what it says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from collectors.catalog import load
from collectors.commands import application
from collectors.commands import run as run_command
from train.quiet import quiet
from train.runs import Sharding

if TYPE_CHECKING:
    from train.mixture import Mixture

app = application()

Base = Annotated[
    str | None,
    typer.Option("--base", help="The model to train on: a folder or a Hub id. tiny-random-llama is made on the spot."),
]
Out = Annotated[Path, typer.Option("--out", metavar="OUT", help="The data folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Put a value over the recipe's, for instance method.r=16."),
]
Gpus = Annotated[
    int, typer.Option("--gpus", min=1, help="Processes that train together, one a GPU; without any GPU, on the CPU.")
]
Sharding_ = Annotated[
    Sharding,
    typer.Option("--sharding", help="How several GPUs divide the model: PyTorch's FSDP, or DeepSpeed's ZeRO 2 or 3."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A finished run, by its name in OUT/runs/.")]


@app.callback()
def _train() -> None:
    """Train adapters on built mixtures."""


@app.command("run")
def _run(
    mix: Annotated[str, typer.Option(help="The mixture, built before by `make mix`.")] = "alpaca-belle-cot",
    recipe: Annotated[
        str | None,
        typer.Option(help="A recipe by name (demo, lora) or path. Without one: demo, or lora where a base is given."),
    ] = None,
    base: Base = None,
    out: Out = Path("data"),
    name: Annotated[
        str | None,
        typer.Option(help="The run's folder is OUT/runs/NAME. Without: MIX-RECIPE, then the base if one is given."),
    ] = None,
    settings: Set = None,
    gpus: Gpus = 1,
    sharding: Sharding_ = "none",
) -> None:
    """Train a mixture to an adapter in OUT/runs/; run it again to go on after a cut.

    Tokens are kept in OUT/tokens/. A run that is finished and would come out the same is left alone.
    """
    from train import recipe as recipes

    wanted = recipe or ("lora" if base else "demo")
    chosen = recipes.load(wanted, base=base, settings=settings or ())
    mixed = _found(out, mix)
    quiet()
    from train import run

    named = name or _named(mixed.name, wanted, base)
    run.train(out, mixed, chosen, name=named, processes=gpus, sharding=sharding, say=_say)


@app.command("plan")
def _plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe by name or path.")],
    mix: Annotated[
        str | None, typer.Option(help="The mixture, if it is built: its rows give the number of steps.")
    ] = None,
    base: Base = None,
    out: Out = Path("data"),
    settings: Set = None,
    gpus: Gpus = 1,
    sharding: Sharding_ = "none",
) -> None:
    """Tell a training's parameters, memory by part and steps, before anything is loaded."""
    from train import recipe as recipes

    chosen = recipes.load(recipe, base=base, settings=settings or ())
    mixed = None if mix is None else _found(out, mix)
    quiet()
    from train.planning import plan

    for line in plan.lines(plan.plan(chosen, mixed, out=out, processes=gpus, sharding=sharding)):
        _say(line)


@app.command("merge")
def _merge(
    run: Run,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the merged model goes.")],
    base: Annotated[
        str | None, typer.Option("--base", help="Where the base lies now, if not where the recipe says.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option("--precision", help="The number type to write. Without: each tensor's own in the base."),
    ] = None,
    out: Out = Path("data"),
) -> None:
    """Put a run's adapter into its base: a model that needs neither peft nor the base, checked against the two."""
    from train import runs

    place = runs.find(out, run)
    quiet()
    from train.release import merge

    merge.merge(place, to, base=base, precision=precision, say=_say)


@app.command("push")
def _push(
    run: Run,
    repo: Annotated[str | None, typer.Option("--repo", metavar="OWNER/NAME", help="The model on the Hub.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="A folder instead of the Hub.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Create it public; without: private.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="List the files and write nothing.")] = False,
    merged: Annotated[
        Path | None, typer.Option("--merged", metavar="DIR", help="Push this merged model in place of the adapter.")
    ] = None,
    out: Out = Path("data"),
) -> None:
    """Publish what a run trained, with its card."""
    from train import runs

    place = runs.find(out, run)
    quiet()
    from train.release import publish

    publish.publish(place, repo=repo, to=to, public=public, dry=dry, merged=merged, say=_say)


def _found(out: Path, mix: str) -> "Mixture":
    """The built mixture that is meant by a name, an alias or the path of its file."""
    from pipeline.licences import stated
    from train import mixture

    catalog = load()
    return mixture.find(out, catalog.built_name(mix), stated(catalog))


def _named(mix: str, recipe: str, base: str | None) -> str:
    """The name of a run that was given none: mixture, recipe and, where one is given, base."""
    return "-".join([mix, Path(recipe).stem, *([Path(base).name] if base else [])])


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_command(app, "python -m train")
