"""GPT4All: prompts of several collections answered by gpt-3.5-turbo (nomic-ai/gpt4all_prompt_generations, Parquet).

A raw row: `{"prompt": "Write a haiku.", "response": "...", "source": "laion/unified_chip2"}`; in the maker's JSON Lines
a prompt or response may be an object, `{"value": "..."}` or `{"description": "..."}`, as the script reads it that the
Parquet files were made with (nomic-ai/gpt4all, gpt4all-training/clean.py).
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.nested import members
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape
from collectors.values import text

RAW: Schema = {"prompt": RAW_JSON, "response": RAW_JSON, "source": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Refusals and overlaps with other sources are kept; a row that does not name its source is `unspecified`."""
    said = {
        name: pl.col(name).map_batches(_texts, return_dtype=pl.String, is_elementwise=True)
        for name in ("prompt", "response")
    }
    return raw.select(
        "row",
        instruction=said["prompt"],
        output=said["response"],
        extra=extra(source=json_text(pl.col("source").fill_null("unspecified"))),
    )


def _texts(values: pl.Series) -> pl.Series:
    """A row function: a value that may be text or an object has no type that an expression could read."""
    return pl.Series(values.name, [_text(value) for value in values], dtype=pl.String)


def _text(value: bytes | None) -> str | None:
    """The text itself, or that of an object's `value`, else `description`."""
    if value is None or not value.startswith(b"{"):
        return text(value)
    fields = members(value) or {}
    named = (fields.get(name, b"null") for name in ("value", "description"))
    return text(next((one for one in named if one != b"null"), None))


SHAPE = Shape(schema=RAW, collect=collect)
