"""Candidates: records that share a band of their signatures, found bucket by bucket on disk.

Map: each signature shard becomes one flat file of (hash, rank), sorted within each band, so that a range of hashes of a
band is a slice of it. Reduce: the slices of all shards for one range are sorted together, and records of an equal hash
meet. The pairs of all bands are then brought together in ranges of ranks, each pair once. A piece of work holds about a
million numbers, whatever the corpus.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.kernel import kernel
from pipeline.engine import Engine
from pipeline.folder import placing
from pipeline.judge.minhash import BANDS
from pipeline.judge.register import Hashes, Register, cleared, flat, write_flat
from pipeline.judge.signed import bands

HELD: Final = 1 << 20
"""Entries of a bucket range, or candidates with their repetitions, that a piece is made for."""

CROWD: Final = 64
"""The largest bucket in which each record meets every other."""

AHEAD: Final = 8
"""In a larger one, a record meets the bucket's so many records of the lowest ranks, which would represent it."""

BESIDE: Final = 8
"""And so many that come right before it by rank.

Twenty thousand rows of one template still make one cluster so, at 28 pairs a row."""

_STRIDE: Final = 1024
_RANK: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Pairs that may be near-duplicates: flat files of `lower rank << 32 | higher rank`, ascending from file to file.

    `total` pairs in all. `crowds` counts the buckets of more than `CROWD` records, `unmet` the pairs in them that were
    not taken for candidates by that bucket.
    """

    paths: tuple[Path, ...]
    total: int
    crowds: int
    unmet: int


def candidates(register: Register, notion: str, engine: Engine) -> Candidates:
    """The pairs of a notion that share a band, each once; of records of one key only that of the lowest rank meets."""
    parts = max(1, -(-register.starts[-1] // HELD))
    jobs = [_Scatter(register, shard, notion, parts) for shard in range(len(register.signatures))]
    scattered = list(engine.map(_scatter, jobs))
    met = list(engine.map(_meet, _ranges(register.folder, scattered, parts)))
    cleared(path for path, _ in scattered)
    files = tuple(found.path for found in met if found.path)
    samples = np.sort(np.concatenate([np.empty(0, np.uint64), *(found.sample for found in met)]))
    cuts = [0, *map(int, samples[HELD // _STRIDE :: HELD // _STRIDE]), (1 << 64) - 1]
    spans = [
        _Span(files, low, high, register.folder / f"candidates-{number:06d}.u8")
        for number, (low, high) in enumerate(pairwise(cuts))
    ]
    total = sum(engine.map(_distinct, spans))
    cleared(files)
    return Candidates(
        paths=tuple(span.out for span in spans),
        total=total,
        crowds=sum(found.crowds for found in met),
        unmet=sum(found.unmet for found in met),
    )


class _Scatter(NamedTuple):
    register: Register
    shard: int
    notion: str
    parts: int


def _scatter(piece: _Scatter) -> tuple[Path, npt.NDArray[np.int64]]:
    """The file of one shard, and where in it each range of each band begins, and the last ends."""
    register = piece.register
    ranks = register.read("ranks.u4")[register.starts[piece.shard] : register.starts[piece.shard + 1]]
    alone = register.read(f"{piece.notion}-firsts.u4")[ranks] == ranks
    alone &= register.read(f"{piece.notion}-keys.u8")[ranks] != 0
    hashes, named = bands(register.signatures[piece.shard], piece.notion)[alone], ranks[alone].astype(np.uint64)
    bounds = np.array([(part << 32) // piece.parts << 32 for part in range(piece.parts)], np.uint64)
    path = register.folder / f"bands-{piece.shard:06d}.u8"
    offsets, base = [], 0
    with placing(path) as aside, aside.open("wb") as handle:
        for band in range(BANDS):
            entries = np.sort(hashes[:, band].astype(np.uint64) << _HALF | named)
            entries.tofile(handle)
            offsets.append(np.searchsorted(entries, bounds) + base)
            base += len(entries)
    return path, np.append(np.concatenate(offsets), base)


class _Range(NamedTuple):
    slices: list[tuple[Path, int, int]]
    out: Path


def _ranges(folder: Path, scattered: Sequence[tuple[Path, npt.NDArray[np.int64]]], parts: int) -> Iterator[_Range]:
    for number in range(BANDS * parts):
        slices = [(path, int(at[number]), int(at[number + 1])) for path, at in scattered if at[number] < at[number + 1]]
        if slices:
            yield _Range(slices, folder / f"met-{number:06d}.u8")


class _Met(NamedTuple):
    path: Path | None
    sample: Hashes
    crowds: int
    unmet: int


def _meet(piece: _Range) -> _Met:
    """Write the pairs of one range of one band, ascending; no file where there is none."""
    entries = np.sort(np.concatenate([flat(path)[begin:end] for path, begin, end in piece.slices]))
    count, crowds, unmet = _pairs(entries, np.empty(0, np.uint64))
    if not count:
        return _Met(None, np.empty(0, np.uint64), 0, 0)
    pairs = np.empty(count, np.uint64)
    _pairs(entries, pairs)
    pairs.sort()
    write_flat(piece.out, pairs)
    return _Met(piece.out, pairs[::_STRIDE].copy(), crowds, unmet)


class _Span(NamedTuple):
    files: tuple[Path, ...]
    low: int
    high: int
    out: Path


def _distinct(piece: _Span) -> int:
    """Write the pairs from `low` to below `high` of all bands, each once; the number of them."""
    found = [np.empty(0, np.uint64)]
    for path in piece.files:
        pairs = flat(path)
        begin, end = np.searchsorted(pairs, np.array([piece.low, piece.high], np.uint64))
        found.append(pairs[begin:end])
    pairs = np.sort(np.concatenate(found))
    new = np.ones(len(pairs), np.bool_)
    new[1:] = pairs[1:] != pairs[:-1]
    write_flat(piece.out, pairs[new])
    return int(np.count_nonzero(new))


@kernel
def _pairs(entries: Hashes, out: Hashes) -> tuple[int, int, int]:
    """Write the pairs of entries of an equal hash as far as `out` has room; the numbers of pairs, crowds and unmet."""
    count, crowds, unmet, begin = 0, 0, 0, 0
    while begin < len(entries):
        end = begin + 1
        while end < len(entries) and entries[end] >> _HALF == entries[begin] >> _HALF:
            end += 1
        crowded = end - begin > CROWD
        before = count
        for later in range(begin + 1, end):
            earlier = begin
            while earlier < later:
                if crowded and earlier == begin + AHEAD:
                    earlier = max(earlier, later - BESIDE)
                if count < len(out):
                    out[count] = (entries[earlier] & _RANK) << _HALF | (entries[later] & _RANK)
                count += 1
                earlier += 1
        if crowded:
            crowds += 1
            unmet += (end - begin) * (end - begin - 1) // 2 - (count - before)
        begin = end
    return count, crowds, unmet
