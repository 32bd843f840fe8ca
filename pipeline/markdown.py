"""Markdown as cards hold it."""

from collections.abc import Iterable, Mapping, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A Markdown table; whole numbers are set to the right, with thousands separators."""
    body = [list(row) for row in rows]
    right = [bool(body) and all(isinstance(row[place], int) for row in body) for place in range(len(head))]
    cells = [list(head), *([_cell(value) for value in row] for row in body)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)]
    return "\n".join([line(cells[0]), line(rule), *(line(row) for row in cells[1:])])


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and counts, the largest first, equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def counted(counts: Mapping[str, int]) -> str:
    """Names and counts in one line, the largest first: `duplicate 1,000, max_rows 200`."""
    return ", ".join(f"{name} {rows:,}" for name, rows in ranked(counts))


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(value.replace("|", "\\|").split())
