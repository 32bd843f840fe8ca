"""The record: one shape for instructions, chats, chains of thought and preference pairs."""

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
    return pl.concat_str(text.str.len_bytes().cast(pl.String), pl.lit(":"), text, pl.lit(",")).fill_null("-,")


def framed_history(history: pl.Expr) -> pl.Expr:
    """A history column as the frame of its turns' frames, user and assistant in turn; an empty one is `0:,`."""
    turn = pl.concat_str(framed(pl.element().struct.field("user")), framed(pl.element().struct.field("assistant")))
    return framed(history.list.eval(turn).list.join(""))


def ids(columns: tuple[str, ...] = HASHED, *, chats: bool = True) -> pl.Expr:
    """The id of each row: xxh3_128 (seed 0) over the framed columns, as 32 hexadecimal digits.

    `chats=False` promises that every history is empty and spares looking at them.
    """
    frames = [
        (framed_history(pl.col(name)) if chats else pl.lit("0:,")) if name == "history" else framed(pl.col(name))
        for name in columns
    ]
    digest = pl.concat_str(frames).nchash.xxh3_128(return_binary=True, byte_order="big")  # type: ignore[attr-defined]
    return digest.bin.encode("hex")  # type: ignore[no-any-return]


def keyed(seed: int, purpose: str, *columns: str) -> pl.Expr:
    """A 64-bit draw for each row: xxh3_64 of `seed:purpose:` and the framed text of the named columns.

    Every random choice of the program is such a draw, so it depends on the thing drawn for and on nothing else: not on
    the order of rows, the number of workers or the machine.
    """
    frames = [framed(pl.col(name).cast(pl.String)) for name in columns]
    text = pl.concat_str(pl.lit(f"{seed}:{purpose}:"), *frames)
    return text.nchash.xxh3_64()  # type: ignore[attr-defined,no-any-return]
