"""Pairing the rows of two sides that are equal, one to one, however often a row is repeated."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


def paired(first: Sequence[Words], second: Sequence[Words]) -> tuple[Flags, Flags]:
    """Which rows of each side have a partner in the other: rows are equal whose keys are, and each is used once.

    A side is given by the columns of its keys. Of a row that is there more often than in the other side, the earliest
    have partners.
    """
    rows = len(first[0])
    keys = [np.concatenate(columns) for columns in zip(first, second, strict=True)]
    order = np.lexsort(keys)
    begins = np.zeros(len(order), np.bool_)
    begins[:1] = True
    for key in keys:
        sorted_ = key[order]
        begins[1:] |= sorted_[1:] != sorted_[:-1]
    run = np.cumsum(begins) - 1
    starts = np.flatnonzero(begins)
    ours = np.bincount(run, order < rows, minlength=len(starts)).astype(np.int64)
    pairs = np.minimum(ours, np.diff(starts, append=len(order)) - ours)
    # The sort is stable, so that the rows of the first side come first in a run, in their order.
    place = np.arange(len(order)) - starts[run]
    place -= np.where(order < rows, 0, ours[run])
    flags = np.empty(len(order), np.bool_)
    flags[order] = place < pairs[run]
    return flags[:rows], flags[rows:]
