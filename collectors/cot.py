r"""FLAN chain-of-thought: question, answer and rationale, three columns cut at tabs (google-research/FLAN, TSV).

A raw row: `Is it so?\nOptions:\n- yes\n- no` TAB `yes` TAB `Because ...`; a line break is written as the two
characters `\n`.
"""

import polars as pl

from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"question": pl.String, "answer": pl.String, "rationale": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    r"""The two characters `\n` become a line break in question and rationale, as FLAN reads them; answers have none."""
    return raw.select(
        "row",
        instruction=pl.col("question").str.replace_all("\\n", "\n", literal=True),
        rationale=pl.col("rationale").str.replace_all("\\n", "\n", literal=True),
        output="answer",
    )


SHAPE = Shape(schema=RAW, collect=collect)
