"""Near-duplicates among the records a mixture accepts: which record stands for which."""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.keys import Keys, Numbers, buckets, by_draw, draws


def heads(keys: Keys, accepted: Numbers, pairs: Path | None, notion: str, *, unique: bool) -> Numbers:
    """For each of the accepted records the one that stands for it: an equal one, or a near-duplicate.

    Of equal ids, of which there are none where these are `unique`, the oldest does. Of near-duplicates, whose `pairs`
    are in this folder, the first by part, then by a keyed hash of the id (see `judge.clusters`). Without `pairs`, and
    where the keys know of none, only ids are compared. `ArtefactError` when the pairs cannot be read.
    """
    first = None if unique else _oldest(keys, accepted)
    if pairs is None or keys.near is None or not keys.near.any():
        return accepted if first is None else accepted[first]
    from pipeline.judge.clusters import mixture_clusters  # these load a compiler, and many mixtures do without
    from pipeline.judge.register import PURPOSE, SEED

    ranks, ranked = np.empty(len(accepted), np.uint32), 0
    for span in keys.parts:
        begin, end = np.searchsorted(accepted, np.array([span.start, span.stop], np.uint32))
        its = accepted[begin:end]
        for at in by_draw(draws(keys.ids, its, SEED, PURPOSE), partial(_ages, keys, its)):
            ranks[begin + at] = np.arange(ranked, ranked := ranked + len(at), dtype=np.uint32)
    found = mixture_clusters(keys.near[accepted], ranks, pairs, notion)
    stands: Numbers = accepted[found if first is None else found[first]]
    return stands


def _ages(keys: Keys, records: Numbers, some: Numbers) -> Numbers:
    return keys.age[records[some]]


def _oldest(keys: Keys, accepted: Numbers) -> Numbers:
    """For each of the accepted records the place of the oldest that has its id."""
    result = np.empty(len(accepted), np.uint32)
    high = keys.ids[accepted, 0]
    for some in buckets(high):
        records = accepted[some]
        order = np.lexsort((keys.age[records], keys.ids[records, 1], high[some]))
        sorted_ids = keys.ids[records[order]]
        opens = np.ones(len(order), np.bool_)
        opens[1:] = (sorted_ids[1:] != sorted_ids[:-1]).any(axis=1)
        starts = np.flatnonzero(opens)
        result[some[order]] = np.repeat(some[order[starts]], np.diff(starts, append=len(order)))
    return result
