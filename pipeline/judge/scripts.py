"""The letters of texts counted by script, without what is no prose: code, addresses, formulas."""

import functools
import unicodedata
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.kernel import kernel
from pipeline.judge.characters import LIMIT
from pipeline.judge.han import signs
from pipeline.judge.tokens import utf8

_NAMES: Final = (
    "LATIN CJK KANA HANGUL CYRILLIC ARABIC DEVANAGARI THAI GREEK HEBREW BENGALI TAMIL TELUGU GUJARATI GURMUKHI KANNADA "
    "MALAYALAM ORIYA SINHALA GEORGIAN ARMENIAN MYANMAR KHMER LAO ETHIOPIC TIBETAN"
)

SCRIPTS: Final = _NAMES.split()
"""Scripts that are told apart, as Unicode's names of letters begin (`KANA`: hiragana and katakana)."""

LATIN, HAN, KANA = range(3)
SPACED: Final = ("LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI")
"""Scripts of several languages, whose words are kept for a closer look."""

SAMPLE: Final = 240
"""Bytes of those words that are kept of a text."""

_ENGLISH: Final = """
the and of to in is for that with this are was were be been being have has had having not you your yours they them their
theirs there these those what which who whom whose when where why how would could should will can cannot may might must
shall does did doing done from into onto about above after again against before below between during through under until
while because although though whether however therefore than then it its he she his her him we our us my mine if or but
as at by an any all each every both few more most other some such only own same too very just now also out up down over
off once here yes please give given giving write writing written describe explain generate create provide make find
identify classify suggest rewrite convert compose construct summarize calculate compare translate design develop analyze
determine list name using use used following example answer question sentence sentences paragraph word words people
person many much how one two three four five first second new good best better like know need want get got take took
say said think work world life day time year years number total cost day week hour hours money left per if each
"""

ENGLISH: Final = _ENGLISH.split()
"""Common English words and the verbs that requests begin with."""

_FOREIGN: Final = """
le la les de des une du est dans pour avec sur qui que pas sont cette être der die das und ist nicht ein eine mit für
auf von den dem zu wie el los las del y en por para con una como es il di che non per della sono gli o os da do em um
uma não het een van dat met voor niet och att det som på är av og til er nie się na jest w z że si pe cu din nu este az
nem és hogy egy ve bir bu için ile yang dan untuk dengan dari ini itu dalam pada adalah kwa ya wa na ni i ja on ei että
"""

FOREIGN: Final = _FOREIGN.split()
"""Common words of other languages in Latin script; one that is among the English ones counts for neither."""

LETTERS, WORDS, CAPITALS, KNOWN, OTHERS, MARKS = 0, *range(len(SCRIPTS), len(SCRIPTS) + 5)
BROKEN_HANS, BROKEN_HANT, BROKEN_JA, TOWARDS_JA, TOWARDS_ZH = range(len(SCRIPTS) + 5, len(SCRIPTS) + 10)
COLUMNS: Final = len(SCRIPTS) + 10
"""Of `Counts.table`: letters by script; words in Latin letters, those in capitals, English and foreign ones, letters
with marks; then the sums of each of `han`'s signs."""

_IGNORED, _GLUE, _EXTENDS = len(SCRIPTS), len(SCRIPTS) + 1, len(SCRIPTS) + 2
"""What a code point that is no letter of `SCRIPTS` is: nothing, a mark of code or formulas, a part of a letter."""

_SIGNS: Final = 8
"""A table's entry is `signs << 8 | script`."""

_CYRILLIC, _DEVANAGARI = SCRIPTS.index("CYRILLIC"), SCRIPTS.index("DEVANAGARI")

_SLOTS: Final = 4096
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)


class Counts(NamedTuple):
    """What was counted in some texts, shape (texts, COLUMNS) (int32), and the prose words of the `SPACED` scripts.

    `words` (uint8, shape (texts, SAMPLE)) holds so many bytes of UTF-8 a text, `kept` (int32) how many are filled.
    """

    table: npt.NDArray[np.int32]
    words: npt.NDArray[np.uint8]
    kept: npt.NDArray[np.int32]


def counts(texts: pl.Series) -> Counts:
    """Letters and words of a string column.

    Left out are fenced code, addresses (https:, www., e-mail), and words in Latin letters that touch a digit or a mark
    of code, as in `x_1`, `f(x)`, `<br>`, `\\frac` or `camelCase`.
    """
    data, offsets = utf8(texts)
    found = np.zeros((len(texts), COLUMNS), np.int32)
    words, kept = np.empty((len(texts), SAMPLE), np.uint8), np.zeros(len(texts), np.int32)
    _count(data, offsets, _table(), _known(), found, words, kept)
    return Counts(found, words, kept)


@functools.cache
def _table() -> npt.NDArray[np.uint32]:
    """Script and signs of every code point below `LIMIT`, shape (LIMIT,)."""
    entries = np.full(LIMIT, _IGNORED, np.uint32)
    numbers = {name: number for number, name in enumerate(SCRIPTS)}
    numbers |= {"HIRAGANA": KANA, "KATAKANA": KANA, "HALFWIDTH KATAKANA": KANA, "FULLWIDTH LATIN": LATIN}
    for code in range(LIMIT):
        category = unicodedata.category(chr(code))
        if category[0] == "M":
            entries[code] = _EXTENDS
        elif category[0] == "L":
            words = unicodedata.name(chr(code), "").split()
            script = numbers.get(" ".join(words[:2]), numbers.get(words[0] if words else "", _IGNORED))
            entries[code] = script
    entries[0x30FC] = _EXTENDS  # ー, in Chinese often a dash
    for mark in "0123456789_={}[]<>\\/@$%^&+|~`":
        entries[ord(mark)] = _GLUE
    for code, sign in signs().items():
        entries[code] |= sign << _SIGNS
    return entries


@functools.cache
def _known() -> npt.NDArray[np.uint64]:
    """Hashes of common words in an open table, shape (_SLOTS,); the lowest bit is 1 for English, a free slot 0."""
    table = np.zeros(_SLOTS, np.uint64)
    english, foreign = set(ENGLISH), set(FOREIGN)
    for word in sorted(english ^ foreign):
        hashed = int(_OFFSET)
        for character in word:
            hashed = (hashed ^ ord(character)) * int(_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
        slot = hashed >> 1 & (_SLOTS - 1)
        while table[slot]:
            slot = slot + 1 & (_SLOTS - 1)
        table[slot] = hashed & ~1 | (word in english)
    return table


@kernel
def _decoded(data: npt.NDArray[np.uint8], place: np.int64) -> tuple[np.int64, np.int64]:
    """The code point that begins at `place`, and where the next one begins."""
    byte = np.int64(data[place])
    if byte < 0x80:
        return byte, place + 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | (data[place + 1] & 0x3F), place + 2
    code = np.int64(data[place + 1] & 0x3F) << 6 | np.int64(data[place + 2] & 0x3F)
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | code, place + 3
    return (byte & 0x07) << 18 | code << 6 | np.int64(data[place + 3] & 0x3F), place + 4


@kernel
def _looked_up(known: npt.NDArray[np.uint64], word: np.uint64) -> np.int64:
    """1 for an English word, 0 for a foreign one, -1 for one that is not among the common ones."""
    slot = np.int64((word >> np.uint64(1)) & np.uint64(_SLOTS - 1))
    while known[slot] != 0:
        if known[slot] >> np.uint64(1) == word >> np.uint64(1):
            return np.int64(known[slot] & np.uint64(1))
        slot = (slot + 1) & (_SLOTS - 1)
    return np.int64(-1)


@kernel
def _follow(data: npt.NDArray[np.uint8], place: np.int64, end: np.int64, text: npt.NDArray[np.uint8]) -> bool:
    """Whether the bytes of `text` stand at `place`."""
    if place + len(text) > end:
        return False
    same = 0
    while same < len(text) and data[place + same] == text[same]:
        same += 1
    return same == len(text)


@kernel
def _count(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    entries: npt.NDArray[np.uint32],
    known: npt.NDArray[np.uint64],
    found: npt.NDArray[np.int32],
    words: npt.NDArray[np.uint8],
    kept: npt.NDArray[np.int32],
) -> None:
    fence = np.array([96, 96, 96], np.uint8)
    slashes = np.array([58, 47, 47], np.uint8)
    www = np.array([119, 119, 119, 46], np.uint8)
    for row in range(len(offsets) - 1):
        place, end = offsets[row], offsets[row + 1]
        began, word, script, letters, marks = np.int64(-1), _OFFSET, np.int64(0), 0, 0
        glued = touched = fenced = lower = False
        while place <= end:
            at = place
            code, place = _decoded(data, at) if at < end else (np.int64(32), at + 1)
            entry = entries[code] if code < len(entries) else np.uint32(_IGNORED)
            kind = np.int64(entry & 0xFF)
            if kind == _EXTENDS and began >= 0:
                continue
            fencing = code == 96 and _follow(data, at, end, fence)
            spaced = not fenced and (kind == LATIN or _CYRILLIC <= kind <= _DEVANAGARI)
            if began >= 0 and not (spaced and kind == script):
                address = (code == 58 and _follow(data, at, end, slashes)) or _follow(data, began, end, www)
                dotted = code == 46 and at + 1 < end and data[at + 1] < 128 and entries[data[at + 1]] == LATIN
                touched = script == LATIN and (kind == _GLUE or code == 40 or dotted)
                if script != LATIN or not (glued or touched or address):
                    found[row, script] += letters
                    found[row, MARKS] += marks
                    if script == LATIN and letters > 1:
                        found[row, WORDS] += 1
                        found[row, CAPITALS] += not lower
                        meant = _looked_up(known, word)
                        found[row, KNOWN] += meant == 1
                        found[row, OTHERS] += meant == 0
                    if kept[row] + at - began < SAMPLE:
                        for index in range(began, at):
                            words[row, kept[row]] = data[index]
                            kept[row] += 1
                        words[row, kept[row]] = 32
                        kept[row] += 1
                began = np.int64(-1)
                if address:
                    while place < end and 32 < data[place] < 128:
                        place += 1
                    continue
            if fencing:
                fenced, place = not fenced, at + 3
            if fenced or fencing:
                continue
            if spaced:
                if began < 0:
                    began, word, script, letters, marks = at, _OFFSET, kind, 0, 0
                    glued, lower = touched, False
                small = code > 127 or code >= 97
                glued = glued or (lower and not small)
                lower = lower or bool(small)
                word = (word ^ np.uint64(code if small else code | 32)) * _PRIME
                letters += 1
                marks += int(kind == LATIN and code > 127)
                continue
            touched = (touched and code == 46) or kind == _GLUE
            if kind < _IGNORED:
                found[row, kind] += 1
                for sign in range(5):
                    found[row, BROKEN_HANS + sign] += (entry >> np.uint32(_SIGNS + sign)) & 1
