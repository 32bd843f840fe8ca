"""Which rows a step sees: each once an epoch, the same for any number of processes, found again by their ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import row, write

from train.encoding.packed import PackedRows
from train.fitting.steps import Dealt, Steps, lengths, record_ids
from train.recipe import Recipe


def steps(sizes: list[int], *, processes: int = 1, **keys: Any) -> Steps:
    recipe = Recipe.model_validate(SMALL.model_dump() | keys)
    return Steps(np.asarray(sizes, np.int64), recipe, processes=processes)


def fed(of: Steps, epoch: int) -> list[list[list[int]]]:
    """By process, the micro-batches of an epoch."""
    found = []
    for rank in range(of.processes):
        dealt = Dealt(of.order, batch=of.recipe.batch, processes=of.processes, rank=rank)
        dealt.set_epoch(epoch)
        found.append(list(dealt))
        assert len(found[-1]) == len(dealt)
    return found


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_every_row_is_trained_once_an_epoch(
    sizes: list[int], batch: int, accumulation: int, processes: int, packing: bool
) -> None:
    of = steps(sizes, processes=processes, batch=batch, accumulation=accumulation, packing=packing)
    shares = fed(of, 1)
    assert len({len(share) for share in shares}) == 1  # else one process would wait for the others for ever
    assert all(share for rank in shares for share in rank)
    trained = [one for rank in shares for share in rank for one in share if one >= 0]
    assert sorted(trained) == list(range(len(sizes)))


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(1, 3), st.booleans())
def test_two_processes_take_the_rows_of_one_with_twice_the_accumulation(
    sizes: list[int], batch: int, packing: bool
) -> None:
    one = steps(sizes, batch=batch, accumulation=2, packing=packing)
    two = steps(sizes, batch=batch, accumulation=1, processes=2, packing=packing)
    assert (one.total, one.an_epoch) == (two.total, two.an_epoch)
    for step in range(1, 2 * one.an_epoch + 1):
        assert one.of(step).tolist() == two.of(step).tolist()
        assert (one.tokens(step), one.epoch(step)) == (two.tokens(step), two.epoch(step))
    together = [share for pair in zip(*fed(two, 1), strict=True) for share in pair if share[0] >= 0]
    assert together == fed(one, 1)[0]


def test_steps_are_counted_over_epochs() -> None:
    of = steps([5, 6, 7], batch=2, accumulation=1, steps=None, epochs=2)
    assert (of.rows, of.an_epoch, of.total) == (2, 2, 4)
    assert [len(of.of(step)) for step in (1, 2, 3, 4)] == [2, 1, 2, 1]
    assert sorted([*of.of(3), *of.of(4)]) == [0, 1, 2]
    assert of.tokens(0) == 0
    assert of.tokens(2) == 18
    assert of.tokens(4) == 36
    assert [of.epoch(step) for step in (0, 1, 2, 3)] == [0, 2 / 3, 1, 1 + 2 / 3]


def test_a_seed_and_an_epoch_decide_the_order() -> None:
    orders = {tuple(steps([4] * 40, seed=seed).order(epoch).tolist()) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
    assert steps([4] * 8).order(0).tolist() == [7, 3, 1, 6, 0, 5, 2, 4]


def test_rows_of_a_micro_batch_are_named(tmp_path: Path) -> None:
    rows = [row(f"Say {number}.", f"{number}.") for number in range(5)]
    mixture = write(tmp_path, "five", rows, [])
    numbers = pa.list_(pa.int64())
    schema = pa.schema([(name, numbers) for name in ("ids", "labels", "bounds", "rows")])
    packed = {
        "ids": [[1, 2, 3], [4, 5], [6]],
        "labels": [[1, 2, 3], [4, 5], [6]],
        "bounds": [[0, 1, 3], [0, 2], [0, 1]],
    }
    with pa.OSFile(str(tmp_path / "train.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table({**packed, "rows": [[4, 1], [0], [1]]}, schema), max_chunksize=2)
    encoded = PackedRows(tmp_path / "train.arrow")
    assert lengths(encoded).tolist() == [3, 2, 1]
    assert record_ids(encoded, mixture, np.array([2, 0])) == [rows[1]["id"], rows[4]["id"]]
    of = steps([3, 2, 1], batch=1, accumulation=1, processes=2)
    assert [of.micro_batch(1, 0, rank).tolist() for rank in (0, 1)] == [[one] for one in of.of(1)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_without_rows_is_fed_one_with_nothing_in_it_trained(rank: int) -> None:
    of = steps([9, 9, 9], batch=1, accumulation=1, processes=2)
    assert [share[0] >= 0 for share in fed(of, 0)[rank]] == [True, rank == 0]
