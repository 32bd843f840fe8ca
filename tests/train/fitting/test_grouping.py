"""Length-grouped order: all rows once, little padding, the same for any number of processes, another each epoch."""

import json
from pathlib import Path

import bases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.fitting.grouping import grouped

LENGTHS = np.array([3, 90, 4, 5, 88, 3, 41, 40, 92, 6, 39, 4, 5])


def test_rows_of_similar_length_share_a_batch() -> None:
    order = grouped(LENGTHS, batch=4, step=8, seed=0)
    # Three batches of four, the longest one first, and the shortest row by itself.
    assert sorted(LENGTHS[order[:4]].tolist()) == [41, 88, 90, 92]
    assert sorted(LENGTHS[order[4:8]].tolist()) in ([5, 6, 39, 40], [3, 4, 4, 5])
    assert LENGTHS[order[12:]].tolist() == [3]


@given(
    st.lists(st.integers(1, 2048), max_size=200),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch(lengths: list[int], batch: int, batches: int, epoch: int) -> None:
    order = grouped(np.array(lengths, np.int64), batch=batch, step=batch * batches, seed=1, epoch=epoch)
    assert sorted(order.tolist()) == list(range(len(lengths)))


@given(st.lists(st.integers(1, 2048), min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 4))
def test_the_longest_row_is_in_the_first_batch(lengths: list[int], batch: int, batches: int) -> None:
    found = np.array(lengths)
    order = grouped(found, batch=batch, step=batch * batches, seed=0)
    if len(lengths) >= batch:
        assert found[order[:batch]].max() == found.max()


def many() -> np.ndarray:
    return np.random.default_rng(0).lognormal(4, 0.8, 5000).astype(np.int64) + 1


def test_batches_that_stand_side_by_side_are_as_long() -> None:
    lengths = many()
    order = grouped(lengths, batch=4, step=4 * 8, seed=0)
    widths = lengths[order].reshape(-1, 4).max(axis=1)
    step = widths[:8]
    assert step.tolist() == sorted(step.tolist(), reverse=True)


def test_an_epoch_has_other_batches_than_the_one_before_and_repeats_itself() -> None:
    lengths = many()
    orders = [grouped(lengths, batch=8, step=16, seed=0, epoch=epoch) for epoch in (0, 1, 0)]
    assert (orders[0] == orders[2]).all()
    first, second = ({frozenset(batch) for batch in order.reshape(-1, 8).tolist()} for order in orders[:2])
    assert len(first & second) < 0.01 * len(first)


def padding(lengths: np.ndarray, order: np.ndarray, batch: int) -> float:
    """The share of padding in the batches that `order` gives, 0 to 1."""
    ordered = lengths[order]
    starts = np.arange(0, len(ordered), batch)
    sizes = np.diff(np.append(starts, len(ordered)))
    places = int((np.maximum.reduceat(ordered, starts) * sizes).sum()) if len(ordered) else 0
    return 1 - int(ordered.sum()) / places if places else 0.0


def test_little_of_real_rows_is_padding() -> None:
    """The share of padding in batches of 8 real rows: 5 % where a random order has half."""
    source = Path("../shared/raw/alpaca/alpaca_5000.rows0-1999.json")
    if not source.is_file():
        pytest.skip("no real rows here")
    rows = ["\n".join(row.values()) for row in json.loads(source.read_text(encoding="utf-8"))]
    lengths = np.array([len(ids) for ids in bases.tokenizer("llama")(rows)["input_ids"]])
    mixed = np.random.default_rng(0).permutation(len(lengths))
    assert padding(lengths, mixed, 8) > 0.45
    assert padding(lengths, grouped(lengths, batch=8, step=32, seed=0), 8) < 0.06


def test_a_step_must_hold_whole_batches() -> None:
    with pytest.raises(ValueError, match="step 10 must be a multiple of batch 4"):
        grouped(LENGTHS, batch=4, step=10, seed=0)
