"""ShareGPT: talks with ChatGPT that its users shared, answers in HTML (RyokoAI/ShareGPT52K, JSON array).

A raw row: `{"id": "aB3dE5f", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value":
"<div class=\\"markdown prose\\"><p>Hello! ...</p></div>"}]}`.
"""

from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Speaker, Turns, dialogue, strip
from collectors.markdown import answer
from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"id": pl.String, "conversations": pl.List(pl.Struct({"from": pl.String, "value": pl.String}))}

SPEAKERS: Final[dict[str | None, Speaker]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
SYSTEM: Final = "system"


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Answers become Markdown; what users wrote is plain text and stays as it is."""
    talk = pl.col("conversations").map_batches(_dialogues, return_dtype=DIALOGUE)
    return raw.select("row", talk.alias("dialogue"), extra=extra(id=json_text(pl.col("id")))).unnest("dialogue")


def _dialogues(rows: pl.Series) -> pl.Series:
    """A row function: HTML is read by a library, a text at a time."""
    return pl.Series(rows.name, list(map(_dialogue, rows.to_list())), dtype=DIALOGUE)


def _dialogue(conversation: list[dict[str, str | None] | None] | None) -> dict[str, Any] | None:
    """One conversation; None when a turn is of nobody known, or its HTML cannot be read."""
    said: Turns = []
    system: list[str] = []
    for turn in conversation or []:
        who, text = (turn["from"], turn["value"] or "") if turn is not None else (None, "")
        if who == SYSTEM:
            system.append(strip(text))
            continue
        speaker = SPEAKERS.get(who)
        written = answer(text) if speaker == "assistant" else text
        if speaker is None or written is None:
            return None
        said.append((speaker, written))
    found = dialogue(said)
    return found and found | {"system": "\n\n".join(filter(None, system))}


SHAPE = Shape(schema=RAW, collect=collect)
