"""alpaca: one JSON array of instruction, input, output."""

from built import Build, array, lines


def test_an_element_is_a_record(build: Build) -> None:
    plain = {"instruction": "Arrange the notes.", "input": "G, B, E", "output": "E, G, B"}
    exported = {"instruction": "Greet me.", "input": "", "output": "Hello!", "text": "Below is an instruction ..."}
    built = build("alpaca", {"alpaca_data.json": array(plain, exported)})
    assert built.said == [plain, {"instruction": "Greet me.", "output": "Hello!"}]
    assert [row["extra"] for row in built.records] == [None, None]


def test_the_four_spellings_of_the_wider_reading(build: Build) -> None:
    inputs = ["No input needed.", "No input.", "No input required", "\\<noinput\\>"]
    rows = [{"instruction": "Greet me.", "input": text, "output": "Hello!"} for text in inputs]
    assert (
        build("alpaca", {"alpaca_data.json": array(*rows)}).said
        == [{"instruction": "Greet me.", "output": "Hello!"}] * 4
    )


def test_an_empty_output_is_refused(build: Build) -> None:
    rows = [{"instruction": "Draw.", "input": "", "output": ""}, {"instruction": "Sing.", "input": "", "output": "La."}]
    built = build("alpaca", {"alpaca_data.json": array(*rows)})
    assert built.refused == [(0, "empty output")]
    assert built.places == [("alpaca_data.json", 1)]


def test_html_and_letters_beyond_ascii_are_not_touched(build: Build) -> None:
    row = {"instruction": "List.", "input": "", "output": "<ul>\n  <li>café &mdash; naïve</li>\n</ul>"}
    assert build("alpaca", {"alpaca_data.json": array(row)}).said[0]["output"] == row["output"]


def test_a_slice_may_be_json_lines(build: Build) -> None:
    rows = [{"instruction": f"Count to {top}.", "input": "", "output": f"1 to {top}"} for top in (2, 3)]
    built = build("alpaca", {"alpaca_data.json": array(*rows), "alpaca_data.rows0-1.json": lines(*rows)})
    assert built.said == [{"instruction": row["instruction"], "output": row["output"]} for row in rows] * 2
