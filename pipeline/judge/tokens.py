"""Texts as folded words: the one form in which texts are compared, for duplicates and for leaks alike."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.kernel import kernel
from pipeline.judge.characters import ALONE, KIND, SKIPPED, WORD, table

_CODE: Final = (1 << KIND) - 1
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)


class Tokens(NamedTuple):
    """The folded words of some texts, one after another.

    `hashes` (uint64), `starts` and `ends` (int32, bytes of the text's UTF-8) have one entry a word. Text `i` has the
    words `offsets[i]` to `offsets[i + 1]` (int64, shape (texts + 1,)), of which `alone[i]` (int32) are single letters
    of a script without blanks, such as Chinese. A null has none.
    """

    hashes: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    alone: npt.NDArray[np.int32]


def tokens(texts: pl.Series) -> Tokens:
    """The folded words of a string column.

    A word is a run of letters and digits, or one letter of a script that does without blanks. Case, width, punctuation
    and traditional against simplified forms do not count.
    """
    data, offsets = utf8(texts)
    most = int(offsets[-1] - offsets[0])
    hashes, starts, ends = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32)
    bounds, alone = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.int32)
    count = _split(data, offsets, table(), hashes, starts, ends, bounds, alone)
    return Tokens(hashes[:count], starts[:count], ends[:count], bounds, alone)  # what lies behind was never touched


def utf8(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a string column, and where each text begins and ends in them, shape (texts + 1,); null is empty."""
    array = texts.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    held = array.buffers()[2]
    data = np.frombuffer(held, np.uint8) if held is not None and held.size else np.zeros(0, np.uint8)
    return data, offsets if len(offsets) else np.zeros(1, np.int64)


def joined(
    first: Tokens, second: Tokens
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The words of pairs of texts, a request's before its answer's: `hashes`, `offsets`, `alone` as in `Tokens`."""
    offsets = first.offsets + second.offsets
    hashes = np.empty(int(offsets[-1]), np.uint64)
    _interleave(first.hashes, first.offsets, second.hashes, second.offsets, hashes)
    return hashes, offsets, first.alone + second.alone


def keys(hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """One hash of the words of each text in their order; 0 for a text without words. Shape (texts,)."""
    result = np.zeros(len(offsets) - 1, np.uint64)
    _sum(hashes, offsets, result)
    return result


@kernel
def mixed(value: np.uint64) -> np.uint64:
    """`value` with all its bits spread over all bits (the finaliser of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.uint32],
    hashes: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int32],
    bounds: npt.NDArray[np.int64],
    alone: npt.NDArray[np.int32],
) -> int:
    """Fill the arrays of `Tokens`; the number of words. FNV-1a over folded code points names a word."""
    count = 0
    for row in range(len(offsets) - 1):
        first, end = offsets[row], offsets[row + 1]
        place, began, word = first, np.int64(-1), _OFFSET
        singles = 0
        while place < end:
            at, byte = place, np.uint32(data[place])
            if byte < 0x80:
                code, place = byte, place + 1
            elif byte < 0xE0:
                code, place = (byte & 0x1F) << 6 | (data[place + 1] & 0x3F), place + 2
            elif byte < 0xF0:
                code = (byte & 0x0F) << 12 | (np.uint32(data[place + 1]) & 0x3F) << 6 | (data[place + 2] & 0x3F)
                place += 3
            else:
                code = (byte & 0x07) << 18 | (np.uint32(data[place + 1]) & 0x3F) << 12
                code |= (np.uint32(data[place + 2]) & 0x3F) << 6 | (data[place + 3] & 0x3F)
                place += 4
            entry = entries[code] if code < len(entries) else np.uint32(0)
            kind = entry >> KIND
            if kind == WORD:
                if began < 0:
                    began, word = at, _OFFSET
                word = (word ^ np.uint64(entry & _CODE)) * _PRIME
                continue
            if kind == SKIPPED:
                continue
            if began >= 0:
                hashes[count], starts[count], ends[count] = mixed(word), began - first, at - first
                count, began = count + 1, np.int64(-1)
            if kind == ALONE:
                hashes[count] = mixed((_OFFSET ^ np.uint64(entry & _CODE)) * _PRIME)
                starts[count], ends[count] = at - first, place - first
                count, singles = count + 1, singles + 1
        if began >= 0:
            hashes[count], starts[count], ends[count] = mixed(word), began - first, end - first
            count += 1
        bounds[row + 1], alone[row] = count, singles
    return count


@kernel
def _interleave(
    first: npt.NDArray[np.uint64],
    first_offsets: npt.NDArray[np.int64],
    second: npt.NDArray[np.uint64],
    second_offsets: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
) -> None:
    place = 0
    for row in range(len(first_offsets) - 1):
        for index in range(first_offsets[row], first_offsets[row + 1]):
            hashes[place] = first[index]
            place += 1
        for index in range(second_offsets[row], second_offsets[row + 1]):
            hashes[place] = second[index]
            place += 1


@kernel
def _sum(hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], result: npt.NDArray[np.uint64]) -> None:
    for row in range(len(offsets) - 1):
        if offsets[row + 1] > offsets[row]:
            value = _OFFSET
            for index in range(offsets[row], offsets[row + 1]):
                value = mixed(value ^ hashes[index]) * _PRIME
            result[row] = max(value, np.uint64(1))
