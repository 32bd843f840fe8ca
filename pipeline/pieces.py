"""The piece of work of collect: one block of one raw file becomes one shard of records and its share of the books."""

import codecs
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa

from collectors import blocks, rows
from collectors.blocks import Block
from collectors.contract import Finished, counts, finished
from collectors.errors import SourceError
from collectors.files import Hashing, RawFile, opened
from collectors.record import CONSTANT, SCHEMA
from collectors.rows import Rows
from collectors.shape import Shape
from collectors.shapes import shape
from pipeline import shards

SHOWN = 500
"""Bytes of a rejected row that `rejects.jsonl` shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One block of one file, and where its shard goes."""

    file: RawFile
    block: Block
    shard: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What one piece gave; `rejects` are finished lines of `rejects.jsonl`."""

    subset: str
    raw_rows: int
    rows_with_records: int
    records: int
    rejected: dict[str, int]
    dropped_parts: dict[str, int]
    dropped_turns: dict[str, int]
    rejects: bytes


@dataclass(kw_only=True, slots=True)
class Cutter:
    """Cuts files into pieces; each file is read once, to be cut and, unless `known` has its sha256, hashed.

    Once the pieces of a file are drawn, `digests` has its sha256 by subset.
    """

    part: Path
    known: dict[str, str]
    digests: dict[str, str]
    limit: int | None = None

    def pieces(self, files: list[RawFile]) -> Iterator[Piece]:
        """The pieces of all files, in order. `SourceError` for what is no file of its kind."""
        number = 0
        for file in files:
            for block in self._blocks(file):
                yield Piece(file=file, block=block, shard=self.part / f"{number:05d}.arrow")
                number += 1

    def _blocks(self, file: RawFile) -> Iterator[Block]:
        try:
            handle = file.path.open("rb", buffering=0)
        except OSError as error:
            raise SourceError(f"{file.source}: {file.path}: cannot be read: {error.strerror}") from None
        with handle:
            known = self.known.get(file.subset)
            hashing = None if known else Hashing(cast(BinaryIO, handle))
            with opened(file, cast(BinaryIO, hashing or handle)) as (stream, packed):
                yield from cut(file, stream, packed, self.limit)
            self.digests[file.subset] = known if hashing is None else hashing.drained()  # type: ignore[assignment]


def cut(file: RawFile, stream: io.BufferedReader, packed: bool, limit: int | None) -> Iterator[Block]:
    """The blocks of one file; a packed file's carry their bytes, others' are read again by whoever builds them."""
    if file.format == "csv":
        return _headed(file, blocks.csv_blocks(stream, file.encoding, packed, limit))
    head = stream.peek(blocks.CHUNK).removeprefix(blocks.BOM).lstrip()
    if file.format == "json" and head.startswith(b"["):

        def broken(text: str) -> SourceError:
            return SourceError(f"{file.source}: {file.path}: {text}")

        return blocks.array_blocks(stream, broken, packed, limit)
    return blocks.line_blocks(stream, packed, limit)


def _headed(file: RawFile, found: Iterator[Block]) -> Iterator[Block]:
    """Blocks of a CSV whose header names every column that is read."""
    for block in found:
        lacking = [name for name in shape(file).schema if name not in block.header]
        if lacking:
            raise SourceError(
                f"{file.source}: {file.path}: has no column {', '.join(lacking)}; its columns are "
                f"{', '.join(block.header)}"
            )
        yield block


def build(piece: Piece) -> Built:
    """Read, collect and finish one block, and write its shard, if it has a record."""
    file, form = piece.file, shape(piece.file)
    read = _read(piece, form)
    if read.cut is not None:
        raise SourceError(
            f"{file.source}: {file.path}: ends in the middle of row {read.cut}; the file is cut short, fetch it again"
        )
    done = finished(form.collect(read.frame.lazy()))
    if done.records.height:
        shards.write(piece.shard, record_table(done.records, file))
    rejected = _rejected(read, done)
    return Built(
        subset=file.subset,
        raw_rows=read.count,
        rows_with_records=done.records["row"].n_unique(),
        records=done.records.height,
        rejected=counts(pl.Series([reason for _, reason in rejected], dtype=pl.String)),
        dropped_parts=done.dropped_parts,
        dropped_turns=done.dropped_turns,
        rejects=b"".join(_reject_line(file, read, index, reason) for index, reason in rejected),
    )


def _read(piece: Piece, form: Shape) -> Rows:
    file, block = piece.file, piece.block
    data = block.data if block.data is not None else _bytes(file, block)
    if file.format == "csv":
        return rows.csv_rows(data, block, form.schema, file.encoding)
    if file.format == "tsv":
        return rows.tsv_lines(data, block, form.schema)
    if block.array:
        return rows.json_elements(data, block, form.schema)
    return rows.json_lines(data, block, form.schema)


def _bytes(file: RawFile, block: Block) -> bytes:
    """A block's bytes, read from its file."""
    with file.path.open("rb", buffering=0) as handle:
        data = os.pread(handle.fileno(), block.length, block.offset)
    if len(data) != block.length:
        raise SourceError(f"{file.source}: {file.path}: changed while it was read; start again")
    return data


def record_table(records: pl.DataFrame, file: RawFile) -> pa.Table:
    """Finished records as a table of exactly `record.SCHEMA`; source, subset and tags come from the file."""
    given = records.select(name for name in SCHEMA.names if name not in CONSTANT).rechunk()
    table = given.to_arrow(compat_level=pl.CompatLevel.oldest())
    first = pa.Array.from_buffers(pa.int32(), len(records), [None, pa.py_buffer(bytes(4 * len(records)))])
    columns = [
        pa.DictionaryArray.from_arrays(first, pa.array([getattr(file, name)], pa.large_string()))
        if name in CONSTANT
        else table[name].cast(SCHEMA.field(name).type)
        for name in SCHEMA.names
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _rejected(read: Rows, done: Finished) -> list[tuple[int, str]]:
    """(index in the block, reason) of every rejected row, in the file's order."""
    return sorted([*read.bad, *((row - read.first, reason) for row, reason in done.rejects.iter_rows())])


def _reject_line(file: RawFile, read: Rows, index: int, reason: str) -> bytes:
    r"""A line of `rejects.jsonl`; bytes that are no text are shown as `\xNN`, and no character is shown by half."""
    raw = bytes(read.texts[index])
    decoder = codecs.getincrementaldecoder(file.encoding)("backslashreplace")
    text = decoder.decode(raw[:SHOWN], final=len(raw) <= SHOWN)
    line = {"file": file.subset, "row": read.first + index, "reason": reason, "bytes": text}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"
