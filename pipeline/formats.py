"""The row formats that other trainers read, as columns over a row's messages, and the files such rows are written to.

| format | a row |
|---|---|
| alpaca | instruction, input, output, id, source; and system ("" for none) and history ([user, assistant] pairs) |
| sharegpt | conversations: [{from: system or human or gpt, value}], id, source |
| messages | messages: [{role: system or user or assistant, content}] |
| prompt-completion | prompt: the messages before the last answer; completion: [that answer] (TRL's conversational) |

Alpaca's system and history stand in every row as soon as one row has such, and in none else, so that a file's rows are
alike. An empty history does not tell its type, and readers of JSON Lines take the types from the first rows: where
those have none, the first row with a history leads the file. `id` and `source` go along where readers take the fields
they know and pass over others (LLaMA-Factory and FastChat do); the other two formats are also uploaded to services that
check a row key by key, and row n of a file is row n of the records or of the split anyway.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import polars as pl
import pyarrow.parquet as pq

Format = Literal["alpaca", "messages", "sharegpt", "prompt-completion"]
Kind = Literal["json", "jsonl", "parquet"]

MESSAGES: Final = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

ROW: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "id": pl.String,
    "source": pl.String,
    "license": pl.String,
    "messages": MESSAGES,
    "instruction": pl.String,
    "input": pl.String,
    "rationale": pl.Boolean,
    "rejected": pl.Boolean,
}
"""The columns that formats are made of; `rationale` and `rejected` say whether a row has one that no format tells."""

BEGINNING: Final = 1 << 20
"""Bytes of text at the head of JSON Lines in which a history is met: `datasets` takes the types from the first 10 MB,
and escaped, a text is at most six times as long."""
BESIDE: Final = 200
"""Bytes of a row beside its texts, at most: the names of the fields and the marks between them."""

Shape = Mapping[str, pl.Expr]
"""The columns of a format."""

_TURN: Final = pl.element().struct
_SYSTEM: Final = pl.col("messages").list.first().struct.field("role") == "system"
_SPOKEN: Final = pl.when(_SYSTEM).then(pl.col("messages").list.slice(1)).otherwise("messages")
_CONTENTS: Final = _SPOKEN.list.head(_SPOKEN.list.len() - 2).list.eval(_TURN.field("content"))
_NAMES: Final = {"system": "system", "user": "human", "assistant": "gpt"}

_LINEAGE: Final[Shape] = {"id": pl.col("id"), "source": pl.col("source")}
_ALPACA: Final[Shape] = {
    "instruction": pl.col("instruction"),
    "input": pl.col("input"),
    "output": pl.col("messages").list.last().struct.field("content"),
}
_SAID_BEFORE: Final[Shape] = {
    "system": pl.when(_SYSTEM).then(pl.col("messages").list.first().struct.field("content")).otherwise(pl.lit("")),
    "history": _CONTENTS.list.eval(pl.concat_list(pl.element().gather_every(2), pl.element().gather_every(2, 1))),
}
_SHAPES: Final[Mapping[str, Shape]] = {
    "messages": {"messages": pl.col("messages")},
    "sharegpt": {
        "conversations": pl.col("messages").list.eval(
            pl.struct(
                _TURN.field("role").replace_strict(_NAMES, return_dtype=pl.String).alias("from"),
                _TURN.field("content").alias("value"),
            )
        ),
        **_LINEAGE,
    },
    "prompt-completion": {
        "prompt": pl.col("messages").list.head(pl.col("messages").list.len() - 1),
        "completion": pl.col("messages").list.tail(1),
    },
}


def shape(form: Format, frames: Iterable[pl.DataFrame]) -> Shape:
    """The columns of a format; for alpaca, rows are drawn from `frames` until one has a system prompt or a history."""
    if form != "alpaca":
        return _SHAPES[form]
    longer = pl.col("messages").list.len().max() > 2
    more = any(rows.select(longer).item() for rows in frames)
    return {**_ALPACA, **(_SAID_BEFORE if more else {}), **_LINEAGE}


def led(
    rows: Iterable[pl.DataFrame], frames: Iterator[pl.DataFrame], beginning: int = BEGINNING
) -> Iterator[pl.DataFrame]:
    """Frames of alpaca's columns, led by the first row with a history if more than `beginning` bytes stand before it.

    `rows` are the same frames, to be looked through.
    """
    place, size, first = 0, 0, None
    for one in rows:
        long = one.with_row_index("place").filter(pl.col("history").list.len() > 0).head(1)
        before = one.head(long["place"].item()) if long.height else one
        place += before.height
        size += before.select(pl.sum_horizontal(pl.col(pl.String).str.len_bytes(), 0).sum()).item()
        size += BESIDE * before.height
        if long.height:
            first = long.drop("place")
            break
    if first is None or size <= beginning:
        yield from frames
        return
    yield first
    for frame in frames:
        inside = 0 <= place < frame.height
        yield pl.concat([frame.head(place), frame.slice(place + 1)]) if inside else frame
        place -= frame.height


def write(path: Path, kind: Kind, frames: Iterator[pl.DataFrame], shape: Shape) -> int:
    """Write frames of the columns of `shape` to a file, one at a time; the number of its rows."""
    return _parquet(path, frames, shape) if kind == "parquet" else _json(path, kind, frames)


def _json(path: Path, kind: Kind, frames: Iterator[pl.DataFrame]) -> int:
    """JSON Lines, or an array with a row a line."""
    count = 0
    with path.open("wb") as handle:
        handle.write(b"[" if kind == "json" else b"")
        for frame in frames:
            lines = io.BytesIO()
            frame.write_ndjson(lines)
            if kind == "json":  # a line break stands between rows only, within one it is escaped
                handle.write((b",\n" if count else b"\n") + lines.getvalue().removesuffix(b"\n").replace(b"\n", b",\n"))
            else:
                handle.write(lines.getbuffer())
            count += frame.height
        handle.write(b"\n]\n" if kind == "json" else b"")
    return count


def _parquet(path: Path, frames: Iterator[pl.DataFrame], shape: Shape) -> int:
    """Parquet whose footer names no Arrow types, so that every reader sees plain strings, whatever their width here."""
    empty = pl.DataFrame(schema=dict(ROW)).select(**shape).to_arrow(compat_level=pl.CompatLevel.oldest())
    count = 0
    repeated = [name for name in empty.schema.names if name == "source"]
    with pq.ParquetWriter(
        path, empty.schema, compression="zstd", compression_level=3, use_dictionary=repeated, store_schema=False
    ) as writer:
        for frame in frames:
            writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(empty.schema))
            count += frame.height
    return count
