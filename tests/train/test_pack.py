"""Packing: every row once, no bin too full, as full as it can be, and always the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.pack import best_fit, fill, singly

LENGTHS = st.lists(st.integers(1, 32), max_size=60).map(lambda values: np.array(values, np.int64))


def test_rows_go_where_they_fit_best() -> None:
    # 6 opens a bin, 5 another; 4 fits best behind 6, 3 behind 5, and 2 fills what 5 and 3 have left.
    assert best_fit(np.array([6, 5, 4, 3, 2]), 10) == [[0, 2], [1, 3, 4]]


def test_equal_rows_keep_their_order() -> None:
    assert best_fit(np.array([5, 5, 5, 5]), 10) == [[0, 1], [2, 3]]


def test_without_packing_every_row_is_alone() -> None:
    assert singly(np.array([3, 9])) == [[0], [1]]


@given(LENGTHS)
def test_every_row_is_packed_once_and_no_bin_is_too_full(lengths: np.ndarray) -> None:
    bins = best_fit(lengths, 32)
    assert sorted(row for packed in bins for row in packed) == list(range(len(lengths)))
    assert all(lengths[packed].sum() <= 32 for packed in bins)
    assert bins == best_fit(lengths.copy(), 32)


@given(LENGTHS)
def test_no_two_bins_could_be_one(lengths: np.ndarray) -> None:
    loads = sorted(int(lengths[packed].sum()) for packed in best_fit(lengths, 32))
    assert len(loads) < 2 or loads[0] + loads[1] > 32


def test_many_rows_fill_their_places() -> None:
    lengths = np.random.default_rng(0).integers(20, 600, 20_000)
    assert fill(lengths, len(best_fit(lengths, 2048)), 2048) > 0.999
