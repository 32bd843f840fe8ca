"""Boards: programs that show the figures of a training while it runs, each beside the journal's own files."""

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from collectors.errors import TrainingError
from train.fitting.journal import Entry, Sink
from train.recipe import Recipe

PACKAGES: Final = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""What each board needs installed."""
FLUSH: Final = 10
"""Seconds after which figures are in TensorBoard's file at the latest."""


def check(recipe: Recipe) -> None:
    """`TrainingError` when the board that the recipe logs to is not installed."""
    package = PACKAGES.get(recipe.logging)
    if package is not None and importlib.util.find_spec(package) is None:
        raise TrainingError(
            f"recipe logging: {recipe.logging} needs the package {package}, which is not installed: "
            f"pip install {package}, or log to the run's own files alone (--set logging=jsonl)"
        )


@contextmanager
def opened(recipe: Recipe, place: Path, fingerprint: str, from_step: int) -> Iterator[list[Sink]]:
    """What the journal hands its entries to besides: the recipe's board, writing below `place` until the block ends.

    A run that goes on does so `from_step` on, and by its `fingerprint` in the place where it was shown before. What an
    earlier attempt showed of later steps is put aside by TensorBoard, and stands in wandb, where it comes out the same.
    """
    if recipe.logging == "tensorboard":
        from tensorboardX import SummaryWriter

        purge = from_step + 1 if from_step else None
        with SummaryWriter(str(place / "tensorboard"), purge_step=purge, flush_secs=FLUSH) as writer:
            yield [lambda entry: _scalars(writer, entry)]
    elif recipe.logging == "wandb":
        with _wandb(recipe, place, fingerprint) as run:
            yield [lambda entry: run.log(dict(_figures(entry)), step=int(entry["step"]))]
    else:
        yield []


def _wandb(recipe: Recipe, place: Path, fingerprint: str) -> Any:
    """A run of wandb, begun or gone on with."""
    wandb: Any = importlib.import_module("wandb")
    same = {"id": fingerprint[:16], "resume": "allow"}
    try:
        return wandb.init(project="suri", name=place.stem, dir=str(place), config=recipe.model_dump(), **same)
    except wandb.Error as error:
        raise TrainingError(
            f"recipe logging: wandb cannot be begun: {' '.join(str(error).split())}; set it up (wandb login, or "
            "WANDB_MODE=offline), or log to the run's own files alone (--set logging=jsonl)"
        ) from None


def _scalars(writer: Any, entry: Entry) -> None:
    for key, value in _figures(entry):
        writer.add_scalar(key, value, int(entry["step"]))


def _figures(entry: Entry) -> list[tuple[str, float]]:
    return [(key, value) for key, value in entry.items() if key != "step"]
