"""From the bytes of one raw file to its blocks, whatever its container."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, cast

from collectors import archives, blocks, objects
from collectors.blocks import BOM, Block, Broken
from collectors.delimited import csv_blocks
from collectors.errors import SourceError
from collectors.files import RawFile, buffered
from collectors.shape import Shape
from collectors.tables import table_blocks


def cut(file: RawFile, form: Shape, stream: io.BufferedReader, packed: bool, limit: int | None) -> Iterator[Block]:
    """The blocks of one file; those of a packed one carry their bytes, others are read again by whoever builds them.

    `limit` ends the file behind so many rows. `SourceError` for what is no file of its kind.
    """

    def broken(text: str) -> SourceError:
        return SourceError(f"{file.source}: {file.path}: {text}")

    if archives.is_archive(file.path):
        return _members(file, form, stream, broken, limit)
    if file.format == "parquet":
        return table_blocks(file.path, form.schema, broken, limit)
    if file.format == "csv":
        return _headed(form, csv_blocks(stream, file.encoding, packed, limit), broken)
    if file.format == "tsv":
        return blocks.line_blocks(stream, broken, packed, limit)
    if file.format == "text":
        return _text(form, stream.read(), broken)
    if form.whole:
        return _whole(_json(file, form, stream, True, limit, broken))
    return _json(file, form, stream, packed, limit, broken)


def _json(
    file: RawFile, form: Shape, stream: io.BufferedReader, packed: bool, limit: int | None, broken: Broken
) -> Iterator[Block]:
    """The blocks of a JSON array, JSON Lines, or one object, which the first bytes tell apart."""
    head = stream.peek(blocks.CHUNK)
    if file.rows is not None:
        return objects.listed_blocks(stream.read(), file.rows, broken, limit)
    if head.removeprefix(BOM).lstrip().startswith(b"["):
        return blocks.array_blocks(stream, broken, packed, limit)
    if objects.may_be_one(head) or (form.lists and head.removeprefix(BOM).lstrip().startswith(b"{")):
        data = stream.read(objects.LARGEST + 1)
        if objects.is_one(data, broken):
            turned = objects.transposed(data) if form.lists else None
            return iter([objects.joined([data], 0)]) if turned is None else objects.element_blocks(turned, limit=limit)
        whole = cast(BinaryIO, io.BufferedReader(_Again(data, stream)))
        return blocks.line_blocks(whole, broken, packed, limit)
    return blocks.line_blocks(stream, broken, packed, limit)


class _Again(io.RawIOBase):
    """A stream with the bytes put back that were read from it."""

    def __init__(self, data: bytes, stream: BinaryIO) -> None:
        self.data, self.stream = io.BytesIO(data), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.data.read(len(buffer)) or self.stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _whole(found: Iterator[Block]) -> Iterator[Block]:
    """All blocks of a file as one; they carry their bytes."""
    every = list(found)
    if not every:
        return
    data = [block.data or b"" for block in every]
    if not every[0].array:
        joined = b"".join(data)
        yield replace(
            every[-1], offset=0, length=len(joined), first=0, rows=sum(one.rows for one in every), data=joined
        )
        return
    if all(block.spans is None for block in every):
        joined = b",".join(data)
        rows = sum(one.rows for one in every)
        yield replace(every[0], offset=0, length=len(joined), first=0, rows=rows, data=joined)
        return
    texts = [
        run[start:end]
        for block, run in zip(every, data, strict=True)
        for start, end in block.spans or blocks.element_spans(run)
    ]
    yield objects.joined(texts, 0, every[0].enclosing)


def _text(form: Shape, data: bytes, broken: Broken) -> Iterator[Block]:
    """A text file as one block; it must hold a row."""
    assert form.pattern is not None  # a shape for text has one
    found = sum(1 for _ in form.pattern.finditer(data.decode(errors="replace")))
    if not found:
        raise broken("holds nothing that looks like a row of this source")
    yield Block(offset=0, length=len(data), first=0, rows=found, data=data)


def _headed(form: Shape, found: Iterator[Block], broken: Broken) -> Iterator[Block]:
    """Blocks of a CSV whose header names every column that is read."""
    for block in found:
        lacking = [name for name in form.schema if name not in block.header]
        if lacking:
            raise broken(f"has no column {', '.join(lacking)}; its columns are {', '.join(block.header)}")
        yield block


def _members(
    file: RawFile, form: Shape, stream: io.BufferedReader, broken: Broken, limit: int | None
) -> Iterator[Block]:
    """The rows of an archive: a member of one object is a row of the archive, any other a file of its own within it."""
    with archives.members(file.path, stream, broken) as found:
        if not found:
            raise broken("holds no .json or .jsonl file")
        singles: list[tuple[int, bytes]] = []
        ordinal = size = 0
        for name, opening in found:
            with opening() as member:
                text = member.read(archives.SMALL)
                if name.endswith(".jsonl") or text.removeprefix(BOM).lstrip().startswith(b"["):
                    with buffered(_Again(text, member)) as whole:
                        for block in _json(file, form, whole, True, limit, broken):
                            yield replace(block, member=name)
                            limit = limit and limit - _filled(block)
                    if limit == 0:
                        break
                    continue
                if len(text) == archives.SMALL:
                    text += member.read(archives.LARGEST + 1 - len(text))
            if len(text) > archives.LARGEST:
                raise broken(f"holds {name!r}, one object of more than {archives.LARGEST >> 20} MB")
            singles.append((ordinal, text.removeprefix(BOM)))
            ordinal, size, limit = ordinal + 1, size + len(text), limit and limit - 1
            if size >= blocks.BYTES or len(singles) == blocks.ROWS:
                yield objects.joined([one for _, one in singles], singles[0][0])
                singles, size = [], 0
            if limit == 0:
                break
        if singles:
            yield objects.joined([one for _, one in singles], singles[0][0])


def _filled(block: Block) -> int:
    """The rows of a block that carries its bytes; a blank line is none."""
    return block.rows if block.array else sum(1 for line in (block.data or b"").split(b"\n") if line.strip(b" \t\r"))
