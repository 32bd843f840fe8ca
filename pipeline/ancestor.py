"""The ancestor's own files: FLAN's rows worded as Alpaca-CoT's formatter words them, one JSON array a task.

Records are stripped and their line breaks are real, so the raw TSVs that they were made of are read again, as the
formatter reads them: by `csv.reader` with its quoting, the two characters `\\n` and blanks at the edges as they stand.
Each row wears one of FLAN's zero-shot patterns of its task and becomes {instruction, input: "", output}. The formatter
draws the pattern without a seed, so its files cannot be had again, but each row here is one it can produce. The draw is
the record's, as a mixture of seed 0 has it with FLAN's patterns as its template.
"""

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, TextIO

import polars as pl

from collectors.catalog import Catalog
from collectors.errors import SourceError
from collectors.files import RawFile, claimed, opened
from collectors.record import keyed
from pipeline import folder, keys, shards
from pipeline.export import Exported, built, described, written
from templates.flan import SLOTS, STEMS, read_patterns
from templates.template import TASK

SOURCE: Final = "cot"
"""The source the ancestor's formatter is for."""

VERSION: Final = 1
"""Part of the fingerprint: raised when the same raw rows would be worded otherwise."""

SEED: Final = 0
"""The seed of a mixture whose wordings are drawn alike."""

READ: Final = "read"
"""The book of all rows, beside those of rows that are dropped."""

SLOT: Final = re.compile("|".join(map(re.escape, SLOTS)))

Pairs = list[tuple[str, str]]
Draws = dict[tuple[str, int], int]
"""The draw of each record by the subset and the ordinal of its raw row."""


def alpaca_cot(catalog: Catalog, to: Path, out: Path, *, flan: Path, raw: Path) -> Exported:
    """Write `<task>_train.json` for each task of the raw TSVs in `raw/cot` that the records of `out` were made of.

    `flan` is FLAN's `templates.py`, which is not run, or its patterns as JSON. The caller holds the lock of `out`.
    Raises `TemplateError` for what holds no patterns, `SourceError` when a raw file is missing or another than the
    records were made of, `ArtefactError` when the records are not built or `to` holds something else.
    """
    found = built(SOURCE, out)
    patterns = read_patterns(flan).zero_shot
    tasks = _tasks(found)
    files = _files(catalog, tasks, found, raw / SOURCE, out)
    inputs = [{"source": SOURCE, "fingerprint": found["fingerprint"]}]
    mark = folder.fingerprint(stage="alpaca-cot", version=VERSION, inputs=inputs, patterns=patterns)

    def fill(place: Path) -> dict[str, Any]:
        others = [file["path"] for file in found["files"] if file["path"] not in tasks]
        draws = _draws(out / "records" / SOURCE)
        books: Counter[str] = Counter()
        entries = []
        for task, listed in files.items():
            path = place / f"{task}_train.json"
            with path.open("w", encoding="utf-8", newline="\n") as handle:
                rows = _array(handle, (row for file in listed for row in _rows(file, patterns[task], draws, books)))
            entries.append(described(path, rows))
        dropped = {reason: rows for reason, rows in sorted(books.items()) if reason != READ}
        rows = sum(entry["rows"] for entry in entries)
        return {"format": "alpaca", "like": "alpaca-cot", "inputs": inputs, "not_read": others} | {
            "rows_in": books[READ], "rows": rows, "dropped": dropped, "files": entries
        }  # fmt: skip

    return written(to, mark, fill)


def _tasks(manifest: dict[str, Any]) -> dict[str, str]:
    """The task of each raw TSV that FLAN has patterns for; the others, such as the Chinese translation, are no rows."""
    subsets = pl.DataFrame({"subset": [file["path"] for file in manifest["files"]]})
    named = subsets.select("subset", task=TASK).drop_nulls().iter_rows()
    return {subset: task for subset, task in named if task in STEMS and PurePosixPath(subset).suffix == ".tsv"}


def _files(
    catalog: Catalog, tasks: dict[str, str], manifest: dict[str, Any], raw: Path, out: Path
) -> dict[str, list[RawFile]]:
    """The raw TSVs of each task, each found to be the file that the manifest names."""
    hashes = folder.Hashes(out)
    present = {file.subset: file for file in claimed(SOURCE, catalog.sources[SOURCE], raw)[0]}
    digests = {file["path"]: file["sha256"] for file in manifest["files"]}
    files: dict[str, list[RawFile]] = {}
    for subset, task in tasks.items():
        if subset not in present:
            raise SourceError(f"{raw}: lacks {subset}, which the records were made of; name its folder with --from")
        if hashes.take(present[subset].path) != digests[subset]:
            raise SourceError(
                f"{raw / subset}: is not the file the records were made of; name that one's folder with --from, "
                "or build the records of this one"
            )
        files.setdefault(task, []).append(present[subset])
    hashes.save()
    return dict(sorted(files.items()))


def _draws(records: Path) -> Draws:
    """The draw of a wording of each record, as `templates` makes it."""
    draws: Draws = {}
    for path in shards.paths(records):
        frame = keys.columns(path, ["id", "subset", "row"])
        drawn = frame.select(pl.col("subset").cast(pl.String), "row", draw=keyed(SEED, "template", "id"))
        draws |= {(subset, row): draw for subset, row, draw in drawn.iter_rows()}
    return draws


def _rows(file: RawFile, pairs: Pairs, draws: Draws, books: Counter[str]) -> Iterator[dict[str, str]]:
    """The worded rows of a TSV; those that give none are entered in the books by reason."""
    for ordinal, cells in _cells(file):
        draw = draws.get((file.subset, ordinal))
        books[READ] += 1
        if len(cells) != 3:
            books["missing field"] += 1
        elif draw is None:
            books["no record"] += 1
        else:
            question, answer, rationale = cells
            ask, target = pairs[draw % len(pairs)]
            texts = {"{question}": question, "{answer}": answer, "{chain_of_thought}": rationale}
            yield {"instruction": _filled(ask, texts), "input": "", "output": _filled(target, texts)}


def _filled(pattern: str, texts: dict[str, str]) -> str:
    return SLOT.sub(lambda slot: texts[slot[0]], pattern)


def _cells(file: RawFile) -> Iterator[tuple[int, list[str]]]:
    """The rows of a TSV as `csv.reader` cuts them, each with the ordinal of its first line; blank lines are none."""
    csv.field_size_limit(sys.maxsize)
    with file.path.open("rb") as handle, opened(file, handle) as (stream, _):
        reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", newline="\n"), delimiter="\t")
        ordinal = 0
        try:
            for cells in reader:
                if cells:
                    yield ordinal, cells
                ordinal = reader.line_num
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceError(
                f"{file.source}: {file.path}: line {ordinal + 1:,} is none that csv.reader reads ({error}), so the "
                "ancestor's formatter would fail there; mend the line and build the records again"
            ) from None


def _array(handle: TextIO, rows: Iterator[dict[str, str]]) -> int:
    """Write rows as `json.dump` writes a list of them, one at a time; how many there are."""
    count = 0
    for count, row in enumerate(rows, start=1):
        handle.write(("[" if count == 1 else ", ") + json.dumps(row, ensure_ascii=False))
    handle.write("]" if count else "[]")
    return count
