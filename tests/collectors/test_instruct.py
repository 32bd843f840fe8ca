"""instruct: JSON Lines of prompt and completion."""

from typing import Any

import pytest
from built import Build, array, lines

ROW = {"prompt": "Name three primary colours.", "completion": "\n\nRed, yellow and blue."}
SAID = {"instruction": "Name three primary colours.", "output": "Red, yellow and blue."}
PREAMBLE = "Below is an instruction that describes a task.\n\n### Instruction:\nAdd 1 and 1.\n\n### Response:"


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_a_line_is_a_record(build: Build, written: Any) -> None:
    built = build("instruct", {"instruct.jsonl": written(ROW, ROW | {"source": "alpaca"})})
    assert built.said == [SAID, SAID]


def test_a_preamble_is_kept_as_it_stands(build: Build) -> None:
    raw = {"prompt": PREAMBLE, "completion": "2"}
    assert build("instruct", {"instruct.jsonl": lines(raw)}).said == [{"instruction": PREAMBLE, "output": "2"}]


def test_rows_of_other_sources_have_the_ids_they_have_there(build: Build) -> None:
    alpaca = {"instruction": "Name three primary colours.", "input": "", "output": "Red, yellow and blue."}
    gpt4all = {"prompt": ROW["prompt"], "response": ROW["completion"]}
    here = build("instruct", {"instruct.jsonl": lines(ROW)}).records[0]
    there = build("alpaca", {"alpaca_data.json": array(alpaca)}).records[0]
    elsewhere = build("gpt4all", {"train.jsonl": lines(gpt4all)}).records[0]
    assert here["id"] == there["id"] == elsewhere["id"]


def test_what_is_refused(build: Build) -> None:
    rows = [ROW | {"completion": " "}, ROW | {"prompt": ""}, {"prompt": "Why?"}, ROW | {"prompt": ["Why?"]}, ROW]
    assert build("instruct", {"instruct.jsonl": lines(*rows)}).refused == [
        (0, "empty output"),
        (1, "empty instruction"),
        (2, "missing field"),
        (3, "missing field"),
    ]
