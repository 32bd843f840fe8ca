"""The samples beside the collectors: native containers, every row accounted for, the quirks they are to show."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from built import Built, read

from collectors.catalog import load
from pipeline.collect import corpus

SAMPLES = Path(__file__).resolve().parents[2] / "collectors" / "samples"

ROWS: dict[str, tuple[int, int, dict[str, int]]] = {
    "cot": (69, 68, {"missing field": 1}),
    "gpteacher": (17, 16, {"empty output": 1}),
    "alpaca": (18, 17, {"empty output": 1}),
    "codealpaca": (14, 12, {"empty output": 1, "missing field": 1}),
    "alpaca_gpt4": (18, 16, {"empty output": 1, "missing field": 1}),
    "belle": (25, 22, {"empty output": 1, "missing field": 1, "unparsable": 1}),
    "hh_rlhf": (13, 12, {"empty output": 1}),
    "chinese_medical": (12, 11, {"empty output": 1}),
    "pclue": (16, 14, {"empty output": 1, "missing field": 1}),
    "alpaca_zh": (14, 13, {"empty output": 1}),
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The ten sources as built from their samples."""
    data = tmp_path_factory.mktemp("data")
    corpus(load(), list(ROWS), SAMPLES, data, workers=1, limit=None)
    return {source: read(data / "records" / source) for source in ROWS}


def files(source: str, pattern: str) -> list[Path]:
    found = sorted((SAMPLES / source).rglob(pattern))
    assert found
    return found


@pytest.mark.parametrize("source", ROWS)
def test_every_row_is_accounted_for(samples: dict[str, Built], source: str) -> None:
    raw_rows, records, rejected = ROWS[source]
    built = samples[source]
    assert {name: built.manifest[name] for name in ("raw_rows", "records", "rejected")} == {
        "raw_rows": raw_rows,
        "records": records,
        "rejected": rejected,
    }
    assert len(built.records) == records
    assert Counter(line["reason"] for line in built.rejects) == rejected
    assert raw_rows == len({(row["subset"], row["row"]) for row in built.records}) + sum(rejected.values())


@pytest.mark.parametrize("source", ROWS)
def test_every_file_is_claimed(samples: dict[str, Built], source: str) -> None:
    lying = {path.relative_to(SAMPLES / source).as_posix() for path in files(source, "*") if path.is_file()}
    assert {one["path"] for one in samples[source].manifest["files"]} == lying


def test_the_samples_are_small_and_there_is_one_a_source() -> None:
    assert {path.name for path in SAMPLES.iterdir()} >= set(ROWS)
    for source, (raw_rows, _, _) in ROWS.items():
        assert source == "cot" or 10 <= raw_rows <= 30, source
        assert sum(path.stat().st_size for path in files(source, "*") if path.is_file()) < 50_000, source


@pytest.mark.parametrize("source", ["alpaca", "alpaca_gpt4", "alpaca_zh", "codealpaca", "gpteacher"])
def test_arrays(source: str) -> None:
    for path in files(source, "*.json"):
        assert isinstance(json.loads(path.read_text(encoding="utf-8")), list), path.name


@pytest.mark.parametrize("source", ["belle", "pclue"])
def test_json_lines_in_spite_of_json(source: str) -> None:
    for path in files(source, "*.json"):
        assert path.read_bytes().startswith(b"{"), path.name
        assert path.read_bytes().endswith(b"\n"), path.name


def test_gzip_without_a_time() -> None:
    for path in files("hh_rlhf", "*.jsonl.gz"):
        packed = path.read_bytes()
        assert packed[:3] == b"\x1f\x8b\x08"
        assert packed[4:8] == bytes(4)
        for line in gzip.decompress(packed).splitlines():
            assert json.loads(line)["chosen"].startswith("\n\nHuman: ")


def test_gb18030_csv_with_stray_quotes() -> None:
    for path in files("chinese_medical", "*.csv"):
        with pytest.raises(UnicodeDecodeError):
            path.read_text(encoding="utf-8")
        with path.open(encoding="gb18030", newline="") as opened:
            rows = list(csv.reader(opened))
        assert rows[0] == ["department", "title", "ask", "answer"]
        assert {len(row) for row in rows} == {4}


def test_nine_tasks_of_cot(samples: dict[str, Built]) -> None:
    per_file = Counter(row["subset"] for row in samples["cot"].records)
    assert per_file == {
        "CoT_Chinese_data.json": 4,
        "aqua_train.tsv": 8,
        "creak_train.tsv": 8,
        "ecqa_train.tsv": 7,
        "esnli_train.tsv": 6,
        "gsm8k_train.tsv": 10,
        "qasc_train.tsv": 6,
        "qed_train.tsv": 5,
        "sensemaking_train.tsv": 6,
        "strategyqa_train.tsv": 8,
    }
    for row in samples["cot"].records:
        assert (row["rationale"] is None) == (row["lang"] == "CN")
    creak = [row["instruction"] for row in samples["cot"].records if row["subset"] == "creak_train.tsv"]
    assert all(text.startswith('"') for text in creak)
    (system,) = [row["instruction"] for row in samples["cot"].records if "\\" in row["instruction"]]
    assert "x + y = 10 \\\nx - y = 4\nOptions:" in system


@pytest.mark.parametrize("task", ["aqua", "creak", "ecqa", "esnli", "qasc", "sensemaking"])
def test_an_answer_is_one_of_the_options(samples: dict[str, Built], task: str) -> None:
    for row in samples["cot"].records:
        if row["subset"] == f"{task}_train.tsv":
            options = row["instruction"].split("\nOptions:\n")[1].split("\n")
            assert any(option.removeprefix("- ").startswith(row["output"]) for option in options), row["instruction"]


def test_the_quirks_of_the_other_samples(samples: dict[str, Built]) -> None:
    by_source = {source: {row["instruction"]: row for row in built.records} for source, built in samples.items()}
    assert sum(row["input"] == "" for row in samples["alpaca"].records) == 8
    assert [row["lang"] for row in samples["alpaca_gpt4"].records].count("CN") == 6
    assert [row["rejected"] for row in samples["alpaca_gpt4"].records if row["rejected"]] == [
        "About ten thousand.",
        "Rapid is a word that means very fast.",
        "Because it gets cold.",
    ]
    assert by_source["alpaca_zh"]["给下列短文拟一个标题。"]["output"] == "村口的老槐树"
    assert max(len(row["history"]) for row in samples["belle"].records) == 2
    assert [row["task"] for row in samples["belle"].records].count("TS") == 4
    assert "请列出三种常见的乐器，并说明它们的类别。\\n" in by_source["belle"]
    assert "家里量血压怎么才准？" in by_source["chinese_medical"]
    assert sum("\n" in row["output"] + row["instruction"] for row in samples["chinese_medical"].records) == 2
    assert sum(row["extra"] is not None for row in samples["gpteacher"].records) == 1
    assert sum(row["rejected"] is None for row in samples["hh_rlhf"].records) == 1
    assert "He hides under the bed.\n\nAnd he shakes." in by_source["hh_rlhf"]
    assert sum("answer_choices" not in json.loads(row["extra"]) for row in samples["pclue"].records) == 4
    codegen = {row["id"] for row in samples["gpteacher"].records if row["subset"].startswith("Codegen")}
    assert codegen < {row["id"] for row in samples["codealpaca"].records}
