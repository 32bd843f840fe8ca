"""Arrow IPC files: how a table becomes a shard, and how shards are read back without copying them."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from pipeline.folder import placing

OPTIONS: Final = pa.ipc.IpcWriteOptions(compression=pa.Codec("lz4"), use_threads=False)
"""Shards are read far more often than written, and lz4 is read several times as fast as zstd, at twice the size."""

ROWS: Final = 65_536
"""Rows of a shard at most; boundaries follow from the rows alone."""


def write(path: Path, table: pa.Table) -> None:
    """Write a table as one record batch of an IPC file, which goes to the disk while other pieces are worked on.

    The file appears whole, and may be written again: a piece of work is, when its worker was lost. It is on the disk
    for certain when `folder.building` has ended, which waits for that.
    """
    batch = table.combine_chunks().to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)
    with placing(path) as aside, aside.open("wb") as handle:
        with pa.ipc.new_file(handle, table.schema, options=OPTIONS) as writer:
            writer.write_batch(batch)
        handle.flush()
        if hasattr(os, "posix_fadvise"):
            # Has the disk begin, and waits for nothing; an error stays for `building` to find.
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def paths(folder: Path, pattern: str = "*.arrow") -> list[Path]:
    """The shards of a folder in their order."""
    return sorted(folder.glob(pattern))


def scan(folder: Path, pattern: str = "*.arrow") -> pl.LazyFrame:
    """All shards of a folder as one lazy frame; `ArtefactError` when there is none."""
    found = paths(folder, pattern)
    if not found:
        raise ArtefactError(f"{folder}: holds no shards")
    return pl.scan_ipc(found)


def batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of one shard, read when asked for."""
    with pa.memory_map(str(path)) as source:
        options = None
        if columns is not None:
            names = pa.ipc.open_file(source).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns])
        reader = pa.ipc.open_file(source, options=options)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
