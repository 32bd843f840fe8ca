"""tables: rows of ten sets about tables, and a table in cells as text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from built import Build, array, lines
from hypothesis import given
from hypothesis import strategies as st

from collectors.cells import Cell, request, written

Row = dict[str, Any]
MARKDOWN = "Table:\n| Date | Home |\n| --- | --- |\n| March 13 | Nashville |\nQuestion:\nWho was at home?"
HTML = 'Table:\n<table><tr><td colspan="2">2010</td></tr></table>\nTable title:\nGames\nQuestion:\nWhen?'


def asked(**fields: object) -> Row:
    return {
        "instruction": "Please read the following table.",
        "input": MARKDOWN,
        "output": "Nashville",
        "table_type": "vertical",
        "task_type": "TQA",
        "dataset": "WikiSQL",
    } | fields


def told(**fields: object) -> Row:
    """The record of a row: its three other fields stand in `extra`."""
    row = asked(**fields)
    beside = {name: row.pop(name) for name in ("table_type", "task_type", "dataset")}
    kept = {name: value for name, value in beside.items() if value is not None}
    return row | ({"extra": kept} if kept else {})


ROWS: dict[str, tuple[Row, str]] = {
    "a question": ({}, "EN"),
    "Chinese": ({"instruction": "请读表。", "output": "根据表格信息无法回答该问题。", "dataset": "NL2SQL"}, "CN"),
    "a table in HTML": ({"input": HTML, "table_type": "hierarchical", "dataset": "FeTaQA"}, "EN"),
    "a formula in the answer": ({"output": "20 - 5 = 15", "dataset": "TAT-QA"}, "EN"),
    "the question before the table": ({"input": "Question:\nHow much?\nTable:\n| a |\n| --- |"}, "EN"),
    "a line break written as two characters": ({"instruction": "Rows are seperated by '\\n'."}, "EN"),
    "a line break written as one": ({"instruction": "Rows are seperated by '\n'."}, "EN"),
    "a claim": ({"output": "True", "task_type": "TFV", "dataset": "TabFact"}, "EN"),
    "no set named": ({"dataset": None}, "EN"),
    "nothing beside": ({"dataset": None, "table_type": None, "task_type": None}, "EN"),
}


@pytest.mark.parametrize(("fields", "lang"), ROWS.values(), ids=ROWS.keys())
def test_an_element_is_a_record(build: Build, fields: Row, lang: str) -> None:
    built = build("tables", {"all-data/TQA_train_data.json": array(asked(**fields))})
    assert built.said == [told(**fields)]
    assert [row["lang"] for row in built.records] == [lang]


@pytest.mark.parametrize("container", [array, lines], ids=["array", "JSON Lines"])
def test_sets_are_mixed_in_a_file(build: Build, container: Any) -> None:
    content = container(*(asked(**fields) for fields, _ in ROWS.values()))
    built = build("tables", {"TQA_test_data.json": content})
    assert built.said == [told(**fields) for fields, _ in ROWS.values()]
    assert [row["lang"] for row in built.records] == [lang for _, lang in ROWS.values()]


def test_only_the_two_tasks_files_are_taken(build: Build) -> None:
    files = [
        "all-data/TFV_test_data.json",
        "all-data/TQA_train_data.rows0-9.json",
        "all-data/all_train_data.json",
        "Table-Question-Answering/WTQ/train.json",
    ]
    built = build("tables", dict.fromkeys(files, array(asked())))
    assert built.places == [(path, 0) for path in files[:2]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"output": ""}, "empty output"),
        ({"output": None}, "missing field"),
        ({"output": ["Nashville"]}, "missing field"),
        ({"instruction": " "}, "empty instruction"),
    ],
)
def test_an_element_that_is_none(build: Build, fields: Row, reason: str) -> None:
    built = build("tables", {"TQA_train_data.json": array(asked(), asked(**fields), asked())})
    assert [row for _, row in built.places] == [0, 2]
    assert built.refused == [(1, reason)]


# --- a table in cells ---------------------------------------------------------------------------------------------


def test_a_plain_table_is_markdown() -> None:
    table = [["Date", "Visitor"], ["March 13", "Los Angeles"], ["March 14", "Boston"]]
    assert written(table) == "| Date | Visitor |\n| --- | --- |\n| March 13 | Los Angeles |\n| March 14 | Boston |"


def test_a_table_with_merged_cells_is_html() -> None:
    table = [
        [Cell(text="Year", rows=2), Cell(text="Visitors", columns=2)],
        ["Adults", "Children"],
        ["2010", "400", Cell(text="250")],
    ]
    assert written(table) == (
        "<table>\n"
        '<tr><th rowspan="2">Year</th><th colspan="2">Visitors</th></tr>\n'
        "<tr><td>Adults</td><td>Children</td></tr>\n"
        "<tr><td>2010</td><td>400</td><td>250</td></tr>\n"
        "</table>"
    )


def test_a_request_is_table_title_and_question() -> None:
    assert request([["a"], ["1"]], "How many?", "Sums") == (
        "Table:\n| a |\n| --- |\n| 1 |\nTable title:\nSums\nQuestion:\nHow many?"
    )


def test_without_a_title_its_lines_are_left_out() -> None:
    table = [["Date", "Home"], ["March 13", "Nashville"]]
    assert request(table, "Who was at home?") == MARKDOWN


@pytest.mark.parametrize(
    ("text", "markdown", "marked_up"),
    [
        ("a|b", "a\\|b", "a|b"),
        ("two\nlines", "two lines", "two lines"),
        (" x \r\n y ", "x y", "x y"),
        ("a < b & c", "a < b & c", "a &lt; b &amp; c"),
        ("double  blank", "double  blank", "double  blank"),
        ("", "", ""),
        ("〈书〉“名”", "〈书〉“名”", "〈书〉“名”"),
    ],
)
def test_a_cell_stands_in_one_line(text: str, markdown: str, marked_up: str) -> None:
    assert written([[text]]) == f"| {markdown} |\n| --- |"
    assert written([[Cell(text=text, columns=2)]]) == f'<table>\n<tr><th colspan="2">{marked_up}</th></tr>\n</table>'


def test_short_rows_are_filled_up() -> None:
    assert written([["a"], ["1", "2"], []]) == "| a |  |\n| --- | --- |\n| 1 | 2 |\n|  |  |"


@pytest.mark.parametrize("table", [[], [[], []]])
def test_a_table_has_a_cell(table: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        written(table)


@pytest.mark.parametrize("span", [{"rows": 0}, {"columns": -1}])
def test_a_cell_spans_something(span: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one row and one column"):
        Cell(text="a", **span)


WORDS = st.text(st.sampled_from("ab|<&>\"' 字"), max_size=6)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(WORDS, min_size=width, max_size=width), min_size=1))


@given(table=TABLES)
def test_markdown_gives_the_cells_back(table: list[list[str]]) -> None:
    header, rule, *body = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in written(table).split("\n")
    ]
    assert set(rule) == {"---"}
    assert [header, *body] == [[cell.strip() for cell in row] for row in table]


class Cells(HTMLParser):
    """The texts of the cells of an HTML table, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@given(table=TABLES)
def test_html_gives_the_cells_back(table: list[list[str]]) -> None:
    parser = Cells()
    parser.feed(written([[Cell(text="top", columns=len(table[0]) + 1)], *table]))
    parser.close()
    assert [[cell.strip() for cell in row] for row in parser.rows[1:]] == [
        [cell.strip() for cell in row] for row in table
    ]
