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
    said = [pl.col(name).str.strip_chars() != "" for name in ("context", "response")]
    each = turns.filter("placed").unique(_PLACE, keep="first", maintain_order=True).sort(_PLACE)
    told = each.with_columns(whole=(said[0] & said[1]).fill_null(False), half=(said[0] != said[1]).fill_null(False))
    # How many of each kind stand before a turn in the whole file; less those before its dialogue, in the dialogue.
    told = told.with_columns(wholes=_before("whole"), halves=_before("half"))
    exchange = pl.struct(user="context", assistant="response")
    dialogues = told.group_by("dialogue").agg(
        pl.col("wholes", "halves").first().name.prefix("first_"),
        exchanges=exchange.filter("whole"),
        losses=pl.lit(EMPTY_HALF).repeat_by(pl.col("half").sum()),
    )
    places = told.select(*_PLACE, "wholes", "halves").join(dialogues, on="dialogue", how="left")
    found = turns.join(places, on=_PLACE, how="left", maintain_order="left")
    return found.select(
        "row",
        history=pl.col("exchanges").list.head(pl.col("wholes") - pl.col("first_wholes")),
        instruction=pl.when("placed").then("context"),
        output="response",
        extra=extra(
            safety_label=json_text(pl.col("safety_label")),
            rots=json_text(pl.col("rots")),
            source=json_text(pl.col("source")),
        ),
        dropped=pl.col("losses").list.head(pl.col("halves") - pl.col("first_halves")),
    )


def _before(name: str) -> pl.Expr:
    """How many rows before this one have the flag."""
    return pl.col(name).cast(pl.Int64).cum_sum() - pl.col(name).cast(pl.Int64)


def _number(name: str) -> pl.Expr:
    """A whole number of JSON, null for anything else."""
    return pl.col(name).cast(pl.String).str.strip_chars('"').cast(pl.Int64, strict=False)


SHAPE = Shape(schema=RAW, collect=collect, whole=True, lists=True)
