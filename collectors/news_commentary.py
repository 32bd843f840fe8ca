r"""News Commentary: sentences to translate, from and to Chinese (P01son/instructions, JSON Lines in spite of `.json`).

A raw row: `{"instruction": "翻译成英文。\n", "input": "今天天气很好。\n", "output": "The weather is fine today."}`.
"""

import polars as pl

from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"instruction": pl.String, "input": pl.String, "output": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The collection allows an empty instruction: then the input is all of the request."""
    given = pl.col("input").fill_null("")
    bare = pl.col("instruction").str.strip_chars() == ""
    return raw.select(
        "row",
        instruction=pl.when(bare).then(given).otherwise("instruction"),
        input=pl.when(bare).then(pl.lit("")).otherwise(given),
        output="output",
    )


SHAPE = Shape(schema=RAW, collect=collect)
