"""belle: plain rows, an older pair of keys, dialogues packed into the instruction, and conversations."""

import json
import re
from typing import Any

import pytest
from built import Build, kept, lines, turn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import SourceError

Said = dict[str, Any]


def row(instruction: str, output: str = "好。", **fields: object) -> dict[str, object]:
    return {"instruction": instruction, "input": "", "output": output} | fields


def chat(*turns: tuple[str, str], **fields: object) -> dict[str, object]:
    return {"id": "7", "conversations": [{"from": who, "value": text} for who, text in turns]} | fields


ROWS: dict[str, tuple[dict[str, object], Said]] = {
    "plain": (
        row("写一个同义句。\nShe studies.", "\nShe learns."),
        {"instruction": "写一个同义句。\nShe studies.", "output": "She learns."},
    ),
    "plain with an input": (row("翻译。", input="早"), {"instruction": "翻译。", "input": "早", "output": "好。"}),
    "old keys": ({"input": "写诗。\\n", "target": "\n床前。"}, {"instruction": "写诗。\\n", "output": "床前。"}),
    "old keys, a prompt that spells no input": (
        {"input": "None", "target": "无。"},
        {"instruction": "None", "output": "无。"},
    ),
    "a literal line break": (row("红\\n黄", "红\\n蓝"), {"instruction": "红\\n黄", "output": "红\\n蓝"}),
    "one packed exchange": (row("Human:你好\nAssistant:"), {"instruction": "你好", "output": "好。"}),
    "two packed exchanges": (
        row("Human:一？\nAssistant:1。\nHuman:二？\nAssistant:", "\n2。"),
        {"history": [turn("一？", "1。")], "instruction": "二？", "output": "2。"},
    ),
    "three, with blanks and lines inside": (
        row("Human: 一？\n再说一遍。 \nAssistant: 1。\n\n就是1。\nHuman:二？\nAssistant:2。\nHuman:三？\nAssistant:"),
        {
            "history": [turn("一？\n再说一遍。", "1。\n\n就是1。"), turn("二？", "2。")],
            "instruction": "三？",
            "output": "好。",
        },
    ),
    "markers inside a line are text": (
        row("Human:他写 Human:是标签，Assistant:也是。\nAssistant:对。\nHuman:为什么？\nAssistant:"),
        {"history": [turn("他写 Human:是标签，Assistant:也是。", "对。")], "instruction": "为什么？", "output": "好。"},
    ),
    "Human: in a plain row": (
        row("解释：\nHuman:一\nAssistant:二"),
        {"instruction": "解释：\nHuman:一\nAssistant:二", "output": "好。"},
    ),
    "Human: without Assistant:": (row("Human:一词何意？"), {"instruction": "Human:一词何意？", "output": "好。"}),
    "two human turns in a row": (
        row("Human:一？\nHuman:还有二？\nAssistant:"),
        {"instruction": "一？\n\n还有二？", "output": "好。"},
    ),
    "two answers in a row": (
        row("Human:一？\nAssistant:1。\nAssistant:就是1。\nHuman:二？\nAssistant:"),
        {"history": [turn("一？", "1。\n\n就是1。")], "instruction": "二？", "output": "好。"},
    ),
    "an exchange without an answer is left out of history": (
        row("Human:一？\nAssistant:\nHuman:二？\nAssistant:"),
        {"instruction": "二？", "output": "好。"},
    ),
    "generated chat is plain": (
        row("于以下角色信息完成一段对话\nA是学生。\n", "\nA: 你好\nHuman: 你好"),
        {"instruction": "于以下角色信息完成一段对话\nA是学生。", "output": "A: 你好\nHuman: 你好"},
    ),
    "a conversation": (
        chat(("human", "早\n"), ("assistant", "\n早。"), ("human", "再见"), ("assistant", "慢走")),
        {"history": [turn("早", "早。")], "instruction": "再见", "output": "慢走", "extra": {"id": "7"}},
    ),
    "a conversation that ends with a question": (
        chat(("human", "早"), ("assistant", "早。"), ("human", "在吗？")),
        {"instruction": "早", "output": "早。", "extra": {"id": "7"}},
    ),
    "a conversation that begins with an answer": (
        chat(("assistant", "欢迎"), ("human", "早"), ("assistant", "早。")),
        {"instruction": "早", "output": "早。", "extra": {"id": "7"}},
    ),
    "a conversation with two turns of one speaker": (
        chat(("human", "早"), ("human", "在吗？"), ("assistant", "早。"), ("assistant", "在。")),
        {"instruction": "早\n\n在吗？", "output": "早。\n\n在。", "extra": {"id": "7"}},
    ),
    "a conversation without an id": (
        {"conversations": [{"from": "human", "value": "早"}, {"from": "assistant", "value": "早。"}]},
        {"instruction": "早", "output": "早。"},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, object], said: Said) -> None:
    assert build("belle", {"train_1M_CN.json": lines(raw)}).said == [said]


def test_the_keys_of_the_row_decide_not_the_file(build: Build) -> None:
    built = build("belle", {"Belle_open_source_1M.json": lines(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [said for _, said in ROWS.values()]


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "an empty output": (row("画画。", "\n"), "empty output"),
    "an old row without a target": ({"input": "画画。"}, "missing field"),
    "an old row with an empty target": ({"input": "画画。", "target": " "}, "empty output"),
    "packed turns without an answer": (row("Human:一？\nAssistant:1。\nHuman:二？\nAssistant:", ""), "empty output"),
    "packed turns that end in an empty question": (
        row("Human:一？\nAssistant:1。\nHuman:\nAssistant:"),
        "empty instruction",
    ),
    "a conversation without an answer": (chat(("human", "早")), "missing field"),
    "a conversation of empty halves": (chat(("human", "早"), ("assistant", " ")), "missing field"),
    "an empty conversation": (chat(), "missing field"),
    "a conversation that is a text": ({"id": "7", "conversations": "早"}, "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, raw: dict[str, object], reason: str) -> None:
    built = build("belle", {"train_3.5M_CN.json": lines(row("早"), raw, row("再见"))})
    assert built.places == [("train_3.5M_CN.json", 0), ("train_3.5M_CN.json", 2)]
    assert built.refused == [(1, reason)]


def test_a_line_that_is_broken_off_is_refused(build: Build) -> None:
    built = build("belle", {"train_2M_CN.json": lines(row("早")) + '{"instruction": "再\n'})
    assert built.places == [("train_2M_CN.json", 0)]
    assert built.rejects == [
        {"file": "train_2M_CN.json", "row": 1, "reason": "unparsable", "bytes": '{"instruction": "再'}
    ]


def test_a_file_that_ends_within_a_line_is_an_error(build: Build) -> None:
    with pytest.raises(SourceError, match=r"train_2M_CN\.json.* row 1"):
        build("belle", {"train_2M_CN.json": lines(row("早")) + '{"instruction": "再'})


def test_escapes_and_raw_letters_are_the_same_text(build: Build) -> None:
    raw = row("Human:早\nAssistant:早。\nHuman:再见\nAssistant:")
    built = build("belle", {"train_2M_CN.json": lines(raw) + json.dumps(raw) + "\n"})
    assert built.said[0] == built.said[1]
    assert built.records[0]["id"] == built.records[1]["id"]


MARKER = re.compile(r"\n(Human|Assistant):")
PIECES = ["Human:", "Assistant:", "Human", "\n", "\n\n", " ", "a", "字", "\u3000", ":"]
TEXTS = (
    st.lists(st.sampled_from(PIECES), max_size=6)
    .map("".join)
    .filter(lambda text: kept(text) and not MARKER.search(text))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5).map(lambda pairs: sum(pairs, ())), last=TEXTS)
def test_a_dialogue_comes_apart_as_it_was_put_together(build: Build, said: tuple[str, ...], last: str) -> None:
    packed = "\n".join(f"Human:{user}\nAssistant:{answer}" for user, answer in zip(said[::2], said[1::2], strict=True))
    raw = row(f"{packed}\nHuman:{last}\nAssistant:")
    ours = build("belle", {"multiturn_chat_0.8M.json": lines(raw)}).records[0]
    assert ours["instruction"] == kept(last)
    assert ours["history"] == [turn(*map(kept, both)) for both in zip(said[::2], said[1::2], strict=True)]
