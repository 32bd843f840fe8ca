"""Which records are held out of training: near-duplicates together, so that none of them is trained on."""

from fractions import Fraction
from typing import Final

import numpy as np

from collectors.errors import CatalogError
from collectors.mixture import Holdout
from pipeline.keys import Flags, Keys, Numbers, by_draw, draws, places

HOLDOUT: Final = "the holdout"
"""What a shortfall calls it."""


def holdout_rows(holdout: Holdout, taken: int) -> int:
    """How many of `taken` records are held out; a share is rounded to the nearest whole number, and at least one."""
    if holdout.rows is not None:
        return holdout.rows
    return max(1, int(Fraction(str(holdout.share)) * taken + Fraction(1, 2)))


def held_out(name: str, holdout: Holdout, seed: int, keys: Keys, taken: Numbers, heads: Numbers) -> Flags:
    """For each of the `taken` records whether it is held out; `heads` are the records that stand for them.

    All records of one head are on one side. The heads are held out by a keyed hash of their ids, each that has no more
    records than are still wanted: so never more are held out than asked for, and fewer only where nothing left is small
    enough. Raises `CatalogError` (which names the mixture `name`) when none would be left on one of the sides.
    """
    wanted = holdout_rows(holdout, len(taken))
    if wanted >= len(taken):
        raise CatalogError(
            f"mixture {name}: its holdout takes {wanted:,} rows of the {len(taken):,} there are and leaves none to "
            "train on; lower the holdout or let in more rows"
        )
    if (heads == taken).all():
        alone: Flags = np.zeros(len(taken), np.bool_)
        alone[_queue(seed, keys, taken)[:wanted]] = True
        return alone
    stands = np.zeros(len(keys.age), np.bool_)
    stands[heads] = True
    groups = places(stands)
    inverse = (np.cumsum(stands, dtype=np.uint32) - np.uint32(1))[heads]
    sizes = np.bincount(inverse).astype(np.uint32)
    queue = _queue(seed, keys, groups)
    chosen = np.zeros(len(groups), np.bool_)
    left = wanted
    while left and (queue := queue[sizes[queue] <= left]).size:
        end = int(np.searchsorted(np.cumsum(sizes[queue], dtype=np.uint32), left, side="right"))
        chosen[queue[:end]] = True
        left -= int(sizes[queue[:end]].sum())
        queue = queue[end:]
    if not chosen.any():
        raise CatalogError(
            f"mixture {name}: its holdout takes {wanted:,} rows, and near-duplicates, which stay together, come in "
            f"clusters of {int(sizes.min()):,} rows and more; raise the holdout"
        )
    held: Flags = chosen[inverse]
    return held


def _queue(seed: int, keys: Keys, records: Numbers) -> Numbers:
    """The places of records in the order in which they are held out."""
    drawn = draws(keys.ids, records, seed, "holdout")
    queue, end = np.empty(len(records), np.uint32), 0
    for some in by_draw(drawn, lambda some: keys.age[records[some]]):
        queue[end : (end := end + len(some))] = some
    return queue
