"""pCLUE: prompts of nine kinds of Chinese task with their targets (CLUEbenchmark/pCLUE, JSON Lines).

A raw row: `{"input": "...答案：", "target": "不是", "answer_choices": ["是的", "不是"], "type": "nli"}`.
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

RAW: Schema = {"input": pl.String, "target": pl.String, "answer_choices": RAW_JSON, "type": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The native `input` is the instruction; `answer_choices` is a list, or the empty string, which says nothing."""
    choices = pl.col("answer_choices").cast(pl.String)
    return raw.select(
        "row",
        instruction="input",
        output="target",
        extra=extra(type=json_text(pl.col("type")), answer_choices=pl.when(choices != '""').then(choices)),
    )


SHAPE = Shape(schema=RAW, collect=collect)
