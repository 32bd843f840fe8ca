"""What a character is to the comparison of texts: its folded form, and whether it joins a word, stands alone or parts.

Two texts that differ in case, width, punctuation or simplified against traditional forms have the same folded words.
The tables follow `unicodedata` and OpenCC's single characters; nothing of either is stored.
"""

import functools
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import opencc

LIMIT: Final = 0x33480
"""Code points from here on (private use, tags) part words."""

APART, WORD, ALONE, SKIPPED = 0, 1, 2, 3
"""Kinds of characters: one that parts words, one of a word, a word by itself, one that is read over."""

KIND: Final = 30
"""A table's entry is `kind << KIND | folded code point`."""

UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, LIMIT - 1),
)
"""Ranges of scripts written without blanks between words, both ends included: each letter is a word by itself."""

HAN: Final = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, LIMIT - 1))
"""Ranges of Chinese characters."""

_READ_OVER: Final = "'’\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f"
"""An apostrophe and marks that cannot be seen do not part a word."""


@functools.cache
def table() -> npt.NDArray[np.uint32]:
    """Kind and folded form of every code point below `LIMIT`, shape (LIMIT,)."""
    simplified = variants("t2s")
    entries = [entry(chr(code), simplified) if not 0xD800 <= code < 0xE000 else 0 for code in range(LIMIT)]
    return np.array(entries, np.uint32)


def entry(character: str, simplified: Mapping[int, int]) -> int:
    """Kind and folded form of one character, as `table` has them; `simplified` is what `changed` says of it."""
    code = ord(character)
    if code >= LIMIT:
        return 0
    category = unicodedata.category(character)
    if character in _READ_OVER or category[0] == "M":
        # A vowel sign that has a width of its own is a letter of its script.
        return (WORD if category == "Mc" else SKIPPED) << KIND | code
    if category[0] not in "LN":
        return 0
    folded = simplified.get(code) or _folded(character)
    return (ALONE if _alone()[folded] else WORD) << KIND | folded


@functools.cache
def _alone() -> bytes:
    """Whether each code point is a letter of a script without blanks, one byte each."""
    alone = bytearray(LIMIT)
    for first, last in UNSPACED:
        alone[first : last + 1] = b"\1" * (last + 1 - first)
    return bytes(alone)


def _folded(character: str) -> int:
    """The code point that stands for a letter whatever its case and width; itself, where that takes several."""
    folded = unicodedata.normalize("NFKC", character).casefold()
    return ord(folded) if len(folded) == 1 else ord(character)


@functools.cache
def variants(conversion: str) -> dict[int, int]:
    """The Chinese characters that OpenCC's `conversion` (`t2s`, `s2t`) changes, one by one, and what they become."""
    return changed(conversion, [chr(code) for first, last in HAN for code in range(first, last + 1)])


def changed(conversion: str, characters: Sequence[str]) -> dict[int, int]:
    """The same of some Chinese characters."""
    other = opencc.OpenCC(conversion).convert("\n".join(characters)).split("\n")
    pairs = zip(characters, other, strict=True)
    return {ord(before): ord(after) for before, after in pairs if after != before and len(after) == 1}
