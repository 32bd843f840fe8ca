"""A finished run, as merging and publishing find it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError
from collectors.nodes import parsed
from pipeline import folder
from train.recipe import Recipe

CARD: Final = "README.md"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its folder, its manifest, and the recipe it was trained by."""

    place: Path
    manifest: dict[str, Any]
    recipe: Recipe

    @property
    def trained(self) -> Path:
        """The folder of the adapter (of a `full` run: of the model), with its tokenizer and card."""
        return self.place / str(self.manifest["kind"])


def finished(place: Path) -> Run:
    """The run in the folder `place`; `ArtefactError` when there is none, or not to its end."""
    manifest = folder.manifest(place)
    if manifest is None or not {"recipe", "kind"} <= manifest.keys():
        runs = sorted(path.parent.name for path in place.parent.glob(f"*/{folder.MANIFEST}"))
        there = f"; there are {', '.join(runs)}" if runs else ""
        raise ArtefactError(f"{place}: is no finished run (a folder of DATA/runs){there}")
    return Run(place=place, manifest=manifest, recipe=parsed(Recipe, manifest["recipe"], str(place / folder.MANIFEST)))
