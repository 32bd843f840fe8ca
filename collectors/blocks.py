"""Cutting raw files into blocks of whole rows, without reading what is in the rows.

Where a block ends follows from the file alone (so many rows, or so many bytes), never from how the file is read or how
many workers there are: a block becomes a shard, and the shards' bytes are promised to be the same.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec
import numpy as np

from collectors.errors import SourceError

ROWS: Final = 65_536
BYTES: Final = 8 << 20
"""A block ends at the first row end after so many rows or bytes, whichever comes first."""

LONGEST: Final = 256 << 20
"""Bytes in which a row must end: a longer line is an error, and an array's element without end a broken one."""

CHUNK: Final = 1 << 20
BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A run of whole rows of one file: `length` bytes from `offset`, the first of them being row `first`.

    `array` says that the rows are elements of a JSON array; `spans` are theirs, given where cutting went element by
    element. `header` holds the column names of a CSV. `last` says that the file ends here. `data` are the bytes
    themselves, where they cannot be read again from the file. `member` is the one of an archive that they come from,
    and `enclosing` the object that the rows were a list of, without that list.
    """

    offset: int
    length: int
    first: int
    rows: int
    last: bool = False
    array: bool = False
    spans: tuple[tuple[int, int], ...] | None = None
    header: tuple[str, ...] = ()
    data: bytes | None = field(default=None, repr=False)
    member: str | None = None
    enclosing: bytes | None = field(default=None, repr=False)


Broken = Callable[[str], SourceError]


def line_blocks(stream: BinaryIO, broken: Broken, keep: bool = False, limit: int | None = None) -> Iterator[Block]:
    """Blocks of physical lines; `rows` counts all of them, blank ones too.

    `keep` carries the bytes along; `limit` ends the file behind so many lines that are not blank. `broken` words the
    error of a line without end, which would have to be held whole.
    """
    start = first = lines = position = begun = 0
    kept: list[bytes] = []

    def block(end: int, last: bool = False) -> Block:
        data = b"".join(kept) if keep else None
        return Block(offset=start, length=end - start, first=first, rows=lines, last=last, data=data)

    chunk = b""
    for chunk in _chunks(stream, limit):
        done = 0
        breaks = int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == 10))  # faster than bytes.count
        while (end := _line_cut(chunk, done, breaks, ROWS - lines, start + BYTES - position)) >= 0:
            inside = chunk.count(b"\n", done, end)
            lines, breaks = lines + inside, breaks - inside
            if keep:
                kept.append(chunk[done:end])
            yield block(position + end)
            start, first, lines, done, kept = position + end, first + lines, 0, end, []
        lines += breaks
        if keep:
            kept.append(chunk[done:])
        position += len(chunk)
        if (ended := chunk.rfind(b"\n")) >= 0:
            begun = position - len(chunk) + ended + 1
        elif position - begun > LONGEST:
            raise broken(f"has a line of more than {LONGEST >> 20} MB, line {first + lines}; that is no row, remove it")
    if position > start:
        lines += not chunk.endswith(b"\n")
        yield block(position, last=True)


def _chunks(stream: BinaryIO, limit: int | None) -> Iterator[bytes]:
    """The bytes of a file, or of its first `limit` lines that are not blank."""
    if limit is None:
        yield from iter(lambda: stream.read(CHUNK), b"")
        return
    parts: list[bytes] = []
    size, filled = 0, False
    for part in iter(lambda: stream.readline(CHUNK), b""):
        parts.append(part)
        size += len(part)
        filled = filled or bool(part.strip(b" \t\r\n"))
        if part.endswith(b"\n"):
            limit, filled = limit - filled, False
        if not limit or size >= CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
        if not limit:
            return
    yield b"".join(parts)


def _line_cut(chunk: bytes, done: int, breaks: int, rows: int, size: int) -> int:
    """Where a block ends in `chunk[done:]`, which has `breaks` lines, if it takes `rows` more or is full at `size`."""
    ends = [chunk.find(b"\n", max(size, done)) + 1] if size < len(chunk) else [0]
    if breaks >= rows:
        found = np.flatnonzero(np.frombuffer(chunk, np.uint8)[done:] == 10)
        ends.append(done + int(found[rows - 1]) + 1)
    return min((end for end in ends if end), default=-1)


class _Window:
    """The part of a stream that is being looked at: `buffer`, which begins at byte `offset` of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.buffer, self.offset, self.ended = stream, b"", 0, False

    def grow(self, size: int) -> bool:
        """Read until the buffer holds `size` bytes or the file ends; whether anything came."""
        before = len(self.buffer)
        parts = [self.buffer]
        while not self.ended and (missing := size - sum(map(len, parts))) > 0:
            part = self.stream.read(max(missing, CHUNK))
            self.ended = not part
            parts.append(part)
        self.buffer = b"".join(parts)
        return len(self.buffer) > before

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes."""
        self.buffer = self.buffer[count:]
        self.offset += count

    def skip(self, pattern: re.Pattern[bytes]) -> bytes:
        """Drop what `pattern` matches at the start, and return the byte behind it (nothing at the end)."""
        while True:
            match = pattern.match(self.buffer)
            end = match.end() if match else 0
            self.drop(end)
            if self.buffer or not self.grow(CHUNK):
                return self.buffer[:1]


_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_ELEMENT_END: Final = re.compile(rb"[}\]][ \t\r\n]*,")
_OPENING: Final = re.compile(rb'[{\[][ \t\r\n]*(?:"[^"\\]*"[ \t\r\n]*:)?')
_RUN: Final = msgspec.json.Decoder(list[msgspec.Raw])


def array_blocks(stream: BinaryIO, broken: Broken, keep: bool = False, limit: int | None = None) -> Iterator[Block]:
    """Blocks of the elements of one JSON array, never whole in memory; `broken` words the error of a file cut short.

    The stream stands before the `[`. An element that is no JSON costs itself: the next sound one is searched for.
    """
    window = _Window(stream)
    window.skip(re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*"))
    window.drop(1)
    first = 0
    while True:
        mark = window.skip(_SPACE)
        if mark == b"]":
            break
        if not mark:
            raise broken(
                f"ends behind {first} elements, without its closing bracket; the file is cut short, fetch it again"
            )
        rows, length, spans = _run(window, broken, first)
        if limit is not None and rows > limit - first:
            spans = element_spans(window.buffer[:length]) if spans is None else spans
            rows = limit - first
            length = spans[rows - 1][1]
        yield Block(
            offset=window.offset,
            length=length,
            first=first,
            rows=rows,
            array=True,
            spans=None if spans is None else tuple(spans[:rows]),
            data=window.buffer[:length] if keep else None,
        )
        first += rows
        if first == limit:
            return
        window.drop(length)
        if window.skip(_SPACE) == b",":
            window.drop(1)
    window.drop(1)
    if window.skip(_SPACE):
        raise broken("holds more behind its array")


def _run(window: _Window, broken: Broken, first: int) -> tuple[int, int, list[tuple[int, int]] | None]:
    """How many elements make a block at the start of the window, in how many bytes, and, if one is unsound, where."""
    window.grow(BYTES)
    for end in _cuts(window):
        try:
            elements = _RUN.decode(b"".join((b"[", memoryview(window.buffer)[: end + 1], b"]")))
        except (msgspec.DecodeError, RecursionError):
            continue
        if elements:
            return len(elements), end + 1, None
    spans = _walk(window, broken, first)
    return len(spans), spans[-1][1], spans


def element_spans(run: bytes) -> list[tuple[int, int]]:
    """Where the elements of a run of sound ones stand."""
    spans: list[tuple[int, int]] = []
    for element in _RUN.decode(b"[" + run + b"]"):
        raw = bytes(element)
        start = run.index(raw, spans[-1][1] if spans else 0)
        spans.append((start, start + len(raw)))
    return spans


def _cuts(window: _Window) -> Iterator[int]:
    """Places where an element may end, the last few of the window, from the right; the array's own end is one."""
    if window.ended and (end := window.buffer.rstrip()).endswith(b"]"):
        yield len(end[:-1].rstrip()) - 1
    tail = max(0, len(window.buffer) - (1 << 18))
    # Where an element begins as the first one does is seldom within another, as in a list of turns it well may be.
    opening = _OPENING.match(window.buffer)
    alike = re.compile(_ELEMENT_END.pattern + rb"(?=[ \t\r\n]*" + re.escape(opening[0] if opening else b"") + rb")")
    for pattern, tries in ((alike, 4), (_ELEMENT_END, 8)):
        yield from [match.start() for match in pattern.finditer(window.buffer, tail)][-tries:][::-1]


def _walk(window: _Window, broken: Broken, first: int) -> list[tuple[int, int]]:
    """The spans of the elements of one block, found one by one; an unsound one reaches to where a sound one begins."""
    while True:
        # surrogateescape keeps every byte, so that characters can be counted back to bytes.
        text = window.buffer.decode("utf-8", "surrogateescape")
        spans: list[tuple[int, int]] = []
        start = position = 0
        while len(spans) < ROWS and (end := _element_end(text, begin := _skip(text, start), window.ended)) is not None:
            position += begin - start  # white space and a comma: a byte a character
            length = len(text[begin:end].encode("utf-8", "surrogateescape"))
            spans.append((position, position + length))
            start, position = end, position + length
            behind = _skip(text, end)
            if text[behind : behind + 1] == ",":
                start, position = behind + 1, position + behind + 1 - end
        if spans:
            return spans
        if not window.grow(2 * len(window.buffer)):
            raise broken(f"ends in the middle of element {first}; the file is cut short, fetch it again")


_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_CLOSED: Final = re.compile(r"[}\]](?=[ \t\r\n]*(?:,[ \t\r\n]*[{\[]|\][ \t\r\n]*\Z))")
_BARE: Final = re.compile(r"[^,\]]*")


def _skip(text: str, start: int) -> int:
    """The index behind the white space at `start`."""
    match = _BLANKS.match(text, start)
    return match.end() if match else start


def _sound(text: str, start: int) -> int | None:
    """The end of the JSON value at `start`, None when there is none."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


def _goes_on(error: json.JSONDecodeError, ended: bool) -> bool:
    """Whether a value is sound up to the end of the text, so that the rest of it is still to come, or is cut off.

    A quote that is never closed before the file's end is a broken element's, where an element's end can be found.
    """
    if ended:
        return error.pos >= len(error.doc.rstrip())
    cut = error.msg.startswith("Unterminated string") or error.pos >= len(error.doc) - len("-Infinity")
    return cut and len(error.doc) < LONGEST


def _element_end(text: str, start: int, ended: bool) -> int | None:
    """The end of the element at `start`, sound or not; None at the array's end, or when the text ends within it."""
    if start >= len(text) or text[start] == "]":
        return None
    try:
        end = _DECODER.raw_decode(text, start)[1]
        return end if end < len(text) or ended else None
    except json.JSONDecodeError as error:
        if _goes_on(error, ended):
            return None
    except RecursionError:
        pass
    if text[start] not in '{["':
        bare = _BARE.match(text, start)
        return bare.end() if bare and bare.end() < len(text) else None
    for match in _CLOSED.finditer(text, start):
        behind = _skip(text, match.end())
        if text[behind] == "]" or _sound(text, _skip(text, behind + 1)) is not None:
            return match.end() if text[behind] == "," or ended else None
    return None
