"""ProsocialDialog: answers to unsafe talk with rules of thumb (allenai/prosocial-dialog, JSON).

A raw row is a turn: `{"context": "...", "response": "...", "rots": ["..."], "safety_label": "__needs_caution__",
"source": "socialchemistry", "dialogue_id": 0, "response_id": 0, ...}`. A slice may be one object of column lists.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import EMPTY_HALF
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

RAW: Schema = {
    "context": pl.String,
    "response": pl.String,
    "rots": pl.List(pl.String),
    "safety_label": pl.String,
    "source": pl.String,
    "dialogue_id": RAW_JSON,
    "response_id": RAW_JSON,
}

_PLACE: Final = ("dialogue", "turn")


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """A turn's history are the turns of its dialogue with a smaller `response_id`, wherever in the file they stand.

    Turns of one dialogue with one number and other words contradict each other: they are rejected, and no history
    holds them. So are turns without a place in a dialogue.
    """
    turns = raw.with_columns(dialogue=_number("dialogue_id"), turn=_number("response_id"))
    placed = pl.col("dialogue").is_not_null() & pl.col("turn").is_not_null()
    words = pl.struct("context", "response")
    turns = turns.with_columns(placed=placed & (words.n_unique().over(_PLACE) == 1))
    exchange = pl.struct(user="context", assistant="response")
    said = pl.col("context").str.strip_chars() != "", pl.col("response").str.strip_chars() != ""
    each = turns.filter("placed").unique(_PLACE, keep="first", maintain_order=True).sort(_PLACE)
    told = each.with_columns(
        exchange=pl.when(said[0] & said[1]).then(exchange),
        half=pl.when(said[0] != said[1]).then(pl.lit(EMPTY_HALF)),
        before=pl.int_range(pl.len()).over("dialogue"),
    )
    dialogues = told.group_by("dialogue").agg(exchanges="exchange", halves="half")
    found = turns.join(told.select(*_PLACE, "before"), on=_PLACE, how="left", maintain_order="left").join(
        dialogues, on="dialogue", how="left", maintain_order="left"
    )
    return found.select(
        "row",
        history=pl.col("exchanges").list.head(pl.col("before")).list.drop_nulls(),
        instruction=pl.when("placed").then("context"),
        output="response",
        extra=extra(
            safety_label=json_text(pl.col("safety_label")),
            rots=json_text(pl.col("rots")),
            source=json_text(pl.col("source")),
        ),
        dropped=pl.col("halves").list.head(pl.col("before")).list.drop_nulls(),
    )


def _number(name: str) -> pl.Expr:
    """A whole number of JSON, null for anything else."""
    return pl.col(name).cast(pl.String).str.strip_chars('"').cast(pl.Int64, strict=False)


SHAPE = Shape(schema=RAW, collect=collect, whole=True, lists=True)
