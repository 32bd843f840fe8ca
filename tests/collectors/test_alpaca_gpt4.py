"""alpaca_gpt4: alpaca's prompts answered by GPT-4 in two languages, and comparisons in two shapes."""

from typing import Any

import pytest
from built import Build, array


def test_the_data_files_are_alpaca(build: Build) -> None:
    english = {"instruction": "Find the odd one out.", "input": "Car, bus, apple", "output": "Apple."}
    bare = {"instruction": "Greet me.", "input": "Noinput", "output": "Hello!"}
    chinese = {"instruction": "问好。", "input": "", "output": "你好！"}
    built = build(
        "alpaca_gpt4", {"alpaca_gpt4_data.json": array(english, bare), "alpaca_gpt4_data_zh.json": array(chinese)}
    )
    assert built.said == [
        english,
        {"instruction": "Greet me.", "output": "Hello!"},
        {"instruction": "问好。", "output": "你好！"},
    ]
    assert [row["lang"] for row in built.records] == ["EN", "EN", "CN"]


def scored(*pairs: tuple[str, float]) -> dict[str, Any]:
    answers = [{"response": text, "source": "model", "score": score} for text, score in pairs]
    return {"user_input": "Which way?", "responses_and_scores": answers}


COMPARISONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "completions": (
        {"user_input": " Which way? ", "completion_a": "North.\r\n", "completion_b": "Up."},
        {"output": "North.", "rejected": "Up."},
    ),
    "an empty worse completion": (
        {"user_input": "Which way?", "completion_a": "North.", "completion_b": " "},
        {"output": "North."},
    ),
    "three scores": (
        scored(("Up.", 3.0), ("North.", 9.5), ("Left.", 7.0)),
        {"output": "North.", "rejected": "Up.", "extra": {"scores": [3.0, 9.5, 7.0]}},
    ),
    "whole numbers, the best first": (
        scored(("North.", 9), ("Left.", 7), ("Up.", 3)),
        {"output": "North.", "rejected": "Up.", "extra": {"scores": [9, 7, 3]}},
    ),
    "all scores equal": (
        scored(("North.", 8.0), ("Up.", 8.0), ("Left.", 8.0)),
        {"output": "North.", "extra": {"scores": [8.0, 8.0, 8.0]}},
    ),
    "one answer": (scored(("North.", 5.0)), {"output": "North.", "extra": {"scores": [5.0]}}),
}


@pytest.mark.parametrize(("row", "said"), COMPARISONS.values(), ids=COMPARISONS.keys())
def test_a_comparison_is_a_preference_pair(build: Build, row: dict[str, Any], said: dict[str, Any]) -> None:
    assert build("alpaca_gpt4", {"comparison_data_v2.json": array(row)}).said == [{"instruction": "Which way?"} | said]


def test_both_shapes_stand_in_one_file(build: Build) -> None:
    row = {"user_input": "Which way?", "completion_a": "North.", "completion_b": "Up."}
    built = build("alpaca_gpt4", {"data/comparison_data.json": array(row, scored(("Up.", 1), ("North.", 2)))})
    assert [(one["output"], one["rejected"]) for one in built.records] == [("North.", "Up.")] * 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "neither shape": ({"user_input": "Which way?"}, "missing field"),
    "no prompt": ({"completion_a": "a", "completion_b": "b"}, "missing field"),
    "scores that are no list": ({"user_input": "Which way?", "responses_and_scores": "none"}, "missing field"),
    "an empty prompt": ({"user_input": "", "completion_a": "a", "completion_b": "b"}, "empty instruction"),
    "an empty better completion": (
        {"user_input": "Which way?", "completion_a": "", "completion_b": "b"},
        "empty output",
    ),
    "an empty best answer": (scored(("", 9.0), ("Up.", 1.0)), "empty output"),
}


@pytest.mark.parametrize(("row", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_comparison_that_is_none(build: Build, row: dict[str, Any], reason: str) -> None:
    good = {"user_input": "Which way?", "completion_a": "North.", "completion_b": "Up."}
    assert build("alpaca_gpt4", {"comparison_data_v2.json": array(good, row)}).refused == [(1, reason)]
