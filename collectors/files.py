"""Raw files: which of a folder a source claims, and their bytes, decompressed, hashed and looked at before use."""

import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa

from collectors.catalog import Columns, Files, Format, Source
from collectors.choice import Gen, Lang, Task
from collectors.errors import CatalogError, SourceError
from collectors.globs import matches
from collectors.nodes import Node

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What a packed file begins with."""

HEAD: Final = 65_536
"""Bytes of a file that are looked at before it is read."""

JSON_ARRAY: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[[ \t]*(?:[\r\n]|\[\s*\{)")
"""How a JSON array begins that is laid out over lines, or holds lists of objects; no line of a table does."""


class RawFile(Node):
    """One claimed file with all that its catalog entry says of it."""

    path: Path
    subset: str
    source: str
    lang: Lang
    task: Task
    gen: Gen
    license: str
    format: Format
    encoding: str
    columns: Columns | None
    collector: str | None
    rows: str | None


def claimed(name: str, source: Source, folder: Path) -> tuple[list[RawFile], list[str]]:
    """The files of `folder` that the source's globs name, in the order of their subsets, and the others' subsets.

    Hidden files are neither. Of two globs that name a file the first counts. `SourceError` when the folder is not
    there or nothing is claimed, `CatalogError` when a glob is none.
    """
    if not folder.is_dir():
        raise SourceError(f"{name}: no folder {folder}; put upstream's files there, or name another place with --from")
    for files in source.files:
        if not files.glob or files.glob.startswith("/"):
            raise CatalogError(f"sources.{name}.files: {files.glob!r} is no glob; give one below the source's folder")
    every = _visible(folder)
    named = {subset: next((files for files in source.files if matches(subset, files.glob)), None) for subset in every}
    found = {subset: files for subset, files in named.items() if files is not None}
    if not found:
        globs = ", ".join(files.glob for files in source.files)
        raise SourceError(f"{name}: no file in {folder} matches {globs}")
    mine = [_raw_file(name, source, folder / subset, subset, found[subset]) for subset in sorted(found)]
    return mine, sorted(named.keys() - found.keys())


def raw_file(name: str, source: Source, path: Path, subset: str) -> RawFile | None:
    """The file at `path`, which is `subset` of the source, by the catalog's first glob that names it, else None."""
    files = next((one for one in source.files if matches(subset, one.glob)), None)
    return None if files is None else _raw_file(name, source, path, subset, files)


def _visible(folder: Path) -> list[str]:
    """The files below a folder, by their paths from it; links are followed, but never round in a circle.

    Hidden ones are left out, and those in hidden folders: huggingface_hub keeps its own notes of a download there.
    """
    found: list[str] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)  # paths as text: a folder may hold thousands of files
        folders[:] = [] if real in seen else [one for one in folders if not one.startswith(".")]
        if real not in seen:
            seen.add(real)
            above = place[len(str(folder)) :].strip("/")
            mine = [one for one in names if not one.startswith(".") and os.path.isfile(f"{place}/{one}")]  # noqa: PTH113 (paths as text)
            found += [f"{above}/{one}" if above else one for one in mine]
    return found


def _raw_file(name: str, source: Source, path: Path, subset: str, files: Files) -> RawFile:
    own = files.columns or files.collector
    return RawFile(
        path=path,
        subset=subset,
        source=name,
        lang=files.lang or source.lang,
        task=files.task or source.task,
        gen=files.gen or source.gen,
        license=source.license,
        format=files.format or source.format,
        encoding=files.encoding or source.encoding,
        columns=files.columns if own else source.columns,
        collector=files.collector if own else source.collector,
        rows=files.rows,
    )


class Hashing(io.RawIOBase):
    """A file whose bytes are hashed as they are read, once, from its start to its end."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle = handle
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read and hash up to `len(buffer)` bytes."""
        count = self.handle.readinto(buffer)  # type: ignore[attr-defined]
        self.sha256.update(buffer[:count])
        return cast(int, count)

    def drained(self) -> str:
        """The sha256 of the whole file, read to its end if need be."""
        while block := self.handle.read(1 << 20):
            self.sha256.update(block)
        return self.sha256.hexdigest()


def _unpacked(raw: io.BufferedReader, head: bytes) -> io.BufferedReader | None:
    """The bytes of a file that begins like a gzip or a zstd one, decompressed as they are read; else None."""
    if head.startswith(GZIP):
        return buffered(gzip.GzipFile(fileobj=raw))
    if head.startswith(ZSTD):
        return buffered(_Plain(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")))
    return None


class _Plain(io.RawIOBase):
    """An Arrow stream as a raw Python one."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self.stream.read(len(buffer))
        except OSError as error:  # which the system did not raise
            raise pa.ArrowInvalid(str(error)) from None
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened(file: RawFile, handle: BinaryIO) -> Iterator[tuple[io.BufferedReader, bool]]:
    """The bytes of a claimed file whose raw `handle` is at its start, and whether they had to be decompressed.

    `SourceError` for what cannot be meant: an empty file, a Git LFS pointer, another encoding, a gzip cut short.
    """
    raw = buffered(handle)
    with telling(file):
        unpacked = _unpacked(raw, raw.peek(HEAD)[:HEAD])
        stream = unpacked or raw
        inspect(file, stream.peek(HEAD)[:HEAD])
        yield stream, unpacked is not None


def buffered(raw: object) -> io.BufferedReader:
    """A reader that returns as many bytes as it is asked for, until the end."""
    return io.BufferedReader(cast(io.RawIOBase, raw), buffer_size=HEAD)


@contextmanager
def telling(file: RawFile) -> Iterator[None]:
    """Turn what the system or a decompressor says about a raw file into one `SourceError`."""
    where = f"{file.source}: {file.path}"
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{where}: the gzip is cut short or damaged ({error}); fetch it again") from None
    except pa.ArrowException as error:
        raise SourceError(f"{where}: the zstd file is cut short or damaged ({error}); fetch it again") from None


def inspect(file: RawFile, head: bytes) -> None:
    """Refuse a file whose first bytes show that it is not what its catalog entry says."""
    where = f"{file.source}: {file.path}"
    if not head.strip():
        raise SourceError(f"{where}: is empty; fetch it again, or remove it")
    if head.startswith(b"version https://git-lfs"):
        raise SourceError(f"{where}: is a Git LFS pointer, not the data; run git lfs pull, or fetch the file itself")
    if file.format == "tsv" and JSON_ARRAY.match(head):
        raise SourceError(f"{where}: is one JSON array, not lines; write each of its elements on a line of its own")
    binary = file.format == "parquet" or file.path.name.endswith((".zip", ".tar", ".tar.gz", ".tgz"))
    if not binary and (other := _other_encoding(head, file.encoding)):
        raise SourceError(f"{where}: is {other}, but the catalog says {file.encoding}; convert it, or mend the catalog")


def _other_encoding(head: bytes, declared: str) -> str | None:
    """What a file beginning with `head` is encoded in, when that is clearly not the declared encoding."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        return "UTF-16 or UTF-32"
    text = head.decode("utf-8", errors="replace")
    # The last character may be cut by the end of `head`.
    broken = text[:-1].count("\N{REPLACEMENT CHARACTER}")
    if declared == "utf-8":
        return "no UTF-8 (GB18030?)" if broken >= 8 and 2 * broken > sum(map("\x7f".__lt__, text)) else None
    return "UTF-8" if not broken and not text.isascii() else None
