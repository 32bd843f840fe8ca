"""Where records lie: found by id or by lineage, reading a column or two of each shard."""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

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


def digits(path: Path, name: str, plain: Callable[[], pl.Series]) -> npt.NDArray[np.uint64]:
    """The ids in a column of a shard, 32 hexadecimal digits each, as four numbers of eight; nulls are left out.

    That is as they lie on the disk, many times as fast as making texts of them. Where they do not lie so, or cannot be
    read, `plain` gives the column, or says what is wrong with it.
    """
    try:
        found = [batch.column(0) for batch in shards.batches(path, [name])]
    except (OSError, ValueError, pa.ArrowException):
        found = []
    if not found or found[0].type != pa.large_string():
        found = [plain().to_arrow(compat_level=pl.CompatLevel.oldest())]
    held = [(one.buffers()[2] or b"", 4 * (len(one) - one.null_count)) for one in found]
    return np.concatenate([np.frombuffer(data, "u8", count).reshape(-1, 4) for data, count in held])


def digits_of(ids: Collection[str]) -> npt.NDArray[np.uint64]:
    """Some ids in the same form."""
    return np.frombuffer("".join(ids).encode(), "u8").reshape(-1, 4)


def _marks(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """What ids are looked for by: a number of each, seldom the same for two."""
    marks: npt.NDArray[np.uint64] = ids[:, 0] ^ ids[:, 1] * np.uint64(0x9E3779B97F4A7C15)
    return marks


def _marked(path: Path) -> npt.NDArray[np.uint64]:
    return _marks(digits(path, "id", lambda: columns(path, ["id"])["id"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """The records of a data folder: the manifests of its built sources, in the catalog's order."""

    out: Path
    manifests: dict[str, dict[str, Any]]
    _marks: dict[Path, npt.NDArray[np.uint64]] = field(default_factory=dict)
    """The mark of each id, by shard, once it was read."""
    _numbers: dict[str, tuple[dict[str, int], npt.NDArray[np.uint32]]] = field(default_factory=dict)
    """By source where each shard's records begin, and the number of each record, once these were asked for."""

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
        wanted = _marks(digits_of(sorted(ids)))
        found: dict[str, list[Place]] = {}
        for source in self.manifests:
            paths = self.shards(source)
            new = [path for path in paths if path not in self._marks]
            self._marks.update(zip(new, threaded(_marked, new), strict=True))
            for path in paths:
                likely = np.flatnonzero(np.isin(self._marks[path], wanted)).tolist()
                for index, name in zip(likely, columns(path, ["id"])["id"][likely] if likely else (), strict=True):
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

    def numbers(self, places: Sequence[Place]) -> list[int]:
        """The numbers of records among those of their source, from 0, in the order of subset, row and part."""
        for source in {place.source for place in places} - self._numbers.keys():
            self._numbers[source] = self._numbered(source)
        of = self._numbers
        return [int(of[source][1][of[source][0][shard] + at]) for source, shard, at in places]

    def _numbered(self, source: str) -> tuple[dict[str, int], npt.NDArray[np.uint32]]:
        paths = self.shards(source)
        frames = threaded(lambda path: columns(path, ["subset", "row", "part"]), paths)
        starts = accumulate((frame.height for frame in frames), initial=0)
        named = [frame["subset"].to_physical().to_numpy() for frame in frames]
        # A file's rows follow on one another, so that each name is seldom looked at.
        runs = [np.flatnonzero(np.diff(codes, prepend=codes[:1] + 1)) for codes in named]
        names = {
            int(code): name
            for frame, codes, first in zip(frames, named, runs, strict=True)
            for code, name in zip(codes[first], frame["subset"][first], strict=True)
        }
        ranks = np.zeros(max(names, default=0) + 1, np.uint32)
        ranks[sorted(names, key=lambda code: names[code])] = np.arange(len(names), dtype=np.uint32)
        row, part = (np.concatenate([frame[name].to_numpy() for frame in frames]) for name in ("row", "part"))
        order = np.lexsort((part, row, ranks[np.concatenate(named)]))
        numbers = np.empty(len(order), np.uint32)
        numbers[order] = np.arange(len(order), dtype=np.uint32)
        return dict(zip((path.name for path in paths), starts, strict=False)), numbers

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
