"""Which records a mixture takes, how often, in which split and order: decided on keys, before any text is read.

Every draw is a keyed hash of an id, so the choice does not depend on shards, workers or the order of reading; a smaller
sample is a subset of a larger one; and a part added at the end moves no row of the others relative to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.errors import CatalogError
from collectors.mixture import Holdout, Mixture, Part
from pipeline.keys import Flags, Keys, Numbers, draws
from pipeline.shards import ROWS

Verdicts = npt.NDArray[np.uint8]

REASONS: Final = ("where", "evaluation", "duplicate", "max_rows", "weight")
"""Why a record is left out: not let in by its part, of a benchmark's file that the part does not ask for, an earlier
record has its id, over the part's `max_rows`, or not drawn for the part's weight."""

TAKEN: Final = len(REASONS)
"""The verdict on a record that is taken; that on another is the place of its reason in `REASONS`."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One entry a record: the verdict (see `TAKEN`), how many rows it becomes (0: none), whether it is held out."""

    verdict: Verdicts
    repeats: Numbers
    held: Flags


@dataclass(frozen=True, kw_only=True)
class Order:
    """One entry a row of the mixture, in the order of the records: its record, its repeat (from 0) and its position.

    Training rows have the positions 0 to `train` - 1. Those of held-out rows begin at the next multiple of `ROWS`, so
    that `position // ROWS` is a row's shard, counted through both splits.
    """

    record: Numbers
    repeat: Numbers
    position: npt.NDArray[np.int64]
    train: int
    holdout: int


def select(name: str, mixture: Mixture, keys: Keys) -> Selection:
    """Choose the records of a mixture; `CatalogError` (which names it `name`) when it would have no training rows."""
    verdict = barred(mixture, keys)
    repeats = np.zeros(len(keys.age), np.uint32)
    pools = [_pool(part, mixture, keys, span, verdict) for part, span in zip(mixture.parts, keys.parts, strict=True)]
    for part, pool, size in zip(mixture.parts, pools, _sizes(mixture.parts, pools), strict=True):
        repeats[pool] = size // max(1, len(pool))
        extra = size % max(1, len(pool))
        if extra:
            repeats[_smallest(keys, pool, extra, seed_of(part, mixture), "draw")] += 1
    verdict[(verdict == TAKEN) & (repeats == 0)] = REASONS.index("weight")
    if not repeats.any():
        raise CatalogError(
            f"mixture {name}: its parts give no rows: {_losses(mixture, keys, verdict)}; see their where"
        )
    held = np.zeros(len(keys.age), np.bool_)
    if mixture.holdout is not None:
        taken = np.flatnonzero(verdict == TAKEN).astype(np.uint32)
        rows = holdout_rows(mixture.holdout, len(taken))
        if rows >= len(taken):
            raise CatalogError(
                f"mixture {name}: its holdout takes {rows:,} rows of the {len(taken):,} there are and leaves none to "
                "train on; lower the holdout or let in more rows"
            )
        held[_smallest(keys, taken, rows, mixture.seed, "holdout")] = True
    repeats[held] = 1
    return Selection(verdict=verdict, repeats=repeats, held=held)


def barred(mixture: Mixture, keys: Keys) -> Verdicts:
    """The verdicts that need no draw: which records may not be taken, and why; all others are `TAKEN` so far."""
    verdict = np.full(len(keys.age), TAKEN, np.uint8)
    for part, span in zip(mixture.parts, keys.parts, strict=True):
        if not part.evaluation:
            verdict[span][keys.evaluation[span]] = REASONS.index("evaluation")
    verdict[~keys.admitted] = REASONS.index("where")
    verdict[_duplicates(keys, verdict == TAKEN)] = REASONS.index("duplicate")
    return verdict


def order(seed: int, keys: Keys, selection: Selection) -> Order:
    """Number the rows of a mixture: by the keyed hash of id and repeat, equal ones by the age of their records."""
    record = np.repeat(np.arange(len(keys.age), dtype=np.uint32), selection.repeats)
    ends = np.cumsum(selection.repeats, dtype=np.int64)
    repeat = (np.arange(len(record)) - np.repeat(ends - selection.repeats, selection.repeats)).astype(np.uint32)
    held = selection.held[record]
    place = np.lexsort((keys.age[record], draws(keys.ids, record, seed, "order", repeat), held))
    position = np.empty(len(record), np.int64)
    position[place] = np.arange(len(record))
    holdout = int(held.sum())
    train = len(record) - holdout
    position[held] += -train % ROWS
    return Order(record=record, repeat=repeat, position=position, train=train, holdout=holdout)


def quotas(capacities: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `weights`, as large as they can be with none over its capacity.

    The scarcest part gets its capacity, each other one the nearest whole number to its share (half: up). Rounded so, a
    part never grows when another shrinks for want of rows, which is not so where remainders are ranked. A part without
    capacity gets nothing and does not bind the others.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    scale = min((capacity / weight for capacity, weight in zip(capacities, exact, strict=True) if capacity), default=0)
    return [
        int(scale * weight + Fraction(1, 2)) if capacity else 0
        for capacity, weight in zip(capacities, exact, strict=True)
    ]


def holdout_rows(holdout: Holdout, taken: int) -> int:
    """How many of `taken` records are held out; a share is rounded to the nearest whole number, and at least one."""
    if holdout.rows is not None:
        return holdout.rows
    return max(1, int(Fraction(str(holdout.share)) * taken + Fraction(1, 2)))


def seed_of(part: Part, mixture: Mixture) -> int:
    """The seed of a part's draws and wordings: its own, else the mixture's."""
    return mixture.seed if part.seed is None else part.seed


def _duplicates(keys: Keys, admitted: Flags) -> Numbers:
    """The admitted records whose id an older admitted record has."""
    rows = np.flatnonzero(admitted).astype(np.uint32)
    rows = rows[np.argsort(keys.ids[rows, 0])]
    # Few ids share even their upper half, so that only those few are put in order and compared.
    alike = np.diff(keys.ids[rows, 0]) == 0
    suspect = np.zeros(len(rows), np.bool_)
    suspect[1:] |= alike
    suspect[:-1] |= alike
    rows = rows[suspect]
    rows = rows[np.lexsort((keys.age[rows], keys.ids[rows, 1], keys.ids[rows, 0]))]
    duplicates: Numbers = rows[1:][(keys.ids[rows[1:]] == keys.ids[rows[:-1]]).all(axis=1)]
    return duplicates


def _pool(part: Part, mixture: Mixture, keys: Keys, span: slice, verdict: Verdicts) -> Numbers:
    """The records a part may use; those over its `max_rows` get their verdict here."""
    pool: Numbers = (span.start + np.flatnonzero(verdict[span] == TAKEN)).astype(np.uint32)
    if part.max_rows is None or len(pool) <= part.max_rows:
        return pool
    verdict[pool] = REASONS.index("max_rows")
    pool = np.sort(_smallest(keys, pool, part.max_rows, seed_of(part, mixture), "draw"))
    verdict[pool] = TAKEN
    return pool


def _sizes(parts: Sequence[Part], pools: Sequence[Numbers]) -> list[int]:
    """The rows of each part, repeats counted."""
    weighted = {number: part.weight for number, part in enumerate(parts) if part.weight is not None}
    capacities = [len(pools[number]) * parts[number].max_repeat for number in weighted]
    sizes = dict(zip(weighted, quotas(capacities, list(weighted.values())), strict=True))
    return [sizes.get(number, len(pool)) for number, pool in enumerate(pools)]


def _smallest(keys: Keys, records: Numbers, count: int, seed: int, purpose: str) -> Numbers:
    """The `count` records with the smallest draws, equal draws by age."""
    drawn = draws(keys.ids, records, seed, purpose)
    smallest: Numbers = records[np.lexsort((keys.age[records], drawn))[:count]]
    return smallest


def _losses(mixture: Mixture, keys: Keys, verdict: Verdicts) -> str:
    """What became of each part's records, for a message."""
    return "; ".join(
        f"{part.source} has {span.stop - span.start:,} records"
        + "".join(f", {rows:,} left out as {reason}" for reason, rows in left_out(verdict[span]).items())
        for part, span in zip(mixture.parts, keys.parts, strict=True)
    )


def left_out(verdict: Verdicts) -> dict[str, int]:
    """The records left out by each reason, reasons without any not named."""
    counts = np.bincount(verdict, minlength=TAKEN + 1)
    return {reason: int(rows) for reason, rows in zip(REASONS, counts, strict=False) if rows}
