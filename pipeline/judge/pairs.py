"""The near-duplicates as they are kept: shards of pairs of ids, in the order of both ranks."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline import shards
from pipeline.engine import Engine
from pipeline.judge.register import Register, flat
from pipeline.judge.verification import Verified
from pipeline.keys import digits

SHARD: Final = 65_536
"""Pairs of a shard at most."""

_ONE: Final = pa.dictionary(pa.int32(), pa.large_string())

SCHEMA: Final = pa.schema(
    [
        pa.field("a", pa.large_string(), nullable=False),
        pa.field("b", pa.large_string(), nullable=False),
        pa.field("notion", _ONE, nullable=False),
        pa.field("jaccard", pa.float32(), nullable=False),
        pa.field("a_key", pa.uint64(), nullable=False),
        pa.field("b_key", pa.uint64(), nullable=False),
    ]
)
"""Columns of `data/verdicts/_pairs/<notion>-*.arrow`: the ids of two records, what they are near-duplicates by, their
Jaccard similarity and the keys of that notion. `a` comes before `b` by rank, and the pairs are in the order of both.
Records of an equal key are near-duplicates without being listed: the one of the lowest rank stands for them."""


def write_pairs(register: Register, notion: str, found: Verified, out: Path, engine: Engine) -> None:
    """Write the pairs to `<out>/<notion>-00000.arrow` and so on."""
    starts = range(0, sum(found.counts), SHARD)
    jobs = [
        _Written(register, notion, list(found.slices(start, start + SHARD)), out / f"{notion}-{number:05d}.arrow")
        for number, start in enumerate(starts)
    ]
    list(engine.map(_write, jobs))


class _Written(NamedTuple):
    register: Register
    notion: str
    slices: list[tuple[Path, int, int]]
    out: Path


def _write(piece: _Written) -> None:
    """Write one shard of pairs."""
    register = piece.register
    pairs = np.concatenate([flat(path)[begin:end] for path, begin, end in piece.slices])
    jaccard = np.concatenate([flat(path.with_suffix(".f4"))[begin:end] for path, begin, end in piece.slices])
    ids = register.read("ids.u8").reshape(-1, 2)
    places, keys = register.read("places.u4"), register.read(f"{piece.notion}-keys.u8")
    sides = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
    a, b = (digits(ids[places[side]]).to_arrow(compat_level=pl.CompatLevel.oldest()) for side in sides)
    notion = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(pairs), np.int32)), [piece.notion]).cast(_ONE)
    arrays = [a, b, notion, pa.array(jaccard), *(pa.array(keys[side]) for side in sides)]
    shards.write(piece.out, pa.Table.from_arrays(arrays, schema=SCHEMA))
