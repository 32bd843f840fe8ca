"""prosocial: turns of dialogues, in any order, as rows or as one object of column lists."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, kept, lines, read, turn

from collectors.catalog import load
from pipeline.collect import corpus

RAW = Path(__file__).resolve().parents[2] / ".." / "shared" / "raw" / "prosocial"
Row = dict[str, Any]


def said(dialogue: object, number: object, **fields: object) -> Row:
    """A turn whose words tell its place."""
    return {
        "context": f"Context {dialogue}.{number}",
        "response": f"Response {dialogue}.{number}",
        "rots": ["You should ask."],
        "safety_label": "__needs_caution__",
        "safety_annotations": ["casual", "needs_caution", "casual"],
        "safety_annotation_reasons": ["", "rude", ""],
        "source": "socialchemistry",
        "etc": "",
        "dialogue_id": dialogue,
        "response_id": number,
        "episode_done": False,
    } | fields


def told(dialogue: object, number: int, *earlier: int, **extra: object) -> Row:
    beside = {"safety_label": "__needs_caution__", "rots": ["You should ask."], "source": "socialchemistry"} | extra
    record = {
        "history": [turn(f"Context {dialogue}.{one}", f"Response {dialogue}.{one}") for one in earlier],
        "instruction": f"Context {dialogue}.{number}",
        "output": f"Response {dialogue}.{number}",
        "extra": {name: value for name, value in beside.items() if value is not None},
    }
    return {name: value for name, value in record.items() if value != []}


def columns(*rows: Row) -> str:
    """The rows as one indented object of column lists."""
    return json.dumps({name: [row[name] for row in rows] for name in rows[0]}, indent=4)


CONTAINERS = {"JSON Lines": lines, "an array": array, "column lists": columns}
container = pytest.mark.parametrize("written", CONTAINERS.values(), ids=CONTAINERS.keys())

ROWS = [said(0, 0), said(0, 1), said(0, 2), said(1, 0), said(2, 0), said(2, 1)]
TOLD = [told(0, 0), told(0, 1, 0), told(0, 2, 0, 1), told(1, 0), told(2, 0), told(2, 1, 0)]


@container
def test_a_turn_is_a_record_with_the_turns_before(build: Build, written: Any) -> None:
    built = build("prosocial", {"train.json": written(*ROWS)})
    assert built.said == TOLD
    assert built.places == [("train.json", index) for index in range(6)]
    assert built.refused == []


@container
def test_a_file_of_one_row(build: Build, written: Any) -> None:
    assert build("prosocial", {"train.json": written(said(0, 0))}).said == [told(0, 0)]


def test_column_lists_on_one_line(build: Build) -> None:
    compact = json.dumps(json.loads(columns(*ROWS)))
    assert build("prosocial", {"original_examples.json": compact}).said == TOLD


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_is_that_of_response_id(build: Build, order: tuple[int, ...]) -> None:
    built = build("prosocial", {"train.json": lines(*(ROWS[index] for index in order))})
    assert built.said == [TOLD[index] for index in order]


def test_dialogues_may_lie_within_each_other(build: Build) -> None:
    order = [4, 0, 3, 1, 5, 2]
    built = build("prosocial", {"train.json": lines(*(ROWS[index] for index in order))})
    assert built.said == [TOLD[index] for index in order]


def test_numbers_are_ordered_as_numbers(build: Build) -> None:
    built = build("prosocial", {"train.json": lines(said(0, 10), said(0, 9))})
    assert built.said == [told(0, 10, 9), told(0, 9)]


def test_dialogues_of_two_files_are_two(build: Build) -> None:
    built = build("prosocial", {"train.json": lines(said(0, 0)), "valid.json": lines(said(0, 1))})
    assert built.said == [told(0, 0), told(0, 1)]


@pytest.mark.parametrize(
    ("given", "extra"),
    [
        ({"rots": None, "safety_label": "__casual__"}, {"rots": None, "safety_label": "__casual__"}),
        ({"rots": []}, {"rots": []}),
        ({"etc": None, "source": None}, {"source": None}),
        ({"etc": "reddit/amitheasshole/b6k7hd"}, {}),
        ({"rots": ["„é“\n", ""]}, {"rots": ["„é“\n", ""]}),
    ],
)
def test_what_stands_beside(build: Build, given: Row, extra: Row) -> None:
    assert build("prosocial", {"train.json": lines(said(0, 0, **given))}).said == [told(0, 0, **extra)]


def test_a_turn_without_an_answer_is_no_history(build: Build) -> None:
    rows = [said(0, 0), said(0, 1, response=" "), said(0, 2), said(0, 3)]
    built = build("prosocial", {"train.json": lines(*rows)})
    assert built.said == [told(0, 0), told(0, 2, 0), told(0, 3, 0, 2)]
    assert built.refused == [(1, "empty output")]
    assert built.manifest["dropped_turns"] == {"exchange with an empty half": 2}


REFUSED = {
    "no answer": (said(1, 0, response=None), "missing field"),
    "no context": (said(1, 0, context=None), "missing field"),
    "an empty context": (said(1, 0, context="\n"), "empty instruction"),
    "no dialogue": (said(None, 0), "missing field"),
    "no number": (said(0, None), "missing field"),
    "a number that is none": (said(0, "last"), "missing field"),
    "rules that are a text": (said(1, 0, rots="Ask."), "missing field"),
    "the older upload's fields": ({"text": "Hi.", "labels": ["Hello."], "episode_done": True}, "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_row_that_is_none(build: Build, raw: Row, reason: str) -> None:
    built = build("prosocial", {"train.json": lines(said(0, 0), raw, said(0, 1))})
    assert built.said == [told(0, 0), told(0, 1, 0)]
    assert built.refused == [(1, reason)]


def test_a_turn_that_stands_twice_is_once_in_a_history(build: Build) -> None:
    built = build("prosocial", {"train.json": lines(said(0, 0), said(0, 0), said(0, 1))})
    assert built.said == [told(0, 0), told(0, 0), told(0, 1, 0)]


def test_turns_that_contradict_each_other_are_refused(build: Build) -> None:
    rows = [said(0, 0), said(0, 1), said(0, 1, response="Other."), said(0, 2), said(1, 0)]
    built = build("prosocial", {"train.json": lines(*rows)})
    assert built.said == [told(0, 0), told(0, 2, 0), told(1, 0)]
    assert built.refused == [(1, "missing field"), (2, "missing field")]


def test_lists_of_unequal_length_are_one_unparsable_row(build: Build) -> None:
    uneven = json.loads(columns(*ROWS))
    uneven["response"].pop()
    built = build("prosocial", {"train.json": json.dumps(uneven, indent=4), "test.json": lines(ROWS[0])})
    assert built.places == [("test.json", 0)]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == [("train.json", 0, "unparsable")]


@pytest.mark.skipif(not RAW.is_dir(), reason="no real rows at hand")
def test_real_rows(tmp_path: Path) -> None:
    corpus(load(), ["prosocial"], RAW.parent, tmp_path, workers=1, limit=None)
    real = read(tmp_path / "records" / "prosocial")
    assert (real.manifest["raw_rows"], real.manifest["records"], real.manifest["rejected"]) == (5, 5, {})
    lists = json.loads((RAW / "original_examples.json").read_text(encoding="utf-8"))
    rows = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    assert len({row["dialogue_id"] for row in rows}) == 2
    for index, (row, ours) in enumerate(zip(rows, real.records, strict=True)):
        earlier = sorted(
            (
                one
                for one in rows
                if one["dialogue_id"] == row["dialogue_id"] and one["response_id"] < row["response_id"]
            ),
            key=lambda one: one["response_id"],
        )
        assert ours["row"] == index
        assert ours["history"] == [turn(kept(one["context"]), kept(one["response"])) for one in earlier]
        assert (ours["instruction"], ours["output"]) == (kept(row["context"]), kept(row["response"]))
        beside = {name: row[name] for name in ("safety_label", "rots", "source") if row[name] is not None}
        assert json.loads(ours["extra"]) == beside
