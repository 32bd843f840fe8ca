"""baize: whole dialogues in one text, begun by a line that is no turn and ended by an empty one."""

from typing import Any

import pytest
from built import Build, array, kept, lines, turn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEAD = "The conversation between human and AI assistant.\n"


def row(text: str, **fields: object) -> dict[str, object]:
    return {"topic": "Tides", "input": HEAD + text} | fields


def said(instruction: str, output: str, *history: dict[str, str]) -> dict[str, Any]:
    before = {"history": list(history)} if history else {}
    return before | {"instruction": instruction, "output": output, "extra": {"topic": "Tides"}}


ROWS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "one exchange and the empty turn behind it": (
        row("[|Human|] Why?\n[|AI|] The moon.\n[|Human|] "),
        said("Why?", "The moon."),
    ),
    "two exchanges over several lines": (
        row("[|Human|] Why?\nTell me.\n[|AI|] The moon.\n\nAnd the sun.\n[|Human|] When?\n[|AI|] Twice.\n[|Human|] "),
        said("When?", "Twice.", turn("Why?\nTell me.", "The moon.\n\nAnd the sun.")),
    ),
    "no turn at the end": (row("[|Human|] Why?\n[|AI|] The moon."), said("Why?", "The moon.")),
    "a question at the end": (
        row("[|Human|] Why?\n[|AI|] The moon.\n[|Human|] When?"),
        said("Why?", "The moon."),
    ),
    "markers within a line are text": (
        row("[|Human|] What is [|AI|] here?\n[|AI|] A mark, as [|Human|] is.\n    [|AI|] too\n[|Human|] "),
        said("What is [|AI|] here?", "A mark, as [|Human|] is.\n    [|AI|] too"),
    ),
    "a human turn without an answer": (
        row("[|Human|] Why?\n[|Human|] When?\n[|AI|] Twice.\n[|Human|] "),
        said("When?", "Twice."),
    ),
    "a human turn with an empty answer": (
        row("[|Human|] Why?\n[|AI|] \n[|Human|] When?\n[|AI|] Twice.\n[|Human|] "),
        said("When?", "Twice."),
    ),
    "two answers in a row": (
        row("[|Human|] Why?\n[|AI|] The moon.\n[|AI|] The sun.\n[|Human|] "),
        said("Why?", "The moon.\n\nThe sun."),
    ),
    "an answer first": (row("[|AI|] Hello.\n[|Human|] Why?\n[|AI|] The moon.\n[|Human|] "), said("Why?", "The moon.")),
    "CRLF": (row("[|Human|] Why?\r\n[|AI|] The moon.\r\nYes.\r\n[|Human|] "), said("Why?", "The moon.\nYes.")),
    "no topic": (
        {"input": HEAD + "[|Human|] Why?\n[|AI|] The moon.\n[|Human|] "},
        {"instruction": "Why?", "output": "The moon."},
    ),
}


@pytest.mark.parametrize(("raw", "record"), ROWS.values(), ids=ROWS.keys())
def test_an_element_is_a_record(build: Build, raw: dict[str, object], record: dict[str, Any]) -> None:
    assert build("baize", {"quora_chat_data.json": array(raw)}).said == [record]


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_all_of_them_in_one_file(build: Build, written: Any) -> None:
    built = build("baize", {"data/medical_chat_data.json": written(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [record for _, record in ROWS.values()]


REFUSED: dict[str, object] = {
    "no turn": row(""),
    "a question alone": row("[|Human|] Why?\n[|Human|] "),
    "an answer alone": row("[|AI|] Hello.\n[|Human|] "),
    "an empty answer": row("[|Human|] Why?\n[|AI|] \n[|Human|] "),
    "no input": {"topic": "Tides"},
    "an input that is a list": {"topic": "Tides", "input": ["[|Human|] Why?"]},
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_an_element_that_is_none(build: Build, raw: object) -> None:
    good = row("[|Human|] Why?\n[|AI|] The moon.\n[|Human|] ")
    built = build("baize", {"alpaca_chat_data.json": array(good, raw, good)})
    assert [place[1] for place in built.places] == [0, 2]
    assert built.refused == [(1, "missing field")]


def test_only_what_said_something_is_a_loss(build: Build) -> None:
    raw = [
        row("[|Human|] Why?\n[|AI|] The moon.\n[|Human|] "),
        row("[|Human|] Why?\n[|Human|] When?\n[|AI|] Twice.\n[|Human|] And?"),
        row("[|Human|] \n[|Human|] When?\n[|AI|] Twice.\n[|Human|] "),
    ]
    built = build("baize", {"alpaca_chat_data.json": array(*raw)})
    assert built.manifest["dropped_turns"] == {"user turn after the last answer": 1, "user turn without an answer": 1}


TEXTS = (
    st.lists(st.sampled_from(["[|AI|]", "[|Human|]", " ", "a", "\n", "\n\n", "字", "|"]), max_size=5)
    .map(lambda pieces: "x" + "".join(pieces))
    .filter(lambda text: "\n[|AI|]" not in text and "\n[|Human|]" not in text)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_a_dialogue_comes_apart_as_it_was_put_together(build: Build, turns: list[tuple[str, str]]) -> None:
    packed = "".join(f"[|Human|] {user}\n[|AI|] {answer}\n" for user, answer in turns)
    record = build("baize", {"quora_chat_data.json": array(row(packed + "[|Human|] "))}).records[0]
    *history, (instruction, output) = [(kept(user), kept(answer)) for user, answer in turns]
    assert record["history"] == [turn(*both) for both in history]
    assert (record["instruction"], record["output"]) == (instruction, output)
