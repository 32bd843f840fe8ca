"""Length-grouped order: which rows share a batch when rows are not packed, so that little of it is padding.

Every draw is a keyed hash of the seed, the epoch and the row, so the order is the same on every machine and in every
process, and a training that goes on in the middle of an epoch finds it again.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collectors.record import keyed

SPREAD: Final = 0.1
"""Lengths up to this share apart may change places, so that an epoch has other batches than the one before."""


def grouped(
    lengths: NDArray[np.integer[Any]], *, batch: int, step: int, seed: int, epoch: int = 0
) -> NDArray[np.int64]:
    """All row numbers in the order of one epoch, in which every `batch` consecutive rows are of similar length.

    `lengths` are in tokens. `batch` is what one device takes at a time, `step` the rows of an optimiser step
    (batch * accumulation * processes). Batches come in random order, but within a step the longest first: processes
    take batches in turn, so those that work side by side have about as much to do, and the rows of a step do not
    depend on how many processes share it. The very longest batch opens epoch 0, so too little memory shows at once;
    the shortest rows are last where they do not fill a batch.
    """
    if batch < 1 or step % batch:
        raise ValueError(f"step {step} must be a multiple of batch {batch}")
    blurred = lengths * (1 + SPREAD * (_drawn(len(lengths), seed, f"row order {epoch}") - 0.5))
    rows = np.argsort(-blurred, kind="stable").astype(np.int64)
    full = len(rows) // batch
    batches, rest = rows[: full * batch].reshape(full, batch), rows[full * batch :]
    widths = lengths[batches].max(axis=1, initial=0)
    order = np.argsort(_drawn(full, seed, f"batch order {epoch}"), kind="stable")
    if epoch == 0 and full:
        longest = widths.argmax()
        order = np.concatenate([[longest], order[order != longest]])
    steps = np.arange(full) // (step // batch)
    order = order[np.lexsort((-widths[order].astype(np.int64), steps))]
    return np.concatenate([batches[order].ravel(), rest])


def _drawn(count: int, seed: int, purpose: str) -> NDArray[np.float64]:
    """A draw from 0 up to 1 for each number below `count`."""
    numbers = pl.DataFrame({"number": np.arange(count)}).select(keyed(seed, purpose, "number")).to_series()
    return numbers.to_numpy() / 2.0**64
