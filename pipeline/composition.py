"""The figure of a dataset card: what a mixture is made of, drawn from its counts as a PNG.

The same counts give the same bytes: sizes and colours are fixed, the font comes with Pillow, no metadata is written.
"""

import io
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from pipeline.markdown import ranked

Counts = Mapping[str, int]

WIDTH: Final = 1200
MARGIN: Final = 32
LABELS: Final = 240
"""Pixels to the left of the bars, for the names of the sources."""
FIGURES: Final = 200
"""Pixels to the right of them, for rows and shares."""
LINE: Final = 30
GAP: Final = 10
LEGEND: Final = 26
"""Pixels from one line of a legend to the next."""
MOST: Final = 40
"""Sources that have a bar of their own, in pictures with more; the others share one."""

PAPER: Final = "#ffffff"
INK: Final = "#222222"
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
"""Eight colours that people with a colour-vision deficiency tell apart (Okabe and Ito, Color Universal Design)."""


def drawn(counts: Mapping[str, Counts], names: Mapping[str, str]) -> bytes:
    """A PNG with a bar for each source of `counts["source"]`, and one in pieces for each tag in `names`, its title.

    Tags are drawn in the order of `names`; those without counts are left out.
    """
    sources = _merged(counts.get("source", {}), MOST)
    strips = [(title, pieces) for tag, title in names.items() if (pieces := _merged(counts.get(tag, {}), len(COLOURS)))]
    heights = [GAP + 2 * LINE + LEGEND * (1 + _legend(pieces)[-1].line) for _, pieces in strips]
    top = MARGIN + LINE * (1 + len(sources))
    height = top + sum(heights) + MARGIN
    page = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), "Rows by source", INK, _font(18))
    _bars(pen, MARGIN + LINE, sources)
    for (title, pieces), down in zip(strips, heights, strict=True):
        _strip(pen, top + GAP, title, pieces)
        top += down
    image = io.BytesIO()
    page.save(image, "PNG", compress_level=9)
    return image.getvalue()


def _merged(counts: Counts, most: int) -> list[tuple[str, int]]:
    """The largest counts, and the sum of the others where there are more than `most`."""
    order = [(name, rows) for name, rows in ranked(counts) if rows]
    if len(order) <= most:
        return order
    rest = order[most - 1 :]
    return [*order[: most - 1], (f"{len(rest)} others", sum(rows for _, rows in rest))]


def _bars(pen: ImageDraw.ImageDraw, top: int, sources: list[tuple[str, int]]) -> None:
    """A bar a source, the longest as long as there is room for."""
    whole, longest = sum(rows for _, rows in sources), max((rows for _, rows in sources), default=1)
    room = WIDTH - 2 * MARGIN - LABELS - FIGURES
    for place, (name, rows) in enumerate(sources):
        y = top + LINE * place
        left = MARGIN + LABELS
        right = left + max(1, round(room * rows / longest))
        pen.text((left - 12, y + LINE // 2), name, INK, _font(15), anchor="rm")
        pen.rectangle((left, y + 5, right, y + LINE - 6), COLOURS[0])
        pen.text((right + 10, y + LINE // 2), f"{rows:,}   {100 * rows / whole:.1f} %", INK, _font(15), anchor="lm")


class _Entry(NamedTuple):
    """An entry of a legend: how far to the right and in which line it stands, its colour and text."""

    x: int
    line: int
    colour: str
    text: str


def _legend(pieces: list[tuple[str, int]]) -> list[_Entry]:
    """What the colours of a bar in pieces mean, in as many lines as it takes."""
    whole, entries, x, line = sum(rows for _, rows in pieces), list[_Entry](), MARGIN, 0
    for (name, rows), colour in zip(pieces, COLOURS, strict=False):
        text = f"{name}  {100 * rows / whole:.1f} %"
        wide = 18 + math.ceil(_font(13).getlength(text)) + 18
        if x > MARGIN and x + wide > WIDTH - MARGIN:
            x, line = MARGIN, line + 1
        entries.append(_Entry(x, line, colour, text))
        x += wide
    return entries


def _strip(pen: ImageDraw.ImageDraw, top: int, title: str, pieces: list[tuple[str, int]]) -> None:
    """A bar over the whole width in pieces, with its title above it and a legend below."""
    whole, done, room = sum(rows for _, rows in pieces), 0, WIDTH - 2 * MARGIN
    pen.text((MARGIN, top + LINE - 6), title, INK, _font(18), anchor="ls")
    for (_, rows), colour in zip(pieces, COLOURS, strict=False):
        left, done = MARGIN + room * done // whole, done + rows
        pen.rectangle((left, top + LINE, max(left, MARGIN + room * done // whole - 1), top + 2 * LINE - 8), colour)
    for x, line, colour, text in _legend(pieces):
        y = top + 2 * LINE + LEGEND * line
        pen.rectangle((x, y + 2, x + 12, y + 14), colour)
        pen.text((x + 18, y + 8), text, INK, _font(13), anchor="lm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
