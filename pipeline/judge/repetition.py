"""Answers that say one thing over and over until they end."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.kernel import kernel
from pipeline.judge.rule import Exchange, Rule
from pipeline.judge.tokens import utf8

SEEN: Final = 4096
"""So many bytes at an answer's end are looked at."""

LEAST: Final = 60
"""The least bytes of letters and digits that a repetition fills."""

LONG: Final = 20
"""A unit of so many bytes is repeated when it stands `FEW` times, a shorter one when it stands `MANY` times."""

FEW: Final = 3
MANY: Final = 6


class Repeated(NamedTuple):
    """What the end of each text repeats, shape (texts,): the bytes of the unit without its marks (0: nothing repeated),
    the bytes from the repetition's begin to the text's end, and the bytes from the begin to the second unit."""

    unit: npt.NDArray[np.int32]
    begin: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]


def repeated(texts: pl.Series) -> Repeated:
    """The longest repetition that each text ends in.

    Marks, blanks and the numbers that lines begin with are not looked at, nor what is before the last `SEEN` bytes; the
    first unit may be cut. In what is left, the smallest period of every ending is found as Knuth, Morris and Pratt do.
    """
    data, offsets = utf8(texts)
    units, begins, seconds = (np.zeros(len(texts), np.int32) for _ in range(3))
    _periods(data, offsets, units, begins, seconds)
    return Repeated(units, begins, seconds)


def find(exchange: Exchange) -> str | None:
    """The unit that the output or the rationale repeats to its end, and how often."""
    for text in (exchange.output, exchange.rationale):
        unit, begin, second = (int(values[0]) for values in repeated(pl.Series([text])))
        if unit:
            ending = text.encode()[-begin:]
            said = ending[:second].decode(errors="ignore").strip()
            if any(map(str.isalpha, said)):
                return f"{said!r} about {round(begin / second)} times at the end"
    return None


@kernel
def _periods(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    units: npt.NDArray[np.int32],
    begins: npt.NDArray[np.int32],
    seconds: npt.NDArray[np.int32],
) -> None:
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


def _gate(texts: pl.Series) -> pl.Series:
    return pl.Series(repeated(texts).unit > 0)


REPETITION: Final = {
    "repetition": Rule(
        meaning="The answer repeats one phrase or line until its end.",
        gate=pl.any_horizontal(
            pl.col(name).map_batches(_gate, return_dtype=pl.Boolean) for name in ("output", "rationale")
        ),
        find=find,
    )
}
