"""The piece of work of collect: one block of one raw file becomes one shard of records and its share of the books."""

import codecs
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec
import polars as pl
import pyarrow as pa

from collectors import delimited, rows
from collectors.blocks import Block
from collectors.contract import Finished, counts, finished
from collectors.errors import SourceError
from collectors.files import RawFile
from collectors.objects import joined
from collectors.record import CONSTANT, SCHEMA
from collectors.rows import Rows
from collectors.shape import Shape
from collectors.shapes import shape
from collectors.tables import table_rows
from pipeline import shards
from pipeline.cutter import Piece, blocks_of
from templates.tasks import instructed

SHOWN = 500
"""Bytes of a rejected row that `rejects.jsonl` shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What one piece gave: `rows` are raw rows by file, `rejects` finished lines of `rejects.jsonl`.

    `digests` has the sha256 of the files that were cut here.
    """

    rows: dict[str, int]
    rows_with_records: int
    records: int
    rejected: dict[str, int]
    dropped_parts: dict[str, int]
    dropped_turns: dict[str, int]
    rejects: bytes
    digests: dict[str, str] = field(default_factory=dict)


def build(piece: Piece) -> Built:
    """Read, collect and finish the blocks of a piece, and write their shard, if there is a record."""
    digests: dict[str, str] = {}
    found = [
        (file, block)
        for file in piece.files
        for block in blocks_of(file, piece.known.get(file.subset), piece.limit, digests)
    ]
    gave = [_built(list(run)) for _, run in groupby(piece.blocks or found, key=_together)]
    tables = [table for table, _ in gave if table is not None]
    if tables:
        shards.write(piece.shard, pa.concat_tables(tables).unify_dictionaries())
    books = [one for _, one in gave]
    rows = Counter[str]()
    for one in books:
        rows.update(one.rows)
    return Built(
        rows=dict(rows),
        rows_with_records=sum(one.rows_with_records for one in books),
        records=sum(one.records for one in books),
        rejected=_summed(one.rejected for one in books),
        dropped_parts=_summed(one.dropped_parts for one in books),
        dropped_turns=_summed(one.dropped_turns for one in books),
        rejects=b"".join(one.rejects for one in books),
        digests=digests,
    )


def _together(placed: tuple[RawFile, Block]) -> tuple[object, ...]:
    """What neighbouring blocks must share to be read as one: a frame for each of thousands of small files is dear.

    They are files of a single row each that differ in their paths alone; any other block stands by itself, and so does
    a file that is collected as a whole.
    """
    file, block = placed
    single = block.data is not None and block.rows == 1 and block.array
    if not single or block.member or block.enclosing or shape(file).whole:
        return (file.subset, block.member, block.first)
    return (file.columns, file.collector, file.encoding, *(getattr(file, name) for name in TAGS))


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter[str]()))


def _built(run: list[tuple[RawFile, Block]]) -> tuple[pa.Table | None, Built]:
    """The records of one block, or of several that are read together, None without any, and the books."""
    (file, block), form = run[0], shape(run[0][0])
    read = _read(file, block if len(run) == 1 else _merged([one for _, one in run]), form)
    if read.cut is not None:
        raise SourceError(
            f"{file.source}: {file.path}: ends in the middle of row {read.cut}; the file is cut short, fetch it again"
        )
    subsets = [one.subset if part.member is None else f"{one.subset}/{part.member}" for one, part in run]
    subset = pl.lit(subsets[0]) if len(run) == 1 else pl.lit(pl.Series(subsets)).gather(pl.col("row"))
    native = read.frame.lazy().with_columns(subset=subset)
    done = finished(instructed(form.collect(native).collect()).lazy())
    rejected = _rejected(read, done)
    places = ((subsets[0], read.first + index) if len(run) == 1 else (subsets[index], 0) for index, _ in rejected)
    lines = (
        _reject_line(file.encoding, *place, read.texts[index], reason)
        for place, (index, reason) in zip(places, rejected, strict=True)
    )
    books = Built(
        rows={file.subset: read.count} if len(run) == 1 else {one.subset: 1 for one, _ in run},
        rows_with_records=done.records["row"].n_unique(),
        records=done.records.height,
        rejected=counts(pl.Series([reason for _, reason in rejected], dtype=pl.String)),
        dropped_parts=done.dropped_parts,
        dropped_turns=done.dropped_turns,
        rejects=b"".join(lines),
    )
    if not done.records.height:
        return None, books
    records = done.records
    if len(run) > 1:
        records = records.with_columns(subset=subset, row=pl.lit(0, pl.UInt64))
    return record_table(records, file, subsets[0]), books


def _merged(found: list[Block]) -> Block:
    """Blocks of one row each as one, in which the row of the i-th is row i."""
    texts = [(one.data or b"")[slice(*one.spans[0]) if one.spans else slice(None)] for one in found]
    return joined(texts, 0)


def _read(file: RawFile, block: Block, form: Shape) -> Rows:
    data = block.data if block.data is not None else _bytes(file, block)
    if file.format == "parquet":
        return table_rows(data, block, form.schema)
    if file.format == "csv":
        return delimited.csv_rows(data, block, form.schema, file.encoding)
    if file.format == "tsv":
        return delimited.tsv_lines(data, block, form.schema)
    if file.format == "text":
        assert form.pattern is not None  # `cut` has seen to it
        return delimited.text_matches(data, form.pattern)
    if not block.array:
        return rows.json_lines(data, block, form.schema)
    read = rows.json_elements(data, block, form.schema)
    return rows.enclosed(read, block, form.file) if form.file else read


def _bytes(file: RawFile, block: Block) -> bytes:
    """A block's bytes, read from its file."""
    with file.path.open("rb", buffering=0) as handle:
        data = os.pread(handle.fileno(), block.length, block.offset)
    if len(data) != block.length:
        raise SourceError(f"{file.source}: {file.path}: changed while it was read; start again")
    return data


def record_table(records: pl.DataFrame, file: RawFile, subset: str) -> pa.Table:
    """Finished records as a table of exactly `record.SCHEMA`; source, subset and tags come from the file.

    A row's own subset and tags, where `records` has such columns, go before those of its file.
    """
    own = {name: getattr(file, name) for name in CONSTANT} | {"subset": subset}
    varying = [name for name in ("subset", *TAGS) if name in records.columns]
    filled = [pl.col(name).cast(pl.String).fill_null(own[name]) for name in varying]
    given = [name for name in SCHEMA.names if name not in CONSTANT or name in varying]
    table = records.with_columns(filled).select(given).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    first = pa.Array.from_buffers(pa.int32(), len(records), [None, pa.py_buffer(bytes(4 * len(records)))])
    columns = [
        table[name].cast(pa.large_string()).combine_chunks().dictionary_encode()
        if name in CONSTANT and name in given
        else pa.DictionaryArray.from_arrays(first, pa.array([own[name]], pa.large_string()))
        if name in CONSTANT
        else table[name].cast(SCHEMA.field(name).type)
        for name in SCHEMA.names
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


TAGS = ("lang", "task", "gen", "license")
"""What a collector may say of a row, where rows of one file differ."""


def _rejected(read: Rows, done: Finished) -> list[tuple[int, str]]:
    """(index in the block, reason) of every rejected row, in the file's order."""
    return sorted([*read.bad, *((row - read.first, reason) for row, reason in done.rejects.iter_rows())])


def _reject_line(encoding: str, subset: str, row: int, text: Any, reason: str) -> bytes:
    r"""A line of `rejects.jsonl`; bytes that are no text are shown as `\xNN`, and no character is shown by half."""
    raw = bytes(text)
    if len(raw) <= SHOWN:
        shown = raw.decode(encoding, "backslashreplace")
    else:
        shown = codecs.getincrementaldecoder(encoding)("backslashreplace").decode(raw[:SHOWN])
    return _LINE.encode({"file": subset, "row": row, "reason": reason, "bytes": shown}) + b"\n"


_LINE: Final = msgspec.json.Encoder()
