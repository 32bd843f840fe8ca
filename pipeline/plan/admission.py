"""What a part of a mixture may draw from, by counts: the cells that its `where` and the mixture's policies let in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from collectors.catalog import Source
from collectors.globs import first_mark
from collectors.mixture import Mixture, Part
from collectors.where import VERDICTS
from pipeline.candidates import Asked, admitted, refused
from pipeline.plan.cells import JUDGED
from pipeline.plan.outcome import Basis
from pipeline.plan.stock import Stock, blurred
from pipeline.selection import REASONS, TAKEN


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a part's quota may draw from: `accepted` records, of whom `cells` has those before duplicates are left out.

    The rest is as `Outcome` has it.
    """

    stock: Stock
    cells: pl.DataFrame
    accepted: int
    left_out: dict[str, int]
    estimated: tuple[str, ...]
    unreckoned: tuple[str, ...]
    forbidden: dict[str, int | None]
    basis: Basis


def admission(mixture: Mixture, part: Part, source: Source, stock: Stock, asked: Asked) -> Admission:
    """What a part's `where` and the policies of the mixture leave of a source."""
    cells = stock.cells if stock.counted else stock.cells.drop(blurred(source))
    verdict = np.full(cells.height, TAKEN)
    barred = refused(cells, asked)
    if not part.evaluation and source.marked and "subset" in cells.columns:
        barred["evaluation"] = marked(source, cells).to_numpy()
    barred["where"] = ~admitted(part.where, cells)
    # Of several reasons the first of REASONS counts, so it comes last.
    for reason in sorted(barred, key=REASONS.index, reverse=True):
        verdict[barred[reason]] = REASONS.index(reason)
    rows = stock.cells["rows"].to_numpy()
    lost = {
        reason: int(rows[verdict == code].sum()) for code, reason in enumerate(REASONS) if rows[verdict == code].any()
    }
    kept = stock.cells.filter(pl.Series(verdict == TAKEN))
    keyed = stock.cells.filter(pl.Series(verdict == REASONS.index("licence"))).group_by("license")
    forbidden = dict(keyed.agg(pl.col("rows").sum()).sort("license").iter_rows())
    accepted, repeats = int(kept["rows"].sum()), stock.repeated if stock.counted else None
    for reason, share in (repeats or {}).items():
        lost[reason] = round(int(kept["rows"].sum()) * share)
        accepted -= lost[reason]
    unreckoned = _unreckoned(mixture, part, source, stock, set(cells.columns))
    return Admission(
        stock=stock,
        cells=kept,
        accepted=accepted,
        left_out={reason: count for reason, count in lost.items() if count},
        estimated=tuple(repeats or ()),
        unreckoned=unreckoned,
        forbidden=forbidden if stock.rows is not None else dict.fromkeys(forbidden),
        basis=_basis(stock, unreckoned, mixture),
    )


def _basis(stock: Stock, unreckoned: Sequence[str], mixture: Mixture) -> Basis:
    """How well it is known how many records a part may give."""
    if stock.rows is None:
        return "unknown"
    # Expected rows are no bound, so that duplicates more or less change nothing.
    if (stock.counted and unreckoned) or set(unreckoned) - {f"dedup {mixture.dedup}"}:
        return "at most"
    return "exact" if stock.counted and mixture.dedup == "none" else "estimated"


def _unreckoned(mixture: Mixture, part: Part, source: Source, stock: Stock, known: set[str]) -> tuple[str, ...]:
    """The policies of which these columns do not tell, but which `mix` applies."""
    keys = list(dict.fromkeys([*part.where.columns, *part.where.verdicts]))
    judged = not stock.counted or known >= set(JUDGED)
    later = set() if judged else set(VERDICTS) - {"language"}
    found = [f"where {key}" for key in keys if key not in known | later]
    if not stock.counted:
        marked = source.marked and not part.evaluation
        policies = {"evaluation": marked, "leaks": mixture.leaks != "keep", "flags": mixture.flags}
        found += [policy for policy, wanted in policies.items() if wanted]
    if mixture.dedup != "none" and (not stock.counted or stock.repeated is None):
        found.append(f"dedup {mixture.dedup}")
    return tuple(found)


def marked(source: Source, cells: pl.DataFrame) -> pl.Series:
    """Which cells are of files that are marked as part of a benchmark."""
    return pl.Series([first_mark(file, source.marked) for file in cells["subset"]], dtype=pl.Boolean)
