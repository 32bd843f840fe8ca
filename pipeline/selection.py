"""Which records a mixture takes, how often, in which split and order: decided on keys, before any text is read.

Every draw is a keyed hash of an id, so the choice does not depend on shards, workers or the order of reading; a smaller
sample is a subset of a larger one; and a part added at the end moves no row of the others relative to another. Where
parts share a budget, `total`, weights, or the quota of a group, another part makes that of each a smaller prefix of the
same draws.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.errors import CatalogError
from collectors.mixture import Mixture, Part, Quota
from pipeline.holdout import HOLDOUT, held_out, holdout_rows
from pipeline.keys import Flags, Halves, Keys, Numbers, draws
from pipeline.near import heads
from pipeline.quota import Drawn, Pool, Shortfall, allotted, tree
from pipeline.shards import ROWS

Verdicts = npt.NDArray[np.uint8]

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
    """One entry a row of the mixture, in the order of the records: its record, its repeat (from 0) and its position.

    Training rows have the positions 0 to `train` - 1. Those of held-out rows begin at the next multiple of `ROWS`, so
    that `position // ROWS` is a row's shard, counted through both splits.
    """

    record: Numbers
    repeat: Numbers
    position: npt.NDArray[np.int64]
    train: int
    holdout: int


def select(name: str, mixture: Mixture, keys: Keys, pairs: Path | None = None) -> Selection:
    """Choose the records of a mixture that is written out; near-duplicates are known by the `pairs` in this folder.

    Raises `CatalogError` (which names the mixture `name`) when it would have no training rows.
    """
    verdict = barred(mixture, keys, pairs)
    accepted = np.flatnonzero(verdict == TAKEN).astype(np.uint32)
    repeats, shortfalls = _drawn(mixture, keys, verdict)
    if not repeats.any():
        raise CatalogError(
            f"mixture {name}: its parts give no rows: {_losses(mixture, keys, verdict)}; see their where"
        )
    held, drawn = np.zeros(len(keys.age), np.bool_), int(repeats.sum())
    if mixture.holdout is not None:
        taken = np.flatnonzero(verdict == TAKEN).astype(np.uint32)
        together = pairs if mixture.dedup != "near" else None
        stands = heads(keys, accepted, together, mixture.notion, unique=mixture.dedup != "none")
        stands = stands[np.searchsorted(accepted, taken)]
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
        accepted = np.flatnonzero(verdict == TAKEN).astype(np.uint32)
        stands = heads(keys, accepted, pairs, mixture.notion, unique=True)
        verdict[accepted[stands != accepted]] = REASONS.index("near")
    return verdict


def _drawn(mixture: Mixture, keys: Keys, verdict: Verdicts) -> tuple[Numbers, list[Shortfall]]:
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


def seed_of(part: Part, mixture: Mixture) -> int:
    """The seed of a part's draws and wordings: its own, else the mixture's."""
    return mixture.seed if part.seed is None else part.seed


def _duplicates(ids: Halves, age: Numbers, admitted: Flags) -> Numbers:
    """The admitted records whose id (or what stands for it, as two halves) an older admitted record has."""
    rows = np.flatnonzero(admitted).astype(np.uint32)
    rows = rows[np.argsort(ids[rows, 0])]
    # Few ids share even their upper half, so that only those few are put in order and compared.
    alike = np.diff(ids[rows, 0]) == 0
    suspect = np.zeros(len(rows), np.bool_)
    suspect[1:] |= alike
    suspect[:-1] |= alike
    rows = rows[suspect]
    rows = rows[np.lexsort((age[rows], ids[rows, 1], ids[rows, 0]))]
    duplicates: Numbers = rows[1:][(ids[rows[1:]] == ids[rows[:-1]]).all(axis=1)]
    return duplicates


def _members(pool: Drawn, mixture: Mixture, keys: Keys, verdict: Verdicts) -> Numbers:
    """The records that may be drawn from a pool; those over its `max_rows` get their verdict here."""
    spans = [keys.parts[number] for number in pool.parts]
    records = np.concatenate([span.start + np.flatnonzero(verdict[span] == TAKEN) for span in spans]).astype(np.uint32)
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
