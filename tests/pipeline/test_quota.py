"""How many rows each part gives: quotas in rows and characters, totals, temperature, groups; and their laws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.mixture import Mixture, Temperature
from pipeline.quota import Pool, Shortfall, allotted, rate, tree

Parts = list[dict[str, Any]]


def mixture(*parts: dict[str, Any], **rest: Any) -> Mixture:
    named = [{"source": f"s{number}", **part} for number, part in enumerate(parts)]
    return Mixture.model_validate({"about": "a test", "parts": named, **rest})


def given_rows(
    sizes: list[int], recipe: Mixture, costs: list[list[int]] | None = None
) -> tuple[list[int], list[Shortfall]]:
    """The rows of each pool, whose parts have these sizes; with `costs`, the characters of each of their records."""
    level, drawn = tree(recipe)
    pools = []
    for pool in drawn:
        lengths = [length for part in pool.parts for length in (costs[part] if costs else [])]
        pools.append(
            Pool(
                size=sum(sizes[part] for part in pool.parts),
                most=pool.quota.max_repeat,
                costs={"characters": np.array(lengths, np.int64)},
            )
        )
    return allotted(level, pools)


def short(part: str, asked: int, given: int, unit: str = "rows") -> Shortfall:
    return Shortfall(part=part, unit=unit, asked=asked, given=given)


def test_rows_are_met_exactly_or_reported() -> None:
    assert given_rows([10, 4], mixture({"rows": 7}, {"rows": 4})) == ([7, 4], [])
    assert given_rows([10, 4], mixture({"rows": 7}, {"rows": 5})) == ([7, 4], [short("s1", 5, 4)])
    assert given_rows([10, 4], mixture({}, {"rows": 11, "max_repeat": 3})) == ([10, 11], [])
    assert given_rows([10, 4], mixture({}, {"rows": 13, "max_repeat": 3})) == ([10, 12], [short("s1", 13, 12)])


def test_a_total_is_shared_by_weights_and_made_up_for_by_others_when_a_part_runs_dry() -> None:
    two = ({"weight": 3}, {"weight": 1})
    assert given_rows([100, 100], mixture(*two, total={"rows": 40})) == ([30, 10], [])
    assert given_rows([100, 4], mixture(*two, total={"rows": 40})) == ([36, 4], [])
    assert given_rows([20, 4], mixture(*two, total={"rows": 40})) == ([20, 4], [short("the mixture", 40, 24)])
    assert given_rows([100, 4], mixture({"weight": 3}, {"weight": 1, "max_repeat": 2}, total={"rows": 40})) == (
        [32, 8],
        [],
    )
    # A part with rows of its own has them first; what is left is the others'.
    assert given_rows([99, 99, 99], mixture({"rows": 10}, *two, total={"rows": 50})) == ([10, 30, 10], [])


def test_without_weights_a_total_is_shared_by_size() -> None:
    assert given_rows([60, 30, 10], mixture({}, {}, {}, total={"rows": 10})) == ([6, 3, 1], [])


def test_temperature_is_the_rule_of_seqio() -> None:
    assert rate(100, Temperature(value=2)) == 10
    assert rate(10_000, Temperature(value=2, cap=2_500)) == 50
    assert rate(10_000, Temperature(value=1, cap=2_500)) == 2_500
    # 10000 and 100 rows stand as 100 to 10, and T=1 with a cap as 100 to 100.
    assert given_rows([10_000, 100], mixture({}, {}, temperature=2.0, total={"rows": 110})) == ([100, 10], [])
    capped = {"value": 1, "cap": 100}
    assert given_rows([10_000, 100], mixture({}, {}, temperature=capped, total={"rows": 60})) == ([30, 30], [])
    # Without a total they are as large as the scarcest allows.
    assert given_rows([10_000, 100], mixture({}, {}, temperature=2.0)) == ([1_000, 100], [])
    assert given_rows([10_000, 100], mixture({}, {"max_repeat": 5}, temperature=2.0)) == ([5_000, 500], [])


def test_characters_are_never_exceeded_and_missed_by_less_than_the_next_row() -> None:
    costs = [[5, 5, 20, 1], [3] * 10]
    assert given_rows([4, 10], mixture({"characters": 29}, {"characters": 9}), costs) == ([2, 3], [])
    assert given_rows([4, 10], mixture({"characters": 31}, {}), costs) == ([4, 10], [])
    assert given_rows([4, 10], mixture({"characters": 40}, {}), costs) == (
        [4, 10],
        [short("s0", 40, 31, "characters")],
    )
    assert given_rows([4, 10], mixture({"characters": 41, "max_repeat": 2}, {}), costs) == ([6, 10], [])


def test_a_nested_mixture_is_cut_in_its_own_proportions() -> None:
    inside = {"inner": {"weight": 1}}
    recipe = mixture({"weight": 3, "within": "inner"}, {"weight": 1, "within": "inner"}, {"weight": 1}, groups=inside)
    # By itself it has 60 and 20; the other part has 40, so the two are as 40 to 40.
    assert given_rows([60, 50, 40], recipe) == ([30, 10, 40], [])
    fixed = mixture({"rows": 8, "within": "inner"}, {"rows": 4, "within": "inner"}, {}, groups={"inner": {"rows": 6}})
    assert given_rows([60, 50, 40], fixed) == ([4, 2, 40], [])
    deeper = mixture(
        {"weight": 1, "within": "b"},
        {"weight": 1, "within": "b"},
        {"weight": 2, "within": "a"},
        groups={"a": {"rows": 40}, "b": {"within": "a", "weight": 2}},
    )
    assert given_rows([50, 50, 100], deeper) == ([10, 10, 20], [])


def test_a_total_ends_at_the_first_row_that_is_too_long() -> None:
    two = ({"weight": 1}, {"weight": 1})
    # In the order of 2, 8 and 5 the second does not fit, and then nothing follows: 16 would begin so as well.
    assert given_rows([2, 1], mixture(*two, total={"characters": 7}), [[2, 5], [8]]) == ([1, 0], [])
    assert given_rows([2, 1], mixture(*two, total={"characters": 14}), [[2, 5], [8]]) == ([1, 1], [])


def test_rows_without_characters_cost_nothing() -> None:
    recipe = mixture({"weight": 1, "within": "g"}, {"weight": 1}, groups={"g": {"weight": 1}}, total={"characters": 4})
    assert given_rows([3, 4], recipe, [[0, 0, 0], [2, 2, 2, 2]]) == ([3, 2], [])


def test_a_pooled_group_is_drawn_from_as_one() -> None:
    recipe = mixture({"within": "g"}, {"within": "g"}, {}, groups={"g": {"rows": 5, "pooled": True}})
    assert given_rows([3, 4, 9], recipe) == ([5, 9], [])
    recipe = mixture({"within": "g"}, {"within": "g"}, {}, groups={"g": {"rows": 8, "pooled": True}})
    assert given_rows([3, 4, 9], recipe) == ([7, 9], [short("g", 8, 7)])


WEIGHTS = st.integers(1, 50).map(lambda number: number / 10)
SIZES = st.lists(st.integers(0, 60), min_size=1, max_size=5)


@given(SIZES, st.data(), st.integers(1, 200), st.integers(1, 200))
def test_a_total_is_exact_fair_and_nested(sizes: list[int], data: st.DataObject, one: int, other: int) -> None:
    weights = [data.draw(WEIGHTS) for _ in sizes]
    repeats = [data.draw(st.integers(1, 3)) for _ in sizes]
    parts = [{"weight": w, "max_repeat": r} for w, r in zip(weights, repeats, strict=True)]
    less, more = sorted([one, other])
    (small, missed), (large, _) = (given_rows(sizes, mixture(*parts, total={"rows": rows})) for rows in (less, more))
    whole = [size * most for size, most in zip(sizes, repeats, strict=True)]
    assert sum(small) == min(less, sum(whole))
    assert bool(missed) == (less > sum(whole))
    assert all(few <= many <= most for few, many, most in zip(small, large, whole, strict=True))
    speeds = [(rows, weight) for rows, weight, most in zip(small, weights, whole, strict=True) if rows < most]
    # Those that have rows left are within a row of their shares of each other.
    for rows, weight in speeds:
        assert all((rows - 0.5) / weight <= (its + 0.5) / theirs + 1e-9 for its, theirs in speeds)


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=4), st.data(), st.integers(1, 120))
def test_a_total_in_characters_is_never_exceeded_nested_and_short_by_less_than_a_row(
    costs: list[list[int]], data: st.DataObject, amount: int
) -> None:
    sizes = [len(one) for one in costs]
    parts = [{"weight": data.draw(WEIGHTS), "max_repeat": data.draw(st.integers(1, 2))} for _ in costs]
    recipes = [mixture(*parts, total={"characters": one}) for one in (amount, 2 * amount)]
    (small, missed), (large, _) = (given_rows(sizes, recipe, costs) for recipe in recipes)
    used = sum(int(np.resize(one, rows).sum()) for one, rows in zip(costs, small, strict=True) if rows)
    assert used <= amount
    whole = [len(one) * part["max_repeat"] for one, part in zip(costs, parts, strict=True)]
    if small != whole:
        assert amount - used < 9
        assert not missed
    assert all(few <= many for few, many in zip(small, large, strict=True))


QUOTA = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"rows": st.integers(1, 40)}, optional={"max_repeat": st.integers(1, 3)}),
    st.fixed_dictionaries({"characters": st.integers(1, 40)}, optional={"max_repeat": st.integers(1, 3)}),
)


@given(st.lists(st.tuples(QUOTA, st.lists(st.integers(0, 9), max_size=12)), min_size=1, max_size=4), QUOTA)
def test_a_part_added_at_the_end_changes_no_part_with_a_quota_of_its_own(
    parts: list[tuple[dict[str, int], list[int]]], last: dict[str, int]
) -> None:
    sizes, costs = [len(one) for _, one in parts], [one for _, one in parts]
    before, _ = given_rows(sizes, mixture(*(quota for quota, _ in parts)), costs)
    after, _ = given_rows([*sizes, 3], mixture(*(quota for quota, _ in parts), last), [*costs, [1, 2, 3]])
    assert after[:-1] == before


@given(SIZES, st.data(), st.integers(1, 30), st.integers(1, 200))
def test_under_a_total_a_part_more_takes_rows_from_the_others_and_gives_them_none(
    sizes: list[int], data: st.DataObject, size: int, total: int
) -> None:
    parts = [{"weight": data.draw(WEIGHTS)} for _ in sizes]
    before, _ = given_rows(sizes, mixture(*parts, total={"rows": total}))
    after, _ = given_rows([*sizes, size], mixture(*parts, {"weight": 1}, total={"rows": total}))
    assert all(less <= more for less, more in zip(after, before, strict=False))


@given(SIZES, st.integers(1, 200), st.data())
def test_a_nested_mixture_s_budget_is_exact_and_nested(sizes: list[int], rows: int, data: st.DataObject) -> None:
    parts: Parts = [{"within": "g", **data.draw(st.sampled_from([{}, {"rows": 5}]))} for _ in sizes]
    (small, _), (large, _) = (
        given_rows(sizes, mixture(*parts, groups={"g": {"rows": amount}})) for amount in (rows, 2 * rows)
    )
    whole = [min(size, part.get("rows", size)) for size, part in zip(sizes, parts, strict=True)]
    assert sum(small) == min(rows, sum(whole))
    assert all(few <= many for few, many in zip(small, large, strict=True))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"parts": [{"source": "a", "weight": 0}]}, "greater than 0"),
    ({"parts": [{"source": "a", "weight": -1}]}, "greater than 0"),
    ({"parts": [{"source": "a", "rows": 0}]}, "greater than or equal to 1"),
    ({"parts": [{"source": "a", "rows": 5, "weight": 2}]}, "has weight and rows; give one of them"),
    ({"parts": [{"source": "a", "rows": 5}], "total": {"rows": 4}}, "are 5 together, over the total of 4"),
    ({"parts": [{"source": "a", "characters": 5}], "total": {"rows": 4}}, "a has its quota in another unit"),
    (
        {"parts": [{"source": "a", "weight": 1}, {"source": "b"}], "total": {"rows": 4}},
        "b has no quota, a has a weight",
    ),
    ({"parts": [{"source": "a", "weight": 1}], "temperature": 2}, "a has a weight, and temperature"),
    ({"parts": [{"source": "a"}], "temperature": 0}, r"greater than or equal to 0\.1"),
    ({"parts": [{"source": "a"}], "temperature": 1e-5}, r"greater than or equal to 0\.1"),
    ({"parts": [{"source": "a"}], "total": {}}, "give one of rows, tokens, characters"),
    ({"parts": [{"source": "a", "within": "g"}]}, "a is within g, which is no group"),
    ({"parts": [{"source": "a", "within": "g"}], "groups": {"g": {"within": "h"}, "h": {"within": "g"}}}, "g within h"),
]


@pytest.mark.parametrize(("given_mixture", "said"), WRONG, ids=[said for _, said in WRONG])
def test_quotas_that_cannot_be_are_refused(given_mixture: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Mixture.model_validate({"about": "a test", **given_mixture})
