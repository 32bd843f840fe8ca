"""Packing: every row once, no bin too full, as full as it can be, and always the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.encoding.pack import Bins, best_fit, fill, singly

LENGTHS = st.lists(st.integers(1, 32), max_size=60).map(lambda values: np.array(values, np.int64))


def listed(bins: Bins) -> list[list[int]]:
    """The sequences of each bin."""
    return [part.tolist() for part in np.split(bins.members, bins.edges[1:-1])] if len(bins) else []


def test_rows_go_where_they_fit_best() -> None:
    # Of the long ones 6 opens a bin and 5 another, 4 fits best behind 6, 3 behind 5; 2 fills what 5 and 3 have left.
    assert listed(best_fit(np.array([6, 5, 4, 3, 2]), 10)) == [[0, 2], [1, 3, 4]]


def test_short_rows_fill_a_bin_to_the_last_place() -> None:
    # Longest first, 7 would take 5 and leave a place that nothing fits; 4 and 5 fill it together.
    assert listed(best_fit(np.array([31, 5, 5, 4]), 40)) == [[0, 1, 3], [2]]


def test_equal_rows_keep_their_order() -> None:
    assert listed(best_fit(np.array([5, 5, 5, 5]), 10)) == [[0, 1], [2, 3]]


def test_nothing_makes_no_bins() -> None:
    assert listed(best_fit(np.array([], np.int64), 10)) == []


@pytest.mark.parametrize("length", [0, 11])
def test_a_row_that_cannot_fit_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 10"):
        best_fit(np.array([3, length]), 10)


def test_without_packing_every_row_is_alone() -> None:
    assert listed(singly(np.array([3, 9]))) == [[0], [1]]


@given(LENGTHS)
def test_every_row_is_packed_once_and_no_bin_is_too_full(lengths: np.ndarray) -> None:
    bins = best_fit(lengths, 32)
    assert sorted(bins.members.tolist()) == list(range(len(lengths)))
    assert all(lengths[packed].sum() <= 32 for packed in listed(bins))
    assert all(packed == sorted(packed) for packed in listed(bins))
    assert [packed[0] for packed in listed(bins)] == sorted(packed[0] for packed in listed(bins))
    assert listed(bins) == listed(best_fit(lengths.copy(), 32))


@given(LENGTHS)
def test_no_two_bins_could_be_one(lengths: np.ndarray) -> None:
    loads = sorted(int(lengths[packed].sum()) for packed in listed(best_fit(lengths, 32)))
    assert len(loads) < 2 or loads[0] + loads[1] > 32


@pytest.mark.parametrize("capacity", [2048, 4096])
@pytest.mark.parametrize("shape", ["even", "skewed"])
def test_many_rows_fill_their_places(shape: str, capacity: int) -> None:
    drawn = np.random.default_rng(0)
    skewed = drawn.lognormal(5, 0.7, 40_000).astype(np.int64) + 40
    lengths = np.minimum(drawn.integers(40, 900, 40_000) if shape == "even" else skewed, capacity)
    assert fill(lengths, len(best_fit(lengths, capacity)), capacity) > 0.999
