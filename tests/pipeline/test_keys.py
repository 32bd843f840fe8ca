"""What a mixture decides by: hashes sorted a bucket at a time, and ages, which do not depend on shards."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.mixture import Part
from collectors.record import keyed
from pipeline.keys import SORTED_AT_ONCE, Numbers, buckets, by_draw, digits, draws, of, places

ROWS = 2 * SORTED_AT_ONCE + 1


@pytest.fixture(scope="module")
def hashes() -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """More than fit into two buckets, the ends of the range among them."""
    found = np.random.default_rng(1).integers(0, 2**64, ROWS, np.uint64)
    found[:3] = [2**64 - 1, 0, 2**63]
    return found


def test_buckets_hold_every_place_once_in_ranges_that_ascend(
    hashes: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> None:
    found = list(buckets(hashes))
    assert len(found) == 3
    assert np.sort(np.concatenate(found)).tolist() == list(range(ROWS))
    for one, other in pairwise(found):
        assert hashes[one].max() < hashes[other].min()
        assert (np.diff(one) > 0).all()


def test_buckets_leave_out_what_is_not_flagged(hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> None:
    odd = np.arange(ROWS) % 2 == 1
    assert np.sort(np.concatenate(list(buckets(hashes, odd)))).tolist() == list(range(1, ROWS, 2))


@pytest.mark.parametrize("different", [2**64, 5], ids=["all differ", "most are equal"])
def test_draws_are_sorted_as_if_at_once_and_equal_ones_by_age(
    hashes: np.ndarray[tuple[int], np.dtype[np.uint64]], different: int
) -> None:
    drawn = hashes if different == 2**64 else hashes % np.uint64(different) * np.uint64(2**64 // different)
    ages = np.random.default_rng(2).permutation(ROWS).astype(np.uint32)

    def of_places(some: Numbers) -> Numbers:
        return ages[some]

    assert np.concatenate(list(by_draw(drawn, of_places))).tolist() == np.lexsort((ages, drawn)).tolist()


def test_places_are_counted_from_where_they_are_asked_to() -> None:
    flags = np.arange(SORTED_AT_ONCE + 3) % SORTED_AT_ONCE == 2
    assert places(flags, 10).tolist() == [12, SORTED_AT_ONCE + 12]
    assert places(flags[:0]).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 1200)), min_size=1, max_size=20))
def test_draws_for_repeats_are_those_of_the_keyed_hash(rows: list[tuple[int, int]]) -> None:
    ids = np.array([divmod(ident, 2**64) for ident, _ in rows], np.uint64)
    repeats = np.array([repeat for _, repeat in rows], np.uint32)
    frame = pl.DataFrame({"id": digits(ids), "repeat": pl.Series(repeats)})
    expected = frame.select(keyed(7, "order", "id", "repeat")).to_series().to_list()
    assert draws(ids, np.arange(len(rows), dtype=np.uint32), 7, "order", repeats).tolist() == expected


LINEAGE = st.lists(
    st.tuples(st.sampled_from(["a.json", "b.json", "ü.json"]), st.integers(0, 300), st.integers(0, 300)),
    min_size=1,
    max_size=12,
    unique=True,
)


@settings(max_examples=50)
@given(LINEAGE)
def test_ages_are_the_order_of_subset_row_and_part(lineage: list[tuple[str, int, int]]) -> None:
    columns = {name: [row[at] for row in lineage] for at, name in enumerate(("subset", "row", "part"))}
    frame = pl.DataFrame(columns, schema={"subset": pl.String, "row": pl.UInt64, "part": pl.UInt16})
    frame = frame.with_columns(id=pl.lit("0" * 32))
    known = of([Part(source="a")], [[]], [frame])
    assert known.age.tolist() == [sorted(lineage).index(row) for row in lineage]
