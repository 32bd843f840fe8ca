"""BELLE: Chinese instructions in four forms, told apart by the keys of the row (BelleGroup on the Hub, JSON Lines).

Plain `{"instruction", "input", "output"}`; an older upload, `{"input", "target"}`; dialogues packed into `instruction`,
`"Human:...\\nAssistant:...\\nHuman:...\\nAssistant:"`; train_3.5M, `{"id", "conversations": [{"from", "value"}]}`.
"""

import re
from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import DIALOGUE, Speaker, dialogue, strip
from collectors.rows import Schema
from collectors.shape import Shape
from collectors.transcript import turns

RAW: Schema = {
    "instruction": pl.String,
    "input": pl.String,
    "output": pl.String,
    "target": pl.String,
    "id": pl.String,
    "conversations": pl.List(pl.Struct({"from": pl.String, "value": pl.String})),
}

MARKER: Final = re.compile(r"^(Human|Assistant):", re.MULTILINE)
SPEAKERS: Final[dict[str, Speaker]] = {
    "Human": "user",
    "Assistant": "assistant",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Only dialogues leave the expressions for a row function; most rows are plain."""
    instruction, talk = pl.col("instruction"), pl.col("conversations").is_not_null()
    packed = instruction.str.strip_chars().str.starts_with("Human:") & instruction.str.contains(
        "Assistant:", literal=True
    )
    old = instruction.is_null() & pl.col("target").is_not_null()
    kind = pl.when(talk).then(pl.lit("talk")).when(packed).then(pl.lit("packed")).when(old).then(pl.lit("old"))
    turned = pl.struct("kind", "instruction", "output", "conversations").map_batches(_dialogues, return_dtype=DIALOGUE)
    found = pl.col("dialogue").struct
    chat = pl.col("kind").is_in(["talk", "packed"])
    first, last = pl.when(pl.col("kind") == "old"), pl.when(chat)
    return (
        raw.with_columns(kind=kind)
        .with_columns(dialogue=turned)
        .select(
            "row",
            history=found.field("history"),
            instruction=last.then(found.field("instruction")).otherwise(first.then("input").otherwise("instruction")),
            input=pl.when(pl.col("kind").is_null() | (pl.col("kind") == "packed")).then("input"),
            output=last.then(found.field("output")).otherwise(first.then("target").otherwise("output")),
            extra=extra(id=json_text(pl.when(pl.col("kind") == "talk").then("id"))),
            dropped=found.field("dropped"),
        )
    )


def _dialogues(rows: pl.Series) -> pl.Series:
    """The dialogues among the rows, null for the others.

    A row function: where a turn begins depends on all of the text before it, which expressions do not say.
    """
    kinds = rows.struct.field("kind")
    found: list[dict[str, Any] | None] = [None] * len(rows)
    for index in (kinds.is_in(["talk", "packed"]).fill_null(False)).arg_true():
        row = rows[index]
        found[index] = (
            _talk(row["conversations"]) if row["kind"] == "talk" else _packed(row["instruction"], row["output"])
        )
    return pl.Series(rows.name, found, dtype=DIALOGUE)


def _talk(conversations: list[dict[str, str | None] | None]) -> dict[str, object] | None:
    said = []
    for turn in conversations:
        if turn is None or turn["value"] is None or turn["from"] not in SPEAKERS:
            return None
        speaker, text = SPEAKERS[turn["from"]], turn["value"]
        said.append((speaker, text.replace("\r\n", "\n")))
    return dialogue(said)


def _packed(instruction: str, output: str | None) -> dict[str, object] | None:
    """The open `Assistant:` at the end asks for `output`, which is the last answer, empty or not."""
    if output is None:
        return None
    said = turns(strip(instruction.replace("\r\n", "\n")), MARKER, SPEAKERS)
    if said and said[-1][0] == "assistant" and not strip(said[-1][1]):
        said.pop()
    return dialogue([*said, ("assistant", output.replace("\r\n", "\n"))], last_counts=True)


SHAPE = Shape(schema=RAW, collect=collect)
