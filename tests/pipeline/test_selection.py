"""Which records a mixture takes: quotas, draws, duplicates, holdout and order, on keys alone."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.errors import CatalogError
from collectors.mixture import Holdout, Mixture
from collectors.record import keyed
from pipeline.holdout import holdout_rows
from pipeline.keys import Keys, digits, draws
from pipeline.quota import quotas
from pipeline.selection import TAKEN, left_out, order, select
from pipeline.shards import ROWS


def known(*parts: list[int]) -> Keys:
    """Keys of parts given as lists of ids; each part is one shard in the order of its rows."""
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    spans = tuple(slice(first, end) for first, end in pairwise(ends))
    ids = np.array([[number >> 64, number % 2**64] for part in parts for number in part], np.uint64).reshape(-1, 2)
    return Keys(
        ids=ids,
        age=np.arange(ends[-1], dtype=np.uint32),
        admitted=np.ones(ends[-1], np.bool_),
        evaluation=np.zeros(ends[-1], np.bool_),
        parts=spans,
        pieces=tuple((number, Path(f"{number}.arrow"), span) for number, span in enumerate(spans)),
    )


def mixture(*parts: dict[str, object], **rest: object) -> Mixture:
    named = [{"source": f"source_{number}", **part} for number, part in enumerate(parts)]
    return Mixture.model_validate({"about": "a test", "parts": named, **rest})


def rows(recipe: Mixture, keys: Keys, part: int) -> dict[str, int]:
    """The ids a part gives, each with its number of rows."""
    span = keys.parts[part]
    repeats = select("test", recipe, keys).repeats[span].tolist()
    return {key: times for key, times in zip(digits(keys.ids[span]).to_list(), repeats, strict=True) if times}


def sequence(recipe: Mixture, keys: Keys, part: int) -> list[tuple[str, int]]:
    """The rows of a part, as ids and repeats, in the order of the mixture."""
    found = order(recipe.seed, keys, select("test", recipe, keys))
    span = keys.parts[part]
    names = digits(keys.ids).to_list()
    inside = [number for number in np.argsort(found.position) if span.start <= found.record[number] < span.stop]
    return [(names[found.record[number]], int(found.repeat[number])) for number in inside]


IDS = st.lists(st.integers(0, 2**128 - 1), max_size=40, unique=True)
SEEDS = st.integers(0, 5)


def test_quotas_are_as_large_as_the_scarcest_part_allows() -> None:
    assert quotas([100, 100], [1, 1]) == [100, 100]
    assert quotas([100, 30], [1, 1]) == [30, 30]
    assert quotas([100, 30], [2, 1]) == [60, 30]
    assert quotas([100, 100, 10], [0.5, 0.3, 0.2]) == [25, 15, 10]
    assert quotas([100, 10], [1, 3]) == [3, 10]  # 3.33
    assert quotas([100, 11], [1, 2]) == [6, 11]  # 5.5, half up
    assert quotas([100, 0, 7], [1, 9, 1]) == [7, 0, 7]
    assert quotas([0, 0], [1, 1]) == [0, 0]
    assert quotas([], []) == []


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 1000)), min_size=1, max_size=6), st.data())
def test_quotas_keep_the_proportion_and_never_grow_when_a_capacity_shrinks(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    capacities, weights = [capacity for capacity, _ in parts], [weight / 10 for _, weight in parts]
    sizes = quotas(capacities, weights)
    assert all(0 <= size <= capacity for size, capacity in zip(sizes, capacities, strict=True))
    if any(capacities):
        scale = min(Fraction(capacity * 10, weight) for capacity, weight in parts if capacity)
        for size, (capacity, weight) in zip(sizes, parts, strict=True):
            assert not capacity or abs(size - scale * weight / 10) <= Fraction(1, 2)
    smaller = [capacity and data.draw(st.integers(1, capacity)) for capacity in capacities]
    assert all(less <= size for less, size in zip(quotas(smaller, weights), sizes, strict=True))


def test_a_weighted_part_repeats_its_rows_evenly() -> None:
    keys = known(list(range(1, 8)), [100, 101, 102])
    recipe = mixture({"weight": 7}, {"weight": 10, "max_repeat": 4})
    # 3 rows at most 4 times are 12; 7 rows once bind: 7 to 10, and 10 rows of three are 4 + 3 + 3.
    assert rows(recipe, keys, 0) == {f"{number:032x}": 1 for number in range(1, 8)}
    assert sorted(rows(recipe, keys, 1).values()) == [3, 3, 4]
    drawn = draws(keys.ids, np.array([7, 8, 9], np.uint32), 0, "draw")
    assert rows(recipe, keys, 1)[f"{100 + int(drawn.argmin()):032x}"] == 4


def test_a_draw_is_the_keyed_hash_of_the_id_as_records_hold_it() -> None:
    keys = known([5, 2**127 + 9])
    names = ["00000000000000000000000000000005", "80000000000000000000000000000009"]
    assert digits(keys.ids).to_list() == names
    frame = pl.DataFrame({"id": names, "repeat": [0, 3]})
    chosen = np.array([0, 1], np.uint32)
    assert draws(keys.ids, chosen, 7, "draw").tolist() == frame.select(keyed(7, "draw", "id")).to_series().to_list()
    assert (
        draws(keys.ids, chosen, 7, "order", np.array([0, 3], np.uint32)).tolist()
        == frame.select(keyed(7, "order", "id", "repeat")).to_series().to_list()
    )


@given(IDS, st.integers(1, 50), st.integers(1, 50), SEEDS)
def test_a_smaller_max_rows_takes_a_subset(ids: list[int], one: int, other: int, seed: int) -> None:
    keys = known([2**128 - 1], [number for number in ids if number != 2**128 - 1])
    less, more = sorted([one, other])
    small = rows(mixture({}, {"max_rows": less}, seed=seed), keys, 1)
    large = rows(mixture({}, {"max_rows": more}, seed=seed), keys, 1)
    assert len(small) == min(less, keys.parts[1].stop - 1)
    assert small.items() <= large.items()


@given(IDS, IDS, st.integers(1, 30), st.integers(1, 30), st.integers(1, 3), SEEDS)
def test_a_smaller_weight_takes_a_subset(
    ids: list[int], others: list[int], one: int, other: int, repeat: int, seed: int
) -> None:
    keys = known([2**128 - 1], ids, others)
    less, more = sorted([one, other])

    def taken(weight: int) -> dict[str, int]:
        recipe = mixture({}, {"weight": weight, "max_repeat": repeat}, {"weight": 10, "max_repeat": 2}, seed=seed)
        return rows(recipe, keys, 1)

    small, large = taken(less), taken(more)
    assert all(times <= large.get(key, 0) for key, times in small.items())


@given(IDS, IDS, IDS, SEEDS, st.sampled_from([{}, {"max_rows": 5}, {"weight": 1}]))
def test_a_part_added_at_the_end_leaves_the_others_alone(
    first: list[int], second: list[int], added: list[int], seed: int, last: dict[str, object]
) -> None:
    parts: list[dict[str, object]] = [{}, {"max_rows": 20}]
    before, after = mixture(*parts, seed=seed), mixture(*parts, last, seed=seed)
    for part in (0, 1):
        if first or second:
            assert sequence(before, known(first, second), part) == sequence(after, known(first, second, added), part)


def test_more_rows_than_can_be_ordered_are_refused() -> None:
    recipe = mixture({"rows": 10**10, "max_repeat": 10**10})
    with pytest.raises(CatalogError, match=r"asks for 10,000,000,000 rows; .* so lower its max_repeat"):
        select("test", recipe, known([1, 2]))


@given(st.lists(st.lists(st.integers(0, 30), max_size=30), min_size=1, max_size=3), SEEDS, st.data())
def test_the_ledger_closes_and_no_id_is_taken_twice(parts: list[list[int]], seed: int, data: st.DataObject) -> None:
    choices: st.SearchStrategy[dict[str, object]] = st.sampled_from(
        [{}, {"max_rows": 4}, {"weight": 2}, {"weight": 0.7, "max_repeat": 3, "max_rows": 9}]
    )
    keys = known(*parts)
    keys = replace(keys, admitted=np.array([data.draw(st.booleans()) for _ in keys.age], np.bool_))
    recipe = mixture(*(data.draw(choices) for _ in parts), seed=seed)
    if not keys.admitted.any():
        with pytest.raises(CatalogError, match="its parts give no rows"):
            select("test", recipe, keys)
        return
    found = select("test", recipe, keys)
    taken = found.verdict == TAKEN
    assert len(taken) == taken.sum() + sum(left_out(found.verdict).values())
    assert ((found.repeats > 0) == taken).all()
    assert len(np.unique(keys.ids[taken], axis=0)) == taken.sum()
    assert left_out(found.verdict).get("where", 0) == (~keys.admitted).sum()
    assert left_out(found.verdict).get("duplicate", 0) == keys.admitted.sum() - len(
        np.unique(keys.ids[keys.admitted], axis=0)
    )
    placed = order(seed, keys, found)
    assert sorted(placed.position.tolist()) == list(range(int(found.repeats.sum())))
    assert placed.train == found.repeats.sum()


QUOTAS: st.SearchStrategy[dict[str, object]] = st.sampled_from(
    [{}, {"rows": 4}, {"rows": 9, "max_repeat": 2}, {"characters": 40}, {"max_rows": 5, "rows": 3}]
)


def measured(*parts: list[int]) -> Keys:
    """Keys whose records have 0 to 9 characters."""
    keys = known(*parts)
    return replace(keys, characters=(keys.ids[:, 1] % np.uint64(10)).astype(np.uint32))


@given(st.lists(st.tuples(QUOTAS, IDS), min_size=1, max_size=3), QUOTAS, IDS, SEEDS)
def test_rows_and_order_of_parts_with_quotas_stay_when_one_is_added_at_the_end(
    parts: list[tuple[dict[str, object], list[int]]], last: dict[str, object], added: list[int], seed: int
) -> None:
    quotas_, ids = [quota for quota, _ in parts], [one for _, one in parts]
    before, after = mixture(*quotas_, seed=seed), mixture(*quotas_, last, seed=seed)
    few, many = measured(*ids), measured(*ids, added)
    if not select_or_none(before, few):
        return
    for part in range(len(parts)):
        assert sequence(before, few, part) == sequence(after, many, part)


def select_or_none(recipe: Mixture, keys: Keys) -> bool:
    """Whether there are any rows."""
    try:
        return bool(select("test", recipe, keys).repeats.any())
    except CatalogError:
        return False


@given(IDS, IDS, IDS, st.integers(1, 60), st.sampled_from(["rows", "characters"]), SEEDS, st.data())
def test_twice_the_total_contains_the_total(
    one: list[int], two: list[int], three: list[int], total: int, unit: str, seed: int, data: st.DataObject
) -> None:
    keys = measured(one, two, three)
    inside: dict[str, object] = {"within": "g"}
    parts: list[dict[str, object]] = [{"weight": 2, "max_repeat": 2}, inside | {"weight": 1}, inside | {"weight": 3}]
    rest: dict[str, object] = {"seed": seed, "groups": {"g": {"weight": 1}}}
    small, large = (mixture(*parts, total={unit: amount}, **rest) for amount in (total, 2 * total))
    if not select_or_none(small, keys):
        return
    few, many = select("test", small, keys), select("test", large, keys)
    assert (few.repeats <= many.repeats).all()
    costs = np.ones(len(keys.age), np.int64) if unit == "rows" else np.asarray(keys.characters, np.int64)
    used = int((few.repeats * costs).sum())
    assert used <= total
    if not few.shortfalls:
        assert total - used < (1 if unit == "rows" else 9)
    # What stands in both stands there in the same order.
    if not select_or_none(large, keys):
        return
    for part in range(3):
        shared = sequence(small, keys, part)
        assert [row for row in sequence(large, keys, part) if row in set(shared)] == shared


@given(st.lists(st.lists(st.integers(0, 25), max_size=30), min_size=1, max_size=3), SEEDS, st.integers(1, 9))
def test_equal_ids_are_on_one_side_whatever_is_taken(parts: list[list[int]], seed: int, wanted: int) -> None:
    keys = known(*parts)
    recipe = mixture(*({} for _ in parts), seed=seed, dedup="none", holdout={"rows": wanted})
    try:
        found = select("test", recipe, keys)
    except CatalogError:
        return
    names = np.array(digits(keys.ids).to_list())
    assert not set(names[found.held]) & set(names[~found.held])
    assert 0 < found.held.sum() <= wanted
    assert (found.repeats == 1).all()


def test_of_equal_ids_the_oldest_record_is_kept() -> None:
    keys = known([7, 8, 7], [8, 9])
    assert [rows(mixture({}, {}), keys, part) for part in (0, 1)] == [
        {f"{7:032x}": 1, f"{8:032x}": 1},
        {f"{9:032x}": 1},
    ]
    assert select("test", mixture({}, {}), keys).repeats.tolist() == [1, 1, 0, 0, 1]
    younger_first = replace(keys, age=np.array([2, 1, 0, 3, 4], np.uint32))
    assert select("test", mixture({}, {}), younger_first).repeats.tolist() == [0, 1, 1, 0, 1]


def test_ids_that_share_half_of_their_digits_are_not_equal() -> None:
    keys = known([2**64 + 1, 2**64 + 2, 2**65 + 1, 2**64 + 1])
    assert select("test", mixture({}), keys).repeats.tolist() == [1, 1, 1, 0]


def test_a_share_is_rounded_half_up_and_is_one_row_at_least() -> None:
    assert holdout_rows(Holdout(share=0.02), 149) == 3  # 2.98
    assert holdout_rows(Holdout(share=0.5), 5) == 3  # 2.5
    assert holdout_rows(Holdout(share=0.29), 50) == 15  # 14.5, which floats make 14.499…
    assert holdout_rows(Holdout(share=0.001), 10) == 1
    assert holdout_rows(Holdout(rows=4), 10) == 4


def test_held_out_rows_stand_once_after_the_training_shards() -> None:
    keys = known([1, 2], list(range(10, 20)))
    recipe = mixture({"weight": 1, "max_repeat": 5}, {"weight": 1}, holdout={"rows": 3}, seed=1)
    found = select("test", recipe, keys)
    drawn = draws(keys.ids, np.arange(12, dtype=np.uint32), 1, "holdout")
    assert np.flatnonzero(found.held).tolist() == sorted(np.argsort(drawn)[:3].tolist())
    assert (found.repeats[found.held] == 1).all()
    placed = order(1, keys, found)
    held = found.held[placed.record]
    assert placed.holdout == 3
    assert sorted(placed.position[held].tolist()) == [ROWS, ROWS + 1, ROWS + 2]
    assert sorted(placed.position[~held].tolist()) == list(range(placed.train))


@given(IDS, st.integers(1, 20), st.integers(1, 20))
def test_a_smaller_holdout_is_a_subset(ids: list[int], one: int, other: int) -> None:
    less, more = sorted([one, other])
    keys = known(list(dict.fromkeys([*ids, *range(21)])))
    small, large = (select("test", mixture({}, holdout={"rows": count}), keys).held for count in (less, more))
    assert small.sum() == less
    assert not (small & ~large).any()


def test_a_holdout_that_takes_everything_is_refused() -> None:
    with pytest.raises(
        CatalogError, match=r"^mixture test: its holdout takes 3 rows of the 3 there are and leaves none"
    ):
        select("test", mixture({}, holdout={"rows": 3}), known([1, 2, 3]))
    with pytest.raises(CatalogError, match="its holdout takes 1 rows of the 1 there are"):
        select("test", mixture({}, holdout={"share": 0.1}), known([1]))
