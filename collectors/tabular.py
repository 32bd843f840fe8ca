"""Tabular-LLM: questions about tables and claims to check against them, of ten sets (QingyiSi/Alpaca-CoT, JSON array).

A raw row: `{"instruction": "...", "input": "Table:\\n| a | b |\\n...\\nQuestion:\\n...", "output": "...", "table_type":
"vertical", "task_type": "TQA", "dataset": "WikiSQL"}`.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import Schema
from collectors.shape import Shape

BESIDE: Final = ("table_type", "task_type", "dataset")
CHINESE: Final = "NL2SQL"
"""The one set whose questions are Chinese; a file holds rows of several sets."""

RAW: Schema = dict.fromkeys(("instruction", "input", "output", *BESIDE), pl.String)


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Rows as they stand; the language tag goes by the set, and is the file's where a row names none."""
    chinese = pl.col("dataset").str.strip_chars() == CHINESE
    return raw.select(
        "row",
        "instruction",
        "input",
        "output",
        extra=extra(**{name: json_text(pl.col(name)) for name in BESIDE}),
        lang=pl.when(chinese).then(pl.lit("CN")).when(~chinese).then(pl.lit("EN")),
    )


SHAPE = Shape(schema=RAW, collect=collect)
