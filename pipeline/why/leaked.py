"""A record's leaks: the evaluation items it holds, with what stands in both."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from pipeline.judge.verdict import SUITES
from pipeline.why.judgement import texts

Record = dict[str, Any]


def leaked(record: Record, names: list[str], out: Path) -> list[Record]:
    """For each item its `item` (name), `text`, and where both overlap: `spans` of the item, `record_spans`.

    `record_text` is what those are of. Raises `ArtefactError` when the items cannot be read.
    """
    if not names:
        return []
    from pipeline.judge.overlap import overlap  # loads OpenCC, and few records leak

    path = out / "verdicts" / SUITES / "items.arrow"
    try:
        items = pl.read_ipc(path, columns=["name", "question", "options"])
    except (OSError, pl.exceptions.PolarsError, pa.ArrowException) as error:
        said = str(error).splitlines()[0]
        raise ArtefactError(f"{path}: cannot be read ({said}); run make judge with its SUITES again") from None
    known = dict(items.filter(pl.col("name").is_in(names)).select("name", pl.struct("question", "options")).iter_rows())
    text = "\n".join(texts(record)).strip()
    found: list[Record] = []
    for name in names:
        if name not in known:
            found.append({"item": name, "text": None, "spans": [], "record_text": text, "record_spans": []})
            continue
        item = "\n".join(filter(None, known[name].values()))
        both = overlap(text, item)
        found.append({"item": name, "text": item, "spans": both.item, "record_text": text, "record_spans": both.record})
    return found
