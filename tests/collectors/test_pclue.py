"""pclue: prompts under the key `input`, answers under `target`, choices as a list, an empty text or not at all."""

from typing import Any

import pytest
from built import Build, array, lines

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a list of choices": (
        {"input": "推断？\n答案：", "target": "不是", "answer_choices": ["是的", "不是"], "type": "nli"},
        {
            "instruction": "推断？\n答案：",
            "output": "不是",
            "extra": {"type": "nli", "answer_choices": ["是的", "不是"]},
        },
    ),
    "keys in another order": (
        {"type": "nli", "answer_choices": ["是的", "不是"], "target": "不是", "input": "推断？"},
        {"instruction": "推断？", "output": "不是", "extra": {"type": "nli", "answer_choices": ["是的", "不是"]}},
    ),
    "no choices": (
        {"input": "几个桥孔？", "target": "五个", "type": "mrc"},
        {"instruction": "几个桥孔？", "output": "五个", "extra": {"type": "mrc"}},
    ),
    "choices that are an empty text": (
        {"input": "几个桥孔？", "target": "五个", "answer_choices": "", "type": "mrc"},
        {"instruction": "几个桥孔？", "output": "五个", "extra": {"type": "mrc"}},
    ),
    "choices that are null": (
        {"input": "几个桥孔？", "target": "五个", "answer_choices": None, "type": "mrc"},
        {"instruction": "几个桥孔？", "output": "五个", "extra": {"type": "mrc"}},
    ),
    "nothing beside": ({"input": "拟标题。", "target": "桥"}, {"instruction": "拟标题。", "output": "桥"}),
    "a prompt that spells no input": ({"input": "None", "target": "空"}, {"instruction": "None", "output": "空"}),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, Any], said: dict[str, Any]) -> None:
    assert build("pclue", {"pCLUE_train_1.json": lines(raw)}).said == [said]


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_all_of_them_in_one_file(build: Build, written: Any) -> None:
    built = build("pclue", {"pCLUE_train_1.json": written(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [said for _, said in ROWS.values()]


def test_rows_without_a_target_are_refused(build: Build) -> None:
    test = [{"input": "推断？", "type": "nli"}, {"input": "推断？", "target": "", "type": "nli"}]
    train = {"input": "推断？", "target": "是"}
    built = build("pclue", {"pCLUE_test_1.json": lines(*test), "pCLUE_train_1.json": lines(train)})
    assert built.places == [("pCLUE_train_1.json", 0)]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == [
        ("pCLUE_test_1.json", 0, "missing field"),
        ("pCLUE_test_1.json", 1, "empty output"),
    ]
