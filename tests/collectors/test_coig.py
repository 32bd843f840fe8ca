"""coig: six files in five shapes; exams and their kin, worded rows, translations and chats one object a dialogue."""

import gzip
import io
import json
import tarfile
from typing import Any

import polars as pl
import pytest
from built import Build, array, lines, turn

from collectors import coig

EXAM = "exam_instructions.jsonl"
PART_1 = "human_value_alignment_instructions_part1.json"
PART_2 = "human_value_alignment_instructions_part2.json"
LEETCODE = "leetcode_instructions.jsonl"
TRANSLATED = "translated_instructions.jsonl"
CHAT = "counterfactural_correction_multi_round_chat.tar.gz"


def exam(**fields: Any) -> dict[str, Any]:
    row = {
        "textbox_q_instruction": "回答以下单项选择题。",
        "textbox_q_context": "",
        "textbox_question": "1+1=?\nA. 1 B. 2",
        "textbox_answer": "B",
        "textbox_answer_analysis": "1+1=2",
        "subject": "数学",
    }
    return row | {f"textbox_{name}": value for name, value in fields.items()}


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


SAID = {
    "instruction": "回答以下单项选择题。",
    "input": "1+1=?\nA. 1 B. 2",
    "rationale": "1+1=2",
    "output": "B",
    "extra": {"subject": "数学"},
}

EXAMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "without a context": (exam(), SAID),
    "with a context": (exam(q_context="读图。"), SAID | {"input": "读图。\n1+1=?\nA. 1 B. 2"}),
    "no context key": (without(exam(), "textbox_q_context"), SAID),
    "a context of blanks": (exam(q_context=" \n"), SAID),
    "no instruction": (
        exam(q_instruction="", q_context="读图。"),
        SAID | {"instruction": "1+1=?\nA. 1 B. 2", "input": "读图。"},
    ),
    "neither instruction nor context": (
        without(exam(q_instruction=" "), "textbox_q_context"),
        without(SAID | {"instruction": "1+1=?\nA. 1 B. 2"}, "input"),
    ),
    "no analysis key": (without(exam(), "textbox_answer_analysis"), without(SAID, "rationale")),
    "a null analysis": (exam(answer_analysis=None), without(SAID, "rationale")),
    "an empty analysis": (exam(answer_analysis=""), without(SAID, "rationale")),
    "an analysis of blanks": (exam(answer_analysis=" "), without(SAID, "rationale")),
    "an analysis that is a number": (exam(answer_analysis=2), without(SAID, "rationale")),
    "an analysis that is a list": (exam(answer_analysis=["1+1=2"]), without(SAID, "rationale")),
    "an analysis with escapes": (
        exam(answer_analysis='因为\n"1+1"\t是\\2😀'),
        SAID | {"rationale": '因为\n"1+1"\t是\\2😀'},
    ),
    "an empty answer": (exam(answer=""), without(SAID | {"output": "1+1=2"}, "rationale")),
    "no answer key": (without(exam(), "textbox_answer"), without(SAID | {"output": "1+1=2"}, "rationale")),
    "an answer that is a number": (exam(answer=2.50), SAID | {"output": "2.5"}),
    "no subject": (without(exam(), "subject"), without(SAID, "extra")),
}


@pytest.mark.parametrize("file", [EXAM, PART_2])
@pytest.mark.parametrize(("raw", "said"), EXAMS.values(), ids=EXAMS.keys())
def test_an_exam_question(build: Build, file: str, raw: dict[str, Any], said: dict[str, Any]) -> None:
    assert build("coig", {file: lines(raw)}).said == [said]


@pytest.mark.parametrize("file", [EXAM, PART_2])
def test_questions_that_are_refused(build: Build, file: str) -> None:
    rows = [
        without(exam(), "textbox_question"),
        without(exam(), "textbox_q_instruction"),
        exam(answer="", answer_analysis=""),
        without(exam(answer_analysis=7), "textbox_answer"),
        exam(answer=["B"]),
        exam(q_instruction="", question=""),
        "no object",
    ]
    assert build("coig", {file: lines(*rows)}).refused == [
        (0, "missing field"),
        (1, "missing field"),
        (2, "empty output"),
        (3, "missing field"),
        (4, "missing field"),
        (5, "empty instruction"),
        (6, "missing field"),
    ]


WORDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": (
        {"instruction": "可以说谎吗？", "input": "", "output": "不可以。"},
        {"instruction": "可以说谎吗？", "output": "不可以。"},
    ),
    "with an input": (
        {"instruction": "给出建议。", "input": "尺子坏了。", "output": "道歉。"},
        {"instruction": "给出建议。", "input": "尺子坏了。", "output": "道歉。"},
    ),
    "with metadata of any type": (
        {
            "instruction": "求和。",
            "output": "sum(x)",
            "split": "train",
            "task_name_in_eng": "sum",
            "task_type": {"major": ["代码"], "minor": ["Python"]},
            "domain": ["编程"],
            "other": None,
        },
        {
            "instruction": "求和。",
            "output": "sum(x)",
            "extra": {
                "split": "train",
                "task_name_in_eng": "sum",
                "task_type": {"major": ["代码"], "minor": ["Python"]},
                "domain": ["编程"],
            },
        },
    ),
}


@pytest.mark.parametrize(("file", "written"), [(PART_1, array), (PART_1, lines), (LEETCODE, lines)])
@pytest.mark.parametrize(("raw", "said"), WORDED.values(), ids=WORDED.keys())
def test_a_worded_row(build: Build, file: str, written: Any, raw: dict[str, Any], said: dict[str, Any]) -> None:
    assert build("coig", {file: written(raw)}).said == [said]


def test_the_alignment_files_are_told_apart_by_their_rows(build: Build) -> None:
    row, said = WORDED["with an input"]
    built = build("coig", {PART_1: array(row), PART_2: lines(exam(), row)})
    assert built.said == [said, SAID, said]
    assert built.places == [(PART_1, 0), (PART_2, 0), (PART_2, 1)]


def test_a_worded_row_that_lacks_a_field_is_refused(build: Build) -> None:
    rows = [{"instruction": "求和。"}, {"input": "一", "output": "二"}, {"instruction": "求和。", "output": ""}]
    assert build("coig", {LEETCODE: lines(*rows)}).refused == [
        (0, "missing field"),
        (1, "missing field"),
        (2, "empty output"),
    ]


def test_of_a_translation_the_chinese_side_is_kept(build: Build) -> None:
    row = {
        "instruction": "Classify.",
        "input": "Where is the cat?",
        "output": "A question",
        "trans_instruction": "判断句型。",
        "trans_input": "猫在哪里？",
        "trans_output": "疑问句",
        "split": "train",
    }
    built = build("coig", {TRANSLATED: lines(row, without(row, "trans_output"), row | {"trans_output": ""})})
    assert built.said == [
        {"instruction": "判断句型。", "input": "猫在哪里？", "output": "疑问句", "extra": {"split": "train"}}
    ]
    assert built.refused == [(1, "missing field"), (2, "empty output")]


def said(question: object, answer: object, **others: object) -> dict[str, Any]:
    return {"response": json.dumps({"Q": question, "A": answer}, ensure_ascii=False)} | others


Said = dict[str, Any] | None
CHATS: dict[str, tuple[Any, Said | str]] = {
    "one round": (
        {"round_0": said("北京在哪里？", "北京在中国。")},
        {"instruction": "北京在哪里？", "output": "北京在中国。"},
    ),
    "two rounds": (
        {"round_0": said("一？", "1。", prompt="…"), "round_1": said(" 二？\r\n", "2。\n")},
        {"history": [turn("一？", "1。")], "instruction": "二？", "output": "2。"},
    ),
    "gaps, and ten after two": (
        {
            "round_10": said("三？", "3。"),
            "round_2": said("二？", "2。"),
            "round_0": said("一？", "1。"),
            "round_1": None,
        },
        {"history": [turn("一？", "1。"), turn("二？", "2。")], "instruction": "三？", "output": "3。"},
    ),
    "other keys": (
        {"id": 3, "round_0": said("一？", "1。"), "topic": {"name": "数"}},
        {"instruction": "一？", "output": "1。"},
    ),
    "keys beside Q and A": (
        {"round_0": {"response": '{"K": [1], "Q": "一？", "A": "1。"}'}},
        {"instruction": "一？", "output": "1。"},
    ),
    "an empty half": (
        {"round_0": said("一？", "1。"), "round_1": said("二？", "")},
        {"instruction": "一？", "output": "1。"},
    ),
    "only an empty half": ({"round_0": said("一？", " ")}, "missing field"),
    "no round": ({"topic": "数"}, "missing field"),
    "a response that is no JSON": ({"round_0": said("一？", "1。"), "round_1": {"response": "{Q: 二}"}}, "unparsable"),
    "an empty response": ({"round_0": {"response": ""}}, "unparsable"),
    "a response cut short behind a wrong Q": ({"round_0": {"response": '{"Q": 1, "A": "'}}, "unparsable"),
    "no JSON behind a missing field": ({"round_0": {}, "round_1": {"response": "?"}}, "unparsable"),
    "a lone surrogate in a response": ({"round_0": {"response": r'{"Q": "\ud800", "A": "1"}'}}, "unparsable"),
    "no A": ({"round_0": {"response": '{"Q": "一？"}'}}, "missing field"),
    "a Q that is a number": ({"round_0": said(1, "1。")}, "missing field"),
    "an A that is null": ({"round_0": said("一？", None)}, "missing field"),
    "a response that is a list": ({"round_0": {"response": '["一？", "1。"]'}}, "missing field"),
    "no response": ({"round_0": {"prompt": "一？"}}, "missing field"),
    "a response that is an object": ({"round_0": {"response": {"Q": "一？", "A": "1。"}}}, "missing field"),
    "a round that is a text": ({"round_0": "一？"}, "missing field"),
}


@pytest.mark.parametrize(("dialogue", "expected"), CHATS.values(), ids=CHATS.keys())
def test_a_chat(build: Build, dialogue: Any, expected: Any) -> None:
    built = build("coig", {"counterfactural_correction_multi_round_chat/7.json": json.dumps(dialogue)})
    if isinstance(expected, str):
        assert built.refused == [(0, expected)]
    else:
        assert built.said == [expected]
        assert built.refused == []


def test_an_exchange_with_an_empty_half_is_counted(build: Build) -> None:
    dialogue = {"round_0": said("一？", ""), "round_1": said("二？", "2。")}
    built = build("coig", {"counterfactural_correction_multi_round_chat/7.json": json.dumps(dialogue)})
    assert built.said == [{"instruction": "二？", "output": "2。"}]
    assert built.manifest["dropped_turns"] == {"exchange with an empty half": 1}


def packed(members: dict[str, str]) -> bytes:
    """A tar.gz of texts by their names, in this order."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as opened:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            opened.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(whole.getvalue(), mtime=0)


def test_an_archive_of_chats_is_numbered_by_its_members_names(build: Build) -> None:
    members = {
        f"counterfactural_correction_multi_round_chat/{name}.json": json.dumps({"round_0": one}, indent=1)
        for name, one in {"b": said("乙？", "2。"), "a": said("甲？", "1。"), "c": {"response": "?"}}.items()
    }
    built = build("coig", {CHAT: packed(members)})
    assert [one["instruction"] for one in built.said] == ["甲？", "乙？"]
    assert built.places == [(CHAT, 0), (CHAT, 1)]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == [(CHAT, 2, "unparsable")]


def test_a_longer_dialogue_than_upstream_speaks_of_is_whole() -> None:
    rows = {name: [said(f"问{name}", "答")] for name in coig.ROUNDS}
    frame = pl.DataFrame({"row": [0]} | rows, schema={"row": pl.UInt64} | coig.CHAT)
    (row,) = coig.chat(frame.lazy()).collect().to_dicts()
    assert [one["user"] for one in row["history"]] + [row["instruction"]] == [f"问round_{k}" for k in range(32)]
