"""Answers that say one thing over and over until they end."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.judge.rule import Exchange, Rule


class Repeated(NamedTuple):
    """What the end of each text repeats, shape (texts,): the bytes of the unit without its marks (0: nothing repeated),
    the bytes from the repetition's begin to the text's end, and the bytes from the begin to the second unit."""

    unit: npt.NDArray[np.int32]
    begin: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]


def repeated(texts: pl.Series) -> Repeated:
    """The longest repetition that each text ends in.

    Marks, blanks and the numbers that lines begin with are not looked at, nor what is before the last `periods.SEEN`
    bytes; the first unit may be cut. In what is left, the smallest period of every ending is found as Knuth, Morris and
    Pratt do.
    """
    from pipeline.judge.periods import periods  # these load a compiler, and other rules do without
    from pipeline.judge.tokens import utf8

    data, offsets = utf8(texts)
    units, begins, seconds = (np.zeros(len(texts), np.int32) for _ in range(3))
    periods(data, offsets, units, begins, seconds)
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
