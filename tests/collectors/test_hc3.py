"""hc3: a question with its answers by people and by ChatGPT, each of them a record."""

import json
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, kept, lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RAW = Path(__file__).resolve().parents[3] / "shared" / "raw" / "hc3"


def row(human: object, chatgpt: object, **fields: object) -> dict[str, Any]:
    return {"question": "Why is the sky blue?", "human_answers": human, "chatgpt_answers": chatgpt} | fields


def said(author: str, output: str, **extra: str) -> dict[str, Any]:
    return {"instruction": "Why is the sky blue?", "output": output, "extra": {"author": author} | extra}


ROWS: dict[str, tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]] = {
    "one of each": (row(["Air."], ["Light."]), [(0, said("human", "Air.")), (1, said("chatgpt", "Light."))]),
    "several of each": (
        row(["Air.", " Dust.\n"], ["Light.", "Blue light scatters."]),
        [
            (0, said("human", "Air.")),
            (1, said("human", "Dust.")),
            (2, said("chatgpt", "Light.")),
            (3, said("chatgpt", "Blue light scatters.")),
        ],
    ),
    "no human answers": (row([], ["Light."]), [(0, said("chatgpt", "Light."))]),
    "no ChatGPT answers": (row(["Air."], []), [(0, said("human", "Air."))]),
    "a list that is null": (row(["Air."], None), [(0, said("human", "Air."))]),
    "an empty answer leaves its number": (
        row(["", "Air."], [" ", "Light."]),
        [(1, said("human", "Air.")), (3, said("chatgpt", "Light."))],
    ),
    "an answer that is null": (row([None, "Air."], []), [(1, said("human", "Air."))]),
    "a source, and an index that is null": (
        row(["Air."], ["Light."], source="open_qa", index=None),
        [(0, said("human", "Air.", source="open_qa")), (1, said("chatgpt", "Light.", source="open_qa"))],
    ),
    "a source that is null": (row(["Air."], [], source=None), [(0, said("human", "Air."))]),
    "placeholders and spaced marks": (
        row(["See URL_0 , it 's air ."], []),
        [(0, said("human", "See URL_0 , it 's air ."))],
    ),
    "equal answers": (row(["Air.", "Air."], []), [(0, said("human", "Air.")), (1, said("human", "Air."))]),
}


@pytest.mark.parametrize(("raw", "expected"), ROWS.values(), ids=ROWS.keys())
def test_every_answer_is_a_record(build: Build, raw: dict[str, Any], expected: list[Any]) -> None:
    built = build("hc3", {"HC3/reddit_eli5.jsonl": lines(raw)})
    assert [(one["part"], words) for one, words in zip(built.records, built.said, strict=True)] == expected
    assert set(built.places) == {("HC3/reddit_eli5.jsonl", 0)}


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_all_of_them_in_one_file(build: Build, written: Any) -> None:
    built = build("hc3", {"HC3/wiki_csai.jsonl": written(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [words for _, expected in ROWS.values() for _, words in expected]
    assert built.manifest["dropped_parts"] == {"empty output": 2, "missing field": 1}


def test_escaped_slashes(build: Build) -> None:
    line = json.dumps(row(["Up/down."], [])).replace("/", "\\/") + "\n"
    assert build("hc3", {"HC3/finance.jsonl": line}).said == [said("human", "Up/down.")]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both lists empty": (row([], []), "empty output"),
    "one list empty, the other missing": ({"question": "Why?", "human_answers": []}, "empty output"),
    "empty answers only": (row([" ", ""], ["\n"]), "empty output"),
    "no lists": ({"question": "Why?"}, "missing field"),
    "a text for a list": (row("Air.", ["Light."]), "missing field"),
    "an object for an answer": (row([{"text": "Air."}], ["Light."]), "missing field"),
    "an empty question": (row(["Air."], ["Light."]) | {"question": " "}, "empty instruction"),
    "no question": ({"human_answers": ["Air."], "chatgpt_answers": ["Light."]}, "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_row_without_an_answer_is_one_reject(build: Build, raw: dict[str, Any], reason: str) -> None:
    good = row(["Air."], ["Light."])
    built = build("hc3", {"HC3/finance.jsonl": lines(good, raw, good)})
    assert built.refused == [(1, reason)]
    assert [(one["row"], one["part"]) for one in built.records] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert built.manifest["dropped_parts"] == {}


def test_the_folder_names_the_language_and_parts_have_their_licence(build: Build) -> None:
    licences = {
        "HC3/finance.jsonl": ("EN", "CC-BY-SA-4.0"),
        "HC3/medicine.jsonl": ("EN", "CC-BY-SA-4.0"),
        "HC3/open_qa.jsonl": ("EN", "unknown"),
        "HC3/reddit_eli5.jsonl": ("EN", "CC-BY-SA-4.0"),
        "HC3/wiki_csai.jsonl": ("EN", "CC-BY-SA-4.0"),
        "HC3-Chinese/baike.jsonl": ("CN", "CC-BY-SA-4.0"),
        "HC3-Chinese/finance.jsonl": ("CN", "CC-BY-SA-4.0"),
        "HC3-Chinese/law.jsonl": ("CN", "CC-BY-SA-4.0"),
        "HC3-Chinese/medicine.jsonl": ("CN", "CC-BY-NC-4.0"),
        "HC3-Chinese/nlpcc_dbqa.jsonl": ("CN", "CC-BY-SA-4.0"),
        "HC3-Chinese/open_qa.jsonl": ("CN", "CC-BY-SA-4.0"),
        "HC3-Chinese/psychology.jsonl": ("CN", "CC-BY-SA-4.0"),
        "wiki_csai.jsonl": ("EN", "CC-BY-SA-4.0"),
    }
    built = build("hc3", {path: lines(row(["Air."], [])) for path in licences})
    assert {one["subset"]: (one["lang"], one["license"]) for one in built.records} == licences


def test_the_file_that_repeats_the_others_is_not_collected(build: Build) -> None:
    both = {name: lines(row(["Air."], [])) for name in ("HC3/all.jsonl", "HC3-Chinese/all.jsonl", "HC3/open_qa.jsonl")}
    assert build("hc3", both).places == [("HC3/open_qa.jsonl", 0)]


ANSWERS = st.lists(st.sampled_from(["", " ", "Air.", "光。", "a\nb"]), max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=4))
def test_answers_are_records_or_counted(build: Build, rows: list[tuple[list[str], list[str]]]) -> None:
    built = build("hc3", {"HC3/finance.jsonl": lines(*(row(human, chatgpt) for human, chatgpt in rows))})
    expected = [
        (number, part, "human" if part < len(human) else "chatgpt", kept(answer))
        for number, (human, chatgpt) in enumerate(rows)
        for part, answer in enumerate(human + chatgpt)
        if kept(answer)
    ]
    assert [
        (one["row"], one["part"], json.loads(one["extra"])["author"], one["output"]) for one in built.records
    ] == expected
    without = [number for number in range(len(rows)) if number not in {number for number, *_ in expected}]
    assert built.refused == [(number, "empty output") for number in without]
    lost = sum(len(human + chatgpt) for number, (human, chatgpt) in enumerate(rows) if number not in without)
    assert sum(built.manifest["dropped_parts"].values()) == lost - len(expected)


@pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")
def test_the_real_row_reads_as_plain_python_reads_it(build: Build) -> None:
    path = RAW / "wiki_csai.jsonl"
    (raw,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    built = build("hc3", {path.name: path.read_bytes()})
    assert (built.manifest["raw_rows"], built.manifest["records"]) == (1, 2)
    assert built.said == [
        {"instruction": kept(raw["question"]), "output": kept(answer), "extra": {"author": author}}
        for author in ("human", "chatgpt")
        for answer in raw[f"{author}_answers"]
    ]
