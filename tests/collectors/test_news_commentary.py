"""news_commentary: sentences to translate in both directions, sometimes without an instruction."""

from typing import Any

import pytest
from built import Build, array, lines

FILE = "news_commentary/news_commentary.json"

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "to English": (
        {"instruction": "翻译成英文。\n", "input": "应该先修路。\n", "output": "The road must be mended first."},
        {"instruction": "翻译成英文。", "input": "应该先修路。", "output": "The road must be mended first."},
    ),
    "to Chinese": (
        {"instruction": "翻译成中文。\n", "input": "That is why.\n", "output": "这就是原因。"},
        {"instruction": "翻译成中文。", "input": "That is why.", "output": "这就是原因。"},
    ),
    "an empty instruction": (
        {"instruction": "", "input": "请翻译：春雨贵如油。\n", "output": "Spring rain is precious."},
        {"instruction": "请翻译：春雨贵如油。", "output": "Spring rain is precious."},
    ),
    "an instruction of blanks": (
        {"instruction": " \n\u3000", "input": "请翻译：好。", "output": "Good."},
        {"instruction": "请翻译：好。", "output": "Good."},
    ),
    "an empty instruction before words that spell no input": (
        {"instruction": "", "input": "None", "output": "无"},
        {"instruction": "None", "output": "无"},
    ),
    "no input": (
        {"instruction": "翻译成中文：Good.\n", "output": "好。"},
        {"instruction": "翻译成中文：Good.", "output": "好。"},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_a_line_is_a_record(build: Build, raw: dict[str, Any], said: dict[str, Any], written: Any) -> None:
    built = build("news_commentary", {FILE: written(raw)})
    assert built.said == [said]
    assert {built.records[0][tag] for tag in ("lang", "language")} == {"CN", None}


def test_what_is_refused(build: Build) -> None:
    rows = [
        {"input": "That is why.", "output": "这就是原因。"},
        {"instruction": "", "input": "\n", "output": "好。"},
        {"instruction": "", "output": "好。"},
        {"instruction": "翻译成中文。", "input": "Good."},
        {"instruction": "翻译成中文。", "input": "Good.", "output": "\n"},
    ]
    assert build("news_commentary", {FILE: lines(*rows)}).refused == [
        (0, "missing field"),
        (1, "empty instruction"),
        (2, "empty instruction"),
        (3, "missing field"),
        (4, "empty output"),
    ]
