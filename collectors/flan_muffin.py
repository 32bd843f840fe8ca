"""FLAN's Muffin: benchmark tasks under ten templates each, one file a task (Muennighoff/flan, JSON Lines).

A raw row: `{"inputs": "Is this sentiment positive? I loved it.", "targets": "yes", "task": "sst2_10templates"}`.
"""

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"inputs": pl.String, "targets": pl.String, "task": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """A row that does not name its task has it from its file's name, `<task>_10templates_<split>.jsonl`."""
    named = pl.col("subset").cast(pl.String).str.extract(r"([^/]*?_10templates)[^/]*$")
    return raw.select(
        "row",
        instruction="inputs",
        output="targets",
        extra=extra(task=json_text(pl.coalesce("task", named))),
    )


SHAPE = Shape(schema=RAW, collect=collect)
