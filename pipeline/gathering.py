"""The shards of a mixture, gathered from the fragments that `wording` wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from collectors.record import CONSTANT
from pipeline import shards
from pipeline.arrays import arrow, numpy
from pipeline.wording import FRAGMENT, MESSAGE, MIX_SCHEMA, Batch

Places = npt.NDArray[np.int64]

_TAKEN: Final = tuple(name for name in MIX_SCHEMA.names if name != "messages" and name not in CONSTANT)
"""Columns that a fragment has as they are to be."""


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """A shard of the mixture to write: its number, the batches that are its rows, and how many these are."""

    path: Path
    number: int
    batches: tuple[Batch, ...]
    rows: int


def gather(job: Gathering) -> str:
    """Write a shard of the mixture; the sha256 of the file."""
    # One after the other, so that of what the fragments hold only as much as that needs is in memory at a time.
    columns = _messages(job) | _others(job)
    table = pa.Table.from_arrays([columns[name] for name in MIX_SCHEMA.names], schema=MIX_SCHEMA)
    shards.write(job.path, table)
    return shards.digest(job.path)


def _messages(job: Gathering) -> dict[str, pa.Array]:
    """What is said in the rows of a shard."""
    table = pa.Table.from_batches(read(job.batches), FRAGMENT)
    order, said = _order(job, table), _said(table)
    del table
    return {"messages": said.ordered(order)}


def _others(job: Gathering) -> dict[str, pa.Array]:
    """All other columns of a shard."""
    batches = read(job.batches)
    table = pa.Table.from_batches(batches, FRAGMENT)
    order = _order(job, table)
    places = arrow(order)
    columns = {name: table[name].take(places).combine_chunks() for name in _TAKEN}
    rows = [len(batch) for batch in batches]
    for name in CONSTANT:
        values = [batch.values[name] for batch in job.batches]
        columns[name] = _valued(values, rows, numpy(table[name]), order)
    return columns


def _order(job: Gathering, table: pa.Table) -> Places:
    """Which row of its batches each row of a shard is."""
    position = numpy(table["position"]) - np.uint32(job.number * shards.ROWS)
    order = np.full(job.rows, -1)
    if (position < job.rows).all():
        order[position] = np.arange(len(position))
    if len(position) != job.rows or order.min() < 0:
        raise AssertionError(f"{job.path}: its {job.rows:,} rows do not follow on one another")
    return order


def read(batches: Sequence[Batch]) -> list[pa.RecordBatch]:
    """Batches of fragments, whose files are mapped into memory as long as these are held."""
    found = []
    for batch in batches:
        with pa.memory_map(str(batch.path)) as file:
            if file.size() < batch.end:
                raise AssertionError(f"{batch.path}: is shorter than it was written")
            file.seek(batch.begin)
            found.append(pa.ipc.read_record_batch(file.read_buffer(batch.end - batch.begin), FRAGMENT))
    return found


def _valued(
    values: Sequence[Sequence[str]], rows: Sequence[int], numbers: npt.NDArray[np.int32], order: Places
) -> pa.DictionaryArray:
    """A column that stores its values once, in the order of the rows they first occur in.

    `numbers` are those of the values of each row's batch, whose `values` and `rows` these are.
    """
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(value, len(known)) for its in values for value in its])
    firsts = np.cumsum([0, *map(len, values)])[:-1]
    code = codes[numbers + np.repeat(firsts, rows)][order]
    shown = np.full(len(known), len(code))
    shown[code[::-1]] = np.arange(len(code))[::-1]
    used = np.argsort(shown)[: np.count_nonzero(shown < len(code))]
    place = np.zeros(len(known), np.int32)
    place[used] = np.arange(len(used))
    return pa.DictionaryArray.from_arrays(arrow(place[code]), arrow(list(known)).take(arrow(used)))


def messages(table: pa.Table) -> pa.Array:
    """The messages of each row, of its `system`, `history`, `prompt` and `target`."""
    return _said(table).ordered(np.arange(len(table)))


class _Said(NamedTuple):
    """What is said in some rows: system prompts, both sides of all turns, requests and answers, one behind the other.

    `known` says which rows have a system prompt, `exchanges` how many turns they have.
    """

    texts: pa.Array
    known: npt.NDArray[np.bool_]
    exchanges: Places

    def ordered(self, order: Places) -> pa.Array:
        """The messages of the rows in this order."""
        rows, turns = len(order), int(self.exchanges.sum())
        place, ends = _places(self.known, self.exchanges, order)
        taken, speaker = np.empty(len(place), np.int64), np.empty(len(place), np.int8)
        taken[place] = np.arange(len(place))
        speaker[place] = np.repeat([0, 1, 2, 1, 2], [self.known.sum(), turns, turns, rows, rows])
        roles = arrow(["system", "user", "assistant"]).take(arrow(speaker))
        content = self.texts.take(arrow(taken))
        told = pa.StructArray.from_arrays([roles, content], fields=list(MESSAGE))
        return pa.ListArray.from_arrays(arrow(ends.astype(np.int32)), told)


def _said(table: pa.Table) -> _Said:
    """What is said in the rows of a fragment."""
    system, history = (pa.concat_arrays(table[name].chunks) for name in ("system", "history"))
    turns = history.flatten()
    sides = [turns.field("user"), turns.field("assistant")]
    return _Said(
        texts=pa.concat_arrays([system.drop_null(), *sides, *table["prompt"].chunks, *table["target"].chunks]),
        known=numpy(system.is_valid()),
        exchanges=numpy(history.value_lengths()).astype(np.int64),
    )


def _places(known: npt.NDArray[np.bool_], exchanges: Places, order: Places) -> tuple[Places, Places]:
    """Where each text of `_Said` goes, and where the messages of each row end, behind a 0; rows stand in this order."""
    counts = known + 2 * exchanges + 2
    ends = np.concatenate([[0], np.cumsum(counts[order])])
    start = np.empty(len(order), np.int64)
    start[order] = ends[:-1]
    before = np.cumsum(exchanges) - exchanges
    asked = np.repeat(start + known - 2 * before, exchanges) + 2 * np.arange(exchanges.sum())
    last = start + counts
    return np.concatenate([start[known], asked, asked + 1, last - 2, last - 1]), ends
