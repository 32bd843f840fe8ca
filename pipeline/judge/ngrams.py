"""Runs of folded words as numbers: a table of those that are sought, and the search for them in records."""

from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.kernel import kernel
from pipeline.judge.tokens import mixed

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)


def table(
    grams: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Filter, slots and gram numbers for different grams; at most half of the slots are taken."""
    size = 1 << max(6, int(2 * len(grams)).bit_length())
    bits, slots, numbers = np.zeros(size >> 2, np.uint64), np.zeros(size, np.uint64), np.full(size, np.int32(-1))
    _fill(grams, bits, slots, numbers)
    return bits, slots, numbers


@kernel
def _fill(
    grams: npt.NDArray[np.uint64],
    bits: npt.NDArray[np.uint64],
    slots: npt.NDArray[np.uint64],
    numbers: npt.NDArray[np.int32],
) -> None:
    for number in range(len(grams)):
        gram = grams[number]
        bit = gram & np.uint64(64 * len(bits) - 1)
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = (gram >> np.uint64(32)) & np.uint64(len(slots) - 1)
        while numbers[slot] >= 0:
            slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
        slots[slot], numbers[slot] = gram, number


@kernel
def rolled(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], words: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The hash of every run of `words` words in some texts, and the text it is in, in order.

    A text with fewer words than that, but some, gives one run of all it has.
    """
    count = 0
    for row in range(len(offsets) - 1):
        length = offsets[row + 1] - offsets[row]
        count += max(length - words + 1, min(length, 1))
    grams, rows = np.empty(count, np.uint64), np.empty(count, np.int64)
    power = _power(words)
    count = 0
    for row in range(len(offsets) - 1):
        rolling = np.uint64(0)
        for index in range(offsets[row], offsets[row + 1]):
            rolling = rolling * _BASE + hashes[index]
            if index - offsets[row] >= words:
                rolling -= power * hashes[index - words]
            if index - offsets[row] + 1 >= words or index + 1 == offsets[row + 1]:
                grams[count], rows[count] = mixed(rolling), row
                count += 1
    return grams, rows


@kernel
def _power(words: int) -> np.uint64:
    power = np.uint64(1)
    for _ in range(words):
        power *= _BASE
    return power


@kernel
def search(
    request: npt.NDArray[np.uint64],
    request_offsets: npt.NDArray[np.int64],
    answer: npt.NDArray[np.uint64],
    answer_offsets: npt.NDArray[np.int64],
    skipped: npt.NDArray[np.uint64],
    words: int,
    bits: npt.NDArray[np.uint64],
    slots: npt.NDArray[np.uint64],
    numbers: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int64],
    needles: npt.NDArray[np.int32],
    needed: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Needles of which records hold as many different n-grams as `needed` says: row, needle, and n-grams held.

    A record is a request and an answer (hashes and offsets of `Tokens`), whose n-grams count together; no n-gram is of
    both. Words among `skipped` are read over. A request shorter than `words` counts as one n-gram, so that it finds a
    needle that is it. The other arrays are those of `leaks.Index`. Rows ascend; the time is that of the words, and of
    the needles' n-grams met.
    """
    power = _power(words)
    ring = np.zeros(words, np.uint64)
    # Grams and needles remember the record that last had them (the first is 1), so nothing is cleared in between.
    seen, owner = np.zeros(len(starts) - 1, np.int64), np.zeros(len(needed), np.int64)
    matched, met = np.zeros(len(needed), np.int32), np.empty(len(needed), np.int32)
    rows, found, counts = np.empty(1024, np.int64), np.empty(1024, np.int32), np.empty(1024, np.int32)
    count = 0
    for row in range(len(request_offsets) - 1):
        touched = 0
        for half in range(2):
            hashes, offsets = (request, request_offsets) if half == 0 else (answer, answer_offsets)
            rolling, length, place = np.uint64(0), 0, 0
            for index in range(offsets[row], offsets[row + 1]):
                if not _label(hashes[index], skipped):
                    rolling = rolling * _BASE + hashes[index]
                    if length >= words:
                        rolling -= power * ring[place]
                    ring[place] = hashes[index]
                    place = place + 1 if place + 1 < words else 0
                    length += 1
                    if length >= words:
                        gram = _gram(mixed(rolling), bits, slots, numbers)
                        if gram >= 0 and seen[gram] != row + 1:
                            seen[gram] = row + 1
                            touched = _count(row + 1, gram, starts, needles, owner, matched, met, touched)
            if half == 0 and 0 < length < words:
                gram = _gram(mixed(rolling), bits, slots, numbers)
                if gram >= 0:
                    touched = _count(row + 1, gram, starts, needles, owner, matched, met, touched)
        for at in range(touched):
            if matched[met[at]] >= needed[met[at]]:
                if count == len(rows):
                    rows = np.concatenate((rows, np.empty_like(rows)))
                    found = np.concatenate((found, np.empty_like(found)))
                    counts = np.concatenate((counts, np.empty_like(counts)))
                rows[count], found[count], counts[count] = row, met[at], matched[met[at]]
                count += 1
    return rows[:count], found[:count], counts[:count]


@kernel
def _label(word: np.uint64, skipped: npt.NDArray[np.uint64]) -> bool:
    found = False
    for one in skipped:
        found |= word == one
    return found


@kernel
def _gram(
    gram: np.uint64, bits: npt.NDArray[np.uint64], slots: npt.NDArray[np.uint64], numbers: npt.NDArray[np.int32]
) -> int:
    """The number of an n-gram of the index; -1 for any other."""
    bit = gram & np.uint64(64 * len(bits) - 1)
    if not (bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
        return -1
    slot = (gram >> np.uint64(32)) & np.uint64(len(slots) - 1)
    while numbers[slot] >= 0 and slots[slot] != gram:
        slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
    return int(numbers[slot])


@kernel
def _count(
    record: int,
    gram: int,
    starts: npt.NDArray[np.int64],
    needles: npt.NDArray[np.int32],
    owner: npt.NDArray[np.int64],
    matched: npt.NDArray[np.int32],
    met: npt.NDArray[np.int32],
    touched: int,
) -> int:
    """Count an n-gram for the needles that it stands in; how many needles the record has met."""
    for at in range(starts[gram], starts[gram + 1]):
        needle = needles[at]
        if owner[needle] != record:
            owner[needle], matched[needle], met[touched] = record, 0, needle
            touched += 1
        matched[needle] += 1
    return touched
