"""A built mixture as training reads it: its manifest and its rows, batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError, nearest
from pipeline import folder, shards

READ: Final = 4096
"""Rows rendered and encoded at a time."""

COLUMNS: Final = ["messages", "instruction", "input", "template"]

Row = dict[str, Any]
Part = str
"""`train` or `holdout`: which shards of the mixture are meant."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """`DATA/mixes/<name>`: where it is and what its manifest says."""

    name: str
    folder: Path
    fingerprint: str
    counts: dict[str, dict[str, int]]

    def rows(self, part: Part) -> Iterator[list[Row]]:
        """The rows of one part in training order, at most `READ` at a time; only the columns that wording needs."""
        for path in shards.paths(self.folder, f"{part}-*.arrow"):
            for batch in shards.batches(path, COLUMNS):
                for start in range(0, batch.num_rows, READ):
                    yield batch.slice(start, READ).to_pylist()


def find(out: Path, name: str) -> Mixture:
    """The finished mixture `name` below the data folder `out`.

    `ArtefactError` when it was never built or is unfinished, with the names that are near and the command to run.
    """
    place = out / "mixes" / name
    manifest = folder.manifest(place) if name and Path(name).name == name else None
    if manifest is None:
        built = [path.parent.name for path in (out / "mixes").glob(f"*/{folder.MANIFEST}")]
        near = f" ({nearest(name, built)})" if built else ""
        raise ArtefactError(f"mixture {name}: not built in {out}{near}; run `make mix MIX={name}` first")
    missing = {"fingerprint", "counts"} - manifest.keys()
    if missing:
        raise ArtefactError(
            f"{place}: its manifest lacks {', '.join(sorted(missing))}; run `make mix MIX={name}` again"
        )
    return Mixture(name=name, folder=place, fingerprint=manifest["fingerprint"], counts=manifest["counts"])
