"""The record: one shape for instructions, chats, chains of thought and preference pairs."""

from collections.abc import Sequence
from typing import Final

import polars as pl
import polars_hash  # noqa: F401  (registers the `nchash` namespace)
import pyarrow as pa

SCHEMA_NUMBER: Final = 1
"""Part of every fingerprint: raised when a column or the id changes."""

TURN: Final = pa.struct([("user", pa.large_string()), ("assistant", pa.large_string())])

CONSTANT: Final = ("source", "subset", "lang", "task", "gen", "license")
"""Columns with one value in a whole shard, stored once: dictionaries of one entry."""

_ONE: Final = pa.dictionary(pa.int32(), pa.large_string())

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("source", _ONE, nullable=False),
        pa.field("subset", _ONE, nullable=False),
        pa.field("row", pa.uint64(), nullable=False),
        pa.field("part", pa.uint16(), nullable=False),
        pa.field("lang", _ONE, nullable=False),
        pa.field("task", _ONE, nullable=False),
        pa.field("gen", _ONE, nullable=False),
        pa.field("language", pa.large_string()),
        pa.field("license", _ONE, nullable=False),
        pa.field("system", pa.large_string()),
        pa.field("history", pa.list_(TURN), nullable=False),
        pa.field("instruction", pa.large_string(), nullable=False),
        pa.field("input", pa.large_string(), nullable=False),
        pa.field("rationale", pa.large_string()),
        pa.field("output", pa.large_string(), nullable=False),
        pa.field("rejected", pa.large_string()),
        pa.field("extra", pa.large_string()),
    ]
)
"""Columns of `data/records/<source>/*.arrow`: lineage, tags, the exchange, and upstream's other fields as JSON.

`history` holds the finished exchanges before the last one; `instruction`, `input` and `output` are the last one.
"""

HISTORY: Final = pl.List(pl.Struct({"user": pl.String, "assistant": pl.String}))

HASHED: Final = ("system", "history", "instruction", "input", "rationale", "output", "rejected")
"""The columns an id is taken over, in this order; lineage, tags and `extra` are not among them."""


def framed(text: pl.Expr) -> pl.Expr:
    """A string column as `<bytes>:<text>,`, and null as `-,`: no two different rows can be joined to the same text."""
    return _joined(_frame(text)).fill_null("-,")


def _frame(text: pl.Expr) -> list[pl.Expr | str]:
    return [text.str.len_bytes().cast(pl.String), ":", text, ","]


def framed_history(history: pl.Expr) -> pl.Expr:
    """A history column as the frame of its turns' frames, user and assistant in turn; an empty one is `0:,`."""
    turn = pl.element().struct
    turns = pl.concat_str(framed(turn.field("user")), framed(turn.field("assistant")))
    return framed(history.list.eval(turns).list.join(""))


def ids(frame: pl.DataFrame, over: Sequence[str] = HASHED) -> pl.Series:
    """The id of each row of finished record columns: xxh3_128 (seed 0) over the framed columns, as 32 hex digits.

    `over` names fewer columns for a hash of a part of the record, made in the same way.
    """
    if not frame.height:
        return pl.Series("id", [], dtype=pl.String)
    pieces: list[pl.Expr | str] = []
    for name in over:
        column = frame[name]
        if column.null_count() == frame.height:
            pieces.append("-,")
        elif name == "history":
            pieces.append(framed_history(pl.col(name)) if column.list.len().max() else "0:,")
        elif column.null_count():
            pieces.append(framed(pl.col(name)))
        else:
            # Joining all at once is faster than joining frames, but would lose a row that has a null.
            pieces += _frame(pl.col(name))
    digest = _joined(pieces).nchash.xxh3_128(return_binary=True, byte_order="big")  # type: ignore[attr-defined]
    return frame.select(id=digest.bin.encode("hex"))["id"]


def _joined(pieces: list[pl.Expr | str]) -> pl.Expr:
    """All pieces as one text; neighbouring literals are one piece."""
    merged: list[pl.Expr | str] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(last := merged[-1], str):
            merged[-1] = last + piece
        else:
            merged.append(piece)
    return pl.concat_str([pl.lit(piece) if isinstance(piece, str) else piece for piece in merged])


def keyed(seed: int, purpose: str, *columns: str) -> pl.Expr:
    """A 64-bit draw for each row: xxh3_64 of `seed:purpose:` and the framed text of the named columns.

    Every random choice of the program is such a draw, so it depends on the thing drawn for and on nothing else: not on
    the order of rows, the number of workers or the machine.
    """
    frames = [framed(pl.col(name).cast(pl.String)) for name in columns]
    text = pl.concat_str(pl.lit(f"{seed}:{purpose}:"), *frames)
    return text.nchash.xxh3_64()  # type: ignore[attr-defined,no-any-return]
