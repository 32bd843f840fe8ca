"""Near-duplicates among the records a mixture accepts: which record stands for which."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.keys import Keys, Numbers


def heads(keys: Keys, accepted: Numbers, pairs: Path | None, notion: str, *, unique: bool) -> Numbers:
    """For each of the accepted records the one that stands for it: an equal one, or a near-duplicate.

    Of equal ids, of which there are none where these are `unique`, the oldest does. Of near-duplicates, whose `pairs`
    are in this folder, the first by part, then by a keyed hash of the id (see `judge.clusters`). Without `pairs`, and
    where the keys know of none, only ids are compared. `ArtefactError` when the pairs cannot be read.
    """
    first = np.arange(len(accepted)) if unique else _oldest(keys, accepted)
    if pairs is None or keys.near is None or not keys.near.any():
        return accepted[first]
    from pipeline.judge.clusters import mixture_clusters  # these load a compiler, and many mixtures do without
    from pipeline.judge.register import representative_draws

    drawn = representative_draws(keys.ids[accepted])
    part = np.searchsorted([span.stop for span in keys.parts], accepted, side="right")
    ranks = np.empty(len(accepted), np.int64)
    ranks[np.lexsort((keys.age[accepted], drawn, part))] = np.arange(len(accepted))
    found = mixture_clusters(keys.near[accepted], ranks, pairs, notion)
    stands: Numbers = accepted[found[first]]
    return stands


def _oldest(keys: Keys, accepted: Numbers) -> npt.NDArray[np.int64]:
    """For each of the accepted records the number of the oldest that has its id."""
    order = np.lexsort((keys.age[accepted], keys.ids[accepted, 1], keys.ids[accepted, 0]))
    sorted_ids = keys.ids[accepted[order]]
    opens = np.ones(len(order), np.bool_)
    opens[1:] = (sorted_ids[1:] != sorted_ids[:-1]).any(axis=1)
    starts = np.flatnonzero(opens)
    result = np.empty(len(order), np.int64)
    result[order] = np.repeat(order[starts], np.diff(starts, append=len(order)))
    return result
