"""All records of a merge under two numbers, and the flat files in which a merge keeps what it knows of them.

A record's *place* counts the sources in the catalog's order, their shards and the rows of these. Its *rank* counts the
sources in the same order, and the records of each by a keyed hash of the id: of near-duplicates the one of the lowest
rank represents the others, however the rows were ordered or cut into shards.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.engine import Engine
from pipeline.folder import placing
from pipeline.judge.signed import NOTIONS, Signed, names
from pipeline.judge.verdict import REPRESENTATIVE
from pipeline.keys import buckets, draws

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]

SEED: Final = REPRESENTATIVE[0]
PURPOSE: Final = REPRESENTATIVE[1]
"""Seed and purpose of the keyed hash that ranks records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """The records of a merge. Shard `i` holds the places `starts[i]` to `starts[i + 1]`.

    `folder` holds flat files of numbers, the suffix naming their type: by place `ids.u8`, two an id, and `ranks.u4`; by
    rank `places.u4`, `<notion>-keys.u8` and `<notion>-firsts.u4`.
    """

    folder: Path
    records: tuple[Path, ...]
    signatures: tuple[Path, ...]
    starts: tuple[int, ...]

    def read(self, name: str) -> Array:
        """A flat file of the folder, mapped and not read."""
        return flat(self.folder / name)

    def shard(self, place: int) -> int:
        """The number of the shard that holds a place."""
        return bisect_right(self.starts, place) - 1


def flat(path: Path) -> Array:
    """A flat file of numbers, mapped and not read; its suffix names their type as numpy does (`u4`, `f4`)."""
    kind = np.dtype(path.suffix[1:])
    return np.asarray(np.memmap(path, kind, mode="r")) if path.stat().st_size else np.empty(0, kind)


def write_flat(path: Path, numbers: Array) -> None:
    """Write a flat file of numbers of the type that its suffix names."""
    assert numbers.dtype == np.dtype(path.suffix[1:]), path
    with placing(path) as aside:
        numbers.tofile(aside)


def register(sources: Sequence[Signed], folder: Path, engine: Engine) -> Register:
    """Number the records of all sources; what is known of them is written to `folder`."""
    files = [path for source in sources for path in source.signatures]
    results = engine.map(_identify, files)
    starts, places = [0], np.empty(0, np.uint32)
    keys: list[list[Hashes]] = [[] for _ in NOTIONS]
    with (folder / "ids.u8").open("wb") as ids:
        for source in sources:
            first, drawn = starts[-1], [np.empty(0, np.uint64)]
            for _ in source.signatures:
                found = next(results)
                found.ids.tofile(ids)
                drawn.append(found.draws)
                starts.append(starts[-1] + len(found.ids))
                for kept, new in zip(keys, found.keys, strict=True):
                    kept.append(new)
            places = np.concatenate([places, ordered(np.concatenate(drawn)) + np.uint32(first)])
    write_flat(folder / "places.u4", places)
    ranks = np.empty_like(places)
    ranks[places] = np.arange(len(places), dtype=np.uint32)
    write_flat(folder / "ranks.u4", ranks)
    for notion, pieces in zip(NOTIONS, keys, strict=True):
        by_rank = np.concatenate([np.empty(0, np.uint64), *pieces])[places]
        pieces.clear()
        write_flat(folder / f"{notion}-keys.u8", by_rank)
        write_flat(folder / f"{notion}-firsts.u4", firsts(by_rank))
    records = tuple(path for source in sources for path in source.records)
    return Register(folder=folder, records=records, signatures=tuple(files), starts=tuple(starts))


def ordered(drawn: Hashes) -> Numbers:
    """The numbers of the draws in ascending order of these; equal ones, which are of equal ids, as they come."""
    assert len(drawn) < 1 << 32
    return np.argsort(drawn, kind="stable").astype(np.uint32)


def firsts(keys: Hashes) -> Numbers:
    """For each key the number of the first that equals it; its own for a 0, which has no words to be told by."""
    result = np.empty(len(keys), np.uint32)
    for some in buckets(keys):
        its = keys[some]
        order = np.argsort(its, kind="stable")
        its, some = its[order], some[order]
        opens = np.ones(len(its), np.bool_)
        opens[1:] = (its[1:] != its[:-1]) | (its[1:] == 0)
        starts = np.flatnonzero(opens)
        result[some] = np.repeat(some[starts], np.diff(starts, append=len(some)))
    return result


class _Identified(NamedTuple):
    ids: Hashes
    draws: Hashes
    keys: tuple[Hashes, ...]


def _identify(path: Path) -> _Identified:
    found = names(path)
    return _Identified(found.ids, representative_draws(found.ids), found.keys)


def representative_draws(ids: Hashes) -> Hashes:
    """The keyed hash by which records of the same standing are ranked, of ids given by their halves."""
    return draws(ids, np.arange(len(ids), dtype=np.uint32), SEED, PURPOSE)


def cleared(paths: Iterable[Path]) -> None:
    """Delete flat files that have served, which bounds the room a merge takes."""
    for path in paths:
        path.unlink()
