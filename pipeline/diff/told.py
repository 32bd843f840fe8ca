"""The answer of a comparison as plain text."""

from collections.abc import Iterator
from typing import Any, Final

from pipeline.diff.answer import CELLS
from pipeline.diff.examples import text
from pipeline.diff.rows import LINEAGE
from pipeline.why.difference import changes
from pipeline.why.plain import changed, cut, escaped

Record = dict[str, Any]

LINES: Final = 4
"""Lines of an example at most."""

KINDS: Final = {
    "mixture": ("mixture", "worded differently"),
    "corpus": ("corpus", "another record of the same raw row"),
}

TITLES: Final = {"lang": "lang", "license": "licence", "language": "language", "split": "split"}


def told(answer: Record, width: int) -> Iterator[str]:
    """The lines of an answer (see `answer.diff`), of at most `width` columns where text of the rows is in them."""
    kind, differently = KINDS[answer["kind"]]
    for letter in ("a", "b"):
        one = answer[letter]
        judged = "" if one["judged"] == one["rows"] else f", language detected in {one['judged']:,} of them"
        tokens = f", {one['tokens']:,} tokens" if "tokens" in one else ""
        size = f"{one['rows']:,} rows, {one['characters']:,} characters{tokens}{judged}"
        yield f"{letter.upper()}: {kind} {escaped(one['name'])}: {size}"
    rows = answer["rows"]
    moved = f" ({rows['moved']:,} of them from another raw row)" if rows["moved"] else ""
    only = f"only in A {rows['only_a']:,}, only in B {rows['only_b']:,}"
    yield f"in both {rows['same']:,}{moved}, {only}, {differently} {rows['changed']:,}"
    if not rows["only_a"] + rows["only_b"] + rows["changed"]:
        yield "no row differs"
    if "tokens" not in answer["a"]:
        yield "tokens are not counted; --tokenizer FOLDER counts them, here are characters"
    yield from _table(answer["by"], "characters" if "tokens" not in answer["a"] else "tokens")
    for which, title in (("only_a", "only in A"), ("only_b", "only in B")):
        yield from _only(answer["kind"], title, answer["examples"][which], rows[which], width)
    yield from _changed(answer["kind"], differently, answer["examples"]["changed"], rows["changed"], width)


def _table(by: Record, unit: str) -> Iterator[str]:
    """The values of each tag with rows and lengths in a unit; those in which the sides are alike are only counted."""
    head = ["", "rows A", "rows B", "only A", "only B", "changed", f"{unit} A", f"{unit} B"]
    lines = []
    for tag, values in by.items():
        differing = {value: cells for value, cells in values.items() if _differs(cells)}
        for value, cells in differing.items():
            counts = [cells[cell]["rows"] for cell, _, _ in CELLS] + [cells[cell][unit] for cell in ("a", "b")]
            lines.append(
                [f"{TITLES.get(tag, tag)} {escaped(value) or 'not known'}", *(f"{count:,}" for count in counts)]
            )
        if alike := len(values) - len(differing):
            lines.append([f"{TITLES.get(tag, tag)}: {alike:,} more alike", *[""] * 7])
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    yield ""
    for line in [head, *lines]:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(line[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _differs(cells: Record) -> bool:
    return bool(cells["a"] != cells["b"] or any(cells[cell]["rows"] for cell in ("only_a", "only_b", "changed")))


def _only(kind: str, title: str, examples: list[Record], rows: int, width: int) -> Iterator[str]:
    if examples:
        yield from _head(title, len(examples), rows)
    for one in examples:
        yield f"  {_lineage(one)} {one['id']}"
        lines = text(kind, one).splitlines()
        for line in lines[:LINES]:
            yield f"    {cut(line, width - 4)}"
        if len(lines) > LINES:
            yield f"    and {len(lines) - LINES:,} more lines"


def _changed(kind: str, title: str, pairs: list[Record], rows: int, width: int) -> Iterator[str]:
    if pairs:
        yield from _head(title, len(pairs), rows)
    for pair in pairs:
        yield f"  {_lineage(pair['a'])} {pair['a']['id']}"
        found = changes(text(kind, pair["a"]), text(kind, pair["b"]))
        for change in found[:LINES]:
            yield f"    {changed(change, max(20, width // 3))}"
        if len(found) > LINES:
            yield f"    and {len(found) - LINES:,} more differences"


def _head(title: str, shown: int, rows: int) -> Iterator[str]:
    yield ""
    yield f"{title}, {shown:,} of {rows:,}:"


def _lineage(row: Record) -> str:
    source, subset, number, part = (row[name] for name in LINEAGE)
    return escaped(f"{source}:{subset}:{number}" + (f" (part {part})" if part else ""))
