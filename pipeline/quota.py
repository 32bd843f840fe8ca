"""How many rows each part of a mixture gives: weights, quotas, totals, and mixtures within mixtures.

Everything here is a prefix. The records of a pool have an order, their draws, in which they are taken round by round.
Parts that share a budget are lined up into one order, in which each moves at the speed of its weight, as packets do in
weighted fair queueing (Demers, Keshav, Shenker 1989); one that runs dry is passed over. So a smaller budget takes a
prefix of what a larger one takes, no budget is exceeded, and each is missed by less than the next row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.mixture import Group, Mixture, Quota, Temperature, Total

Counts = npt.NDArray[np.int64]
Costs = npt.NDArray[np.int64]

DIGITS: Final = 12
"""Digits of a weight by temperature that count, so that the last ones, which differ between machines, do not."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Records that are drawn from together: how many, how often each at most, and the costs of each in order, by unit.

    `costs` has the units that something is counted in, but for rows.
    """

    size: int
    most: int
    costs: Mapping[str, Costs] = field(default_factory=dict)

    def cost(self, unit: str, rows: int) -> Costs:
        """The costs of the first rows, round by round."""
        return np.resize(self.costs[unit], rows) if rows else np.empty(0, np.int64)

    def spent(self, unit: str, rows: int) -> int:
        """What the first rows cost together."""
        rounds, rest = divmod(rows, max(1, self.size))
        return rounds * int(self.costs[unit].sum()) + int(self.costs[unit][:rest].sum())

    def within(self, unit: str, amount: int, rows: int) -> int:
        """How many of the first `rows` rows cost `amount` at most, all together."""
        once = int(self.costs[unit].sum())
        rounds = min(rows // max(1, self.size), amount // once if once else self.most)
        rest = np.searchsorted(np.cumsum(self.costs[unit]), amount - rounds * once, side="right")
        return min(rows, rounds * self.size + int(rest))


@dataclass(frozen=True, kw_only=True)
class Member:
    """What stands under one quota: the pool of this number, or parts of their own."""

    name: str
    quota: Quota
    of: "int | Level"


@dataclass(frozen=True, kw_only=True)
class Level:
    """Members that stand to each other by their quotas: a mixture, or one within another."""

    name: str
    members: tuple[Member, ...]
    total: Total | None
    temperature: Temperature | None


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """A quota that was not met for want of rows: who has it, in what unit, what was asked for and what is given."""

    part: str
    unit: str
    asked: int
    given: int


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The parts, by number, whose records make a pool, and the quota that they have together."""

    parts: tuple[int, ...]
    quota: Quota


def tree(mixture: Mixture) -> tuple[Level, list[Drawn]]:
    """The quotas of a mixture that is written out, and its pools by number."""
    groups, pools = mixture.groups or {}, list[Drawn]()

    def pooled(parts: tuple[int, ...], quota: Quota) -> int:
        pools.append(Drawn(parts=parts, quota=quota))
        return len(pools) - 1

    def level(name: str, of: Mixture | Group, within: str | None) -> Level:
        members, seen = list[Member](), set[str]()
        for number, part in enumerate(mixture.parts):
            if part.within == within:
                members.append(Member(name=part.name, quota=part, of=pooled((number,), part)))
            elif part.within is not None and (inner := _child(part.within, within, groups)) and inner not in seen:
                seen.add(inner)
                group = groups[inner]
                numbers = tuple(at for at, one in enumerate(mixture.parts) if one.within == inner)
                below = pooled(numbers, group) if group.pooled else level(inner, group, inner)
                members.append(Member(name=inner, quota=group, of=below))
        return Level(name=name, members=tuple(members), total=of.total, temperature=of.temperature)

    return level("the mixture", mixture, None), pools


def _child(group: str, within: str | None, groups: dict[str, Group]) -> str | None:
    """The group directly within `within` that a group lies in, which may be itself."""
    above = groups[group].within
    while above != within:
        if above is None:
            return None
        group, above = above, groups[above].within
    return group


def allotted(level: Level, pools: Sequence[Pool]) -> tuple[list[int], list[Shortfall]]:
    """The rows that each pool gives, and the quotas that could not be met."""
    found = _Allotment(pools)
    return found.level(level).tolist(), found.shortfalls


def quotas(capacities: Sequence[int], weights: Sequence[float | Fraction]) -> list[int]:
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


def rate(size: int, temperature: Temperature | None) -> Fraction:
    """The weight of a part by its size: `min(size, cap) ** (1 / value)`."""
    if temperature is None:
        return Fraction(size)
    capped = size if temperature.cap is None else min(size, temperature.cap)
    return Fraction(f"{capped ** (1 / temperature.value):.{DIGITS}g}")


class _Line:
    """Rows in an order: the pool of each, and its cost in the unit at hand."""

    def __init__(self, pools: npt.NDArray[np.int32], costs: Costs | None) -> None:
        self.pools, self.costs = pools, costs

    def until(self, amount: int) -> "_Line":
        """The rows that cost `amount` at most, all together."""
        if self.costs is None:
            return _Line(self.pools[:amount], None)
        end = int(np.searchsorted(np.cumsum(self.costs), amount, side="right"))
        return _Line(self.pools[:end], self.costs[:end])

    @property
    def size(self) -> int:
        return len(self.pools) if self.costs is None else int(self.costs.sum())


class _Allotment:
    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = pools
        self.shortfalls: list[Shortfall] = []
        self.given: dict[str, list[Counts]] = {}
        """What the members of a level give, by its name."""

    def level(self, level: Level) -> Counts:
        """The rows that each pool gives to a level when nothing above cuts it."""
        sized = level.total is not None or level.temperature is not None
        given = [self._member(one, free=sized) for one in level.members]
        weights = [self._weight(one, level, counts) for one, counts in zip(level.members, given, strict=True)]
        if level.total is None:
            chosen = [number for number, weight in enumerate(weights) if weight]
            sizes = quotas([int(given[number].sum()) for number in chosen], [weights[number] for number in chosen])
            for number, size in zip(chosen, sizes, strict=True):
                given[number] = self._cut(level.members[number], given[number], "rows", size)
        else:
            given = self._shared(level, level.total, given, weights)
        self.given[level.name] = given
        return self._none() + sum(given, start=self._none())

    def _none(self) -> Counts:
        return np.zeros(len(self.pools), np.int64)

    def _member(self, one: Member, *, free: bool) -> Counts:
        """What a member gives at most; one without a quota everything, where it is `free` as often as it may."""
        counts = self._none()
        if isinstance(one.of, Level):
            counts = self.level(one.of)
        else:
            pool = self.pools[one.of]
            repeated = one.quota.weight is not None or one.quota.asked is not None or free
            counts[one.of] = pool.size * (pool.most if repeated else 1)
        if one.quota.asked is None:
            return counts
        unit, amount = one.quota.asked
        cut = self._cut(one, counts, unit, amount)
        if cut.sum() == counts.sum() and (size := self._size(one, cut, unit)) < amount:
            self.shortfalls.append(Shortfall(part=one.name, unit=unit, asked=amount, given=size))
        return cut

    def _weight(self, one: Member, level: Level, given: Counts) -> Fraction:
        """The weight of a member; 0 where it gives what it has or what its quota says."""
        if one.quota.weight is not None:
            return Fraction(str(one.quota.weight))
        if one.quota.asked is not None or (level.total is None and level.temperature is None):
            return Fraction(0)
        unit = level.total.asked[0] if level.total is not None else "rows"
        once = given if isinstance(one.of, Level) else np.minimum(given, self.pools[one.of].size)
        return rate(self._size(one, once, unit), level.temperature)

    def _size(self, one: Member, counts: Counts, unit: str) -> int:
        """What these rows of a member come to in a unit."""
        if unit == "rows":
            return int(counts.sum())
        return sum(pool.spent(unit, rows) for pool, rows in zip(self.pools, counts.tolist(), strict=True) if rows)

    def _cut(self, one: Member, counts: Counts, unit: str, amount: int) -> Counts:
        """The first rows of a member, up to this amount."""
        if isinstance(one.of, Level):
            if unit == "rows" and counts.sum() <= amount:
                return counts
            return self._counts(self._line(one, counts, unit).until(amount))
        cut, pool, rows = self._none(), self.pools[one.of], int(counts[one.of])
        cut[one.of] = min(rows, amount) if unit == "rows" else pool.within(unit, amount, rows)
        return cut

    def _counts(self, line: _Line) -> Counts:
        return np.bincount(line.pools, minlength=len(self.pools)).astype(np.int64)

    def _line(self, one: Member, counts: Counts, unit: str) -> _Line:
        """The rows of a member in the order in which a budget takes them."""
        if not isinstance(one.of, Level):
            rows = int(counts[one.of])
            costs = None if unit == "rows" else self.pools[one.of].cost(unit, rows)
            return _Line(np.full(rows, one.of, np.int32), costs)
        members = list(zip(one.of.members, self.given[one.of.name], strict=True))
        lines = [self._line(member, np.minimum(its, counts), unit) for member, its in members]
        # Cut from above, all of a mixture shrinks alike.
        return _merged(lines, [Fraction(self._size(member, its, unit)) for member, its in members], unit)

    def _shared(self, level: Level, total: Total, given: list[Counts], weights: list[Fraction]) -> list[Counts]:
        """What members give of a total: those with a quota of their own all of it, the others by their weights."""
        unit, amount = total.asked
        fixed = [
            self._size(one, its, unit) if not w else 0
            for one, its, w in zip(level.members, given, weights, strict=True)
        ]
        weighted = [number for number, weight in enumerate(weights) if weight]
        left = max(0, amount - sum(fixed))
        bounds = _bounds(
            [int(given[number].sum()) for number in weighted], [weights[number] for number in weighted], left
        )
        lines = []
        for number, bound in zip(weighted, bounds, strict=True):
            one, its = level.members[number], given[number]
            if unit == "rows":
                its = self._cut(one, its, unit, bound)
            elif not isinstance(one.of, Level):
                # The first row that is too much still counts: the line of all ends there.
                its = np.minimum(its, self._cut(one, its, unit, left) + 1)
            lines.append(self._line(one, its, unit))
        line = _merged(lines, [weights[number] for number in weighted], unit).until(left)
        counts = self._counts(line)
        result = list(given)
        for number in weighted:
            inside = np.isin(np.arange(len(counts)), _numbers(level.members[number]))
            result[number] = np.where(inside, counts, 0)
        size = sum(fixed) + line.size
        if size < amount and all((result[number] == given[number]).all() for number in weighted):
            self.shortfalls.append(Shortfall(part=level.name, unit=unit, asked=amount, given=size))
        return result


def _numbers(one: Member) -> list[int]:
    """The pools that a member is made of."""
    if not isinstance(one.of, Level):
        return [one.of]
    return [number for inner in one.of.members for number in _numbers(inner)]


def _merged(lines: Sequence[_Line], weights: Sequence[Fraction], unit: str) -> _Line:
    """The rows of all lines by the time their middle is reached at the speed of their weights; equal ones in order."""
    # Rows that cost nothing give a line no size, and pass at any speed.
    kept = [(line, float(weight or 1)) for line, weight in zip(lines, weights, strict=True) if len(line.pools)]
    if not kept:
        return _Line(np.empty(0, np.int32), None if unit == "rows" else np.empty(0, np.int64))
    times = []
    for line, weight in kept:
        costs = np.ones(len(line.pools), np.int64) if line.costs is None else line.costs
        times.append((2 * np.cumsum(costs) - costs) / weight)
    order = np.argsort(np.concatenate(times), kind="stable")
    pools = np.concatenate([line.pools for line, _ in kept])[order]
    all_costs = [line.costs for line, _ in kept if line.costs is not None]
    return _Line(pools, np.concatenate(all_costs)[order] if unit != "rows" else None)


def _bounds(sizes: Sequence[int], weights: Sequence[Fraction], amount: int) -> list[int]:
    """More rows than each of some lines gives to their first `amount` together, and not many more.

    A line stays within one row of its share for each line there is.
    """
    shares = [Fraction(0)] * len(sizes)
    left, open_ = Fraction(amount), list(range(len(sizes)))
    while open_ and left > 0:
        speed = left / sum(weights[number] for number in open_)
        dry = [number for number in open_ if sizes[number] <= speed * weights[number]]
        for number in dry or open_:
            shares[number] = Fraction(sizes[number]) if dry else speed * weights[number]
            left -= shares[number]
        open_ = [number for number in open_ if number not in dry] if dry else []
    slack = 2 * len(sizes) + 2
    return [min(size, int(share) + slack) for size, share in zip(sizes, shares, strict=True)]
