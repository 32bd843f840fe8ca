"""What a plan tells, ready for JSON: of the whole mixture, by tag and licence, and of each part."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from collectors.catalog import Catalog
from collectors.licences import forbidden, key
from collectors.mixture import Mixture, Part
from pipeline.licences import stated
from pipeline.plan.cells import SIZES, TAGS
from pipeline.plan.outcome import Outcome, Outcomes

Record = dict[str, Any]

LENGTHS: Final = ("characters", "tokens")


def figures(name: str, mixture: Mixture, catalog: Catalog, found: Outcomes) -> Record:
    """What is told of the mixture `name`, whose parts come out as `found`.

    `rows` and lengths are those of all parts of which they are known; `unknown` has the sources of the others, by
    figure. `left_out` counts by reason, `by` has rows, lengths and share by tag, `licence` what its policy forbids.
    """
    rows, taken = found.total("rows"), found.total("taken")
    left_out: Counter[str] = Counter()
    for one in found.parts:
        left_out.update(one.left_out)
    parts = [_part(part, one) for part, one in zip(mixture.parts, found.parts, strict=True)]
    lengths = {unit: _whole(mixture, unit, parts) for unit in LENGTHS}
    return {
        "mixture": name,
        "about": mixture.about,
        "basis": found.basis,
        "tokenizer": mixture.tokenizer,
        "candidates": found.total("candidates"),
        "taken": taken,
        "rows": {"train": rows - found.holdout, "holdout": found.holdout},
        **{unit: {"all": whole, "train": _trained(found, unit, whole)} for unit, whole in lengths.items()},
        "unknown": {
            figure: [part["source"] for part in parts if part[figure] is None] for figure in ("rows", *LENGTHS)
        },
        "left_out": dict(sorted(left_out.items())),
        "by": {tag: dict(_shares(found.parts, tag, rows)) for tag in TAGS},
        "licence": {"policy": mixture.licence, "forbidden": list(_forbidden(mixture, catalog, found.parts))},
        "shortfalls": [asdict(one) for one in found.shortfalls],
        "parts": parts,
    }


def _part(part: Part, one: Outcome) -> Record:
    """What is told of a part."""
    tokens = _length(one, "tokens")
    return {
        "source": part.source,
        "within": part.within,
        "template": part.template,
        "known": one.known,
        "candidates": one.candidates,
        "left_out": one.left_out,
        "estimated": [reason for reason in one.estimated if reason in one.left_out],
        "unreckoned": list(one.unreckoned),
        "accepted": one.accepted,
        "taken": one.taken,
        "rows": one.rows,
        "basis": one.basis,
        "epochs": round(one.rows / one.accepted, 4) if one.rows is not None and one.accepted else None,
        "repeats": one.repeats,
        "characters": _length(one, "characters"),
        "tokens": one.asked if tokens is None else tokens,
        "evaluation": one.evaluation,
    }


def _length(one: Outcome, unit: str) -> int | None:
    """What the rows of a part come to; None where that is not known."""
    if one.rows is None:
        return None
    if unit not in one.cells.columns:
        return None if one.rows else 0
    return round(one.cells[unit].sum())


def _whole(mixture: Mixture, unit: str, parts: Sequence[Record]) -> int | None:
    """The length of all parts of which it is known, else that of the mixture's total; None where it is of none."""
    if mixture.total is not None and mixture.total.asked[0] == unit and any(part["rows"] is None for part in parts):
        return mixture.total.asked[1]
    known = [part[unit] for part in parts if part[unit] is not None]
    return sum(known) if any(known) else None


def _trained(found: Outcomes, unit: str, whole: int | None) -> int | None:
    """How much of a length training has: that of its rows where they are told apart, else their share of all rows."""
    cells, rows = [one.cells for one in found.parts if one.rows], found.total("rows")
    if whole is None or not rows:
        return whole
    if all({"held", unit} <= set(one.columns) for one in cells):
        return sum(int(one.filter(~pl.col("held"))[unit].sum()) for one in cells)
    return round(whole * (rows - found.holdout) / rows)


def _shares(parts: Sequence[Outcome], tag: str, rows: int) -> Iterator[tuple[str, Record]]:
    """The values of a tag with rows, share and lengths, the largest first."""
    found: dict[str, Counter[str]] = {}
    for one in parts:
        for cell in one.cells.iter_rows(named=True):
            found.setdefault(cell[tag], Counter()).update({name: cell[name] for name in SIZES if name in cell})
    for value, sizes in sorted(found.items(), key=lambda one: (-one[1]["rows"], one[0])):
        told = {name: round(sizes[name]) for name in SIZES if name in sizes}
        yield value, {**told, "share": round(sizes["rows"] / max(1, rows), 4)}


def _forbidden(mixture: Mixture, catalog: Catalog, parts: Sequence[Outcome]) -> Iterator[Record]:
    """The rows that the licence policy keeps out, by part and licence, with the reasons."""
    known = stated(catalog)
    for part, one in zip(mixture.parts, parts, strict=True):
        for license, rows in one.forbidden.items():
            named, terms = key(license, known.get(part.source))
            because = forbidden(mixture.licence or "any", named, terms)
            yield {"source": part.source, "licence": named, "terms": list(terms), "rows": rows, "because": because}
