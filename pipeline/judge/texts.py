"""The text of a record as it is compared: its request, and its answer."""

from typing import Final

import polars as pl

REQUEST: Final = ("history", "instruction", "input")
"""The record columns a request is made of; the system prompt is no part of it."""

ANSWER: Final = ("rationale", "output")
"""The record columns an answer is made of."""


def request(records: pl.DataFrame) -> pl.Series:
    """The turns of the history, the instruction and the input of each record, joined by line breaks."""
    turn = pl.element().struct
    sides = [turn.field(side).fill_null("") for side in ("user", "assistant")]
    history = pl.col("history").list.eval(pl.concat_str(*sides, separator="\n")).list.join("\n")
    return records.select(request=pl.concat_str(history, "instruction", "input", separator="\n"))["request"]


def answer(records: pl.DataFrame) -> pl.Series:
    """The rationale, where there is one, and the output of each record, joined by line breaks."""
    return records.select(answer=pl.concat_str(*ANSWER, separator="\n", ignore_nulls=True))["answer"]
