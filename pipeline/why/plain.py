"""Text of unknown origin made fit for a terminal: nothing in it moves the cursor, turns the line or hides."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from pipeline.why.difference import Change

HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that have no shape of their own, or do something to those around them."""

_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PLAIN: Final = re.compile(r"[ -~]*")
LONGEST: Final = 120
"""Columns of one side of a difference at most, and of the text on each side of an overlap."""


def escaped(text: str, kept: str = "") -> str:
    r"""A text with every character that is not seen as what it is written as `\x1b` or `\u202e`, but those `kept`."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        one if one in kept or unicodedata.category(one) not in HIDDEN else _NAMED.get(one, _code(one)) for one in text
    )


def _code(one: str) -> str:
    number = ord(one)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65_536 else f"\\U{number:08x}"


def cut(text: str, width: int) -> str:
    """The beginning of a text, escaped, on one line of at most `width` columns; an ellipsis says that it goes on."""
    # No more than this can fit, so the rest of a long text is never looked at.
    line, more = escaped(text[:width]), len(text) > width
    if not more and cell_len(line) <= width:
        return line
    columns, kept = 0, []
    for one in line:
        columns += cell_len(one)
        if columns > width - 1:
            break
        kept.append(one)
    return "".join(kept) + "…"


def wrapped(text: str, width: int) -> list[str]:
    """The lines of at most `width` columns that an escaped text takes."""
    lines, columns, start = [], 0, 0
    for place, one in enumerate(text):
        columns += cell_len(one)
        if columns > width:
            lines.append(text[start:place])
            columns, start = cell_len(one), place
    return [*lines, text[start:]]


def changed(change: Change, width: int | None = LONGEST) -> str:
    """A difference on one line: what only the first text has as `[-...-]`, what only the second has as `{+...+}`."""
    one, other = (escaped(side) if width is None else cut(side, width) for side in (change.one, change.other))
    marked = (f"[-{one}-]" if change.one else "") + (f"{{+{other}+}}" if change.other else "")
    return f"{escaped(change.before)}{marked}{escaped(change.behind)}"


def marked(text: str, spans: Sequence[Sequence[int]], width: int | None = LONGEST) -> str:
    """A text on one line with its `spans` (first and end) as `[[...]]`; `width` columns around them, None: all."""
    pieces, at = [], 0
    for number, (first, end) in enumerate(spans):
        before = text[at:first]
        if width is not None and len(before) > width:
            before = ("" if number == 0 else before[: width // 2]) + "…" + before[-(width // 2) :]
        pieces += [escaped(before), "[[", escaped(text[first:end]), "]]"]
        at = end
    behind = text[at:]
    pieces.append(escaped(behind) if width is None else cut(behind, width))
    return "".join(pieces)
