r"""Baize: ChatGPT's talks with itself, each packed into one text (project-baize/baize-chatbot, JSON array).

A raw row: `{"topic": "Tides", "input": "The conversation between human and AI assistant.\n[|Human|] Why tides?\n
[|AI|] The moon ...\n[|Human|] "}`; there is no field for the answer.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import TALK, dialogues
from collectors.rows import Schema
from collectors.shape import Shape
from collectors.transcript import spoken

RAW: Schema = {"topic": pl.String, "input": pl.String}

MARKERS: Final = ("\n[|Human|]", "\n[|AI|]")
"""At the start of a line only; a line break is put before the first."""

UNANSWERED: Final = "user turn without an answer"


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Every row ends in an empty human turn, which asks for nothing and is no loss."""
    talk = pl.format("\n{}", "input").map_batches(_dialogues, return_dtype=TALK)
    return raw.select("row", talk.alias("dialogue"), extra=extra(topic=json_text(pl.col("topic")))).unnest("dialogue")


def _dialogues(texts: pl.Series) -> pl.Series:
    """Of all rows at once: where a turn begins depends on all of the text before it.

    A human turn that another human turn follows is dropped; one that says nothing is no loss.
    """
    said = spoken(texts, *MARKERS)
    row, user = pl.col("row"), pl.col("user")
    again = user & user.shift(-1, fill_value=False) & (row == row.shift(-1))
    unanswered = said.filter(again & (pl.col("text").str.strip_chars() != ""))["row"]
    found = dialogues(said.filter(~again), len(texts), lost=[(unanswered, UNANSWERED)])
    return found.to_struct(texts.name)


SHAPE = Shape(schema=RAW, collect=collect)
