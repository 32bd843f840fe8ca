"""guanaco: JSON arrays of instruction, input, output, in two encodings of which one is collected."""

import json

import pytest
from built import Build, array, lines

CHAT = {
    "instruction": "System: You are kind.\nUser: 你好\nAssistant: 你好！",
    "input": "User: 今天星期几？",
    "output": "星期三。",
}
PLAIN = {"instruction": "日本の首都はどこですか。", "input": "", "output": "東京です。"}


@pytest.mark.parametrize("file", ["guanaco_chat_all-utf8.json", "guanaco_non_chat-utf8.json"])
def test_an_element_is_a_record_as_it_stands(build: Build, file: str) -> None:
    built = build("guanaco", {file: array(CHAT, PLAIN, PLAIN | {"input": "<noinput>"})})
    bare = {"instruction": PLAIN["instruction"], "output": PLAIN["output"]}
    assert built.said == [CHAT, bare, bare]
    assert [(row["history"], row["system"], row["extra"], row["lang"]) for row in built.records] == [
        ([], None, None, "ML")
    ] * 3


def test_of_twins_and_cuts_only_the_utf8_ones_are_collected(build: Build) -> None:
    files = [
        "guanaco_chat_all.json",
        "guanaco_non_chat.json",
        "guanaco_non_chat_mini_52K.json",
        "guanaco_non_chat_mini_52K-utf8.json",
        "additional/general_ans.json",
        "additional/general_ans-utf8.json",
        "additional/paper_questions-utf8.json",
        "guanaco_non_chat-utf8.rows0-1.json",
    ]
    built = build("guanaco", {file: array(PLAIN) for file in files})
    assert {subset for subset, _ in built.places} == {
        "additional/general_ans-utf8.json",
        "additional/paper_questions-utf8.json",
        "guanaco_non_chat-utf8.rows0-1.json",
    }


def test_both_spellings_are_one_text(build: Build) -> None:
    files = {"guanaco_chat_all-utf8.json": array(CHAT), "guanaco_non_chat-utf8.json": json.dumps([CHAT])}
    first, second = build("guanaco", files).records
    assert first["id"] == second["id"]


def test_a_slice_may_be_json_lines(build: Build) -> None:
    built = build("guanaco", {"guanaco_chat_all-utf8.part_b.json": lines(CHAT, PLAIN)})
    assert [row["instruction"] for row in built.records] == [CHAT["instruction"], PLAIN["instruction"]]


def test_what_is_refused(build: Build) -> None:
    rows = [CHAT | {"output": " "}, {"instruction": "问", "input": ""}, PLAIN, PLAIN | {"instruction": ""}]
    assert build("guanaco", {"guanaco_chat_all-utf8.json": array(*rows)}).refused == [
        (0, "empty output"),
        (1, "missing field"),
        (3, "empty instruction"),
    ]
