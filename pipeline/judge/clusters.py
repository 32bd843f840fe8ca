"""Clusters: which record stands for which others, by the near-duplicates among them.

The law. Records are taken by rank. One that no earlier record represents represents itself, and every near-duplicate of
it that nothing represents yet. So each record was verified to be a near-duplicate of the one that represents it (a
cluster is a star: a chain a~b~c does not join c to a), and no two representatives are listed as near-duplicates.
Records of an equal key share the representative of the lowest rank among them.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from collectors.kernel import kernel
from pipeline.judge.read import read_pairs
from pipeline.judge.register import Hashes, Numbers, firsts
from pipeline.keys import buckets


def represented(first: Numbers, pairs: Iterable[Hashes]) -> Numbers:
    """The rank of the representative of each rank, which is its own where it represents itself.

    `first` is what `register.firsts` says of the keys, `pairs` the near-duplicates among those that are first of their
    key: arrays of `lower rank << 32 | higher rank`, ascending throughout.
    """
    heads = np.arange(len(first), dtype=np.uint32)
    for some in pairs:
        _absorb(some, heads)
    return heads[first]


def mixture_clusters(keys: Hashes, folder: Path, notion: str) -> Numbers:
    """For each of the rows that a mixture accepts, the one that represents it; itself where none does.

    `keys` are the rows' keys of the notion (`request_key` or `row_key` of the verdicts), the rows in the order of
    preference: the mixture's parts, then `register.representative_draws` of the ids. What is told are places in this
    order. `folder` holds the pairs of the whole corpus. Only near-duplicates that both have an accepted row of their
    key count: a mixture that takes few rows of a crowd (see `buckets.CROWD`) keeps more of them than if all of its
    pairs were listed. A row without words represents itself. Takes 8 bytes a pair and about 30 a row. `ArtefactError`
    when the pairs cannot be read.
    """
    first = firsts(keys)
    alone = (first == np.arange(len(first), dtype=np.uint32)) & (keys != 0)
    own, end = np.empty(np.count_nonzero(alone), np.uint32), 0
    for some in buckets(keys, alone):
        own[end : (end := end + len(some))] = some[np.argsort(keys[some])]
    known = keys[own]
    found = [np.empty(0, np.uint64)]
    for frame in read_pairs(folder, notion, ["a_key", "b_key"]):
        sides = frame["a_key"].to_numpy(), frame["b_key"].to_numpy()
        at = [np.minimum(np.searchsorted(known, side), max(len(known) - 1, 0)) for side in sides]
        if len(known):
            held = (known[at[0]] == sides[0]) & (known[at[1]] == sides[1])
            one, other = (own[side[held]].astype(np.uint64) for side in at)
            found.append(np.minimum(one, other) << np.uint64(32) | np.maximum(one, other))
    del own, known
    pairs = np.concatenate(found)
    pairs.sort()
    return represented(first, [pairs])


@kernel
def _absorb(pairs: Hashes, heads: Numbers) -> None:
    """Let each rank that represents itself represent its near-duplicates of a higher rank that still do so too."""
    for index in range(len(pairs)):
        one, other = pairs[index] >> np.uint64(32), pairs[index] & np.uint64(0xFFFFFFFF)
        if heads[one] == one and heads[other] == other:
            heads[other] = one
