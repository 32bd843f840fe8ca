"""dolly: JSON Lines, or an array, of instruction, context, response and category."""

import json
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, kept, lines

from collectors.catalog import load

RAW = Path(__file__).resolve().parents[3] / "shared" / "raw" / "dolly"

ROW = {
    "instruction": "When did the bridge open?",
    "context": "The bridge[4] opened in 1932.[5]",
    "response": "In 1932.",
    "category": "closed_qa",
}
SAID = {
    "instruction": "When did the bridge open?",
    "input": "The bridge[4] opened in 1932.[5]",
    "output": "In 1932.",
    "extra": {"category": "closed_qa"},
}
FILES = ["databricks-dolly-15k.jsonl", "data/databricks-dolly-15k.rows0-9.jsonl", "litgpt_fixture_dolly.json"]


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
@pytest.mark.parametrize("file", FILES)
def test_a_row_is_a_record_with_its_footnote_marks(build: Build, file: str, written: Any) -> None:
    bare = {name: value for name, value in SAID.items() if name != "input"}
    rows = [ROW, ROW | {"context": ""}, {name: value for name, value in ROW.items() if name != "context"}]
    assert build("dolly", {file: written(*rows)}).said == [SAID, bare, bare]


def test_a_row_without_a_category_has_no_extra(build: Build) -> None:
    raw = {name: value for name, value in ROW.items() if name != "category"}
    (record,) = build("dolly", {"databricks-dolly-15k.jsonl": lines(raw)}).records
    assert record["extra"] is None


def test_the_catalog_pins_a_revision_as_their_rows_differ() -> None:
    (origin,) = load().sources["dolly"].origins
    assert len(origin.revision) == 40
    assert origin.sha256.keys() == set(origin.paths)


def test_what_is_refused(build: Build) -> None:
    rows = [ROW | {"response": "\n"}, ROW | {"instruction": ""}, {"instruction": "Why?", "context": ""}, ROW]
    built = build("dolly", {"databricks-dolly-15k.jsonl": lines(*rows)})
    assert built.refused == [(0, "empty output"), (1, "empty instruction"), (2, "missing field")]


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")
def test_the_real_rows_read_as_plain_python_reads_them(build: Build) -> None:
    (path,) = RAW.glob("*.json")
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert (len(rows), sum(not row["context"] for row in rows)) == (12, 5)
    built = build("dolly", {path.name: path.read_bytes()})
    assert built.manifest["raw_rows"] == built.manifest["records"] == 12
    assert built.places == [(path.name, number) for number in range(12)]
    for row, record in zip(rows, built.records, strict=True):
        assert [record[name] for name in ("instruction", "input", "output")] == [
            kept(row[name]) for name in ("instruction", "context", "response")
        ]
        assert json.loads(record["extra"]) == {"category": row["category"]}
        assert (record["history"], record["system"], record["rationale"], record["rejected"]) == ([], None, None, None)
