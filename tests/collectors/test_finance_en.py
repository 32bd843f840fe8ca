"""finance_en: one JSON array of instruction, input, output and a `text` that is passed over."""

from typing import Any

import pytest
from built import Build, array, lines

ROW = {"instruction": "What is a bond ladder?", "input": "", "output": "Bonds that end in turn.", "text": ""}
SAID = {"instruction": "What is a bond ladder?", "output": "Bonds that end in turn."}


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_an_element_is_a_record(build: Build, written: Any) -> None:
    rows = [ROW, ROW | {"input": "Answer briefly."}, {name: ROW[name] for name in ("instruction", "output")}]
    built = build("finance_en", {"Cleaned_date.json": written(*rows)})
    assert built.said == [SAID, SAID | {"input": "Answer briefly."}, SAID]
    assert [row["extra"] for row in built.records] == [None] * 3


def test_text_is_passed_over_whatever_it_is(build: Build) -> None:
    rows = [ROW | {"text": text} for text in ("Below is ...", None, 1, ["a"])]
    assert build("finance_en", {"Cleaned_date.json": array(*rows)}).said == [SAID] * 4


def test_spellings_of_no_input(build: Build) -> None:
    rows = [ROW | {"input": text} for text in ("<noinput>", "N/A", "No input required.", "\\<noinput\\>", None)]
    assert build("finance_en", {"Cleaned_date.json": array(*rows)}).said == [SAID] * 5


def test_remnants_of_html_are_kept(build: Build) -> None:
    answer = 'Ask the <a href="https://example.org">bank</a>.<br>It is &gt; 5%.'
    assert build("finance_en", {"Cleaned_date.json": array(ROW | {"output": answer})}).said == [
        SAID | {"output": answer}
    ]


def test_an_alpaca_row_has_the_id_it_has_there(build: Build) -> None:
    alpaca = {"instruction": ROW["instruction"], "input": "<noinput>", "output": ROW["output"]}
    ours = build("finance_en", {"Cleaned_date.json": array(ROW)}).records[0]
    theirs = build("alpaca", {"alpaca_data.json": array(alpaca)}).records[0]
    assert ours["id"] == theirs["id"]


def test_equal_rows_stay_and_have_one_id(build: Build) -> None:
    first, second = build("finance_en", {"Cleaned_date.json": array(ROW, ROW)}).records
    assert first["id"] == second["id"]


def test_what_is_refused(build: Build) -> None:
    rows = [ROW | {"output": ""}, ROW | {"instruction": " "}, {"instruction": "What?", "input": ""}, ROW]
    built = build("finance_en", {"Cleaned_date.json": array(*rows)})
    assert built.refused == [(0, "empty output"), (1, "empty instruction"), (2, "missing field")]
