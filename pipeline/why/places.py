"""Where records lie: found by id or by lineage, reading a column or two of each shard."""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import polars as pl

from collectors.catalog import Catalog
from collectors.errors import ArtefactError
from collectors.record import SCHEMA
from pipeline import shards
from pipeline.folder import manifest
from pipeline.keys import columns

Result = TypeVar("Result")

LINEAGE: Final = ("id", "source", "subset", "row", "part")
"""The columns that say which record it is, and where it comes from."""


class Place(NamedTuple):
    """A record: its source, the name of its shard, and its place in that."""

    source: str
    shard: str
    at: int


class Lineage(NamedTuple):
    """Where a record comes from: source, file, and row of it; `part` numbers the records of one row."""

    source: str
    subset: str
    row: int
    part: int

    def __str__(self) -> str:
        tail = f" (part {self.part})" if self.part else ""
        return f"{self.source}:{self.subset}:{self.row}{tail}"


def threaded(function: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """What a function makes of each of some shards, read side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, paths))


def _hashes(path: Path) -> pl.Series:
    return columns(path, ["id"])["id"].hash()


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """The records of a data folder: the manifests of its built sources, in the catalog's order."""

    out: Path
    manifests: dict[str, dict[str, Any]]
    _marks: dict[Path, pl.Series] = field(default_factory=dict)
    """A hash of each id, by shard, once it was read."""

    @staticmethod
    def of(catalog: Catalog, out: Path) -> "Records":
        """The records in `out`; `ArtefactError` when there are none."""
        there = {path.name for path in (out / "records").glob("*") if path.suffix not in {".part", ".old"}}
        names = [*(name for name in catalog.sources if name in there), *sorted(there - catalog.sources.keys())]
        found = {name: book for name in names if (book := manifest(out / "records" / name)) is not None}
        if not found:
            raise ArtefactError(f"{out / 'records'}: holds no records; run make corpus")
        return Records(out=out, manifests=found)

    @property
    def count(self) -> int:
        """The number of all records."""
        return sum(int(book["records"]) for book in self.manifests.values())

    def shards(self, source: str) -> list[Path]:
        """The record shards of a source."""
        return shards.paths(self.out / "records" / source)

    def by_id(self, ids: Collection[str]) -> dict[str, list[Place]]:
        """The places of each of these ids, none left out that is there, in the order of the corpus."""
        wanted = pl.Series(sorted(ids), dtype=pl.String)
        marks = wanted.hash().implode()
        found: dict[str, list[Place]] = {}
        for source in self.manifests:
            paths = self.shards(source)
            new = [path for path in paths if path not in self._marks]
            self._marks.update(zip(new, threaded(_hashes, new), strict=True))
            for path in paths:
                likely = self._marks[path].is_in(marks).arg_true()
                for index, name in zip(
                    likely, columns(path, ["id"])["id"][likely] if likely.len() else (), strict=True
                ):
                    if name in ids:
                        found.setdefault(name, []).append(Place(source, path.name, index))
        return found

    def by_row(self, source: str, subset: str, row: int) -> list[Place]:
        """The places of all records that one raw row gave."""
        wanted = (pl.col("row") == row) & (pl.col("subset") == subset)

        def find(path: Path) -> list[Place]:
            mine = columns(path, ["subset", "row"]).select(wanted).to_series()
            return [Place(source, path.name, index) for index in mine.arg_true()]

        return [place for places in threaded(find, self.shards(source)) for place in places]

    def subsets(self, source: str) -> list[str]:
        """The names of a source's files, and of members of archives that gave records."""
        named = {file["path"] for file in self.manifests[source]["files"]}
        for path in self.shards(source):
            named.update(columns(path, ["subset"])["subset"].unique())
        return sorted(named)

    def read(self, places: Sequence[Place], names: Sequence[str] = tuple(SCHEMA.names)) -> pl.DataFrame:
        """Some columns, or all, of the records at these places, in the places' order."""
        rows: dict[tuple[str, str], list[int]] = {}
        for number, place in enumerate(places):
            rows.setdefault((place.source, place.shard), []).append(number)
        frames = [
            columns(self.out / "records" / source / shard, names)[[places[number].at for number in numbers]]
            .with_columns(pl.col(pl.Categorical).cast(pl.String))
            .with_columns(number=pl.Series(numbers, dtype=pl.Int64))
            for (source, shard), numbers in rows.items()
        ]
        if not frames:
            return pl.DataFrame(schema=list(names))
        return pl.concat(frames).sort("number").drop("number")

    def lineages(self, places: Sequence[Place]) -> list[Lineage]:
        """Where the records at these places come from."""
        frame = self.read(places, LINEAGE)
        return [Lineage(*values) for values in frame.select(LINEAGE[1:]).iter_rows()] if places else []
