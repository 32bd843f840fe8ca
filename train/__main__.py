"""`python -m train`: the command line of training. Parses, calls one function, prints what it says."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from collectors.catalog import built_name, load
from collectors.commands import application
from collectors.commands import run as run_command

app = application()


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
    base: Annotated[
        str | None,
        typer.Option(help="The model to train on: a folder or a Hub id. tiny-random-llama is made on the spot."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The data folder.")] = Path("data"),
    name: Annotated[
        str | None,
        typer.Option(help="The run's folder is OUT/runs/NAME. Without: MIX-RECIPE, then the base if one is given."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put a value over the recipe's, for instance method.r=16."),
    ] = None,
) -> None:
    """Train a mixture to an adapter in OUT/runs/; run it again to go on after a cut.

    Tokens are kept in OUT/tokens/. A run that is finished and would come out the same is left alone.
    """
    from pipeline.licences import stated
    from train import mixture
    from train import recipe as recipes

    chosen = recipes.load(recipe or ("lora" if base else "demo"), base=base, settings=settings or ())
    mixed = mixture.find(out, built_name(mix), stated(load()))
    _quiet()
    from train import run  # seconds of imports, so only once the small mistakes are told

    run.train(out, mixed, chosen, name=name or _named(mixed.name, recipe, base), say=_say)


def _named(mix: str, recipe: str | None, base: str | None) -> str:
    """The name of a run that was given none: mixture, recipe and, where one is given, base."""
    chosen = recipe or ("lora" if base else "demo")
    return "-".join([mix, Path(chosen).stem, *([Path(base).name] if base else [])])


def _say(line: str) -> None:
    print(line, flush=True)


def _quiet() -> None:
    """No telemetry, and no progress bars of libraries between our lines; their warnings stay.

    Must come before torch is imported: its threads then sleep while they wait, where spinning would make a training on
    a busy machine several times slower.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Said when two checkpoints are written within seconds; they are then sorted by their numbers, which is as good.
    noise = "mtime may not be reliable"
    logging.getLogger("transformers.trainer_utils").addFilter(lambda record: noise not in record.getMessage())
    from transformers.utils.logging import disable_progress_bar  # does not import torch

    disable_progress_bar()


if __name__ == "__main__":
    run_command(app, "python -m train")
