"""moss: conversations whose sections stand between marks, with thoughts and calls of tools beside the answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from built import Build, kept, lines, turn

RAW = Path(__file__).resolve().parents[3] / "shared" / "raw" / "moss"
META = "You are an AI assistant whose name is MOSS.\n- Web search: disabled.\n"
SYSTEM = {"system": META.strip()}
PLACE = "SFT_data/conversations/honest_conversations/honest_conversation_1.json"


def asked(
    human: str, moss: str, thoughts: str = "None", commands: str = "None", results: str = "None"
) -> dict[str, str]:
    """A turn as upstream writes it."""
    return {
        "Human": f"<|Human|>: {human}<eoh>\n",
        "Inner Thoughts": f"<|Inner Thoughts|>: {thoughts}<eot>\n",
        "Commands": f"<|Commands|>: {commands}<eoc>\n",
        "Tool Responses": f"<|Results|>:\n{results}\n<eor>\n",
        "MOSS": f"<|MOSS|>: {moss}<eom>\n",
    }


def row(*turns: object, **fields: object) -> dict[str, object]:
    chat = {f"turn_{number}": one for number, one in enumerate(turns, 1)}
    return {"conversation_id": 1, "meta_instruction": META, "num_turns": len(turns), "chat": chat} | fields


def said(instruction: str, output: str, **others: object) -> dict[str, Any]:
    return SYSTEM | {"instruction": instruction, "output": output, "extra": {"conversation_id": 1}} | others


ROWS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "one turn": (row(asked("Why?", "So.")), said("Why?", "So.")),
    "two turns": (
        row(asked("Why?", "So."), asked("And?", "\n\nThus.")),
        said("And?", "Thus.", history=[turn("Why?", "So.")]),
    ),
    "thoughts and tools of the last turn": (
        row(
            asked("6乘7？", "42。", "先计算。", 'Calculate("6*7")', "Calculate(\"6*7\") => '42'"),
            asked(
                "谁住在那里？",
                "有人<sup><|1|></sup>。",
                "需要查询。",
                'Search("谁")',
                "Search(\"谁\") =>\n<|1|>: '有人'",
            ),
        ),
        said(
            "谁住在那里？",
            "有人<sup><|1|></sup>。",
            history=[turn("6乘7？", "42。")],
            rationale="需要查询。",
            extra={
                "Commands": 'Search("谁")',
                "Tool Responses": "Search(\"谁\") =>\n<|1|>: '有人'",
                "conversation_id": 1,
            },
        ),
    ),
    "thoughts of an earlier turn alone": (
        row(asked("Why?", "So.", "Hm.", "Search()", "x"), asked("And?", "Thus.")),
        said("And?", "Thus.", history=[turn("Why?", "So.")]),
    ),
    "an id that is a text, and a category": (
        row(asked("Why?", "So."), conversation_id="12", category="Honest"),
        said("Why?", "So.", extra={"conversation_id": "12", "category": "Honest"}),
    ),
    "no id and an empty system prompt": (
        row(asked("Why?", "So."), conversation_id=None, meta_instruction=""),
        {"instruction": "Why?", "output": "So."},
    ),
    "turns by number, not by name": (
        row() | {"chat": {f"turn_{n}": asked(f"q{n}", f"a{n}") for n in (10, 9, 11, 8, 1)}},
        said("q11", "a11", history=[turn(f"q{n}", f"a{n}") for n in (1, 8, 9, 10)]),
    ),
    "an end mark of another section": (
        row(asked("Why?", "So.<eor>"), asked("And?", "Thus.\n<eor>\n")),
        said("And?", "Thus.", history=[turn("Why?", "So.")]),
    ),
    "marks within a text stay": (
        row(asked("Is <eoh> a mark?", "As <|MOSS|>: is.")),
        said("Is <eoh> a mark?", "As <|MOSS|>: is."),
    ),
    "the word None within a text": (
        row(asked("None", "None of them.", "None left.")),
        said("None", "None of them.", rationale="None left."),
    ),
    "sections that are not there": (
        row({"Human": "<|Human|>: Why?<eoh>\n", "MOSS": "<|MOSS|>: So.<eom>\n"}),
        said("Why?", "So."),
    ),
    "sections without marks": (row({"Human": "Why?", "MOSS": "So."}), said("Why?", "So.")),
    "an earlier turn with an empty half": (row(asked("Why?", ""), asked("And?", "Thus.")), said("And?", "Thus.")),
    "an answer that is a number": (row({"Human": "6*7?", "MOSS": 42.0}), said("6*7?", "42.0")),
}


@pytest.mark.parametrize(("raw", "record"), ROWS.values(), ids=ROWS.keys())
def test_a_file_is_a_record(build: Build, raw: dict[str, object], record: dict[str, Any]) -> None:
    built = build("moss", {PLACE: json.dumps(raw, indent=4, ensure_ascii=False)})
    assert built.said == [record]
    assert built.places == [(PLACE, 0)]


def test_a_line_of_the_whole_set_is_one_too(build: Build) -> None:
    built = build("moss", {"moss-003-sft-no-tools.jsonl": lines(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [record for _, record in ROWS.values()]


@pytest.mark.parametrize(
    ("raw", "lang"),
    [
        (row(asked("你好", "Hello.")), "CN"),
        (row(asked("Hello", "你好。")), "EN"),
        (row(asked("What is 猫?", "A cat."), asked("Why?", "So.")), "CN"),
        (row(asked("Why?", "So."), asked("猫？", "猫。")), "EN"),
        (row(asked("猫？", ""), asked("Why?", "So.")), "CN"),
        (row(asked("ねこ？", "はい。")), "EN"),
    ],
)
def test_the_first_request_tells_the_language(build: Build, raw: dict[str, object], lang: str) -> None:
    [record] = build("moss", {PLACE: json.dumps(raw)}).records
    assert (record["lang"], record["task"], record["gen"]) == (lang, "TS", "SI")


def test_languages_of_one_file_keep_their_order(build: Build) -> None:
    raw = [row(asked(text, "So.")) for text in ("Why?", "为何？", "How?", "几时？", "何处？", "Who?")]
    built = build("moss", {"moss-003-sft-no-tools.jsonl": lines(*raw)})
    assert [(record["row"], record["lang"]) for record in sorted(built.records, key=lambda one: one["row"])] == [
        (0, "EN"),
        (1, "CN"),
        (2, "EN"),
        (3, "CN"),
        (4, "CN"),
        (5, "EN"),
    ]


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no turn": (row(), "missing field"),
    "no chat": ({"conversation_id": 1, "meta_instruction": META}, "missing field"),
    "a chat that is a text": (row(chat="[Human]: Why?<eoh> [MOSS]: So.<eoa>"), "missing field"),
    "a chat that is a list": (row(chat=[asked("Why?", "So.")]), "missing field"),
    "a turn of another name": (row(chat={"turn_1": asked("a", "b"), "turn_x": asked("c", "d")}), "missing field"),
    "a turn that is null": (row(asked("Why?", "So."), None), "missing field"),
    "a turn without an answer": (row({"Human": "<|Human|>: Why?<eoh>"}), "missing field"),
    "an answer that is a list": (row({"Human": "Why?", "MOSS": ["So."]}), "missing field"),
    "a last answer that is empty": (row(asked("Why?", "So."), asked("And?", " ")), "empty output"),
    "a last request that is empty": (row(asked("Why?", "So."), asked("", "Thus.")), "empty instruction"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, raw: dict[str, object], reason: str) -> None:
    good = row(asked("Why?", "So."))
    built = build("moss", {"moss-003-sft-no-tools.jsonl": lines(good, raw, good)})
    assert [record["row"] for record in built.records] == [0, 2]
    assert built.refused == [(1, reason)]


MARK = re.compile(r"^<\|(?:Human|Inner Thoughts|Commands|Results|MOSS)\|>:(.*?)((<eo.>\s*)+)$", re.DOTALL)


def plain(text: str) -> str:
    found = MARK.match(text)
    assert found is not None
    return kept(found[1])


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")
def test_the_real_rows(build: Build) -> None:
    files = {path.relative_to(RAW).as_posix(): path.read_bytes() for path in RAW.rglob("*.json")}
    built = build("moss", files)
    found = {record["subset"]: (one, record["lang"]) for one, record in zip(built.said, built.records, strict=True)}
    assert (len(files), len(found), len(built.records), built.rejects) == (417, 417, 417, [])
    turns, without = 0, 0
    for name, content in files.items():
        raw = json.loads(content)
        every = [raw["chat"][f"turn_{number}"] for number in range(1, len(raw["chat"]) + 1)]
        texts = [{key: plain(text) for key, text in one.items()} for one in every]
        turns += len(every)
        without += "category" not in raw
        *history, last = texts
        expected = {
            "system": kept(raw["meta_instruction"]),
            "history": [turn(one["Human"], one["MOSS"]) for one in history if one["Human"] and one["MOSS"]],
            "instruction": last["Human"],
            "rationale": last["Inner Thoughts"],
            "output": last["MOSS"],
            "extra": {name: last[name] for name in ("Commands", "Tool Responses") if last[name] != "None"}
            | {name: raw[name] for name in ("conversation_id", "category") if name in raw},
        }
        expected = {key: value for key, value in expected.items() if value not in ([], "None")}
        lang = "CN" if re.search(r"[\u4e00-\u9fff\u3400-\u4dbf\u3007]", texts[0]["Human"]) else "EN"
        assert found[name] == (expected, lang)
    assert (turns, without) == (1602, 37)
