"""Writing the report."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collectors.catalog import Catalog
from pipeline.engine import Engine
from pipeline.folder import lock, placing, write_text, writing
from pipeline.page.facts import facts
from pipeline.page.html import html

NAME: Final = "report.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The report as written: its file, what it tells of, and the sources without verdicts that fit their records."""

    path: Path
    sources: int
    rows: int
    unjudged: tuple[str, ...]


def page(catalog: Catalog, out: Path, engine: Engine) -> Page:
    """Write `OUT/report.html`: one file that needs nothing else, of the same bytes for the same corpus.

    Raises `ArtefactError` when `out` holds no records, something in it cannot be read, or it cannot be written to.
    """
    path = out / NAME
    # Where there are no records no folder is made to be locked: it may be a slip of the hand.
    with lock(out) if (out / "records").is_dir() else nullcontext():
        found = facts(catalog, out, engine)
        with writing(path), placing(path) as aside:
            write_text(aside, html(found))
    return Page(
        path=path,
        sources=len(found["sources"]),
        rows=sum(group["rows"] for group in found["groups"]),
        unjudged=tuple(one["name"] for one in found["sources"] if one["state"] != "judged"),
    )
