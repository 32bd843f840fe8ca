"""ultrachat: plain lists of messages, a user's and its answer in turn."""

from typing import Any

import pytest
from built import Build, array, lines, turn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def row(*said: object, **fields: object) -> dict[str, object]:
    return {"id": "0", "data": list(said)} | fields


ROWS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "one exchange": (row("Why?", "So."), {"instruction": "Why?", "output": "So.", "extra": {"id": "0"}}),
    "two exchanges": (
        row("Why?\r\n", " So.", "And?", "Thus."),
        {"history": [turn("Why?", "So.")], "instruction": "And?", "output": "Thus.", "extra": {"id": "0"}},
    ),
    "an odd message at the end": (
        row("Why?", "So.", "And?"),
        {"instruction": "Why?", "output": "So.", "extra": {"id": "0"}},
    ),
    "an empty last answer": (
        row("Why?", "So.", "And?", " \n"),
        {"instruction": "Why?", "output": "So.", "extra": {"id": "0"}},
    ),
    "an empty answer between": (
        row("Why?", "", "And?", "Thus."),
        {"instruction": "And?", "output": "Thus.", "extra": {"id": "0"}},
    ),
    "an empty answer and an odd message": (
        row("Why?", "So.", "And?", "", "Hm?"),
        {"instruction": "Why?", "output": "So.", "extra": {"id": "0"}},
    ),
    "an empty question between": (
        row("Why?", "So.", " ", "Thus.", "Hm?", "Yes."),
        {"history": [turn("Why?", "So.")], "instruction": "Hm?", "output": "Yes.", "extra": {"id": "0"}},
    ),
    "an id that is a number": (
        row("Why?", "So.", id=12),
        {"instruction": "Why?", "output": "So.", "extra": {"id": "12"}},
    ),
    "no id": ({"data": ["Why?", "So."]}, {"instruction": "Why?", "output": "So."}),
    "a question that spells no input": (
        row("None", "None"),
        {"instruction": "None", "output": "None", "extra": {"id": "0"}},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, object], said: dict[str, Any]) -> None:
    assert build("ultrachat", {"train_0.jsonl": lines(raw)}).said == [said]


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_ids_are_no_keys(build: Build, written: Any) -> None:
    built = build("ultrachat", {f"train_{n}.jsonl": written(*(raw for raw, _ in ROWS.values())) for n in (0, 9)})
    assert built.said == 2 * [said for _, said in ROWS.values()]
    assert built.places == [(f"train_{n}.jsonl", index) for n in (0, 9) for index in range(len(ROWS))]


REFUSED: dict[str, object] = {
    "one message": row("Why?"),
    "no message": row(),
    "no exchange": row("Why?", " "),
    "an answer to nothing": row("", "So."),
    "no data": {"id": "0"},
    "data that is null": row() | {"data": None},
    "data that is a text": row() | {"data": "Why?"},
    "a message that is null": row("Why?", "So.", None, "Thus."),
    "a message that is an object": row("Why?", {"text": "So."}),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, raw: object) -> None:
    built = build("ultrachat", {"train_0.jsonl": lines(row("a", "b"), raw, row("c", "d"))})
    assert built.places == [("train_0.jsonl", 0), ("train_0.jsonl", 2)]
    assert built.refused == [(1, "missing field")]


def test_a_line_that_is_no_json(build: Build) -> None:
    built = build(
        "ultrachat", {"train_0.jsonl": lines(row("a", "b")) + '{"id": "1", "data": ["c\n' + lines(row("e", "f"))}
    )
    assert built.places == [("train_0.jsonl", 0), ("train_0.jsonl", 2)]
    assert built.refused == [(1, "unparsable")]


def test_what_is_lost_is_counted(build: Build) -> None:
    built = build(
        "ultrachat", {"train_0.jsonl": lines(row("a", "b", "c"), row("a", "", "c", "d"), row("a", "b", "c", ""))}
    )
    assert built.manifest["dropped_turns"] == {"exchange with an empty half": 2, "user turn after the last answer": 1}


def test_other_files_are_left_alone(build: Build) -> None:
    built = build("ultrachat", {"train_0.jsonl": lines(row("a", "b")), "train_all.jsonl": lines(row("a", "b"))})
    assert built.manifest["unclaimed"] == ["train_all.jsonl"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.sampled_from(["", " ", "a", "b\n", "字"]), max_size=9))
def test_the_books_of_any_list_close(build: Build, said: list[str]) -> None:
    pairs = [(user.strip(), answer.strip()) for user, answer in zip(said[::2], said[1::2], strict=False)]
    whole = [pair for pair in pairs if all(pair)]
    built = build("ultrachat", {"train_0.jsonl": lines(row("x", "y"), row(*said))})
    got = [turn(one["user"], one["assistant"]) for record in built.records[1:] for one in record["history"]]
    got += [turn(record["instruction"], record["output"]) for record in built.records[1:]]
    assert got == [turn(*pair) for pair in whole]
    assert len(built.rejects) == (not whole)
