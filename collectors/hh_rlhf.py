"""HH-RLHF: two transcripts with one beginning, a better and a worse last answer (Anthropic/hh-rlhf, gzip JSON Lines).

A raw row: `{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": "..."}`.
"""

import re
from typing import Final

import polars as pl

from collectors.conversation import DIALOGUE, Speaker, dialogue, joined
from collectors.rows import Schema
from collectors.shape import Shape
from collectors.transcript import turns

RAW: Schema = {"chosen": pl.String, "rejected": pl.String}

MARKER: Final = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS: Final[dict[str, Speaker]] = {"Human": "user", "Assistant": "assistant"}


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """History and request are those of `chosen`; an empty last answer rejects the row, no earlier one replaces it."""
    pair = pl.struct("chosen", "rejected").map_elements(_pair, return_dtype=DIALOGUE, skip_nulls=False)
    return raw.select("row", pair.alias("dialogue")).unnest("dialogue")


def _pair(row: dict[str, str | None]) -> dict[str, object] | None:
    """A row function: where a turn begins depends on all of the text before it, which expressions do not say."""
    if row["chosen"] is None or row["rejected"] is None:
        return None
    found = dialogue(turns(row["chosen"].replace("\r\n", "\n"), MARKER, SPEAKERS), last_counts=True)
    if found is None:
        return None
    answers = joined(turns(row["rejected"].replace("\r\n", "\n"), MARKER, SPEAKERS))
    rejected = [text for speaker, text in answers if speaker == "assistant"]
    return {**found, "rejected": rejected[-1] if rejected else None}


SHAPE = Shape(schema=RAW, collect=collect)
