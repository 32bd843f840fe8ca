"""stackllama: questions with a better and a worse answer, in Parquet, or as a JSON array with fewer fields."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built import Build, array, kept, lines

RAW = Path(__file__).resolve().parents[3] / "shared" / "raw" / "stackllama"

PLACES = ["https://cooking.stackexchange.com/questions/7", "https://cooking.stackexchange.com"]
ROW = {
    "qid": 4611686018427387911,
    "question": "How do I peel garlic?\n\n```\npeel(clove)\n```\n",
    "date": "2010/07/09",
    "metadata": PLACES,
    "response_j": "Press it with a knife.",
    "response_k": "Wait.",
}
BARE = {
    "instruction": "How do I peel garlic?\n\n```\npeel(clove)\n```",
    "output": "Press it with a knife.",
    "rejected": "Wait.",
}
SAID = BARE | {"extra": {"qid": 4611686018427387911, "metadata": PLACES}}


def parquet(*rows: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def test_a_parquet_row_is_a_preference_pair(build: Build) -> None:
    path = "data/rl/train-00000-of-00020.parquet"
    rows = [ROW, ROW | {"metadata": None, "qid": None}, ROW | {"metadata": []}, ROW | {"response_j": None}]
    built = build("stackllama", {path: parquet(*rows)})
    assert built.said == [SAID, BARE, BARE | {"extra": {"qid": ROW["qid"], "metadata": []}}]
    assert built.places == [(path, 0), (path, 1), (path, 2)]
    assert built.refused == [(3, "missing field")]


def test_parquet_of_three_columns(build: Build) -> None:
    rows = {name: ROW[name] for name in ("question", "response_j", "response_k")}
    assert build("stackllama", {"data/finetune/a.parquet": parquet(rows)}).said == [BARE]


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_a_slice_as_json(build: Build, written: Any) -> None:
    rows = [ROW, {name: ROW[name] for name in ("question", "response_j", "response_k")}]
    built = build("stackllama", {"stack_exchange_paired_tiny.part_a.json": written(*rows)})
    assert built.said == [SAID, BARE]


def test_an_empty_worse_answer_is_none_and_an_empty_better_one_is_refused(build: Build) -> None:
    rows = [ROW | {"response_k": " \n"}, ROW | {"response_j": ""}, ROW | {"question": ""}, {"question": "Why?"}]
    built = build("stackllama", {"data/reward/a.parquet": parquet(*rows), "stack_exchange_paired.json": array(*rows)})
    assert built.said == [{name: value for name, value in SAID.items() if name != "rejected"}] * 2
    assert built.refused == [(1, "empty output"), (2, "empty instruction"), (3, "missing field")] * 2


def test_pairs_of_one_question_all_stay(build: Build) -> None:
    rows = [ROW, ROW | {"response_k": "Boil it."}, ROW]
    built = build("stackllama", {"data/evaluation/a.parquet": parquet(*rows)})
    assert [row["rejected"] for row in built.records] == ["Wait.", "Boil it.", "Wait."]
    assert built.records[0]["id"] == built.records[2]["id"] != built.records[1]["id"]


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")
def test_the_real_rows_read_as_plain_python_reads_them(build: Build) -> None:
    (path,) = RAW.glob("*.json")
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert [set(row) for row in rows] == [{"question", "response_j", "response_k"}] * 13
    built = build("stackllama", {path.name: path.read_bytes()})
    assert built.manifest["raw_rows"] == built.manifest["records"] == 13
    fields = {"instruction": "question", "output": "response_j", "rejected": "response_k"}
    assert built.said == [{ours: kept(row[theirs]) for ours, theirs in fields.items()} for row in rows]
