"""webgpt: comparisons of two answers, as a list of two objects or as one object."""

import json
from typing import Any

import pytest
from built import Build, array, lines

from collectors.errors import SourceError

QUESTION = {"dataset": "eli5", "id": "a", "full_text": "Why is the sky blue?"}
BETTER, WORSE = "Blue light scatters [1][2, 3].", "It mirrors the sea [1]."
TOKENS = {"prefix": list(range(50)), "completion": [1, 2]}
QUOTES = {"title": ["Sky (example.org)"], "extract": ["Blue light ..."]}


def half(answer: object, score: object, question: object = QUESTION) -> dict[str, Any]:
    return {"question": question, "quotes": QUOTES, "answer": answer, "tokens": TOKENS, "score": score}


def pair(first: object, second: object, score: object, other: object, **fields: object) -> dict[str, Any]:
    one = {"quotes_0": QUOTES, "answer_0": first, "tokens_0": TOKENS, "score_0": score}
    two = {"quotes_1": QUOTES, "answer_1": second, "tokens_1": TOKENS, "score_1": other}
    return {"question": QUESTION} | one | two | fields


def said(output: str, rejected: str | None, first: float, second: float) -> dict[str, Any]:
    worse = {} if rejected is None else {"rejected": rejected}
    return {"instruction": "Why is the sky blue?", "output": output, "extra": {"scores": [first, second]}} | worse


ROWS: dict[str, tuple[object, dict[str, Any]]] = {
    "a list, the first is better": (
        [half(BETTER, 0.5), half(WORSE, -0.5)],
        said("Blue light scatters .", "It mirrors the sea .", 0.5, -0.5),
    ),
    "a list, the second is better": (
        [half(WORSE, -1), half(BETTER, 1)],
        said("Blue light scatters .", "It mirrors the sea .", -1, 1),
    ),
    "a list, a tie": ([half(WORSE, 0.0), half(BETTER, 0.0)], said("It mirrors the sea .", None, 0, 0)),
    "an object, the first is better": (
        pair(BETTER, WORSE, 0.25, -0.25),
        said("Blue light scatters .", "It mirrors the sea .", 0.25, -0.25),
    ),
    "an object, the second is better": (
        pair(WORSE, BETTER, -0.75, 0.75),
        said("Blue light scatters .", "It mirrors the sea .", -0.75, 0.75),
    ),
    "an object, a tie": (pair(WORSE, BETTER, 0, 0), said("It mirrors the sea .", None, 0, 0)),
    "marks of several kinds": (
        pair("[1] A[2].\n[3,4] B [5, 6, 7]", "C [a] [1-2] [ 1 ] [] (1) 2]", 1, -1),
        said("A.\n B", "C [a] [1-2] [ 1 ] [] (1) 2]", 1, -1),
    ),
    "an empty worse answer": (pair(BETTER, "", 1, -1), said("Blue light scatters .", None, 1, -1)),
    "a worse answer of marks only": (pair(BETTER, " [1]", 1, -1), said("Blue light scatters .", None, 1, -1)),
    "no question in the first": (
        [half(BETTER, 0.5, None), half(WORSE, -0.5)],
        said("Blue light scatters .", "It mirrors the sea .", 0.5, -0.5),
    ),
    "no text of the question in the first": (
        [half(BETTER, 0.5, {"id": "a"}), half(WORSE, -0.5)],
        said("Blue light scatters .", "It mirrors the sea .", 0.5, -0.5),
    ),
    "no text of the question in the second": (
        [half(BETTER, 0.5), half(WORSE, -0.5, {"full_text": None})],
        said("Blue light scatters .", "It mirrors the sea .", 0.5, -0.5),
    ),
    "an answer that is a number": (pair(42, WORSE, 1, -1), said("42", "It mirrors the sea .", 1, -1)),
}


@pytest.mark.parametrize(("raw", "words"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_preference_pair(build: Build, raw: object, words: dict[str, Any]) -> None:
    assert build("webgpt", {"comparisons.jsonl": lines(raw)}).said == [words]


def test_both_shapes_stand_in_one_file(build: Build) -> None:
    built = build("webgpt", {"data/comparisons.rows0-9.jsonl": lines(*(raw for raw, _ in ROWS.values()))})
    assert built.said == [words for _, words in ROWS.values()]
    assert built.places == [("data/comparisons.rows0-9.jsonl", number) for number in range(len(ROWS))]


def test_one_question_may_stand_in_several_rows(build: Build) -> None:
    rows = [pair(BETTER, WORSE, 1, -1), pair(BETTER, WORSE, 1, -1), pair(WORSE, "Magic.", 1, -1)]
    built = build("webgpt", {"comparisons.jsonl": lines(*rows)})
    assert len(built.records) == 3
    assert len({row["id"] for row in built.records}) == 2


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("Why is the sky blue?", "unparsable"),
    "a line that breaks off": (lines(pair(BETTER, WORSE, 1, -1))[:60], "unparsable"),
    "two values": ("{} {}", "unparsable"),
    "a wrong type and broken off": ('{"question": "Why?", "answer_0": "a', "unparsable"),
    "NaN": (lines(pair(BETTER, WORSE, 1, -1)).replace(" 1,", " NaN,"), "unparsable"),
    "a lone surrogate": (lines(pair(BETTER, WORSE, 1, -1)).replace("Blue", "\\ud800"), "unparsable"),
    "a lone surrogate in what is passed over": (
        lines(pair(BETTER, WORSE, 1, -1)).replace("example", "\\ud800"),
        "unparsable",
    ),
    "a tab in a text": (lines(pair(BETTER, WORSE, 1, -1)).replace("Blue", "\t"), "missing field"),
    "one half": (lines([half(BETTER, 1)]), "missing field"),
    "three halves": (lines([half(BETTER, 1)] * 3), "missing field"),
    "an empty list": ("[]", "missing field"),
    "a list of texts": ('["a", "b"]', "missing field"),
    "a text": ('"a"', "missing field"),
    "null": ("null", "missing field"),
    "an empty object": ("{}", "missing field"),
    "no question": (lines(pair(BETTER, WORSE, 1, -1, question=None)), "missing field"),
    "a question that is a text": (lines(pair(BETTER, WORSE, 1, -1, question="Why?")), "missing field"),
    "a question that is a list": (
        lines(pair(BETTER, WORSE, 1, -1, question={"full_text": ["Why?"]})),
        "missing field",
    ),
    "no score": (lines(pair(BETTER, WORSE, 1, None)), "missing field"),
    "a score that is a text": (lines(pair(BETTER, WORSE, "1", -1)), "missing field"),
    "no worse answer": (lines(pair(BETTER, None, 1, -1)), "missing field"),
    "an answer that is a bool": (lines([half(True, 1), half(WORSE, -1)]), "missing field"),
    "an empty question": (lines(pair(BETTER, WORSE, 1, -1, question={"full_text": " "})), "empty instruction"),
    "an empty better answer": (lines(pair(WORSE, "", -1, 1)), "empty output"),
    "a better answer of marks only": (lines(pair("[1] [2]", WORSE, 1, -1)), "empty output"),
    "a tie with an empty first answer": (lines([half("", 0), half(WORSE, 0)]), "empty output"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, line: str, reason: str) -> None:
    good = lines(pair(BETTER, WORSE, 1, -1))
    built = build("webgpt", {"comparisons.jsonl": good + line.rstrip("\n") + "\n" + good})
    assert built.refused == [(1, reason)]
    assert [row["row"] for row in built.records] == [0, 2]


def test_blank_lines_byte_order_mark_and_windows_line_ends(build: Build) -> None:
    good = json.dumps([half(BETTER, 0.5), half(WORSE, -0.5)])
    built = build("webgpt", {"comparisons.jsonl": f"\ufeff{good}\r\n\r\n{good}\r\n".encode()})
    assert [row["row"] for row in built.records] == [0, 2]
    assert built.refused == []


@pytest.mark.parametrize(
    "text",
    [
        array([half(BETTER, 0.5), half(WORSE, -0.5)]),
        array(pair(BETTER, WORSE, 1, -1)),
        json.dumps([[half(BETTER, 0.5), half(WORSE, -0.5)]]),
        "\ufeff [ \r\n" + lines(pair(BETTER, WORSE, 1, -1)) + "]",
    ],
    ids=["of lists", "of objects", "of lists, on one line", "of lines"],
)
def test_a_file_that_is_one_array_is_refused_as_a_whole(build: Build, text: str) -> None:
    """Upstream's is JSON Lines; row by row, each line of an array would be a reject."""
    with pytest.raises(
        SourceError, match=r"comparisons\.jsonl: is one JSON array, not lines; write each of its elements on "
    ):
        build("webgpt", {"comparisons.jsonl": text})


def test_text_that_is_no_utf8(build: Build) -> None:
    good = lines(pair(BETTER, WORSE, 1, -1)).encode()
    built = build("webgpt", {"comparisons.jsonl": good + good.replace(b"Blue", b"\xff\xfe") + good})
    assert built.refused == [(1, "unparsable")]


def test_a_long_list_of_tokens_changes_nothing(build: Build) -> None:
    long = [half(BETTER, 0.5) | {"tokens": {"prefix": list(range(20_000))}}, half(WORSE, -0.5)]
    built = build("webgpt", {"comparisons.jsonl": lines(long, [half(BETTER, 0.5), half(WORSE, -0.5)])})
    assert built.said[0] == built.said[1]
