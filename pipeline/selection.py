"""Which records a mixture takes, how often, in which split and order: decided on keys, before any text is read.

Every draw is a keyed hash of an id, so the choice does not depend on shards, workers or the order of reading; a smaller
sample is a subset of a larger one; and a part added at the end moves no row of the others relative to another. Where
parts share a budget, `total`, weights, or the quota of a group, another part makes that of each a smaller prefix of the
same draws.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.errors import CatalogError
from collectors.mixture import Mixture, Part, Quota
from pipeline.holdout import HOLDOUT, held_out, holdout_rows
from pipeline.keys import DRAWN_AT_ONCE, Flags, Halves, Keys, Numbers, buckets, by_draw, draws, places
from pipeline.near import heads, linked
from pipeline.quota import Drawn, Pool, Shortfall, allotted, tree
from pipeline.shards import ROWS

Verdicts = npt.NDArray[np.uint8]

MOST: Final = 2**31
"""The most rows of a mixture: their positions are of 32 bits."""

REASONS: Final = (
    "where",
    "licence",
    "evaluation",
    "leak",
    "flag",
    "duplicate",
    "prompt",
    "near",
    "max_rows",
    "weight",
    "rows",
    "tokens",
    "characters",
    "total",
)
"""Why a record is left out: not let in by its part's `where`; its licence breaks the policy; of a benchmark's file that
the part does not ask for; it holds an evaluation item; it has a flag that is refused; an earlier record has its id; its
request; or is its near-duplicate; over the part's `max_rows`; not drawn for the part's quota, weight, rows,
tokens or characters; or not for what parts share, the total or the quota of the mixture they are nested in.
"""

TAKEN: Final = len(REASONS)
"""The verdict on a record that is taken; that on another is the place of its reason in `REASONS`."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """One entry a record: the verdict (see `TAKEN`), how many rows it becomes (0: none), whether it is held out.

    `shortfalls` are quotas that could not be met. `unrepeated` are rows that quotas had drawn as further copies of
    records which are held out, and stand there once.
    """

    verdict: Verdicts
    repeats: Numbers
    held: Flags
    shortfalls: tuple[Shortfall, ...] = ()
    unrepeated: int = 0


@dataclass(frozen=True, kw_only=True)
class Order:
    """The position of each row of the mixture; rows stand in the order of their records, and by repeat (from 0).

    Training rows have the positions 0 to `train` - 1. Those of held-out rows begin at the next multiple of `ROWS`, so
    that `position // ROWS` is a row's shard, counted through both splits. `repeats` are the rows of each record.
    """

    repeats: Numbers
    position: Numbers
    train: int
    holdout: int

    @property
    def record(self) -> Numbers:
        """The record of each row."""
        return rows_of(self.repeats)[0]

    @property
    def repeat(self) -> Numbers:
        """The number of each row among those of its record."""
        return rows_of(self.repeats)[1]


def select(name: str, mixture: Mixture, keys: Keys, pairs: Path | None = None) -> Selection:
    """Choose the records of a mixture that is written out; near-duplicates are known by the `pairs` in this folder.

    Raises `CatalogError` (which names the mixture `name`) when it would have no training rows, or more than `MOST`.
    """
    verdict = barred(mixture, keys, pairs)
    accepted = places(verdict == TAKEN) if mixture.holdout is not None else np.empty(0, np.uint32)
    repeats, shortfalls = _drawn(name, mixture, keys, verdict)
    if not repeats.any():
        raise CatalogError(
            f"mixture {name}: its parts give no rows: {_losses(mixture, keys, verdict)}; see their where"
        )
    held, drawn = np.zeros(len(keys.age), np.bool_), int(repeats.sum())
    if mixture.holdout is not None:
        together = pairs if mixture.dedup != "near" else None
        stands = linked(keys, accepted, together, mixture.notion, unique=mixture.dedup != "none")
        stands = stands[verdict[accepted] == TAKEN]
        del accepted  # which nothing asks for any more, and a holdout takes much memory
        taken = places(verdict == TAKEN)
        held[taken] = held_out(name, mixture.holdout, mixture.seed, keys, taken, stands)
        if (wanted := holdout_rows(mixture.holdout, len(taken))) > (rows := int(held.sum())):
            shortfalls.append(Shortfall(part=HOLDOUT, unit="rows", asked=wanted, given=rows))
    repeats[held] = 1
    return Selection(
        verdict=verdict,
        repeats=repeats,
        held=held,
        shortfalls=tuple(shortfalls),
        unrepeated=drawn - int(repeats.sum()),
    )


def barred(mixture: Mixture, keys: Keys, pairs: Path | None = None) -> Verdicts:
    """The verdicts that need no draw: which records may not be taken, and why; all others are `TAKEN` so far."""
    verdict = np.full(len(keys.age), TAKEN, np.uint8)
    for reason, barring in (("flag", keys.flag), ("leak", keys.leak)):
        if barring is not None:
            verdict[barring] = REASONS.index(reason)
    for part, span in zip(mixture.parts, keys.parts, strict=True):
        if not part.evaluation:
            verdict[span][keys.evaluation[span]] = REASONS.index("evaluation")
    if keys.licence is not None:
        verdict[keys.licence] = REASONS.index("licence")
    verdict[~keys.admitted] = REASONS.index("where")
    if mixture.dedup != "none":
        verdict[_duplicates(keys.ids, keys.age, verdict == TAKEN)] = REASONS.index("duplicate")
    if mixture.dedup == "prompt" and keys.prompts is not None:
        known = keys.prompts.any(axis=1)
        verdict[_duplicates(keys.prompts, keys.age, (verdict == TAKEN) & known)] = REASONS.index("prompt")
    if mixture.dedup == "near" and pairs is not None:
        accepted = places(verdict == TAKEN)
        stands = heads(keys, accepted, pairs, mixture.notion)
        verdict[accepted[stands != accepted]] = REASONS.index("near")
    return verdict


def _drawn(name: str, mixture: Mixture, keys: Keys, verdict: Verdicts) -> tuple[Numbers, list[Shortfall]]:
    """How many rows each record becomes; those that quotas leave out get their verdict here."""
    repeats = np.zeros(len(keys.age), np.uint32)
    level, drawn = tree(mixture)
    members = [_members(pool, mixture, keys, verdict) for pool in drawn]
    seeds = [seed_of(mixture.parts[pool.parts[0]], mixture) for pool in drawn]
    lengths = {"tokens": keys.tokens, "characters": keys.characters}
    measured = {unit: found for unit, found in lengths.items() if found is not None}
    pools = []
    for number, (pool, records) in enumerate(zip(drawn, members, strict=True)):
        if measured:
            members[number] = records = _smallest(keys, records, len(records), seeds[number], "draw")
        costs = {unit: found[records].astype(np.int64) for unit, found in measured.items()}
        pools.append(Pool(size=len(records), most=pool.quota.max_repeat, costs=costs))
    sizes, shortfalls = allotted(level, pools)
    if (rows := sum(sizes)) > MOST:
        raise CatalogError(f"mixture {name}: asks for {rows:,} rows; {MOST:,} is the most, so lower its max_repeat")
    for pool, records, seed, size in zip(drawn, members, seeds, sizes, strict=True):
        repeats[records] = size // max(1, len(records))
        if extra := size % max(1, len(records)):
            first = records[:extra] if measured else _smallest(keys, records, extra, seed, "draw")
            repeats[first] += 1
        verdict[records[repeats[records] == 0]] = REASONS.index(_reason(pool.quota))
    return repeats, shortfalls


def _reason(quota: Quota) -> str:
    """Why a record was not drawn from a pool with this quota."""
    if quota.weight is not None:
        return "weight"
    return quota.asked[0] if quota.asked is not None else "total"


def order(seed: int, keys: Keys, selection: Selection) -> Order:
    """Number the rows of a mixture: by the keyed hash of id and repeat, equal ones by the age of their records."""
    rows = int(selection.repeats.sum(dtype=np.int64))
    drawn, held, end = np.empty(rows, np.uint64), np.zeros(rows, np.bool_), 0
    for start in range(0, len(keys.age), DRAWN_AT_ONCE):
        cut = slice(start, start + DRAWN_AT_ONCE)
        record, repeat = rows_of(selection.repeats[cut])
        here = slice(end, end := end + len(record))
        drawn[here] = draws(keys.ids[cut], record, seed, "order", repeat)
        held[here] = selection.held[cut][record]
    holdout = int(held.sum())
    train = rows - holdout
    position, trained, put = np.empty(rows, np.uint32), 0, train + -train % ROWS
    for some in by_draw(drawn, partial(_ages, keys, selection)):
        first, second = (some, some[:0]) if not holdout else (some[~held[some]], some[held[some]])
        position[first] = np.arange(trained, trained := trained + len(first), dtype=np.uint32)
        position[second] = np.arange(put, put := put + len(second), dtype=np.uint32)
    return Order(repeats=selection.repeats, position=position, train=train, holdout=holdout)


def _ages(keys: Keys, selection: Selection, rows: Numbers) -> Numbers:
    """The age of the record of each of these rows."""
    return keys.age[np.searchsorted(np.cumsum(selection.repeats, dtype=np.uint32), rows, side="right")]


def rows_of(repeats: Numbers) -> tuple[Numbers, Numbers]:
    """Of records that are so many rows each: the record of each row, and its number among those of the record."""
    record = np.repeat(np.arange(len(repeats), dtype=np.uint32), repeats)
    starts = np.cumsum(repeats, dtype=np.uint32) - repeats
    return record, np.arange(len(record), dtype=np.uint32) - starts[record]


def seed_of(part: Part, mixture: Mixture) -> int:
    """The seed of a part's draws and wordings: its own, else the mixture's."""
    return mixture.seed if part.seed is None else part.seed


def _duplicates(ids: Halves, age: Numbers, admitted: Flags) -> Numbers:
    """The admitted records whose id (or what stands for it, as two halves) an older admitted record has."""
    found = [np.empty(0, np.uint32)]
    for rows in buckets(ids[:, 0], admitted):
        high = ids[rows, 0]
        order = np.argsort(high)
        # Few ids share even their upper half, so that only those few are put in order and compared.
        alike = np.flatnonzero(np.diff(high[order]) == 0)
        rows = rows[order[np.union1d(alike, alike + 1)]]
        rows = rows[np.lexsort((age[rows], ids[rows, 1], ids[rows, 0]))]
        found.append(rows[1:][(ids[rows[1:]] == ids[rows[:-1]]).all(axis=1)])
    return np.concatenate(found)


def _members(pool: Drawn, mixture: Mixture, keys: Keys, verdict: Verdicts) -> Numbers:
    """The records that may be drawn from a pool; those over its `max_rows` get their verdict here."""
    spans = [keys.parts[number] for number in pool.parts]
    records = np.concatenate([places(verdict[span] == TAKEN, span.start) for span in spans])
    if pool.quota.max_rows is None or len(records) <= pool.quota.max_rows:
        return records
    verdict[records] = REASONS.index("max_rows")
    records = np.sort(
        _smallest(keys, records, pool.quota.max_rows, seed_of(mixture.parts[pool.parts[0]], mixture), "draw")
    )
    verdict[records] = TAKEN
    return records


def _smallest(keys: Keys, records: Numbers, count: int, seed: int, purpose: str) -> Numbers:
    """The `count` records with the smallest draws, equal draws by age."""
    drawn = draws(keys.ids, records, seed, purpose)
    smallest = np.empty(min(count, len(records)), np.uint32)
    found = 0
    for some in by_draw(drawn, lambda some: keys.age[records[some]]):
        some = records[some[: count - found]]
        smallest[found : (found := found + len(some))] = some
        if found == len(smallest):
            break
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
