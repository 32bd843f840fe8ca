"""Rows as Parquet shards of even size, whatever the size of the rows, with one row group of each in memory at a time.

A shard is closed by the row group that brings it to its size. What is left at the end makes a shard of its own when it
is large enough for one; else the last shard is written again, with it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.layout import Layout

SHARD_BYTES: Final = 260_000_000
"""A shard is closed by the first row group that brings it to this many bytes. With the shares below, every shard has
200 to 500 MB, but for one that is all there is, and for single rows that are larger than a row group."""

LEAST: Final = 200 / 260
"""The share of `SHARD_BYTES` from which the rows left at the end make a shard of their own."""

GROUP: Final = 1 / 8
"""The share of `SHARD_BYTES` at which a row group is closed, by its bytes in memory."""

GROUP_ROWS: Final = 16_384
"""Rows of a row group, at most."""

REPEATING: Final = ("lang", "task", "gen", "language", "license", "template", "source", "subset")
"""Columns with few values: only these are dictionary-encoded, for a dictionary of texts costs and saves nothing."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard that is written: its rows, its bytes and their sha256."""

    rows: int
    bytes: int
    sha256: str


class Sink:
    """Takes the bytes of a file as they are written: hashes and counts them, and passes them on if there is a file."""

    closed = False

    def __init__(self, path: Path | None = None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("wb")
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Take the next bytes; how many they were."""
        self._sha256.update(data)
        if self._file is not None:
            self._file.write(data)
        self._bytes += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        """The bytes taken so far."""
        return self._bytes

    def flush(self) -> None:
        """The system writes when it likes; `end` waits for it."""

    def end(self) -> dict[str, Any]:
        """Have the file on the disk; its size and sha256."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.drop()
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}

    def drop(self) -> None:
        """Close the file, whole or not."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, order=True)
class _Place:
    """Where a row group begins: the ordinal of its file, and its own in that file."""

    file: int = 0
    group: int = 0


_Groups = Iterator[tuple[_Place, pa.Table]]


def write(
    paths: list[Path], rows: Layout, at: Callable[[int], Path | None], shard_bytes: int = SHARD_BYTES
) -> list[Shard]:
    """Write the rows of Arrow files as Parquet shards, the n-th to the path `at(n)`, or nowhere when that is None.

    The shards as they are, or would be. Which rows go together follows from the rows alone, as they are laid out.
    """
    written: list[Shard] = []
    begun: list[_Place] = []
    groups = _groups(paths, rows, _Place(), shard_bytes * GROUP)
    following = next(groups, None)
    while following is not None:
        begun.append(following[0])
        shard, following = _write(following, groups, rows.schema, at(len(written)), shard_bytes)
        written.append(shard)
    if len(written) > 1 and written[-1].bytes < LEAST * shard_bytes:
        if (lone := at(len(written) - 1)) is not None:
            lone.unlink()
        groups = _groups(paths, rows, begun[-2], shard_bytes * GROUP)
        first = next(groups)
        written[-2:] = [_write(first, groups, rows.schema, at(len(written) - 2), None)[0]]
    return written


def _write(
    first: tuple[_Place, pa.Table],
    groups: _Groups,
    schema: pa.Schema,
    path: Path | None,
    shard_bytes: int | None,
) -> tuple[Shard, tuple[_Place, pa.Table] | None]:
    """Write row groups to one shard until it has its bytes (None: all of them); the first group that is left."""
    sink, rows = Sink(path), 0
    following: tuple[_Place, pa.Table] | None = first
    try:
        # Without the Arrow schema in the footer, every reader sees plain strings, whatever their width here.
        with pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[name for name in schema.names if name in REPEATING],
            store_schema=False,
        ) as writer:
            while following is not None and (not rows or shard_bytes is None or sink.tell() < shard_bytes):
                group = following[1]
                writer.write_table(group, row_group_size=max(1, group.num_rows))
                rows += group.num_rows
                following = next(groups, None)
        return Shard(rows=rows, **sink.end()), following
    finally:
        sink.drop()


def _groups(paths: list[Path], layout: Layout, start: _Place, most: float) -> _Groups:
    """The rows of Arrow files from a place on, as tables of at most `GROUP_ROWS` rows and `most` bytes, or one row."""
    for number, path in enumerate(paths):
        if number < start.file:
            continue
        tables = (piece for batch in layout.read(path) for piece in _cut(batch, most))
        for ordinal, rows in enumerate(tables):
            if (place := _Place(number, ordinal)) >= start:
                yield place, pa.Table.from_batches([rows]).cast(layout.schema)


def _cut(rows: pa.RecordBatch, most: float) -> Iterator[pa.RecordBatch]:
    """A batch in halves of halves, until each piece is small enough; long rows may stand side by side."""
    count = rows.num_rows
    if count > 1 and (count > GROUP_ROWS or rows.nbytes > most):
        yield from _cut(rows.slice(0, count // 2), most)
        yield from _cut(rows.slice(count // 2), most)
    elif count:
        yield rows
