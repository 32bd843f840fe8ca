"""Alpaca-GPT4's comparisons: one prompt, several answers, ranked or scored (Instruction-Tuning-with-GPT-4/GPT-4-LLM).

A raw row: `{"user_input": "...", "completion_a": "better", "completion_b": "worse"}`, or since April 2023
`{"user_input": "...", "responses_and_scores": [{"response": "...", "source": "...", "score": 9.0}, ...]}`.
"""

import polars as pl

from collectors.columns import extra
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

RAW: Schema = {
    "user_input": pl.String,
    "completion_a": pl.String,
    "completion_b": pl.String,
    "responses_and_scores": pl.List(pl.Struct({"response": pl.String, "score": RAW_JSON})),
}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The best answer is the output, the worst is rejected; of equal ones the first is the output, none is rejected."""
    each = pl.col("responses_and_scores").list
    texts = each.eval(pl.element().struct.field("score").cast(pl.String))
    scores = texts.list.eval(pl.element().str.strip_chars('"').cast(pl.Float64, strict=False))
    answers = each.eval(pl.element().struct.field("response"))
    scored, usable = pl.col("answers").is_not_null(), pl.col("scores").list.drop_nulls().list.len() > 0
    whole = usable & (pl.col("scores").list.len() == pl.col("scores").list.drop_nulls().list.len())
    best = pl.when(whole).then(pl.col("answers").list.get(pl.col("scores").list.arg_max(), null_on_oob=True))
    differ = whole & (pl.col("scores").list.max() != pl.col("scores").list.min())
    worst = pl.when(differ).then(pl.col("answers").list.get(pl.col("scores").list.arg_min(), null_on_oob=True))
    return raw.with_columns(answers=answers, scores=scores, texts=texts).select(
        "row",
        instruction="user_input",
        output=pl.when(scored).then(best).otherwise("completion_a"),
        rejected=pl.when(scored).then(worst).otherwise("completion_b"),
        extra=extra(scores=pl.concat_str(pl.lit("["), pl.col("texts").list.join(","), pl.lit("]"))),
    )


SHAPE = Shape(schema=RAW, collect=collect)
