"""What a flag is: a cheap test over many records, and an exact one that says what it found in one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl


class Exchange(NamedTuple):
    """One record as rules see it: parts without nulls, white space at the ends gone, and the parts joined.

    `history` holds the earlier turns, `request` them, the instruction and the input, `answer` the rationale and the
    output, `text` everything; what is joined is parted by line breaks. Languages are BCP 47 tags, `und` where nothing
    is known.
    """

    system: str
    history: str
    instruction: str
    input: str
    rationale: str
    output: str
    request_language: str
    answer_language: str
    request: str
    answer: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One flag.

    `meaning` is one sentence. `find` decides: it gives what fired, as matched text or in words, or None. `gate` spares
    it most records: a boolean expression over the columns of `exchanges` that is true wherever `find` gives something.
    """

    meaning: str
    gate: pl.Expr
    find: Callable[[Exchange], str | None]


JOINED: Final = {
    "request": ("history", "instruction", "input"),
    "answer": ("rationale", "output"),
    "text": ("system", "history", "instruction", "input", "rationale", "output"),
}


def exchanges(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `Exchange`, in its order, from those of records and `request_language`, `answer_language`."""
    turn = pl.element().struct
    turns = pl.concat_str(turn.field("user").fill_null(""), turn.field("assistant").fill_null(""), separator="\n")
    history = pl.col("history").list.eval(turns).list.join("\n") if frame["history"].list.len().max() else pl.lit("")
    empty = {name for name in ("system", "rationale") if frame[name].null_count() == frame.height}
    parts = frame.select(
        *[
            (pl.lit("") if name in empty else pl.col(name).fill_null("")).alias(name)
            for name in ("system", "rationale")
        ],
        history.alias("history"),
        *[pl.col(name).fill_null("") for name in ("instruction", "input", "output")],
        *[pl.col(name).fill_null("und") for name in ("request_language", "answer_language")],
    )
    void = {name for name in JOINED["text"] if not (parts[name] != "").any()}
    joined = {name: [part for part in held if part not in void] for name, held in JOINED.items()}
    return parts.with_columns(
        pl.concat_str(held, separator="\n").str.strip_chars().alias(name) if held else pl.lit("").alias(name)
        for name, held in joined.items()
    ).select(Exchange._fields)


def among(column: str, *literals: str) -> pl.Expr:
    """Whether one of some short texts stands in a column of `exchanges`."""
    return pl.col(column).str.contains_any(list(literals))
