"""Which rows each step of a training sees: decided once, for any number of processes and any place to go on from.

A step takes `batch * accumulation` rows a process. Whoever takes which of them, a step's rows are the same, so two
processes train as one does with twice the accumulation. The rows left at an epoch's end are dealt out once: a process
that gets none is fed a row in which nothing is trained, where accelerate would begin again at the first rows.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from collectors.record import keyed
from pipeline import shards
from train.encoding.encode import IGNORED
from train.encoding.packed import Fed, PackedRows
from train.fitting.grouping import grouped
from train.recipe import Recipe

Ordinals = NDArray[np.int64]
Collate = Callable[[list[Fed]], dict[str, torch.Tensor]]

KEPT_ORDERS: Final = 2
"""Orders of epochs that are kept: of the one that is trained, and of the next."""


class Steps:
    """The rows of every step, from the lengths of all rows in tokens."""

    def __init__(self, lengths: NDArray[np.integer[Any]], recipe: Recipe, *, processes: int = 1) -> None:
        self.lengths, self.recipe, self.processes = lengths.astype(np.int64), recipe, processes
        self.rows: Final = recipe.batch * recipe.accumulation * processes
        """Rows of a full step."""
        self.an_epoch: Final = math.ceil(len(lengths) / self.rows)
        every = math.ceil(self.an_epoch * recipe.epochs)
        self.total: Final = every if recipe.steps is None else min(recipe.steps, every)
        """Steps of the whole training."""
        self.order = lru_cache(KEPT_ORDERS)(self._order)

    def _order(self, epoch: int) -> Ordinals:
        """All rows in the order of an epoch: a keyed draw, of similar length side by side where they are not packed."""
        seed = self.recipe.seed
        if not self.recipe.packing:
            return grouped(self.lengths, batch=self.recipe.batch, step=self.rows, seed=seed, epoch=epoch)
        numbers = pl.DataFrame({"number": np.arange(len(self.lengths))})
        drawn = numbers.select(keyed(seed, f"training order {epoch}", "number")).to_series()
        return np.argsort(drawn.to_numpy(), kind="stable").astype(np.int64)

    def of(self, step: int) -> Ordinals:
        """The rows of a step, counted from 1."""
        epoch, place = divmod(step - 1, self.an_epoch)
        return self.order(epoch)[place * self.rows : (place + 1) * self.rows]

    def epoch(self, step: int) -> float:
        """How often all rows were seen by the end of a step."""
        epochs, place = divmod(step, self.an_epoch)
        return epochs + min(1.0, place * self.rows / len(self.lengths))

    def tokens(self, step: int) -> int:
        """The tokens seen up to the end of a step, padding not counted."""
        epochs, place = divmod(step, self.an_epoch)
        return epochs * int(self.lengths.sum()) + int(self.lengths[self.order(epochs)[: place * self.rows]].sum())

    def micro_batch(self, step: int, place: int, rank: int) -> Ordinals:
        """The rows that process `rank` was fed as its micro-batch number `place` of a step."""
        batch = self.recipe.batch
        start = (place * self.processes + rank) * batch
        return self.of(step)[start : start + batch]


class Dealt(Sampler[list[int]]):
    """The micro-batches of one process, an epoch at a time; a row that is only there to be fed comes as `~row`."""

    def __init__(self, order: Callable[[int], Ordinals], *, batch: int, processes: int, rank: int) -> None:
        self.order, self.batch, self.processes, self.rank = order, batch, processes, rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Iterate over that epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.order(self.epoch)) / (self.batch * self.processes))

    def __iter__(self) -> Iterator[list[int]]:
        order = self.order(self.epoch)
        for start in range(0, len(order), self.batch * self.processes):
            begin = start + self.rank * self.batch
            mine = order[begin : begin + self.batch].tolist()
            yield mine or [~int(order[start])]


class Silenced(Dataset[Fed]):
    """Rows, of which `~row` is that row with nothing in it trained."""

    def __init__(self, rows: PackedRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Fed:
        if index >= 0:
            return self.rows[index]
        row = self.rows[~index]
        return row | {"labels": np.full_like(row["labels"], IGNORED)}


class Loader(DataLoader[Fed]):
    """Feeds one process its micro-batches. accelerate need not prepare it: they are dealt out already."""

    def __init__(self, rows: PackedRows, dealt: Dealt, collate: Collate, *, pin: bool) -> None:
        super().__init__(Silenced(rows), batch_sampler=dealt, collate_fn=collate, pin_memory=pin)
        self.dealt = dealt

    def set_epoch(self, epoch: int) -> None:
        """Feed that epoch from now on."""
        self.dealt.set_epoch(epoch)


def lengths(rows: PackedRows) -> Ordinals:
    """How many tokens each row holds."""
    found = [np.asarray(batch.column("ids").value_lengths(), np.int64) for batch in rows.batches]
    return np.concatenate([np.empty(0, np.int64), *found])


def record_ids(packed: PackedRows, mixture: Path, rows: Ordinals) -> list[str]:
    """The ids of the records in some packed rows for training, in order, each once.

    `mixture` is the folder of the mixture that the rows were made of.
    """
    column = pa.chunked_array([batch.column("rows") for batch in packed.batches])
    ordinals = list(dict.fromkeys(one for row in rows.tolist() for one in column[row].as_py()))
    found: dict[int, str] = {}
    start = 0
    for path in shards.paths(mixture, "train-*.arrow"):
        for batch in shards.batches(path, ["id"]):
            here = [one for one in ordinals if start <= one < start + batch.num_rows]
            found |= {one: batch.column("id")[one - start].as_py() for one in here}
            start += batch.num_rows
    return [found[one] for one in ordinals]
