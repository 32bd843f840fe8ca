"""A built mixture as training reads it: its manifest and its rows, batch by batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError, nearest
from collectors.licences import Key, Licensed
from pipeline import folder, licences, shards

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
    licensed: Licensed
    """The rows by licence and terms, and of these by source."""
    policy: str | list[str] | None
    """The licence policy that it declares, and keeps to."""

    def rows(self, part: Part) -> Iterator[list[Row]]:
        """The rows of one part in training order, at most `READ` at a time; only the columns that wording needs."""
        for path in shards.paths(self.folder, f"{part}-*.arrow"):
            for batch in shards.batches(path, COLUMNS):
                for start in range(0, batch.num_rows, READ):
                    yield batch.slice(start, READ).to_pylist()


def find(out: Path, name: str, sources: Mapping[str, Key] | None = None) -> Mixture:
    """The finished mixture `name` below the data folder `out`.

    `sources` is what the catalog says of their licences; the terms of those that are not there are not known.

    `ArtefactError` when it was never built or is unfinished, with the names that are near and the command to run;
    `CatalogError` when it breaks the licence policy that it declares.
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
    known = sources or {}
    licences.check(name, manifest, place, known)
    return Mixture(
        name=name,
        folder=place,
        fingerprint=manifest["fingerprint"],
        counts=manifest["counts"],
        licensed=licences.licensed(manifest, place, known),
        policy=licences.declared(name, manifest),
    )
