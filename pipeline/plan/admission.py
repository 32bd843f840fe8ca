"""What a part of a mixture may draw from, by counts: the cells that its `where` and the mixture's policies let in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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

    `let_in` says which cells of the stock its `where` and the policies let in, `whole` whether that is sure of all
    records in them. The rest is as `Outcome` has it.
    """

    stock: Stock
    let_in: npt.NDArray[np.bool_]
    whole: bool
    cells: pl.DataFrame
    accepted: int
    left_out: dict[str, int]
    estimated: tuple[str, ...]
    unreckoned: tuple[str, ...]
    forbidden: dict[str, int | None]
    basis: Basis


def admission(
    mixture: Mixture, part: Part, source: Source, stock: Stock, asked: Asked, earlier: Sequence[Admission] = ()
) -> Admission:
    """What a part's `where` and the policies of the mixture leave of a source, of which it has `earlier` parts."""
    verdict = _verdict(part, source, stock, asked)
    let_in = verdict == TAKEN
    overlap = [one for one in earlier if mixture.dedup != "none" and (one.let_in & let_in).any()]
    for one in overlap:
        if one.whole:
            verdict[one.let_in & let_in] = REASONS.index("duplicate")
    rows = stock.cells["rows"].to_numpy()
    lost = {
        reason: int(rows[verdict == code].sum()) for code, reason in enumerate(REASONS) if rows[verdict == code].any()
    }
    kept = stock.cells.filter(pl.Series(verdict == TAKEN))
    keyed = stock.cells.filter(pl.Series(verdict == REASONS.index("licence"))).group_by("license")
    forbidden = dict(keyed.agg(pl.col("rows").sum()).sort("license").iter_rows())
    accepted, repeats = int(kept["rows"].sum()), stock.repeated if stock.counted else None
    for reason, share in (repeats or {}).items():
        repeating = round(int(kept["rows"].sum()) * share)
        lost[reason] = lost.get(reason, 0) + repeating
        accepted -= repeating
    unreckoned = _unreckoned(mixture, part, source, stock)
    bounded = not {f"where {key}" for key in _asked(part)} & set(unreckoned) and "evaluation" not in unreckoned
    if not all(one.whole for one in overlap):
        unreckoned = (*unreckoned, "what earlier parts have")
    return Admission(
        stock=stock,
        let_in=let_in,
        whole=bounded,
        cells=kept,
        accepted=accepted,
        left_out={reason: count for reason, count in lost.items() if count},
        estimated=tuple(repeats or ()),
        unreckoned=unreckoned,
        forbidden=forbidden if stock.rows is not None else dict.fromkeys(forbidden),
        basis=_basis(stock, unreckoned, mixture),
    )


def _verdict(part: Part, source: Source, stock: Stock, asked: Asked) -> npt.NDArray[np.int64]:
    """What becomes of each cell of a source, by what is asked of single records (see `selection.TAKEN`)."""
    cells = _reckoned_by(source, stock)
    verdict = np.full(cells.height, TAKEN)
    barred = refused(cells, asked)
    if not part.evaluation and source.marked and "subset" in cells.columns:
        barred["evaluation"] = marked(source, cells).to_numpy()
    barred["where"] = ~admitted(part.where, cells)
    # Of several reasons the first of REASONS counts, so it comes last.
    for reason in sorted(barred, key=REASONS.index, reverse=True):
        verdict[barred[reason]] = REASONS.index(reason)
    return verdict


def _reckoned_by(source: Source, stock: Stock) -> pl.DataFrame:
    """The cells of a source, with the columns that tell."""
    return stock.cells if stock.counted else stock.cells.drop(blurred(source))


def _basis(stock: Stock, unreckoned: Sequence[str], mixture: Mixture) -> Basis:
    """How well it is known how many records a part may give."""
    if stock.rows is None:
        return "unknown"
    # Expected rows are no bound, so that duplicates more or less change nothing.
    if (stock.counted and unreckoned) or set(unreckoned) - {f"dedup {mixture.dedup}"}:
        return "at most"
    return "exact" if stock.counted and mixture.dedup == "none" else "estimated"


def _asked(part: Part) -> list[str]:
    """The columns of records and verdicts that a part's `where` asks for."""
    return list(dict.fromkeys([*part.where.columns, *part.where.verdicts]))


def _unreckoned(mixture: Mixture, part: Part, source: Source, stock: Stock) -> tuple[str, ...]:
    """The policies of which the cells of a source do not tell, but which `mix` applies."""
    known = set(_reckoned_by(source, stock).columns)
    judged = not stock.counted or known >= set(JUDGED)
    later = set() if judged else set(VERDICTS) - {"language"}
    found = [f"where {key}" for key in _asked(part) if key not in known | later]
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
