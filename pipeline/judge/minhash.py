"""MinHash: a few numbers a text, of which two near-duplicates share at least one.

A text's shingles are renumbered by `BANDS * ROWS` fixed permutations, and the smallest number of each is noted. Two
texts of the Jaccard similarity `j` agree on one of them with the probability `j`, and on a whole band of `ROWS` of them
with `j ** ROWS` (Broder, "On the resemblance and containment of documents", 1997).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.kernel import kernel
from pipeline.judge.shingles import shingled
from pipeline.judge.tokens import mixed

BANDS: Final = 14
"""Bands of a signature. By `1 - (1 - j ** ROWS) ** BANDS`, 0.963 of the pairs at j = 0.8 share one, 0.9998 at 0.9, and
0.10 at 0.5."""

ROWS: Final = 7
"""Smallest numbers that make one band."""

_PRIME: Final = np.uint64(0x100000001B3)


def signatures(words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """A hash of each band of each text, shape (texts, BANDS); zeros for a text without words.

    Text `i` has the words `offsets[i]` to `offsets[i + 1]`.
    """
    bands = np.zeros((len(offsets) - 1, BANDS), np.uint32)
    room = np.empty(int(np.diff(offsets).max(initial=0)), np.uint32)
    _sign(words, offsets, *_permutations(), room, bands)
    return bands


def _permutations() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Odd factors and summands of the permutations of 32-bit numbers, `number * factor + summand`."""
    drawn = np.array([mixed(np.uint64(number)) for number in range(1, BANDS * ROWS + 1)], np.uint64)
    return (drawn >> np.uint64(32)).astype(np.uint32) | np.uint32(1), drawn.astype(np.uint32)


@kernel
def _sign(
    words: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    factors: npt.NDArray[np.uint32],
    summands: npt.NDArray[np.uint32],
    room: npt.NDArray[np.uint32],
    bands: npt.NDArray[np.uint32],
) -> None:
    for row in range(len(offsets) - 1):
        count = shingled(words, offsets[row], offsets[row + 1], room, 0)
        if count == 0:
            continue
        for band in range(BANDS):
            value = np.uint64(band)
            for number in range(band * ROWS, (band + 1) * ROWS):
                factor, summand = factors[number], summands[number]
                least = np.uint32(0xFFFFFFFF)
                for place in range(count):  # 32 bits throughout, so that several fit a register
                    least = min(least, np.uint32(room[place] * factor + summand))
                value = (value ^ np.uint64(least)) * _PRIME
            bands[row, band] = np.uint32(mixed(value) >> np.uint64(32))
