r"""MOSS-003: talks with an assistant that may think and use tools (OpenLMLab/MOSS, one JSON object a file or a line).

A raw row: `{"conversation_id": 1, "meta_instruction": "You are ...", "num_turns": 1, "chat": {"turn_1": {"Human":
"<|Human|>: Why?<eoh>\n", "Inner Thoughts": "<|Inner Thoughts|>: None<eot>\n", "Commands": "<|Commands|>: None<eoc>\n",
"Tool Responses": "<|Results|>:\nNone\n<eor>\n", "MOSS": "<|MOSS|>: Because.<eom>\n"}}, "category": "Honest"}`.
"""

import re
from itertools import islice
from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Turns, dialogue, strip
from collectors.nested import Values, members, objects
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

RAW: Schema = {
    "conversation_id": RAW_JSON,  # a number in some files, a text in others
    "meta_instruction": pl.String,
    "chat": RAW_JSON,
    "category": pl.String,
}

TURN: Final[Schema] = dict.fromkeys(["Human", "Inner Thoughts", "Commands", "Tool Responses", "MOSS"], pl.String)
KEY: Final = re.compile(r"turn_[0-9]{1,9}")
BEGIN: Final = re.compile(r"\A<\|(?:Human|Inner Thoughts|Commands|Results|MOSS)\|>:")
ENDS: Final = ("<eoh>", "<eot>", "<eoc>", "<eor>", "<eom>")
NOTHING: Final = "None"

CHAT: Final = pl.Struct(
    {
        **{field.name: field.dtype for field in DIALOGUE.fields if field.name in {"history", "instruction", "output"}},
        "dropped": pl.List(pl.String),
        "asked": pl.String,
        "rationale": pl.String,
        "commands": pl.String,
        "responses": pl.String,
    }
)
"""A dialogue, its very first request, and what stands beside its last answer."""


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The last turn is the record's, whatever it lacks; files mix languages, and the first request tells which."""
    chat = pl.col("chat").map_batches(_chats, return_dtype=CHAT)
    han = pl.col("asked").str.contains(r"\p{Han}").fill_null(False)
    kept = ["row", "history", "instruction", "rationale", "output", "dropped"]
    return (
        raw.with_columns(chat.alias("talk"))
        .unnest("talk")
        .select(
            *kept,
            system="meta_instruction",
            lang=pl.when(han).then(pl.lit("CN")).otherwise(pl.lit("EN")),
            extra=extra(
                **{"Commands": json_text(pl.col("commands")), "Tool Responses": json_text(pl.col("responses"))},
                conversation_id=pl.col("conversation_id").cast(pl.String),
                category=json_text(pl.col("category")),
            ),
        )
    )


def _chats(chats: pl.Series) -> pl.Series:
    """A row function, for the turns are named, not listed. All turns of a block are read in one go."""
    every = [_turns(chat) if chat is not None else [] for chat in chats.to_list()]
    read = iter(objects([text for turns in every for text in turns], TURN))
    return pl.Series(chats.name, [_chat(list(islice(read, len(turns)))) for turns in every], dtype=CHAT)


def _turns(chat: bytes) -> list[bytes]:
    """The JSON texts of the turns by their numbers; a name that is no turn's makes a turn that cannot be read."""
    found = members(chat) or {}
    if not all(map(KEY.fullmatch, found)):
        return [b"null"]
    return [found[name] for name in sorted(found, key=lambda name: int(name.removeprefix("turn_")))]


def _chat(turns: list[Values | None]) -> dict[str, Any] | None:
    """One conversation; None when a turn lacks its request or its answer."""
    said: Turns = []
    for turn in turns:
        if turn is None or turn[0] is None or turn[-1] is None:
            return None
        said += [("user", unmarked(turn[0])), ("assistant", unmarked(turn[-1]))]
    found = dialogue(said, last_counts=True)
    if found is None:
        return None
    last = turns[-1]
    assert last is not None
    thoughts, commands, responses = (text and _something(unmarked(text)) for text in last[1:-1])
    beside = {"rationale": thoughts, "commands": commands, "responses": responses}
    return found | beside | {"asked": said[0][1]}


def unmarked(text: str) -> str:
    """A section without the mark that opens it and the end marks behind it, and without white space around it."""
    text = strip(text)
    if begin := BEGIN.match(text):
        text = text[begin.end() :]
    while text.endswith(ENDS):
        text = strip(text[: -len(ENDS[0])])
    return strip(text)


def _something(text: str) -> str | None:
    return None if text in {"", NOTHING} else text


SHAPE = Shape(schema=RAW, collect=collect)
