"""Text that is no JSON: records of a CSV, lines cut at tabs, and what a pattern finds; how they are cut and read."""

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors import blocks
from collectors.blocks import BOM, Block
from collectors.rows import MISSING, UNPARSABLE, Lines, Rows, Schema

Ends = npt.NDArray[np.int64]


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
    head = stream.readline()
    while _quoted_after(head, False) and (line := stream.readline()):
        head += line
    text = head.removeprefix(BOM).decode(encoding, errors="replace").strip()
    header = tuple(name.strip().strip('"') for name in text.split(","))
    start, first, rows, position = len(head), 0, 0, len(head)
    kept: list[bytes] = []

    def block() -> Block:
        data = b"".join(kept) if keep else None
        return Block(offset=start, length=position - start, first=first, rows=rows, header=header, data=data)

    for run, ends in _runs(stream):
        base, done, counted = position, 0, np.cumsum(_filled(run, ends))
        while done < len(ends) and first + rows != limit:
            before, begun = (int(counted[done - 1]), int(ends[done - 1])) if done else (0, 0)
            room = blocks.ROWS - rows if limit is None else min(blocks.ROWS, limit - first) - rows
            # The first record to fill the block by its rows or its bytes, as far as this run goes.
            full = min(
                int(np.searchsorted(counted, before + room)), int(np.searchsorted(ends, start + blocks.BYTES - base))
            )
            done = min(full + 1, len(ends))
            rows, position = rows + int(counted[done - 1]) - before, base + int(ends[done - 1])
            if keep:
                kept.append(run[begun : int(ends[done - 1])])
            if rows == blocks.ROWS or position - start >= blocks.BYTES:
                yield block()
                start, first, rows, kept = position, first + rows, 0, []
    if rows:
        yield block()


def csv_records(data: bytes) -> Iterator[bytes]:
    """The records of a run of whole CSV records, blank lines left out."""
    for run, ends in _runs(io.BytesIO(data)):
        bounds = pairwise([0, *ends.tolist()])
        yield from (run[start:end] for (start, end), filled in zip(bounds, _filled(run, ends), strict=True) if filled)


def _runs(stream: BinaryIO) -> Iterator[tuple[bytes, Ends]]:
    """Runs of whole records, and where each record ends in its run."""
    rest = b""
    while more := stream.read(max(blocks.CHUNK, len(rest))):
        rest += more
        ends = _ends(rest)
        if len(ends):
            yield rest[: ends[-1]], ends
            rest = rest[ends[-1] :]
    if rest:
        yield rest, np.array([len(rest)])


def _ends(data: bytes) -> Ends:
    """Behind which line breaks a record ends, the data beginning with one."""
    view = np.frombuffer(data, np.uint8)
    quotes, breaks = np.flatnonzero(view == _QUOTE), np.flatnonzero(view == _BREAK)
    opening = quotes[::2]
    # Every other quote opens a field, or goes on behind a doubled one, if each stands where one may.
    sound = (opening == 0) | np.isin(view[opening - 1], (_COMMA, _BREAK, _QUOTE))
    if sound.all():
        return np.asarray(breaks[np.searchsorted(quotes, breaks) % 2 == 0] + 1)
    found, quoted, position = [], False, 0
    for line in io.BytesIO(data):
        position += len(line)
        quoted = _quoted_after(line, quoted) if b'"' in line else quoted
        if not quoted and line.endswith(b"\n"):
            found.append(position)
    return np.array(found, np.int64)


_QUOTE, _COMMA, _BREAK, _RETURN = b'",\n\r'


def _filled(run: bytes, ends: Ends) -> npt.NDArray[np.bool_]:
    """Which records are more than an empty line, which csv.reader takes for no row, also with a doubled break."""
    starts = np.append(0, ends[:-1])
    first = np.frombuffer(run, np.uint8)[starts]
    filled = first != _BREAK
    for index in np.flatnonzero(first == _RETURN).tolist():
        filled[index] = bool(run[starts[index] : ends[index]].partition(b"\n")[0].strip(b"\r"))
    return np.asarray(filled)


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
