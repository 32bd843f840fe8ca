"""A mixture encoded in pieces: stretches of its rows, each encoded by itself and kept in a file of its own.

A piece's file appears whole or not at all and says in its schema what it was made for and what came of its rows, so a
build that was cut goes on from the pieces that are there. Which rows make a piece follows from the mixture alone, never
from who works on them.
"""

import functools
import gc
import json
import os
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.folder import placing
from train.encoding.coded import Flags, Ids
from train.encoding.encode import IGNORED, Encoder, conversation
from train.mixture import Stretch, read

ROWS: Final = 4096
"""Rows of a piece at most."""

ENCODER: Final = "encoder.pickle"
LEDGER: Final = b"ledger"
COUNTERS: Final = ("dropped", "noted", "dropped_turns")
SCHEMA: Final = pa.schema([("ids", pa.list_(pa.int32())), ("mask", pa.list_(pa.uint8())), ("row", pa.int64())])


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece to encode: the rows of a stretch, to the file `path`; `mark` says for which tokens folder."""

    stretch: Stretch
    path: Path
    mark: str


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An encoded piece, mapped into memory: ids and mask of its sequences, end to end, their `lengths` and `rows`.

    `ledger` holds `rows` (that came in), `kept` (rows there are sequences of) and the counters of `Encoded`.
    """

    ids: Ids
    mask: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    ledger: dict[str, Any]


def encode(encoder: Encoder, work: Work) -> None:
    """Encode the rows of a piece and write its file."""
    batches: list[pa.RecordBatch] = []
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTERS}
    first, kept = work.stretch.first, 0
    with _without_collections():
        for rows in read(work.stretch):
            encoded = encoder.encode([conversation(row, encoder.prompt) for row in rows])
            batches.append(_batch(encoded.ids, encoded.labels != IGNORED, encoded.lengths, encoded.rows + first))
            for name, counter in counts.items():
                counter += getattr(encoded, name)
            first += len(rows)
            kept += encoded.kept
    count = first - work.stretch.first
    if count != work.stretch.stop - work.stretch.start or count != kept + counts["dropped"].total():
        raise AssertionError(f"{work.path.name}: {count} rows in, {kept} kept and {counts['dropped'].total()} dropped")
    ledger = {"mark": work.mark, "rows": count, "kept": kept, **{name: dict(counts[name]) for name in COUNTERS}}
    schema = SCHEMA.with_metadata({LEDGER: json.dumps(ledger, sort_keys=True).encode()})
    with placing(work.path) as aside, aside.open("wb") as handle:
        with pa.ipc.new_file(handle, schema) as writer:
            writer.write_table(
                pa.Table.from_batches(batches, SCHEMA).combine_chunks().replace_schema_metadata(schema.metadata)
            )
        handle.flush()
        os.fsync(handle.fileno())


def encode_apart(encoder: Path, work: Work) -> None:
    """As `encode`, in a worker process, with the encoder that was put into a file."""
    # One thread each: there are as many processes as cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    encode(_loaded(encoder, work.mark), work)


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, mark: str) -> Encoder:
    encoder: Encoder = pickle.loads(path.read_bytes())  # written by this program, for this mark, moments ago
    return encoder


def whole(work: Work) -> bool:
    """Whether the file of a piece is there, whole and made for this."""
    try:
        ledger = opened(work.path).ledger
    except (OSError, pa.ArrowInvalid, ValueError, KeyError):
        return False
    return bool(ledger["mark"] == work.mark and ledger["rows"] == work.stretch.stop - work.stretch.start)


def opened(path: Path) -> Piece:
    """The piece of a file."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        ledger = json.loads(reader.schema.metadata[LEDGER])
        if not reader.num_record_batches:
            empty = np.empty(0, np.int64)
            return Piece(
                ids=empty.astype(np.int32), mask=empty.astype(np.uint8), lengths=empty, rows=empty, ledger=ledger
            )
        batch = reader.get_batch(0)
    ids, mask, rows = batch.columns
    return Piece(
        ids=ids.values.to_numpy(),
        mask=mask.values.to_numpy(),
        lengths=np.diff(ids.offsets.to_numpy()).astype(np.int64),
        rows=rows.to_numpy(),
        ledger=ledger,
    )


def _batch(ids: Ids, mask: Flags, lengths: NDArray[np.int64], rows: NDArray[np.int64]) -> pa.RecordBatch:
    edges = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    lists = [pa.ListArray.from_arrays(edges, pa.array(values)) for values in (ids, mask.view(np.uint8))]
    return pa.record_batch([*lists, pa.array(rows)], schema=SCHEMA)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Rows are many small objects without cycles: looking for cycles among them takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
