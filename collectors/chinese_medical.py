"""Chinese medical dialogue: a question to a doctor, and the answer (Toyhom/Chinese-medical-dialogue-data, GB18030 CSV).

A raw row: `心血管科,高血压患者能吃党参吗？,我有高血压…,高血压病人可以口服党参的。…`.
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"department": pl.String, "title": pl.String, "ask": pl.String, "answer": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Where nothing was asked (empty, or 无) the title is the question."""
    nothing = pl.col("ask").str.strip_chars().is_in(["", "无"])
    return raw.select(
        "row",
        instruction=pl.when(nothing).then("title").otherwise("ask"),
        output="answer",
        extra=extra(department=json_text(pl.col("department")), title=json_text(pl.col("title"))),
    )


SHAPE = Shape(schema=RAW, collect=collect)
