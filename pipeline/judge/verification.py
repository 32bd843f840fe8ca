"""Near-duplicates: candidates whose shingles are mostly the same, verified on the records' text.

Each record shard with candidates is read once; the shingles of those rows go to a flat file, beside one of where each
begins. The pairs are then compared in their order, a bounded number of shingles at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.errors import ArtefactError
from collectors.kernel import kernel
from pipeline.engine import Engine
from pipeline.folder import placing
from pipeline.judge.buckets import Candidates
from pipeline.judge.register import Array, Register, cleared, flat, write_flat
from pipeline.judge.shingles import Sets, jaccards, sets
from pipeline.judge.texts import ANSWER, REQUEST, answer, request
from pipeline.judge.tokens import joined, tokens
from pipeline.keys import columns

Places = npt.NDArray[np.int64]

THRESHOLD: Final = 0.8
"""The least Jaccard similarity of near-duplicates. See `shingles` for what it finds and how often it is right."""

_SHINGLES: Final = 1 << 24
"""Shingles held while pairs are compared."""

_ROWS: Final = 8192
"""Rows whose text is taken apart at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """Near-duplicates as flat files: pairs of ranks (`.u8`) and, beside each, Jaccard similarities (`.f4`)."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]

    def slices(self, begin: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """The files that hold the pairs `begin` to `end`, and from where to where in each."""
        start = 0
        for path, count in zip(self.paths, self.counts, strict=True):
            first, last = max(begin - start, 0), min(end - start, count)
            if first < last:
                yield path, first, last
            start += count


def verified(register: Register, notion: str, found: Candidates, engine: Engine) -> Verified:
    """The candidates of at least the `THRESHOLD`, in their order; `ArtefactError` when a record shard does not fit."""
    places = register.read("places.u4")
    wanted = np.zeros(len(places), np.bool_)
    for path in found.paths:
        pairs = flat(path)
        wanted[places[pairs >> np.uint64(32)]] = True
        wanted[places[pairs & np.uint64(0xFFFFFFFF)]] = True
    write_flat(register.folder / "wanted.b1", wanted)
    holding = [shard for shard, (one, end) in enumerate(pairwise(register.starts)) if wanted[one:end].any()]
    list(engine.map(_shingle, [_Shingle(register, notion, shard) for shard in holding]))
    counts = list(engine.map(_verify, [_Verify(register, path) for path in found.paths]))
    for shard in holding:
        cleared(_files(register, shard))
    cleared(found.paths)
    return Verified(paths=tuple(_kept(path) for path in found.paths), counts=tuple(counts))


def _files(register: Register, shard: int) -> tuple[Path, Path]:
    """The shingles of the wanted rows of a shard, and where those of each row begin and the last's end."""
    return register.folder / f"shingles-{shard:06d}.u4", register.folder / f"shingles-{shard:06d}.i8"


def _kept(path: Path) -> Path:
    return path.with_name(path.name.replace("candidates", "verified"))


class _Shingle(NamedTuple):
    register: Register
    notion: str
    shard: int


def _shingle(piece: _Shingle) -> None:
    """Write the shingles of the wanted rows of one record shard."""
    register, path = piece.register, piece.register.records[piece.shard]
    wanted = register.read("wanted.b1")[register.starts[piece.shard] : register.starts[piece.shard + 1]]
    records = columns(path, REQUEST if piece.notion == "request" else REQUEST + ANSWER)
    if records.height != len(wanted):
        raise ArtefactError(
            f"{path}: holds {records.height:,} records, its signatures {len(wanted):,}; run make judge again"
        )
    records = records.filter(pl.Series(wanted))
    sizes = np.zeros(len(wanted), np.int64)
    rows = np.flatnonzero(wanted)
    hashes, offsets = _files(register, piece.shard)
    with placing(hashes) as aside, aside.open("wb") as handle:
        for start in range(0, len(rows), _ROWS):
            found = _sets(records[start : start + _ROWS], piece.notion)
            found.hashes.tofile(handle)
            sizes[rows[start : start + _ROWS]] = np.diff(found.offsets)
    write_flat(offsets, np.concatenate([[0], np.cumsum(sizes)]))


def _sets(records: pl.DataFrame, notion: str) -> Sets:
    words = tokens(request(records))
    if notion == "request":
        return sets(words.hashes, words.offsets)
    hashes, offsets, _ = joined(words, tokens(answer(records)))
    return sets(hashes, offsets)


class _Verify(NamedTuple):
    register: Register
    path: Path


def _verify(piece: _Verify) -> int:
    """Write the near-duplicates of one file of candidates; the number of them."""
    register, pairs = piece.register, flat(piece.path)
    places = register.read("places.u4")
    both = places[np.stack([pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)])].astype(np.int64)
    rows, numbers = np.unique(both, return_inverse=True)
    sizes = _sizes(register, rows)[numbers.reshape(both.shape)]
    # Sets of too different sizes cannot be alike.
    likely = sizes.min(axis=0) / sizes.max(axis=0) >= THRESHOLD
    pairs, both, sizes = pairs[likely], both[:, likely], sizes[:, likely]
    similar = np.zeros(len(pairs), np.float64)
    blocks = np.cumsum(sizes.sum(axis=0)) // _SHINGLES
    for begin, end in _runs(blocks):
        rows, numbers = np.unique(both[:, begin:end], return_inverse=True)
        first, second = numbers.reshape(2, -1)
        similar[begin:end] = jaccards(_gathered(register, rows), first, second)
    near = similar >= THRESHOLD
    kept = _kept(piece.path)
    write_flat(kept, pairs[near])
    write_flat(kept.with_suffix(".f4"), similar[near].astype(np.float32))
    return int(near.sum())


def _runs(numbers: Array) -> Iterator[tuple[int, int]]:
    """Where each run of equal numbers begins and ends."""
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    if len(numbers):
        yield from zip([0, *cuts.tolist()], [*cuts.tolist(), len(numbers)], strict=True)


def _by_shard(register: Register, rows: Places) -> Iterator[tuple[int, int, int, Places]]:
    """Ascending places by their shard: its number, from where to where in `rows`, and their rows within the shard."""
    owners = np.searchsorted(np.array(register.starts), rows, side="right") - 1
    for begin, end in _runs(owners):
        shard = int(owners[begin])
        yield shard, begin, end, rows[begin:end] - register.starts[shard]


def _sizes(register: Register, rows: Places) -> Places:
    """The number of shingles at each of some ascending places."""
    sizes = np.empty(len(rows), np.int64)
    for shard, begin, end, inside in _by_shard(register, rows):
        offsets = flat(_files(register, shard)[1])
        sizes[begin:end] = offsets[inside + 1] - offsets[inside]
    return sizes


def _gathered(register: Register, rows: Places) -> Sets:
    """The shingles at some ascending places; one file is mapped at a time."""
    bounds = np.concatenate([[0], np.cumsum(_sizes(register, rows))])
    hashes = np.empty(int(bounds[-1]), np.uint32)
    for shard, begin, end, inside in _by_shard(register, rows):
        held, offsets = (flat(path) for path in _files(register, shard))
        _copy(held, offsets[inside], hashes, bounds[begin : end + 1])
    return Sets(hashes, bounds)


@kernel
def _copy(held: npt.NDArray[np.uint32], starts: Places, hashes: npt.NDArray[np.uint32], bounds: Places) -> None:
    """Copy to `hashes[bounds[i] : bounds[i + 1]]` what `held` has from `starts[i]` on."""
    for row in range(len(starts)):
        for step in range(bounds[row + 1] - bounds[row]):
            hashes[bounds[row] + step] = held[starts[row] + step]
