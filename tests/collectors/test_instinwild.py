"""instinwild: answered rows in two languages, and prompts without answers, some of them broken JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, lines, read

from collectors.catalog import load
from pipeline.collect import corpus

REAL = Path(__file__).resolve().parents[3] / "shared" / "raw"

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "without input": (
        {"instruction": "Why do steel ships float?", "output": "They are mostly air."},
        {"instruction": "Why do steel ships float?", "output": "They are mostly air."},
    ),
    "with input": (
        {"instruction": "Make it polite.", "input": "be quiet", "output": "Could you keep it down, please?"},
        {"instruction": "Make it polite.", "input": "be quiet", "output": "Could you keep it down, please?"},
    ),
    "a null input": (
        {"instruction": "Say hello.", "input": None, "output": "Hello."},
        {"instruction": "Say hello.", "output": "Hello."},
    ),
    "type and tag": (
        {"instruction": "Tease me.", "instruction_type": "Generation", "special_tag": "humor", "output": "No."},
        {
            "instruction": "Tease me.",
            "output": "No.",
            "extra": {"instruction_type": "Generation", "special_tag": "humor"},
        },
    ),
    "a type alone": (
        {"instruction": "Who?", "instruction_type": "Open QA", "special_tag": None, "output": "You."},
        {"instruction": "Who?", "output": "You.", "extra": {"instruction_type": "Open QA"}},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_a_row_is_a_record(build: Build, raw: dict[str, Any], said: dict[str, Any], written: Any) -> None:
    assert build("instinwild", {"instinwild_en.json": written(raw)}).said == [said]


def test_the_language_goes_by_the_files_name(build: Build) -> None:
    row = {"instruction": "a", "output": "b"}
    names = ["instinwild_ch.json", "instinwild_en.json", "data/seed_prompts_ch.jsonl", "data/seed_prompts_en.jsonl"]
    built = build("instinwild", {name: lines(row) for name in [*names, "data_v2/user_4.jsonl"]})
    assert {one["subset"]: one["lang"] for one in built.records} == {
        "data/seed_prompts_ch.jsonl": "CN",
        "data/seed_prompts_en.jsonl": "EN",
        "data_v2/user_4.jsonl": "EN",
        "instinwild_ch.json": "CN",
        "instinwild_en.json": "EN",
    }


def test_prompts_without_an_answer_are_refused(build: Build) -> None:
    rows = [{"instruction": "Why?"}, {"instruction": "Why?", "instruction_type": "Open QA"}]
    built = build("instinwild", {"data/seed_prompts_en.jsonl": lines(*rows)})
    assert built.records == []
    assert built.refused == [(0, "missing field"), (1, "missing field")]


def test_crlf_and_broken_json_cost_their_lines_only(build: Build) -> None:
    raw = [
        json.dumps({"instruction": "Name a cat.", "output": "Tom."}),
        r'{"instruction": "What does \d+ match?", "output": "Digits."}',
        '{"instruction": "Draw:',
        '####", "output": "A square."}',
        json.dumps({"instruction": "Name a dog.", "output": "Rex."}),
    ]
    built = build("instinwild", {"data_v2/user_2.jsonl": "".join(line + "\r\n" for line in raw)})
    assert built.refused == [(1, "unparsable"), (2, "unparsable"), (3, "unparsable")]
    assert built.said == [
        {"instruction": "Name a cat.", "output": "Tom."},
        {"instruction": "Name a dog.", "output": "Rex."},
    ]


def test_equal_instructions_in_two_files_both_stay(build: Build) -> None:
    row = {"instruction": "Why?", "output": "Because."}
    built = build("instinwild", {"data/seed_prompts_en.jsonl": lines(row), "data_v2/user_1.jsonl": lines(row)})
    first, second = built.records
    assert first["id"] == second["id"]
    assert built.places == [("data/seed_prompts_en.jsonl", 0), ("data_v2/user_1.jsonl", 0)]


@pytest.mark.skipif(not (REAL / "instinwild").is_dir(), reason="the real rows are not at hand")
def test_no_real_row_has_an_answer(tmp_path: Path) -> None:
    corpus(load(), ["instinwild"], REAL, tmp_path, workers=1, limit=None)
    built = read(tmp_path / "records" / "instinwild")
    assert {one["path"]: one["rows"] for one in built.manifest["files"]} == {
        "seed_prompts_ch.jsonl": 429,
        "seed_prompts_en.jsonl": 429,
        "user_1.jsonl": 429,
    }
    assert built.manifest["raw_rows"] == 1287
    assert built.records == []
    assert built.manifest["rejected"] == {"missing field": 1287}
    expected = [
        (path.name, number, "missing field" if "output" not in json.loads(line) else "")
        for path in sorted((REAL / "instinwild").glob("*.jsonl"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())
    ]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == expected
