"""Parquet and Arrow files: their batches go on as they are where the types are the declared ones, else as JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa

from collectors.blocks import BYTES, ROWS, Block, Broken
from collectors.rows import Rows, Schema, json_lines, numbered


def table_blocks(path: Path, schema: Schema, broken: Broken, limit: int | None) -> Iterator[Block]:
    """Blocks of the rows of a Parquet or Arrow file, with the columns that are declared and there."""
    first = 0
    try:
        for batch in _batches(path, list(schema), broken):
            rows = max(1, min(ROWS, ROWS * BYTES // max(1, 4 * batch.nbytes)))
            for start in range(0, batch.num_rows, rows):
                piece = batch.slice(start, min(rows, batch.num_rows - start))
                if limit is not None:
                    piece = piece.slice(0, limit - first)
                if not piece.num_rows:
                    return
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, piece.schema) as writer:
                    writer.write_batch(piece)
                data = sink.getvalue().to_pybytes()
                yield Block(offset=0, length=len(data), first=first, rows=piece.num_rows, data=data)
                first += piece.num_rows
    except (pa.ArrowException, OSError) as error:
        raise broken(f"is no sound Parquet or Arrow file ({str(error).splitlines()[0]}); fetch it again") from None


def _batches(path: Path, names: list[str], broken: Broken) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as handle:
        head = handle.read(6)
    if head[:4] == b"PAR1":
        import pyarrow.parquet as pq  # dear to load where no file is one

        with pq.ParquetFile(path) as file:
            there = _there(file.schema_arrow, names, broken)
            yield from file.iter_batches(batch_size=8192, columns=there, use_threads=False)
        return
    with pa.memory_map(str(path)) as source:
        if head == b"ARROW1":
            reader = pa.ipc.open_file(source)
            there = _there(reader.schema, names, broken)
            yield from (reader.get_batch(index).select(there) for index in range(reader.num_record_batches))
        else:
            stream = pa.ipc.open_stream(source)
            there = _there(stream.schema, names, broken)
            yield from (batch.select(there) for batch in stream)


def _there(schema: pa.Schema, names: list[str], broken: Broken) -> list[str]:
    """The declared columns that a file has; none at all is a mistake."""
    there = [name for name in names if name in schema.names]
    if not there:
        raise broken(f"has none of the columns {', '.join(names)}; its columns are {', '.join(schema.names)}")
    return there


def table_rows(data: bytes, block: Block, schema: Schema) -> Rows:
    """A block of such rows. Columns that are not text, but declared so, go the way of JSON, which knows what to do."""
    frame = cast(pl.DataFrame, pl.from_arrow(pa.ipc.open_stream(data).read_all()))
    if any(dtype != pl.String or frame.schema.get(name, pl.String) != pl.String for name, dtype in schema.items()):
        return json_lines(frame.write_ndjson().encode(), block, schema)
    given = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in schema if name not in frame.columns)
    return Rows(
        frame=numbered(given.select(list(schema)), block.first),
        bad=[],
        texts=_Texts(frame),
        first=block.first,
        count=frame.height,
    )


class _Texts(Sequence[bytes]):
    """The rows of a frame as JSON texts, made when they are asked for."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __getitem__(self, index: Any) -> Any:
        return json.dumps(self.frame.row(index, named=True), ensure_ascii=False, default=str).encode()

    def __len__(self) -> int:
        return self.frame.height
