"""GAOKAO-Bench: questions of China's college entrance examination, 2010 to 2022 (OpenLMLab/GAOKAO-Bench, JSON).

A raw file: `{"keywords": "2010-2022_History_MCQs", "example": [{"year": "2010", "category": "（新课标）",
"question": "...", "answer": ["D"], "analysis": "...", "index": 0, "score": 4}, ...]}`. An element of `example` is a
row.
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape
from collectors.texts import texts

RAW: Schema = {
    "year": pl.String,
    "category": pl.String,
    "question": pl.String,
    "answer": RAW_JSON,
    "analysis": pl.String,
    "index": RAW_JSON,
    "score": RAW_JSON,
}
FILE: Schema = {"keywords": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The answer is a text, or a list with one for each blank, which are joined; the analysis is the rationale."""
    return raw.select(
        "row",
        instruction="question",
        rationale="analysis",
        output=texts(pl.col("answer")).list.join(""),
        extra=extra(
            year=json_text(pl.col("year")),
            category=json_text(pl.col("category")),
            score=pl.col("score").cast(pl.String),
            index=pl.col("index").cast(pl.String),
            keywords=json_text(pl.col("keywords")),
        ),
    )


SHAPE = Shape(schema=RAW, file=FILE, collect=collect)
