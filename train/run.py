"""One training, from a built mixture to a run's folder, and on from where it was cut if it was.

While it trains it keeps its checkpoints and journal in `DATA/runs/<run>.work/`; what is finished is put in place as
`DATA/runs/<run>/` by one rename, so a run of that name that was finished before stands until then.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline import folder
from templates.prompt import Prompt
from train import launch as launching
from train import runs, tiny
from train.base import fetch, model, quantise
from train.encoding import tokens
from train.fitting import boards, checkpoints, curve, usage
from train.fitting.fit import CHECKPOINTS, RESULT, TRAINED, Job, Result, fit
from train.fitting.journal import METRICS, TIMINGS
from train.mixture import Mixture
from train.recipe import TINY, Recipe
from train.release.card import card
from train.runs import Sharding

VERSION: Final = 2
"""Part of a run's fingerprint: raised when the same recipe would train otherwise."""

CURVE: Final = "loss.png"
STARTED: Final = "started.json"
"""What a work folder is of: the run's fingerprint."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: where it is, its manifest, and whether it was trained now or found up to date."""

    folder: Path
    manifest: dict[str, Any]
    trained: bool


def train(
    out: Path,
    mixed: Mixture,
    recipe: Recipe,
    *,
    name: str,
    processes: int = 1,
    sharding: Sharding = "none",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train a mixture of the data folder `out` to `out/runs/<name>`; what happens is told to `say`, a line each.

    A run of the same fingerprint that is finished is left as it is, one that was cut goes on from its last checkpoint.
    Several `processes` train together, the model divided among them as `sharding` says; a step then sees as many
    times the rows.
    """
    place = runs.place(out, name)
    launching.check(recipe, processes, sharding)
    boards.check(recipe)
    base = None if recipe.base == TINY else fetch.located(recipe)
    prompt = model.prompt(recipe, None if base is None else model.tokenizer(base, recipe))
    mark = _fingerprint(mixed, recipe, base, prompt, processes, sharding)
    folder.restore(place)
    work = place.with_name(f"{name}.work")
    found = folder.manifest(place)
    if found is not None and found.get("fingerprint") == mark:
        _clear(work, mark)
        say(f"{place}: up to date")
        return Outcome(folder=place, manifest=found, trained=False)
    began = time.monotonic()
    with folder.lock(work), folder.writing(work):
        _begin(work, mark)
        encoded, origin = _encoded(out, work, mixed, prompt, base, recipe, say)
        job = Job(
            fingerprint=mark,
            work=work,
            base=origin,
            tokens=encoded.folder,
            mixture=mixed.folder,
            recipe=recipe,
            chat_template=prompt.text,
            checkpoint=_checkpoint(work, say),
            processes=processes,
            sharding=sharding,
        )
        _run(job, say)
        manifest = _finish(place, job, mixed, encoded, mark, say)
        shutil.rmtree(work)
    say(f"{place / job.kind}: written after {time.monotonic() - began:.0f} s")
    return Outcome(folder=place, manifest=manifest, trained=True)


def _fingerprint(
    mixed: Mixture, recipe: Recipe, base: Path | None, prompt: Prompt, processes: int, sharding: Sharding
) -> str:
    """What decides a run: all that it is made of, and nothing of where that lies."""
    return folder.fingerprint(
        mixture=mixed.fingerprint,
        prompt=prompt.fingerprint,
        base=tiny.fingerprint(mixed, recipe) if base is None else model.identity(base),
        recipe=recipe.model_dump(exclude={"about", "base", "revision"}),
        processes=processes,
        sharding=sharding,
        tokens=tokens.VERSION,
        version=VERSION,
    )


def _clear(work: Path, mark: str) -> None:
    """Remove the work of a run of this fingerprint that was put in place and cut before it was cleared away."""
    if work.is_dir() and _marked(work) in {mark, None}:
        with folder.lock(work):
            shutil.rmtree(work)


def _marked(work: Path) -> str | None:
    """The fingerprint of the run that a work folder is of."""
    started = work / STARTED
    return started.read_text(encoding="utf-8") if started.is_file() else None


def _begin(work: Path, mark: str) -> None:
    """Keep the work of a cut run of this fingerprint, clear away that of any other."""
    if _marked(work) != mark:
        for path in work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()
        folder.write_text(work / STARTED, mark)


def _encoded(
    out: Path,
    work: Path,
    mixed: Mixture,
    prompt: Prompt,
    base: Path | None,
    recipe: Recipe,
    say: Callable[[str], None],
) -> tuple[tokens.Tokens, Path]:
    """The tokens, all of them before anything is trained, and the base's folder, made here where it is the tiny one."""
    if base is None:
        say(f"base {TINY}, made on the spot. {tiny.HONESTY}")
        tiny.make(work / "base", mixed, recipe)
    origin = base or work / "base"
    words = model.tokenizer(origin, recipe)
    words.chat_template = prompt.text
    encoded, fresh = tokens.build(out, mixed, words, origin, prompt, recipe)
    for part, counts in encoded.manifest["parts"].items():
        line = f"{encoded.folder.name}: {part}: {counts['encoded']:,} of {counts['rows']:,} rows"
        line += f", {counts['tokens']:,} tokens ({counts['trained_tokens']:,} trained)"
        if recipe.packing:
            line += f" in {counts['packed_rows']:,} packed rows, {counts['fill']:.1%} full"
        for reason, rows in {**counts["dropped"], **counts["noted"]}.items():
            line += f"; {rows:,} {reason}"
        say(line if fresh else f"{line} (up to date)")
    return encoded, origin


def _checkpoint(work: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from, if there is one."""
    found = checkpoints.newest(work / CHECKPOINTS, say)
    if found is not None:
        say(f"resuming from {found}")
    return found


def _run(job: Job, say: Callable[[str], None]) -> None:
    """Train, in this process or in several."""
    if job.processes == 1:
        fit(job, say)
        return
    path = job.work / "job.json"
    folder.write_text(path, job.model_dump_json())
    say(f"training in {job.processes} processes" + (f" with {job.sharding}" if job.sharding != "none" else ""))
    launching.launch(path, job.processes, lambda: usage.advice(job.recipe, job.base))


def _finish(
    place: Path, job: Job, mixed: Mixture, encoded: tokens.Tokens, mark: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Put what was trained in place, with its card, its figures and the manifest."""
    recipe = job.recipe
    result = Result.model_validate_json((job.work / RESULT).read_text(encoding="utf-8"))
    held_out = result.held_out
    if held_out:
        say(f"held-out loss before {held_out[0]:.4f} after {held_out[-1]:.4f}")
    manifest = {
        "run": place.name,
        "base": recipe.base,
        "base_identity": model.identity(job.base),
        "precision": next(name for name, dtype in quantise.TYPES.items() if dtype == model.precision(recipe)),
        "method": recipe.method.name,
        "kind": job.kind,
        "mixture": {"name": mixed.name, "fingerprint": mixed.fingerprint},
        "tokens": {"name": encoded.folder.name, **encoded.manifest["parts"]},
        "parameters": {"trained": result.trained, "all": result.every},
        "held_out_loss": {"before": held_out[0], "after": held_out[-1]} if held_out else None,
        "processes": job.processes,
        "sharding": job.sharding,
        "recipe": recipe.model_dump(),
        "fingerprint": mark,
    }
    with folder.building(place) as part:
        shutil.copytree(job.work / TRAINED, part / job.kind)
        text = card(place.name, recipe, mixed, encoded.manifest["parts"], result.entries)
        folder.write_text(part / job.kind / "README.md", text)
        if recipe.logging != "none":
            for name in (METRICS, TIMINGS):
                shutil.copyfile(job.work / name, part / name)
            curve.draw(part / CURVE, result.entries)
        if recipe.logging == "tensorboard":
            shutil.copytree(job.work / "tensorboard", part / "tensorboard")
        if recipe.base == TINY:
            shutil.copytree(job.base, part / "base")
        folder.write_manifest(part, manifest)
    return manifest
