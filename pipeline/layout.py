"""The columns that a mixture's rows are published in: all that `mix` gave them, or those of a format of `export`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from pipeline import shards
from pipeline.formats import ROW, Format, shape

AT_ONCE: Final = 8_192
"""Rows that are turned into a format at a time."""

_READ: Final = ["id", "source", "license", "messages", "template", "instruction", "input", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The schema of the rows that are published, and what reads those of a mixture's shard as such, in their order."""

    schema: pa.Schema
    read: Callable[[Path], Iterator[pa.RecordBatch]]


def layout(paths: Sequence[Path], form: Format | None) -> Layout:
    """How the rows in the shards of a mixture are laid out, in a format or, without one, as they are."""
    if form is None:
        return Layout(schema=plain(paths[0]), read=shards.batches)
    columns = shape(form, (rows for path in paths for rows in asked(path)))
    schema = _arrow(pl.DataFrame(schema=dict(ROW)).select(**columns)).schema

    def read(path: Path) -> Iterator[pa.RecordBatch]:
        for rows in asked(path):
            yield from _arrow(rows.select(**columns)).cast(schema).combine_chunks().to_batches()

    return Layout(schema=schema, read=read)


def asked(path: Path) -> Iterator[pl.DataFrame]:
    """What formats ask of a mixture's rows, read from a shard; a request that a template worded has no input apart."""
    worded = pl.col("template").cast(pl.String) != "plain"
    request = pl.col("messages").list.get(-2).struct.field("content")
    for batch in shards.batches(path, _READ):
        for rows in pl.DataFrame(pa.Table.from_batches([batch])).iter_slices(AT_ONCE):
            yield rows.with_columns(
                instruction=pl.when(worded).then(request).otherwise("instruction"),
                input=pl.when(worded).then(pl.lit("")).otherwise("input"),
                rationale=pl.lit(False),
                rejected=pl.col("rejected").is_not_null(),
            ).select(pl.col(name).cast(dtype) for name, dtype in ROW.items())


def plain(path: Path) -> pa.Schema:
    """The schema of a mixture's shard with dictionaries spelled out.

    Parquet encodes repetition by itself, and every reader takes it so.
    """
    with pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
    return pa.schema(
        [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def _arrow(rows: pl.DataFrame) -> pa.Table:
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())
