"""How many rows each pool of a mixture gives, where its records are numbers only: `quota.allotted` on bundles of rows.

`allotted` lines rows up one by one. So that a hundred million of them are planned in a moment, that many are lined up
in bundles, and then a share is right to a bundle; fewer are lined up as they are, and then rows are those of `mix`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from collectors.mixture import Mixture
from pipeline.quota import Costs, Drawn, Level, Member, Pool, Shortfall, allotted, tree

LINED_UP: Final = 2_000_000
"""Rows, or bundles of them, that are lined up at most."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The records that may be drawn for a pool: how many, and their mean length by unit; None where not known."""

    records: int | None
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The rows that each pool gives, None where they cannot be told; what quotas lack; whether rows were bundled."""

    rows: list[int | None]
    shortfalls: list[Shortfall]
    bundled: bool


def pools(mixture: Mixture) -> list[Drawn]:
    """The pools of a mixture that is written out, by number."""
    return tree(mixture)[1]


def shared(mixture: Mixture) -> bool:
    """Whether what a part gives depends on other parts than it repeats rows of."""
    weighted = any(part.weight is not None for part in mixture.parts)
    return weighted or bool(mixture.groups) or mixture.total is not None or mixture.temperature is not None


def shares(mixture: Mixture, stacks: Sequence[Stack]) -> Shares:
    """The rows that the pools of a mixture give, of so many records each.

    Where the records or lengths that a quota needs are not known of one pool, its rows are not; and where parts share
    something, no rows are.
    """
    level, drawn = tree(mixture)
    lacking = {at for at, one in enumerate(stacks) if not _told(mixture, drawn[at], one)}
    if lacking and shared(mixture):
        return Shares(rows=[None] * len(stacks), shortfalls=[], bundled=False)
    sizes = [0 if at in lacking else one.records or 0 for at, one in enumerate(stacks)]
    lengths = mixture.units - {"rows"}
    bundle = max(1, -(-_lined_up(mixture, drawn, sizes) // LINED_UP))
    ready = [
        Pool(
            size=-(-size // bundle),
            most=pool.quota.max_repeat,
            costs={unit: _costs(one.means.get(unit, 0) * bundle, -(-size // bundle)) for unit in lengths},
        )
        for size, pool, one in zip(sizes, drawn, stacks, strict=True)
    ]
    counts, lacks = allotted(level if bundle == 1 else _bundled(level, bundle), ready)
    rows = [_rows(count, size, bundle) for count, size in zip(counts, sizes, strict=True)]
    unknown = {part.name for at in lacking for part in (mixture.parts[number] for number in drawn[at].parts)}
    asked = _asked(level)
    shortfalls = [
        one if bundle == 1 or one.unit != "rows" else replace(one, asked=asked[one.part], given=one.given * bundle)
        for one in lacks
        if one.part not in unknown
    ]
    return Shares(
        rows=[None if at in lacking else count for at, count in enumerate(rows)],
        shortfalls=shortfalls,
        bundled=bundle > 1,
    )


def _lined_up(mixture: Mixture, drawn: Sequence[Drawn], sizes: Sequence[int]) -> int:
    """How many rows `allotted` may have to line up."""
    reach = sum(size * pool.quota.max_repeat for size, pool in zip(sizes, drawn, strict=True))
    if mixture.units - {"rows"} or mixture.groups:
        return reach
    return min(reach, mixture.total.asked[1]) if mixture.total is not None else 0


def _told(mixture: Mixture, pool: Drawn, stack: Stack) -> bool:
    """Whether all that a pool's quotas need is known of it."""
    measured = {
        unit
        for unit in mixture.units - {"rows"}
        if any(mixture.measures(mixture.parts[number], unit) for number in pool.parts)
    }
    return stack.records is not None and (not stack.records or measured <= stack.means.keys())


def _costs(mean: float, size: int) -> Costs:
    """Whole lengths of so many rows that have this mean."""
    whole: Costs = np.floor(np.arange(size + 1) * mean).astype(np.int64)
    return np.diff(whole)


def _rows(count: int, size: int, bundle: int) -> int:
    """The rows in so many bundles of a pool, of which the last may be smaller."""
    rounds, rest = divmod(count, max(1, -(-size // bundle)))
    return rounds * size + min(rest * bundle, size)


def _bundled(level: Level, bundle: int) -> Level:
    """The same quotas in bundles, where they count rows."""
    members = tuple(
        Member(
            name=one.name,
            quota=_fewer(one.quota, bundle),
            of=_bundled(one.of, bundle) if isinstance(one.of, Level) else one.of,
        )
        for one in level.members
    )
    temperature = level.temperature
    if temperature is not None and temperature.cap is not None:
        temperature = temperature.model_copy(update={"cap": max(1, temperature.cap // bundle)})
    total = None if level.total is None else _fewer(level.total, bundle)
    return replace(level, members=members, total=total, temperature=temperature)


def _fewer(quota: Any, bundle: int) -> Any:
    return quota if quota.rows is None else quota.model_copy(update={"rows": max(1, round(quota.rows / bundle))})


def _asked(level: Level) -> dict[str, int]:
    """The amount of each quota by who has it."""
    found = {one.name: one.quota.asked[1] for one in level.members if one.quota.asked is not None}
    for one in level.members:
        found |= _asked(one.of) if isinstance(one.of, Level) else {}
    return found | ({level.name: level.total.asked[1]} if level.total is not None else {})
