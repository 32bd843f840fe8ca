"""How the ends of texts repeat themselves: the loop behind the rule `repetition`."""

from typing import Final

import numpy as np
import numpy.typing as npt

from collectors.kernel import kernel

SEEN: Final = 4096
"""So many bytes at an answer's end are looked at."""

LEAST: Final = 60
"""The least bytes of letters and digits that a repetition fills."""

LONG: Final = 20
"""A unit of so many bytes is repeated when it stands `FEW` times, a shorter one when it stands `MANY` times."""

FEW: Final = 3
MANY: Final = 6


@kernel
def periods(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    units: npt.NDArray[np.int32],
    begins: npt.NDArray[np.int32],
    seconds: npt.NDArray[np.int32],
) -> None:
    """Fill the arrays of `repetition.Repeated` for the texts that `tokens.utf8` gives."""
    kept, place, back = np.empty(SEEN, np.uint8), np.empty(SEEN, np.int32), np.empty(SEEN + 1, np.int32)
    for row in range(len(offsets) - 1):
        first, end = max(offsets[row], offsets[row + 1] - SEEN), offsets[row + 1]
        if end - first < LEAST:
            continue
        count = _kept(data, first, end, kept, place)
        # `back[size]` is the longest beginning of kept[:size] that is also its ending; kept runs from the text's end.
        back[0], size = -1, -1
        for index in range(count):
            while size >= 0 and kept[size] != kept[index]:
                size = back[size]
            size += 1
            back[index + 1] = size
            length, unit = index + 1, index + 1 - size
            if length >= LEAST and length >= unit * (FEW if unit >= LONG else MANY):
                units[row], begins[row] = unit, end - place[index]
                seconds[row] = place[index - unit] - place[index]


@kernel
def _kept(
    data: npt.NDArray[np.uint8],
    first: np.int64,
    end: np.int64,
    kept: npt.NDArray[np.uint8],
    place: npt.NDArray[np.int32],
) -> int:
    """The letters (lower case) and digits of data[first:end] from its end on, and where they stand."""
    count = 0
    for index in range(end - 1, first - 1, -1):
        byte = data[index]
        if byte == 10:
            # The digits that the line behind began with number it.
            while count and 48 <= kept[count - 1] <= 57:
                count -= 1
        elif byte >= 0x80 or 48 <= byte <= 57 or 97 <= byte <= 122:
            kept[count], place[count] = byte, index
            count += 1
        elif 65 <= byte <= 90:
            kept[count], place[count] = byte + 32, index
            count += 1
    return count
