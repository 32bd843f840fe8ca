"""Text that is no JSON: records of a CSV, lines cut at tabs, and what a pattern finds; how they are cut and read."""

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import polars as pl

from collectors import blocks
from collectors.blocks import BOM, Block
from collectors.rows import MISSING, UNPARSABLE, Lines, Rows, Schema


def text_matches(data: bytes, pattern: re.Pattern[str]) -> Rows:
    """The rows of a whole text file: what `pattern` matches, beside what stands before its first match."""
    try:
        text = data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        nothing = pl.DataFrame(schema={"text": pl.String, "head": pl.String, "row": pl.UInt64})
        return Rows(frame=nothing, bad=[(0, UNPARSABLE)], texts=[data], first=0, count=1)
    found = list(pattern.finditer(text))
    head = text[: found[0].start()] if found else text
    frame = pl.DataFrame(
        {"text": [match[0] for match in found], "head": [head] * len(found), "row": range(len(found))},
        schema={"text": pl.String, "head": pl.String, "row": pl.UInt64},
    )
    return Rows(frame=frame, bad=[], texts=[match[0].encode() for match in found], first=0, count=len(found))


def tsv_lines(data: bytes, block: Block, schema: Schema) -> Rows:
    """A block of lines cut at tabs and nothing else: quotes are data. The columns are the schema's, by position.

    A line of white space is no row, but counts in the ordinals.
    """
    if block.first == 0:
        data = data.removeprefix(BOM)
    lines = Lines(data)
    cells: list[list[str] | str | None] = []
    for line in lines.split():
        try:
            cells.append(line.decode().split("\t") if line.strip(b" \t\r") else None)
        except UnicodeDecodeError:
            cells.append(UNPARSABLE)
    return _table(cells, lines, block, schema, list(schema))


def csv_rows(data: bytes, block: Block, schema: Schema, encoding: str) -> Rows:
    """A block of CSV records, each field as Python's csv module reads it; the columns go by the header's names."""
    csv.field_size_limit(sys.maxsize)
    texts = Lines(data, _texts)
    try:
        cells: list[Any] = [row for row in csv.reader(io.StringIO(data.decode(encoding), newline="\n")) if row]
    except (UnicodeDecodeError, csv.Error):
        cells = [_csv_record(text, encoding) for text in texts]
    assert len(cells) == block.rows  # the cutter and the reader know the same records
    return _table(cells, texts, block, schema, list(block.header))


def _texts(data: bytes) -> list[bytes]:
    return [record.rstrip(b"\r\n") for record in csv_records(data)]


def _csv_record(text: bytes, encoding: str) -> list[str] | str:
    try:
        return next(csv.reader([text.decode(encoding)]))
    except (UnicodeDecodeError, csv.Error):
        return UNPARSABLE


def _table(cells: Sequence[Any], texts: Sequence[bytes], block: Block, schema: Schema, header: list[str]) -> Rows:
    """Rows of cells (a string instead is a reject's reason, None no row at all) as the declared columns."""
    bad: list[tuple[int, str]] = []
    good: list[int] = []
    for index, row in enumerate(cells):
        if isinstance(row, str):
            bad.append((index, row))
        elif row is not None and len(row) != len(header):
            bad.append((index, MISSING))
        elif row is not None:
            good.append(index)
    columns = list(zip(*(cells[index] for index in good), strict=True)) if good else [()] * len(header)
    series = [pl.Series(name, columns[header.index(name)], dtype=pl.String) for name in schema]
    ordinals = pl.Series("row", [block.first + index for index in good], dtype=pl.UInt64)
    return Rows(
        frame=pl.DataFrame([*series, ordinals]), bad=bad, texts=texts, first=block.first, count=len(good) + len(bad)
    )


def csv_blocks(stream: BinaryIO, encoding: str, keep: bool = False, limit: int | None = None) -> Iterator[Block]:
    """Blocks of CSV records behind the header, cut where Python's csv module ends a record.

    The scan runs on bytes: in UTF-8 and GB18030 no byte of a longer character is a quote, a comma or a line break.
    """
    lines = iter(stream.readline, b"")
    head = b"".join(_record(lines))
    text = head.removeprefix(BOM).decode(encoding, errors="replace").strip()
    header = tuple(name.strip().strip('"') for name in text.split(","))
    start, first, rows, position = len(head), 0, 0, len(head)
    kept: list[bytes] = []

    def block() -> Block:
        data = b"".join(kept) if keep else None
        return Block(offset=start, length=position - start, first=first, rows=rows, header=header, data=data)

    while first + rows != limit and (record := _record(lines)):
        position += sum(map(len, record))
        rows += not _blank(record)
        if keep:
            kept += record
        if rows == blocks.ROWS or position - start >= blocks.BYTES:
            yield block()
            start, first, rows, kept = position, first + rows, 0, []
    if rows:
        yield block()


def csv_records(data: bytes) -> Iterator[bytes]:
    """The records of a run of whole CSV records, blank lines left out."""
    lines = iter(data.splitlines(keepends=True)) if b"\r" not in data else iter(re.findall(rb"[^\n]*\n|[^\n]+$", data))
    while record := _record(lines):
        if not _blank(record):
            yield b"".join(record)


def _blank(record: list[bytes]) -> bool:
    """Whether a record is an empty line, which csv.reader takes for no row, also where its line break was doubled."""
    return not record[0].strip(b"\r\n")


def _record(lines: Iterator[bytes]) -> list[bytes]:
    """The physical lines of the next record, none at the end."""
    taken: list[bytes] = []
    quoted = False
    for line in lines:
        taken.append(line)
        if b'"' in line:
            quoted = _quoted_after(line, quoted)
        if not quoted:
            break
    return taken


_FIELD: Final = re.compile(rb'"(?:[^"]|"")*("?)|[^,\n]*')


def _quoted_after(line: bytes, quoted: bool) -> bool:
    """Whether a line leaves a quoted field open, as csv.reader (not strict) sees it; `quoted`: it begins inside one.

    A quote opens only as a field's first byte. Behind a closing quote the rest of the field is plain text.
    """
    position = 0
    if quoted:
        line = b'"' + line
    while position < len(line):
        match = _FIELD.match(line, position)
        assert match is not None  # the second alternative matches anything
        if line[position : position + 1] == b'"' and not match[1]:
            return True
        position = match.end()
        comma = line.find(b",", position)
        if comma < 0:
            return False
        position = comma + 1
    return False
