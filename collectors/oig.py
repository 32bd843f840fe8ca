r"""OIG: dialogues of a human and a bot, each packed into one text (laion/OIG, JSON Lines).

A raw row: `{"text": "<human>: Explain this joke: ...\n<bot>: ...", "metadata": {"source": "unified_basic"}}`; in
unified_joke_explanations the bot is `Rosey:`.
"""

import re
from typing import Any, Final

import polars as pl

from collectors.columns import extra
from collectors.conversation import DIALOGUE, Speaker, dialogue
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape
from collectors.transcript import turns

RAW: Schema = {"text": pl.String, "metadata": RAW_JSON}

MARKER: Final = re.compile(r"^(<human>|<bot>|Rosey):", re.MULTILINE)
SPEAKERS: Final[dict[str, Speaker]] = {"<human>": "user", "<bot>": "assistant", "Rosey": "assistant"}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """What stands before the first marker belongs to no turn and is the record's system prompt."""
    talk = pl.col("text").map_elements(_dialogue, return_dtype=DIALOGUE)
    metadata = extra(metadata=pl.col("metadata").cast(pl.String))
    return raw.select("row", talk.alias("dialogue"), extra=metadata).unnest("dialogue")


def _dialogue(text: str) -> dict[str, Any] | None:
    """A row function: where a turn begins depends on all of the text before it, which expressions do not say."""
    found = dialogue(turns(text, MARKER, SPEAKERS))
    return found and found | {"system": MARKER.split(text, 1)[0]}


SHAPE = Shape(schema=RAW, collect=collect)
