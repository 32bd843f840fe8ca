"""firefly: JSON Lines of kind, input, target; the native `input` is the instruction."""

from typing import Any

import pytest
from built import Build, array, lines

ROW = {"kind": "NLI", "input": "自然语言推理：\n前提：他在跑步\n假设：他坐着", "target": "矛盾\n"}
SAID = {"instruction": "自然语言推理：\n前提：他在跑步\n假设：他坐着", "output": "矛盾", "extra": {"kind": "NLI"}}


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_a_line_is_a_record(build: Build, written: Any) -> None:
    rows = [ROW, {"input": "写一首诗。", "target": "床前。"}, ROW | {"input": "None"}]
    built = build("firefly", {"firefly-train-1.1M.jsonl": written(*rows)})
    assert built.said == [SAID, {"instruction": "写一首诗。", "output": "床前。"}, SAID | {"instruction": "None"}]


def test_english_kinds_keep_the_tag(build: Build) -> None:
    rows = [{"kind": kind, "input": "Translate: 早上好", "target": "Good morning"} for kind in ("Translation", "Cot")]
    built = build("firefly", {"firefly-train-1.1M.rows0-1.jsonl": lines(*rows)})
    assert [(row["lang"], row["language"]) for row in built.records] == [("CN", None)] * 2


def test_a_belle_row_has_the_id_it_has_there(build: Build) -> None:
    here = {"kind": "BELLE", "input": "写一首诗。", "target": "床前明月光。"}
    there = {"instruction": "写一首诗。", "input": "", "output": "床前明月光。"}
    ours = build("firefly", {"firefly-train-1.1M.jsonl": lines(here)}).records[0]
    theirs = build("belle", {"Belle_open_source_0.5M.json": lines(there)}).records[0]
    assert ours["id"] == theirs["id"]


def test_what_is_refused(build: Build) -> None:
    rows = [ROW | {"target": "\u3000"}, ROW | {"input": ""}, {"kind": "NLI", "input": "问"}, ROW]
    built = build("firefly", {"firefly-train-1.1M.jsonl": lines(*rows)})
    assert built.refused == [(0, "empty output"), (1, "empty instruction"), (2, "missing field")]
