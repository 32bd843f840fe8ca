r"""A table in cells as the text of a request, in the layout of Alpaca-CoT's tabular_llm branch.

A table is Markdown, or HTML when cells in it are merged:

    Table:
    | Date | Visitor |
    | --- | --- |
    | March 13 | Los Angeles |
    Table title:
    Ice hockey in March
    Question:
    Who was the visitor on March 13?
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell: its text, and how many rows and columns it spans."""

    text: str
    rows: int = 1
    columns: int = 1

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"a cell spans at least one row and one column, not {self.rows} and {self.columns}")

    @property
    def merged(self) -> bool:
        """Whether it spans more than one place."""
        return self.rows > 1 or self.columns > 1


Row = Sequence[Cell | str]


def request(table: Sequence[Row], question: str, title: str | None = None) -> str:
    """The `input` of a question about a table; without a title its two lines are left out."""
    named = [] if title is None else ["Table title:", title]
    return "\n".join(["Table:", written(table), *named, "Question:", question])


def written(table: Sequence[Row]) -> str:
    """A table, its first row the header, as Markdown, or as HTML when a cell of it is merged.

    Raises `ValueError` for a table without a cell.
    """
    rows = [[cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row] for row in table]
    if not any(rows):
        raise ValueError("a table has at least one cell")
    merged = any(cell.merged for row in rows for cell in row)
    return _html(rows) if merged else _markdown([[cell.text for cell in row] for row in rows])


def _markdown(rows: list[list[str]]) -> str:
    """A row that is short of cells is filled up, so that none of another row is lost."""
    width = max(map(len, rows))
    lines = [_line([*map(_markdown_text, row), *[""] * (width - len(row))]) for row in rows]
    return "\n".join([lines[0], _line(["---"] * width), *lines[1:]])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    """Only the bars between cells are bars."""
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines())


def _html(rows: list[list[Cell]]) -> str:
    lines = [
        f"<tr>{''.join(_tag(cell, 'td' if index else 'th') for cell in row)}</tr>" for index, row in enumerate(rows)
    ]
    return "\n".join(["<table>", *lines, "</table>"])


def _tag(cell: Cell, name: str) -> str:
    spans = "".join(
        f' {key}="{count}"' for key, count in (("rowspan", cell.rows), ("colspan", cell.columns)) if count > 1
    )
    return f"<{name}{spans}>{html.escape(_one_line(cell.text), quote=False)}</{name}>"
