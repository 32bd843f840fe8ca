"""HH-RLHF: two transcripts with one beginning, a better and a worse last answer (Anthropic/hh-rlhf, gzip JSON Lines).

A raw row: `{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": "..."}`.
"""

from typing import Final

import polars as pl

from collectors.conversation import TALK, dialogues, placed, runs
from collectors.rows import Schema
from collectors.shape import Shape
from collectors.transcript import spoken

RAW: Schema = {"chosen": pl.String, "rejected": pl.String}

MARKERS: Final = ("\n\nHuman:", "\n\nAssistant:")

_PAIR: Final = pl.Struct([*TALK.fields, pl.Field("rejected", pl.String)])


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """History and request are those of `chosen`; an empty last answer rejects the row, no earlier one replaces it."""
    texts = [pl.col(name).str.replace_all("\r\n", "\n", literal=True) for name in RAW]
    pair = pl.when(pl.all_horizontal(pl.col(*RAW).is_not_null())).then(pl.struct(*texts))
    return raw.select("row", pair.map_batches(_pairs, return_dtype=_PAIR).alias("dialogue")).unnest("dialogue")


def _pairs(rows: pl.Series) -> pl.Series:
    """Of all rows at once: where a turn begins depends on all of the text before it."""
    chosen, rejected = (spoken(rows.struct.field(name), *MARKERS) for name in RAW)
    found = dialogues(chosen, len(rows), last_counts=True)
    answers = runs(rejected).filter(~pl.col("user")).unique("row", keep="last").select("row", rejected="text")
    return pl.concat([found, placed(answers, len(rows))], how="horizontal").to_struct(rows.name)


SHAPE = Shape(schema=RAW, collect=collect)
