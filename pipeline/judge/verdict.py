"""The verdict: one small row a record, in the records' order, in a shard of the same name."""

from typing import Final

import pyarrow as pa

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("language", pa.large_string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("flags", pa.list_(pa.large_string()), nullable=False),
        pa.field("prompt_id", pa.large_string(), nullable=False),
        pa.field("request_key", pa.uint64(), nullable=False),
        pa.field("row_key", pa.uint64(), nullable=False),
        pa.field("request_cluster", pa.large_string()),
        pa.field("cluster", pa.large_string()),
        pa.field("leaks", pa.list_(pa.large_string()), nullable=False),
        pa.field("request_chars", pa.uint32(), nullable=False),
        pa.field("answer_chars", pa.uint32(), nullable=False),
    ]
)
"""Columns of `data/verdicts/<source>/*.arrow`.

`id` is the record's. `language` is what it was found to be written in (BCP 47: `en`, `zh-Hans`, `zh-Hant`, `ja`; `und`
where there is nothing to tell by), `confidence` from 0 to 1. `flags` are names of `flags.RULES`. `prompt_id` is a hash
of the exact request (system, history, instruction, input), made as ids are. The keys are hashes of the folded words of
the request and of the whole row (`tokens.keys`; 0: no words): rows of one key are near-duplicates without being listed
as pairs. The clusters hold the id of the representative of the near-duplicates a record belongs to, by its request and
by its whole row; null where it has none. `leaks` are evaluation items, `<suite>/<file>:<row>`. Lengths are characters:
of system, history, instruction and input, and of rationale and output.
"""

LATER: Final = ("request_cluster", "cluster")
"""The columns that follow from all sources together; the others follow from the record alone."""

ROWS, PAIRS, SUITES = "_rows", "_pairs", "_suites"
"""What lies in `data/verdicts/` beside the sources: the rows before clusters, the pairs, and the evaluation items."""

REPRESENTATIVE: Final = (0, "representative")
"""Seed and purpose of the keyed hash that ranks records of the same standing: the first represents the others."""
