"""The table of sources: what the catalog says of each, and what of it lies in a data folder."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from collectors.catalog import Catalog, Source
from collectors.origin import Origin
from pipeline.folder import manifest

Entry = dict[str, Any]


def listed(catalog: Catalog, asked: list[str], out: Path) -> list[Entry]:
    """What is known of the sources that `asked` means (see `Catalog.chosen`), as JSON has it.

    `rows` are upstream's raw rows and `ancestor_rows` what Alpaca-CoT counts; `built` is what the records in `out` were
    made of and null where there are none; `bytes` is what raw files and records take in `out`.
    """
    return [_entry(name, source, out) for name, source in catalog.chosen(asked).items()]


def _entry(name: str, source: Source, out: Path) -> Entry:
    found = manifest(out / "records" / name)
    built = None if found is None else {key: found[key] for key in ("raw_rows", "records", "rejected", "limit")}
    return {
        "name": name,
        "title": source.title,
        "homepage": source.homepage,
        **{key: sorted(source.tags[key]) for key in ("lang", "task", "gen")},
        "license": source.license,
        "terms": source.terms,
        "origins": [_place(origin) for origin in source.origins],
        "rows": source.rows,
        "ancestor_rows": source.ancestor_rows,
        "built": built,
        "bytes": sum(_size(out / below / name) for below in ("raw", "records")),
        "verified": source.verified,
        "evaluation": source.evaluation,
        "evaluation_files": [glob for glob, mark in source.marked if mark],
    }


def _place(origin: Origin) -> str:
    if origin.url is not None:
        return origin.url
    return f"{'hub' if origin.hub else 'github'}:{origin.hub or origin.github}@{origin.revision}"


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


NUMBERS: Final = ("rows", "ancestor", "built", "size")
COLUMNS: Final = ("source", "lang", "task", "gen", "licence (terms)", "origin", *NUMBERS, "verified")

REVISION: Final = re.compile(r"(@[0-9a-f]{7})[0-9a-f]{33}$")
"""A whole commit id, of which the table shows the beginning."""

WIDTH = 200
"""Columns to print to where there is no terminal to ask."""


def print_table(entries: Iterable[Entry]) -> None:
    """Print the entries as a table, numbers to the right; on a narrow terminal cells are folded, never cut."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        right = column in NUMBERS
        shown.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=column == "source")
    for entry in entries:
        shown.add_row(*_cells(entry))
    console = Console(highlight=False, markup=False)
    Console(width=console.width if console.is_terminal else WIDTH, highlight=False, markup=False).print(shown)


def _cells(entry: Entry) -> Iterable[str]:
    built, places = entry["built"], entry["origins"]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return (
        entry["name"],
        *(" ".join(entry[key]) for key in ("lang", "task", "gen")),
        entry["license"] + (f" ({', '.join(entry['terms'])})" if entry["terms"] else ""),
        REVISION.sub(r"\1", places[0] if places else "") + more,
        _count(entry["rows"]),
        _count(entry["ancestor_rows"]),
        "" if built is None else _count(built["raw_rows"]) + (" (limited)" if built["limit"] else ""),
        decimal(entry["bytes"]) if entry["bytes"] else "",
        "yes" if entry["verified"] else "no",
    )


def _count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"
