"""JSON Lines of flat objects, the commonest of all, read by a loop over their bytes.

It knows objects whose declared fields are texts or null, and whose other fields are texts, numbers, true, false or
null. Whatever else it meets, sound or not, it leaves to others: it never says anything the exact reader would not.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from collectors.kernel import kernel, put_word, word

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

_QUOTE, _ESCAPE, _COMMA, _COLON, _OPEN, _CLOSE, _BREAK, _MINUS, _DOT, _ZERO, _NINE = b'"\\,:{}\n-.09'
_BLANK: Final = 0x20
_SHORT: Final = tuple(b'"\\/nrtbf')
_MEANT: Final = tuple(b'"\\/\n\r\t\b\f')
_ONE, _TOP = np.uint64(1), np.uint64(56)
_ONES, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _ESCAPES, _BLANKS = (_ONES * np.uint64(byte) for byte in (_QUOTE, _ESCAPE, _BLANK))
_ABSENT, _NULL, _TEXT = 0, 1, 2


def flat(data: bytes, rows: int, names: Sequence[str]) -> list[pa.Array] | None:
    """The fields `names` of `rows` objects, a `large_string` array each, or None where they are not plainly that.

    Behind each object stands a line break, behind the last one perhaps not; within objects line breaks are blanks.
    `data` is UTF-8.
    """
    if not rows:
        return None
    keys = [name.encode() for name in names]
    bounds = np.cumsum([0, *map(len, keys)], dtype=np.int64)
    # What is not written to takes no memory.
    texts = np.empty((len(names), len(data) + 8), np.uint8)
    ends, states = np.zeros((len(names), rows + 1), np.int64), np.zeros((len(names), rows), np.uint8)
    held = np.frombuffer(data, np.uint8)
    if _read(held, np.frombuffer(b"".join(keys), np.uint8), bounds, texts, ends, states) != rows:
        return None
    return [_array(texts[field], ends[field], states[field] == _TEXT) for field in range(len(names))]


def _array(text: Bytes, ends: Numbers, valid: npt.NDArray[np.bool_]) -> pa.Array:
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [bits, pa.py_buffer(ends), pa.py_buffer(text[: ends[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(valid), buffers)


@kernel
def _read(data: Bytes, keys: Bytes, bounds: Numbers, texts: Bytes, ends: Numbers, states: Bytes) -> int:
    """Fill `texts`, `ends` (where each row's text ends in them) and `states`; the rows, -1 for what is not known."""
    fields, rows, size = len(bounds) - 1, 0, len(data)
    at = 0
    while at < size:
        if rows == states.shape[1] or data[at] != _OPEN:
            return -1
        for field in range(fields):
            ends[field, rows + 1] = ends[field, rows]
        at = _skip(data, at + 1)
        if at < size and data[at] == _CLOSE:
            at += 1
        else:
            more = True
            while more:
                at = _member(data, at, rows, keys, bounds, texts, ends, states)
                if at < 0 or at >= size or (data[at] != _COMMA and data[at] != _CLOSE):
                    return -1
                more = data[at] == _COMMA
                at = _skip(data, at + 1) if more else at + 1
        rows += 1
        while at < size and data[at] != _BREAK:
            if data[at] != 0x20 and data[at] != 0x09 and data[at] != 0x0D:
                return -1
            at += 1
        at += 1
    return rows


@kernel
def _skip(data: Bytes, at: int) -> int:
    """The place of the first byte that is no blank."""
    while at < len(data) and (data[at] == 0x20 or data[at] == 0x0A or data[at] == 0x09 or data[at] == 0x0D):
        at += 1
    return at


@kernel
def _member(
    data: Bytes, at: int, row: int, keys: Bytes, bounds: Numbers, texts: Bytes, ends: Numbers, states: Bytes
) -> int:
    """Read a key and its value; the place of what follows them, -1 for what is not known."""
    if at >= len(data) or data[at] != _QUOTE:
        return -1
    at += 1
    start = at
    at = _special(data, at)
    if at >= len(data) or data[at] != _QUOTE:
        return -1
    found = -1
    for field in range(len(bounds) - 1):
        if bounds[field + 1] - bounds[field] == at - start:
            same = True
            for index in range(at - start):
                same = same and keys[bounds[field] + index] == data[start + index]
            found = field if same else found
    at = _skip(data, at + 1)
    if at >= len(data) or data[at] != _COLON:
        return -1
    at = _skip(data, at + 1)
    if at >= len(data) or (found >= 0 and states[found, row] != _ABSENT):
        return -1
    if data[at] == _QUOTE:
        if found < 0:
            return _skip(data, _passed(data, at + 1))
        states[found, row] = _TEXT
        return _skip(data, _text(data, at + 1, texts[found], ends[found], row + 1))
    if found >= 0:
        states[found, row] = _NULL
    return _skip(data, _other(data, at, found >= 0))


@kernel
def _text(data: Bytes, at: int, text: Bytes, ends: Numbers, row: int) -> int:
    """Write a text's bytes behind those there are; the place behind its closing quote, beyond the data if not known."""
    size, end = len(data), ends[row]
    while at < size:
        while at + 8 <= size:
            eight = word(data, at)
            put_word(text, end, eight)
            found = _first_special(eight)
            at, end = at + found, end + found
            if found < 8:
                break
        if at == size:
            break
        byte = data[at]
        if byte == _QUOTE:
            ends[row] = end
            return at + 1
        if byte < _BLANK:
            return size
        if byte != _ESCAPE:
            text[end] = byte
            end, at = end + 1, at + 1
            continue
        code, at = _escaped(data, at + 1)
        if code < 0:
            return size
        if code < 0x80:
            text[end] = code
            end += 1
        elif code < 0x800:
            text[end], text[end + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
            end += 2
        elif code < 0x10000:
            text[end], text[end + 1], text[end + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
            end += 3
        else:
            text[end], text[end + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
            text[end + 2], text[end + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
            end += 4
    return size


@kernel
def _passed(data: Bytes, at: int) -> int:
    """The place behind a text that is not wanted, beyond the data if it is not known."""
    size = len(data)
    while at < size:
        at = _special(data, at)
        if at >= size or data[at] < _BLANK:
            return size
        if data[at] == _QUOTE:
            return at + 1
        code, at = _escaped(data, at + 1)
        if code < 0:
            return size
    return size


@kernel
def _special(data: Bytes, at: int) -> int:
    """The place of the first quote, backslash or control character, or the data's end."""
    while at + 8 <= len(data):
        found = _first_special(word(data, at))
        at += found
        if found < 8:
            return at
    while at < len(data) and data[at] != _QUOTE and data[at] != _ESCAPE and data[at] >= _BLANK:
        at += 1
    return at


@kernel
def _first_special(eight: np.uint64) -> int:
    """Which of eight bytes is the first quote, backslash or control character, 8 for none."""
    # A byte x is 0 where (x - 1) & ~x has the highest bit set, at least the lowest such one: none borrowed from it.
    quote, escape = eight ^ _QUOTES, eight ^ _ESCAPES
    found = ((quote - _ONES) & ~quote | (escape - _ONES) & ~escape | (eight - _BLANKS) & ~eight) & _HIGH
    below = ((found & (~found + _ONE)) - _ONE) & _ONES
    return int((below * _ONES) >> _TOP) - 1 if found else 8


@kernel
def _escaped(data: Bytes, at: int) -> tuple[int, int]:
    """The code point that is escaped behind a backslash, -1 for none, and the place behind it."""
    if at >= len(data):
        return -1, at
    byte = data[at]
    if byte == 0x75:  # u
        code = _hex(data, at + 1)
        at += 5
        if 0xD800 <= code < 0xDC00:
            low = _hex(data, at + 2) if at + 1 < len(data) and data[at] == _ESCAPE and data[at + 1] == 0x75 else -1
            if not 0xDC00 <= low < 0xE000:
                return -1, at
            return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), at + 6
        return (-1 if 0xDC00 <= code < 0xE000 else code), at
    for index in range(len(_SHORT)):
        if byte == _SHORT[index]:
            return _MEANT[index], at + 1
    return -1, at


@kernel
def _hex(data: Bytes, at: int) -> int:
    """The number that four hexadecimal digits are, -1 where they are not."""
    if at + 4 > len(data):
        return -1
    value = 0
    for index in range(at, at + 4):
        byte = int(data[index])
        if 0x30 <= byte <= 0x39:
            value = value << 4 | (byte - 0x30)
        elif 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66:
            value = value << 4 | ((byte & 0x5F) - 0x37)
        else:
            return -1
    return value


@kernel
def _other(data: Bytes, at: int, wanted: bool) -> int:
    """The place behind null, or, where the value is not wanted, true, false or a number; beyond the data for others."""
    size, byte = len(data), data[at]
    if byte == 0x6E:  # n
        return at + 4 if _spells(data, at, 0x6E, 0x75, 0x6C, 0x6C) else size
    if wanted:
        return size
    if byte == 0x74:  # t
        return at + 4 if _spells(data, at, 0x74, 0x72, 0x75, 0x65) else size
    if byte == 0x66:  # f
        return at + 5 if _spells(data, at + 1, 0x61, 0x6C, 0x73, 0x65) else size
    return _number(data, at)


@kernel
def _spells(data: Bytes, at: int, first: int, second: int, third: int, fourth: int) -> bool:
    if at + 4 > len(data):
        return False
    return bool(data[at] == first and data[at + 1] == second and data[at + 2] == third and data[at + 3] == fourth)


@kernel
def _number(data: Bytes, at: int) -> int:
    """The place behind a short number without exponent; beyond the data for others."""
    size, start = len(data), at
    if at < size and data[at] == _MINUS:
        at += 1
    digits = at
    while at < size and _ZERO <= data[at] <= _NINE:
        at += 1
    if at == digits or (data[digits] == _ZERO and at > digits + 1):
        return size
    if at < size and data[at] == _DOT:
        fraction = at + 1
        at += 1
        while at < size and _ZERO <= data[at] <= _NINE:
            at += 1
        if at == fraction:
            return size
    return at if at - start <= 15 else size
