"""oig: dialogues in one text, the bot called `<bot>` in most files and `Rosey` in one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, kept, lines, turn

from collectors.catalog import load

SOURCE = {"source": "unified_basic"}
RAW = Path(__file__).resolve().parents[3] / "shared" / "raw" / "oig"


def row(text: str, **fields: object) -> dict[str, object]:
    return {"text": text, "metadata": SOURCE} | fields


def said(instruction: str, output: str, **others: object) -> dict[str, Any]:
    return {"instruction": instruction, "output": output, "extra": {"metadata": SOURCE}} | others


ROWS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "a bot": (row("<human>: Why?\n<bot>: So."), said("Why?", "So.")),
    "Rosey": (row("<human>: Why?\nRosey: So.\nAnd so."), said("Why?", "So.\nAnd so.")),
    "several exchanges": (
        row("<human>: Why?\n<bot>: So.\n<human>: And?\n<bot>: Thus.\n"),
        said("And?", "Thus.", history=[turn("Why?", "So.")]),
    ),
    "a question at the end": (row("<human>: Why?\n<bot>: So.\n<human>: And?"), said("Why?", "So.")),
    "an empty answer at the end": (row("<human>: Why?\n<bot>: So.\n<human>: And?\n<bot>: "), said("Why?", "So.")),
    "an answer first": (row("<bot>: Hello.\n<human>: Why?\n<bot>: So."), said("Why?", "So.")),
    "two questions in a row": (row("<human>: Why?\n<human>: Now?\n<bot>: So."), said("Why?\n\nNow?", "So.")),
    "markers within a line are text": (
        row("<human>: Who is Rosey: a bot?\n<bot>: Not <bot>: but <human>: maybe.\n Rosey: too"),
        said("Who is Rosey: a bot?", "Not <bot>: but <human>: maybe.\n Rosey: too"),
    ),
    "text before the first marker": (
        row("Background: a quiet harbour.\nIt is late.\n<human>: Why?\n<bot>: So."),
        said("Why?", "So.", system="Background: a quiet harbour.\nIt is late."),
    ),
    "white space before the first marker": (row(" \n<human>: Why?\n<bot>: So."), said("Why?", "So.")),
    "CRLF": (row("<human>: Why?\r\n<bot>: So.\r\nYes."), said("Why?", "So.\nYes.")),
    "no metadata": ({"text": "<human>: Why?\n<bot>: So."}, {"instruction": "Why?", "output": "So."}),
    "metadata that is null": (
        row("<human>: Why?\n<bot>: So.", metadata=None),
        {"instruction": "Why?", "output": "So."},
    ),
    "metadata of any shape": (
        row("<human>: Why?\n<bot>: So.", metadata={"a": [1, {"b": None}], "source": "字"}),
        said("Why?", "So.", extra={"metadata": {"a": [1, {"b": None}], "source": "字"}}),
    ),
}


@pytest.mark.parametrize(("raw", "record"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, object], record: dict[str, Any]) -> None:
    assert build("oig", {"unified_basic.jsonl": lines(raw)}).said == [record]


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_all_of_them_in_one_file(build: Build, written: Any) -> None:
    built = build("oig", {"unified-chip2.jsonl": written(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [record for _, record in ROWS.values()]


def test_escapes_and_raw_letters_are_the_same_text(build: Build) -> None:
    raw = row("<human>: 为什么？\n<bot>: 因为 🙂。")
    built = build("oig", {"unified_basic.jsonl": lines(raw) + json.dumps(raw) + "\n"})
    assert built.said == 2 * [said("为什么？", "因为 🙂。")]
    assert built.records[0]["id"] == built.records[1]["id"]


REFUSED: dict[str, object] = {
    "no marker": row("Why? So."),
    "a question alone": row("<human>: Why?"),
    "an answer alone": row("<bot>: So."),
    "an empty answer": row("<human>: Why?\n<bot>: \n"),
    "no text": {"metadata": SOURCE},
    "a text that is a list": row("") | {"text": ["<human>: Why?"]},
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, raw: object) -> None:
    good = row("<human>: Why?\n<bot>: So.")
    built = build("oig", {"unified_basic.jsonl": lines(good, raw, good)})
    assert [place[1] for place in built.places] == [0, 2]
    assert built.refused == [(1, "missing field")]


def test_what_is_lost_is_counted(build: Build) -> None:
    raw = row("<bot>: Hello.\n<human>: Why?\n<bot>: So.\n<human>: \n<bot>: Hm.\n<human>: And?")
    assert build("oig", {"unified_basic.jsonl": lines(raw)}).manifest["dropped_turns"] == {
        "answer before the first user turn": 1,
        "exchange with an empty half": 1,
        "user turn after the last answer": 1,
    }


def test_the_catalog_names_the_same_dialogues_once() -> None:
    named = {path for origin in load().sources["oig"].origins for path in origin.paths}
    assert len(named & {"unified_soda_dialog.jsonl", "unified_rallio_soda_upgraded_2048.jsonl"}) == 1


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")
def test_the_real_rows(build: Build) -> None:
    files = {path.name: path.read_bytes() for path in RAW.glob("*.jsonl")}
    built = build("oig", files)
    expected = []
    for name, content in sorted(files.items()):
        for line in content.decode().removesuffix("\n").split("\n"):
            raw = json.loads(line)
            head, *parts = re.split(r"^(<human>|Rosey):", raw["text"], flags=re.MULTILINE)
            speakers, texts = parts[::2], [kept(text) for text in parts[1::2]]
            assert (name, head) == ("unified_joke_explanations.part_a.jsonl", "")
            assert speakers == ["<human>", "Rosey"] * (len(speakers) // 2)
            assert all(texts)
            *history, (instruction, output) = zip(texts[::2], texts[1::2], strict=True)
            before = {"history": [turn(*both) for both in history]} if history else {}
            extra = {"metadata": raw["metadata"]}
            expected.append(before | {"instruction": instruction, "output": output, "extra": extra})
    assert built.said == expected
    assert (len(built.records), len(built.rejects), built.manifest["raw_rows"]) == (178, 0, 178)
