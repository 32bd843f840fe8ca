"""HC3: one question, several human and several ChatGPT answers (Hello-SimpleAI/HC3 and HC3-Chinese, JSON Lines).

A raw row: `{"question": "...", "human_answers": ["...", ...], "chatgpt_answers": ["..."]}`, perhaps with `source`.
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {
    "question": pl.String,
    "human_answers": pl.List(pl.String),
    "chatgpt_answers": pl.List(pl.String),
    "source": pl.String,
}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Every answer is a record, the human ones first; `extra.author` says whose it is.

    A question without any answer stays as one part with an empty one, so that it is rejected and not forgotten.
    """
    none = pl.lit([], pl.List(pl.String))
    human, machine = pl.col("human_answers").fill_null(none), pl.col("chatgpt_answers").fill_null(none)
    answers = pl.concat_list(human, machine)
    known = pl.any_horizontal(pl.col("human_answers", "chatgpt_answers").is_not_null())
    lacking = pl.when(known).then(pl.lit([""])).otherwise(pl.lit([None], pl.List(pl.String)))
    author = pl.when(pl.col("part") < pl.col("humans")).then(pl.lit('"human"')).otherwise(pl.lit('"chatgpt"'))
    return (
        raw.with_columns(
            output=pl.when(answers.list.len() > 0).then(answers).otherwise(lacking), humans=human.list.len()
        )
        .with_columns(part=pl.int_ranges(pl.col("output").list.len(), dtype=pl.UInt16))
        .explode("output", "part")
        .select(
            "row",
            "part",
            "output",
            instruction="question",
            extra=extra(author=author, source=json_text(pl.col("source"))),
            license=_license(),
        )
    )


def _license() -> pl.Expr:
    """The licence of a part where it is stricter than the card's: not commercial, or terms of Microsoft's own."""
    chinese = pl.col("subset").str.contains("HC3-Chinese/", literal=True)
    part = pl.col("subset").str.extract(r"([^/]*)$")
    return (
        pl.when(chinese & part.str.starts_with("medicine"))
        .then(pl.lit("CC-BY-NC-4.0"))
        .when(~chinese & part.str.starts_with("open_qa"))
        .then(pl.lit("unknown"))
    )


SHAPE = Shape(schema=RAW, collect=collect)
