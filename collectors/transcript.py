"""Transcripts: a whole dialogue packed into one text, its turns behind markers such as `Human:`."""

import re
from collections.abc import Mapping

import polars as pl

from collectors.conversation import SPOKEN, Speaker, Turns


def turns(text: str, marker: re.Pattern[str], speakers: Mapping[str, Speaker]) -> Turns:
    """The turns of a transcript, cut at `marker`, whose first group is a key of `speakers`.

    What stands before the first marker belongs to no turn.
    """
    found = list(marker.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)] if found else []
    return [(speakers[match[1]], text[match.end() : end]) for match, end in zip(found, ends, strict=True)]


def spoken(transcripts: pl.Series, user: str, assistant: str) -> pl.DataFrame:
    """The turns of many transcripts at once, cut at two markers, as `conversation.SPOKEN`; null has none.

    What stands before the first marker belongs to no turn. No end of a marker may begin one.
    """
    # What follows a user's marker is what he said, and behind each assistant's marker in it an answer.
    cut = transcripts.to_frame("text").lazy().with_row_index("row").with_columns(pl.col("text").str.split(user))
    parts = (
        cut.explode("text")
        .with_columns(pl.col("text").str.split(assistant), head=pl.col("row") != pl.col("row").shift())
        .with_row_index("part")
        .explode("text")
        .with_columns(user=(pl.col("part") != pl.col("part").shift()).fill_null(True))
    )
    headless = parts.filter(~(pl.col("user") & pl.col("head").fill_null(True)))
    return headless.drop_nulls("text").select(SPOKEN.keys()).collect()
