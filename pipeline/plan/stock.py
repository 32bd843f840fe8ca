"""What there is of each source: its records as they are counted, else what the catalog expects of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from collectors.catalog import Source
from collectors.errors import ArtefactError
from collectors.mixture import Mixture
from pipeline import folder
from pipeline.judge.read import judged
from pipeline.judge.verdict import PAIRS
from pipeline.plan.cells import TAGS
from pipeline.plan.outcome import COUNTED

Manifest = dict[str, Any]

EXPECTED: Final = {"rows": "expected by upstream", "ancestor_rows": "expected by Alpaca-CoT"}
"""Who a catalog entry has a number of rows from, by its key, the nearer first."""

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True)
class Stock:
    """The rows of a source: how they are `known`, how many, and the `cells` they are counted in.

    `repeated` is the share of its records that each kind of duplicates takes away in a mixture, None where it is not
    judged. Of a source without records there is one cell, of the columns that are the same for all of its files.
    """

    known: str
    rows: int | None
    cells: pl.DataFrame
    repeated: dict[str, float] | None = None

    @property
    def counted(self) -> bool:
        """Whether it has records."""
        return self.known == COUNTED


def verdicts_on(out: Path, source: str) -> Manifest | None:
    """The manifest of the verdicts on a source's records; None where there are none, or those of other records."""
    try:
        return judged(out, source)
    except ArtefactError:
        return None


def expected(name: str, source: Source) -> Stock:
    """What the catalog says of a source: upstream's rows, else Alpaca-CoT's, which may give more or fewer records."""
    found = [(known, getattr(source, key)) for key, known in EXPECTED.items() if getattr(source, key) is not None]
    known, rows = found[0] if found else (UNKNOWN, None)
    tags = {tag: " or ".join(sorted(source.tags[tag])) for tag in TAGS}
    cells = pl.DataFrame({"source": [name], **{tag: [value] for tag, value in tags.items()}, "rows": [rows or 0]})
    return Stock(known=known, rows=rows, cells=cells)


def blurred(source: Source) -> set[str]:
    """The tags in which files of a source differ, so that a cell of all of them does not tell."""
    return {tag for tag in TAGS if len(source.tags[tag]) > 1}


def repeated(mixture: Mixture, book: Mapping[str, Any], out: Path) -> dict[str, float] | None:
    """The share of a source's records that a mixture leaves out for repeating others, by reason.

    `book` is the manifest of its verdicts: how many of its records are in clusters of near-duplicates. How many of
    those are copies, and how many clusters they make, is known over all judged sources together.
    """
    pairs = folder.manifest(out / "verdicts" / PAIRS) or {}
    if mixture.dedup == "none":
        return {}
    try:
        of = {
            notion: (
                book["clustered"][notion] / max(1, book["records"]),
                pairs["copies"][notion] / max(1, pairs["clustered"][notion]),
                1 - pairs["clusters"][notion] / max(1, pairs["clustered"][notion]),
            )
            for notion in ("request", "row")
        }
    except KeyError:
        return None
    clustered, copies, _ = of["row"]
    shares = {"duplicate": clustered * copies}
    if mixture.dedup == "prompt":
        clustered, copies, _ = of["request"]
        shares["prompt"] = max(0.0, clustered * copies - shares["duplicate"])
    if mixture.dedup == "near":
        clustered, _, others = of[mixture.notion]
        shares["near"] = max(0.0, clustered * others - shares["duplicate"])
    return shares
