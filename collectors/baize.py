r"""Baize: ChatGPT's talks with itself, each packed into one text (project-baize/baize-chatbot, JSON array).

A raw row: `{"topic": "Tides", "input": "The conversation between human and AI assistant.\n[|Human|] Why tides?\n
[|AI|] The moon ...\n[|Human|] "}`; there is no field for the answer.
"""

import re
from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Speaker, Turns, dialogue, strip
from collectors.rows import Schema
from collectors.shape import Shape
from collectors.transcript import turns

RAW: Schema = {"topic": pl.String, "input": pl.String}

MARKER: Final = re.compile(r"^\[\|(Human|AI)\|\]", re.MULTILINE)
SPEAKERS: Final[dict[str, Speaker]] = {"Human": "user", "AI": "assistant"}

UNANSWERED: Final = "user turn without an answer"


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Every row ends in an empty human turn, which asks for nothing and is no loss."""
    talk = pl.col("input").map_elements(_dialogue, return_dtype=DIALOGUE)
    return raw.select("row", talk.alias("dialogue"), extra=extra(topic=json_text(pl.col("topic")))).unnest("dialogue")


def _dialogue(text: str) -> dict[str, Any] | None:
    """A row function: where a turn begins depends on all of the text before it, which expressions do not say."""
    kept, lost = _answered(turns(text, MARKER, SPEAKERS))
    found = dialogue(kept)
    return found and found | {"dropped": lost + found["dropped"]}


def _answered(said: Turns) -> tuple[Turns, list[str]]:
    """The turns without the human ones that another human turn follows, and a reason for each that said something."""
    kept: Turns = []
    lost: list[str] = []
    for turn in said:
        if kept and kept[-1][0] == turn[0] == "user":
            _, text = kept.pop()
            lost += [UNANSWERED] if strip(text) else []
        kept.append(turn)
    return kept, lost


SHAPE = Shape(schema=RAW, collect=collect)
