"""Near-duplicates among the records a mixture accepts: which record stands for which, and which hang together."""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.keys import Keys, Numbers, buckets, by_draw, draws


def heads(keys: Keys, accepted: Numbers, pairs: Path, notion: str) -> Numbers:
    """For each of the accepted records, no two of one id, the near-duplicate that stands for it; else itself.

    That is the first by part, then by a keyed hash of the id (see `judge.clusters`); the `pairs` are in this folder.
    `ArtefactError` when they cannot be read.
    """
    if keys.near is None or not keys.near.any():
        return accepted
    from pipeline.judge.clusters import mixture_clusters  # these load a compiler, and many mixtures do without
    from pipeline.judge.register import PURPOSE, SEED

    order, ranked = np.empty(len(accepted), np.uint32), 0
    for span in keys.parts:
        begin, end = np.searchsorted(accepted, np.array([span.start, span.stop], np.uint32))
        its = accepted[begin:end]
        for at in by_draw(draws(keys.ids, its, SEED, PURPOSE), partial(_ages, keys, its)):
            order[ranked : (ranked := ranked + len(at))] = begin + at
    found = mixture_clusters(keys.near[accepted[order]], pairs, notion)
    stands = np.empty(len(accepted), np.uint32)
    stands[order] = accepted[order[found]]
    return stands


def linked(keys: Keys, accepted: Numbers, pairs: Path | None, notion: str, *, unique: bool) -> Numbers:
    """For each of the accepted records the oldest of all that it hangs together with.

    What hangs together has an equal id, is a near-duplicate by the `pairs` in this folder, or one of a near-duplicate,
    by whatever steps: where all of it goes one way no pair is parted, as it may be where records follow their `heads`.
    No two ids are equal where they are `unique`. `ArtefactError` when the pairs cannot be read.
    """
    first = None if unique else _oldest(keys, accepted)
    if pairs is None or keys.near is None or not keys.near.any():
        return accepted if first is None else accepted[first]
    from pipeline.chains import join, settle  # these load a compiler, and many mixtures do without
    from pipeline.judge.read import read_pairs

    links = np.arange(len(accepted), dtype=np.uint32)
    if first is not None:
        join(links, links.copy(), first)
    known, own = _by_key(keys.near[accepted], links)
    for frame in read_pairs(pairs, notion, ["a_key", "b_key"]):
        sides = [frame[name].to_numpy() for name in ("a_key", "b_key")]
        at = [np.searchsorted(known[:-1], side) for side in sides]
        held = (known[at[0]] == sides[0]) & (known[at[1]] == sides[1])
        join(links, own[at[0][held]], own[at[1][held]])
    settle(links)
    stands: Numbers = accepted[_oldest_of(links, keys.age[accepted])]
    return stands


def _by_key(near: npt.NDArray[np.uint64], links: Numbers) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """The keys of some records, ascending, and of each the first that has it; the others are joined with that.

    A 0, which is no key, ends both, so that what is beyond the last key finds an end.
    """
    from pipeline.chains import join

    found = []
    for some in buckets(near, near != 0):
        order = some[np.argsort(near[some], kind="stable")]
        opens = np.ones(len(order), np.bool_)
        opens[1:] = near[order[1:]] != near[order[:-1]]
        starts = np.flatnonzero(opens)
        join(links, order, np.repeat(order[starts], np.diff(starts, append=len(order))))
        found.append(order[starts])
    own = np.concatenate([*found, np.zeros(1, np.uint32)])
    return np.append(near[own[:-1]], np.uint64(0)), own


def _oldest_of(groups: Numbers, ages: Numbers) -> Numbers:
    """For each record the place of the oldest of its group, which is called by the place of one of its records."""
    least = np.full(len(groups), np.iinfo(np.uint32).max, np.uint32)
    np.minimum.at(least, groups, ages)
    oldest = np.flatnonzero(ages == least[groups]).astype(np.uint32)
    found = np.empty(len(groups), np.uint32)
    found[groups[oldest]] = oldest
    return found[groups]


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
