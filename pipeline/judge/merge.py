"""The one global step of judge: near-duplicates over all sources, and the clusters they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pipeline.engine import Engine
from pipeline.judge.buckets import candidates
from pipeline.judge.clusters import represented
from pipeline.judge.pairs import write_pairs
from pipeline.judge.register import Numbers, Register, cleared, flat, register, write_flat
from pipeline.judge.signed import NOTIONS, Signed
from pipeline.judge.verification import verified
from pipeline.keys import digits

_NONE: Final = np.int64(-1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeBooks:
    """What the merge found by one notion.

    `copies` are records whose words equal those of one of a lower rank. Of the other records `candidates` pairs were
    compared, and `pairs` of them are near-duplicates. `crowds` are buckets too large for every pair in them to be
    compared, `unmet` the pairs left out in these. `clusters` count those of at least two records, `clustered` records.
    """

    copies: int
    candidates: int
    pairs: int
    crowds: int
    unmet: int
    clusters: int
    clustered: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """The outcome of a merge: its books by notion, and the clusters in flat files of `register.folder`."""

    register: Register
    books: dict[str, MergeBooks]

    def clusters(self, notion: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The place of the record that represents each record, by place; -1 for one that is in no cluster."""
        return flat(self.register.folder / f"{notion}-clusters.i8")

    def cluster_ids(self, notion: str, shard: int) -> pl.Series:
        """The id of the representative of each record of a shard; null for one that is in no cluster.

        Shards are counted over all sources in their order.
        """
        begin, end = self.register.starts[shard : shard + 2]
        places = self.clusters(notion)[begin:end]
        ids = digits(self.register.read("ids.u8").reshape(-1, 2)[np.maximum(places, 0)])
        frame = pl.DataFrame({"id": ids, "place": places})
        return frame.select(cluster=pl.when(pl.col("place") >= 0).then("id"))["cluster"]


def merge(sources: Sequence[Signed], scratch: Path, out: Path, engine: Engine) -> Merged:
    """Find the near-duplicates among all records of `sources`, which come in the catalog's order.

    Pairs are written to `out` (see `pairs.SCHEMA`), which exists, as `scratch` does. What `Merged` tells is read from
    `scratch` as long as that is there. With an engine on several machines both lie where all of them can write.
    Raises `ArtefactError` when a shard cannot be read or does not fit another. Of a record, 50 bytes are held in this
    process; everything else is done in pieces of a bounded size.
    """
    records = register(sources, scratch, engine)
    return Merged(register=records, books={notion: _merged(records, notion, out, engine) for notion in NOTIONS})


def _merged(records: Register, notion: str, out: Path, engine: Engine) -> MergeBooks:
    near = candidates(records, notion, engine)
    found = verified(records, notion, near, engine)
    write_pairs(records, notion, found, out, engine)
    first = records.read(f"{notion}-firsts.u4")
    heads = represented(first, map(flat, found.paths))
    sizes = _write_clusters(records, notion, heads)
    cleared(kept for path in found.paths for kept in (path, path.with_suffix(".f4")))
    return MergeBooks(
        copies=int(np.count_nonzero(first != np.arange(len(first), dtype=np.uint32))),
        candidates=near.total,
        pairs=sum(found.counts),
        crowds=near.crowds,
        unmet=near.unmet,
        clusters=sizes[0],
        clustered=sizes[1],
    )


def _write_clusters(records: Register, notion: str, heads: Numbers) -> tuple[int, int]:
    """Write the place of each record's representative; the numbers of clusters and of records in them."""
    shared = np.zeros(len(heads), np.bool_)
    shared[heads[heads != np.arange(len(heads), dtype=np.uint32)]] = True
    places = records.read("places.u4")
    clusters = np.empty(len(heads), np.int64)
    clusters[places] = np.where(shared[heads], places[heads], _NONE)
    write_flat(records.folder / f"{notion}-clusters.i8", clusters)
    return int(shared.sum()), int(np.count_nonzero(clusters >= 0))
