"""StackLLaMA: Stack Exchange questions, each with a better and a worse answer (lvwerra/stack-exchange-paired, Parquet).

A raw row: `{"qid": 4, "question": "...", "date": "2008/07/31", "metadata": ["https://...", ...],
"response_j": "better", "response_k": "worse"}`; slices as JSON may lack qid, date and metadata.
"""

import polars as pl

from collectors.columns import extra
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape

RAW: Schema = {
    "question": pl.String,
    "response_j": pl.String,
    "response_k": pl.String,
    "qid": RAW_JSON,
    "metadata": RAW_JSON,
}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The better answer is the output; number and addresses of the question go along as they stand."""
    return raw.select(
        "row",
        instruction="question",
        output="response_j",
        rejected="response_k",
        extra=extra(qid=pl.col("qid").cast(pl.String), metadata=pl.col("metadata").cast(pl.String)),
    )


SHAPE = Shape(schema=RAW, collect=collect)
