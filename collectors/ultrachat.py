"""UltraChat: dialogues as plain lists, a user's message and its answer in turn (stingning/ultrachat, JSON Lines).

A raw row: `{"id": "0", "data": ["How do tides work?", "The moon ...", "And neap tides?", "They ..."]}`.
"""

from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Speaker, Turns, dialogue
from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"id": pl.String, "data": pl.List(pl.String)}

SPEAKERS: Final[tuple[Speaker, Speaker]] = ("user", "assistant")


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The last exchange with both halves is the record's, so an unanswered last message or an empty answer is lost."""
    talk = pl.col("data").map_batches(_dialogues, return_dtype=DIALOGUE)
    return raw.select("row", talk.alias("dialogue"), extra=extra(id=json_text(pl.col("id")))).unnest("dialogue")


def _dialogues(rows: pl.Series) -> pl.Series:
    """A row function: which exchange is the last whole one depends on all of them."""
    return pl.Series(rows.name, list(map(_dialogue, rows.to_list())), dtype=DIALOGUE)


def _dialogue(messages: list[str | None] | None) -> dict[str, Any] | None:
    said: Turns = []
    for index, text in enumerate(messages or []):
        if text is None:
            return None
        said.append((SPEAKERS[index % 2], text))
    return dialogue(said)


SHAPE = Shape(schema=RAW, collect=collect)
