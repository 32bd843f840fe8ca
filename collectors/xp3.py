"""xP3: prompts over tasks in 46 languages, a folder each (bigscience/xP3, JSON Lines).

A raw row, in `es/merged_es.jsonl`: `{"inputs": "Sentence 1: ... Yes or No?", "targets": "Yes"}`.
"""

import polars as pl

from collectors.rows import Schema
from collectors.shape import Shape

RAW: Schema = {"inputs": pl.String, "targets": pl.String}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The first folder names the language; `code` is none, and a folder that names no language declares none."""
    folder = pl.col("subset").str.extract(r"^([^/]*)/")
    language = pl.when(folder == "code").then(pl.lit("und")).when(folder.str.contains(r"^[a-z]{2,3}$")).then(folder)
    return raw.select("row", instruction="inputs", output="targets", language=language)


SHAPE = Shape(schema=RAW, collect=collect)
