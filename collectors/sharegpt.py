"""ShareGPT: talks with ChatGPT that its users shared, answers in HTML (RyokoAI/ShareGPT52K, JSON array).

A raw row: `{"id": "aB3dE5f", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value":
"<div class=\\"markdown prose\\"><p>Hello! ...</p></div>"}]}`.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import SPOKEN, TALK, Speaker, dialogues, placed
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

_DIALOGUE: Final = pl.Struct([*TALK.fields, pl.Field("system", pl.String)])


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Answers become Markdown; what users wrote is plain text and stays as it is."""
    talk = pl.col("conversations").map_batches(_dialogues, return_dtype=_DIALOGUE)
    return raw.select("row", talk.alias("dialogue"), extra=extra(id=json_text(pl.col("id")))).unnest("dialogue")


def _dialogues(conversations: pl.Series) -> pl.Series:
    """Every conversation; null where a turn is of nobody known, or its HTML cannot be read."""
    rows, turn = pl.DataFrame({"turn": conversations}).with_row_index("row"), pl.col("turn").struct
    turns = rows.filter(pl.col("turn").list.len() > 0).explode("turn")
    turns = turns.select("row", who=turn.field("from"), text=turn.field("value").fill_null(""))
    system = pl.col("who").eq_missing(pl.lit(SYSTEM))
    said = _said(turns.filter(~system))
    lost = said.filter(pl.any_horizontal(pl.col("user", "text").is_null()))
    found = dialogues(said.join(lost, on="row", how="anti", maintain_order="left"), len(rows))
    prompt = pl.col("text").str.strip_chars()
    told = turns.filter(system).group_by("row").agg(system=prompt.filter(prompt != "").str.join("\n\n"))
    return pl.concat([found, placed(told, len(rows))], how="horizontal").to_struct(conversations.name)


def _said(turns: pl.DataFrame) -> pl.DataFrame:
    """The turns as `SPOKEN`, a null where one is of nobody known, or an answer cannot be read.

    HTML is read by a library, a text at a time.
    """
    speakers = [SPEAKERS.get(who) for who in turns["who"]]
    texts = [
        answer(text) if speaker == "assistant" else text for speaker, text in zip(speakers, turns["text"], strict=True)
    ]
    users = [None if speaker is None else speaker == "user" for speaker in speakers]
    return pl.DataFrame({"row": turns["row"], "user": users, "text": texts}, schema=SPOKEN)


SHAPE = Shape(schema=RAW, collect=collect)
