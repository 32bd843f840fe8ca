"""CAMEL: chats of two played roles, and single questions of science (camel-ai on the Hub, archives of JSON objects).

A science row: `{"role_1": "Physicist_RoleType.ASSISTANT", "topic;": "Optics", "sub_topic": "Lenses", "message_1":
"What is focal length?", "message_2": "The distance ..."}`; the semicolon is upstream's. A chat row has as messages
objects, `{"role_type": "USER", "content": "...", ...}`, as many as it takes, beside role_2, id, original_task,
specified_task and termination_reason.
"""

from itertools import islice
from typing import Any, Final

import msgspec
import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Speaker, Turns, dialogue, strip
from collectors.nested import Values, objects
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

MOST: Final = 64
"""Messages of the longest chat that is read; upstream stopped at 40. A row with more is rejected, not cut."""

MESSAGES: Final = [f"message_{number}" for number in range(1, MOST + 1)]
ABOUT_CHAT: Final = ("role_1", "role_2", "id", "original_task", "specified_task", "termination_reason")

RAW: Schema = {
    **dict.fromkeys((*ABOUT_CHAT, "topic;", "topic", "sub_topic"), pl.String),
    **dict.fromkeys(MESSAGES, RAW_JSON),
    f"message_{MOST + 1}": RAW_JSON,
}
MESSAGE: Final[Schema] = {"role_type": pl.String, "content": pl.String}
SPEAKERS: Final[dict[str | None, Speaker]] = {"USER": "user", "ASSISTANT": "assistant"}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The second message tells the forms apart: an object in chats, a text in science."""
    messages, more = pl.concat_list(MESSAGES).list.drop_nulls(), pl.col(f"message_{MOST + 1}")
    chat = pl.col("message_2").cast(pl.String).str.starts_with("{")
    talk = pl.struct(
        "message_1",
        "message_2",
        chat=pl.when(chat).then(pl.when(more.is_null()).then(messages).otherwise([])),
    ).map_batches(_dialogues, return_dtype=DIALOGUE)
    topic = pl.coalesce("topic;", "topic")
    science = extra(
        role_1=json_text(pl.col("role_1")), topic=json_text(topic), sub_topic=json_text(pl.col("sub_topic"))
    )
    about = extra(**{name: json_text(pl.col(name)) for name in ABOUT_CHAT})
    found = raw.select("row", talk.alias("dialogue"), extra=pl.when(chat).then(about).otherwise(science))
    return found.unnest("dialogue")


def _dialogues(rows: pl.Series) -> pl.Series:
    """A row function, for the messages are named, not listed. All messages of a block are read in one go."""
    every = rows.to_list()
    chats = [row["chat"] or [] for row in every]
    read = iter(objects([text for chat in chats for text in chat], MESSAGE))
    found = [
        _science(row["message_1"], row["message_2"]) if row["chat"] is None else _chat(list(islice(read, len(chat))))
        for row, chat in zip(every, chats, strict=True)
    ]
    return pl.Series(rows.name, found, dtype=DIALOGUE)


def _chat(messages: list[Values | None]) -> dict[str, Any] | None:
    """One chat without its empty messages; None when a message is of nobody."""
    said: Turns = []
    for message in messages:
        speaker = SPEAKERS.get(message[0]) if message is not None else None
        if message is None or speaker is None:
            return None
        if message[1] is not None and strip(message[1]):
            said.append((speaker, message[1]))
    return dialogue(said)


def _science(question: bytes | None, answer: bytes | None) -> dict[str, Any] | None:
    if question is None or answer is None:
        return None
    instruction, output = _text(question), _text(answer)
    return {"history": [], "instruction": instruction, "output": output, "dropped": []}


def _text(value: bytes) -> str | None:
    """A JSON text's text; a number's as it is written; None for anything else."""
    if value[:1] in b"-0123456789":
        return value.decode()
    try:
        return _TEXT.decode(value)
    except msgspec.DecodeError:
        return None


_TEXT: Final = msgspec.json.Decoder(str)

SHAPE = Shape(schema=RAW, collect=collect)
