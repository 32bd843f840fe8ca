"""Which of the two languages a record is worded in."""

from typing import Final, Literal

import polars as pl

Language = Literal["en", "zh"]
"""The languages wordings and suffixes are written in."""

WORDED_IN: Final = (
    pl.when(pl.col("lang") == "EN")
    .then(pl.lit("en"))
    .when(pl.col("lang") == "CN")
    .then(pl.lit("zh"))
    .when(pl.col("language").cast(pl.String).str.to_lowercase().str.starts_with("zh"))
    .then(pl.lit("zh"))
    .otherwise(pl.lit("en"))
)
"""By the tag `lang` (EN, CN); for the others (ML) Chinese where upstream says so in `language`, else English."""
