"""A plan by counts: what policies ask of single records is told by cells, what records repeat others by rates.

So it costs the same for ten records and for a hundred million. A cell holds records that agree in all that is asked of
them by `where`, licence, benchmark, leaks and flags, and goes or stays as a whole. Only ranges, ids and places in a
file are not in it; what asks for those may leave out records that a plan by counts has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from collectors.catalog import Source
from collectors.errors import CatalogError
from collectors.mixture import Mixture, Quota
from pipeline.candidates import Asked
from pipeline.holdout import holdout_rows
from pipeline.plan.admission import Admission, admission, marked
from pipeline.plan.cells import SIZES, TAGS
from pipeline.plan.outcome import Basis, Outcome, Outcomes, summed, worst
from pipeline.plan.shares import Stack, pools, shared, shares
from pipeline.plan.stock import Stock
from pipeline.quota import Shortfall


def reckoned(
    name: str, mixture: Mixture, sources: Mapping[str, Source], stocks: Mapping[str, Stock], asked: Sequence[Asked]
) -> Outcomes:
    """What becomes of the parts of the mixture `name`, which is written out, by what there is of its sources.

    `asked` is what is asked of the records of each part (see `applied`). Raises `CatalogError` where its holdout is
    certain to leave nothing to train on.
    """
    listed = list(zip(mixture.parts, asked, strict=True))
    known, earlier = list[Admission](), dict[str, list[Admission]]()
    for part, one in listed:
        before = earlier.setdefault(part.source, [])
        before.append(admission(mixture, part, sources[part.source], stocks[part.source], one, before))
        known.append(before[-1])
    drawn = pools(mixture)
    sizes = [_size([known[number] for number in pool.parts], pool.quota) for pool in drawn]
    stacks = [_stack(mixture, known, pool.parts, size) for pool, size in zip(drawn, sizes, strict=True)]
    given = shares(mixture, stacks)
    bases = [one.basis for one in known] + (["estimated"] if given.bundled or mixture.units - {"rows"} else [])
    basis = worst("unknown" if rows is None else "exact" for rows in given.rows)
    if shared(mixture):
        # What one part lacks another gives, so that no share of a budget has an upper bound.
        together = worst(bases)
        basis = worst([basis, "estimated" if together == "at most" else together])
    found: dict[int, Outcome] = {}
    for pool, size, rows in zip(drawn, sizes, given.rows, strict=True):
        parts = [known[number] for number in pool.parts]
        split = _split([one.accepted for one in parts], size), _split([one.accepted for one in parts], rows)
        for number, records, its in zip(pool.parts, *split, strict=True):
            source = sources[mixture.parts[number].source]
            found[number] = _outcome(source, known[number], records, its, pool.quota, basis)
    return _held_out(name, mixture, [found[number] for number in range(len(known))], given.shortfalls)


def _size(parts: Sequence[Admission], quota: Quota) -> int | None:
    """The records that a quota draws from; None where those of a part are not known."""
    if any(one.stock.rows is None for one in parts):
        return None
    accepted = sum(one.accepted for one in parts)
    return accepted if quota.max_rows is None else min(accepted, quota.max_rows)


def _stack(mixture: Mixture, known: Sequence[Admission], numbers: Sequence[int], size: int | None) -> Stack:
    cells = [known[number].cells for number in numbers if known[number].cells["rows"].sum()]
    rows = sum(int(one["rows"].sum()) for one in cells)
    units = [unit for unit in SIZES if all(unit in one.columns for one in cells)]
    means = {unit: sum(int(one[unit].sum()) for one in cells) / max(1, rows) for unit in units}
    return Stack(records=size, means={unit: mean for unit, mean in means.items() if unit in mixture.units})


def _split(sizes: Sequence[int], whole: int | None) -> list[int | None]:
    """A whole shared by these sizes, in whole numbers that add up to it."""
    if whole is None:
        return [None] * len(sizes)
    ends = np.cumsum([0, *sizes]) * (whole / max(1, sum(sizes)))
    return [int(count) for count in np.diff(np.floor(ends + 0.5))]


def _outcome(
    source: Source, one: Admission, records: int | None, rows: int | None, quota: Quota, shared_: Basis
) -> Outcome:
    """What becomes of a part of whose `records` so many `rows` are given; `shared_` is how well shares are known."""
    lost, taken = dict(one.left_out), None
    if records is not None:
        lost |= {"max_rows": one.accepted - records}
    if records is not None and rows is not None:
        taken = min(rows, records)
        reason = quota.asked[0] if quota.asked else "weight" if quota.weight is not None else "total"
        lost |= {reason: records - taken}
    unit, amount = quota.asked or ("", 0)
    return Outcome(
        known=one.stock.known,
        candidates=one.stock.rows,
        left_out={reason: count for reason, count in lost.items() if count},
        estimated=one.estimated,
        unreckoned=one.unreckoned,
        taken=taken,
        rows=rows,
        repeats=None if rows is None or records is None else -(-rows // max(1, records)),
        basis=shared_ if shared_ != "exact" else one.basis,
        evaluation=_benchmarks(source, one.cells, taken or 0),
        forbidden=one.forbidden,
        cells=_given(one.cells, rows or 0),
        asked=amount if rows is None and unit == "tokens" else None,
    )


def _benchmarks(source: Source, cells: pl.DataFrame, taken: int) -> int:
    """How many of the records taken are of benchmarks."""
    if source.evaluation or not source.marked or "subset" not in cells.columns:
        return taken if source.evaluation else 0
    of_benchmarks = cells["rows"].filter(marked(source, cells)).sum()
    return round(taken * int(of_benchmarks) / max(1, int(cells["rows"].sum())))


def _given(cells: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The cells of so many rows, in the proportions of their records, by tags."""
    sizes = [name for name in SIZES if name in cells.columns]
    ratio = rows / max(1, int(cells["rows"].sum()))
    return cells.group_by(TAGS).agg(pl.col(sizes).sum() * ratio).sort(TAGS).filter(pl.col("rows") > 0)


def _held_out(name: str, mixture: Mixture, parts: Sequence[Outcome], shortfalls: Sequence[Shortfall]) -> Outcomes:
    """The outcomes of all parts, with the rows that are held out of training."""
    taken = sum(one.taken or 0 for one in parts)
    basis = worst(one.basis for one in parts)
    held = 0
    if mixture.holdout is not None and taken:
        held = min(holdout_rows(mixture.holdout, taken), taken)
        if held == taken and basis in ("exact", "at most"):
            raise CatalogError(
                f"mixture {name}: its holdout takes all of the {taken:,} rows there are and leaves none to train on; "
                "lower the holdout or let in more rows"
            )
    found = [_unrepeated(one, held / taken) for one in parts] if held else list(parts)
    return Outcomes(parts=found, holdout=held, shortfalls=shortfalls, basis=summed(one.basis for one in found))


def _unrepeated(part: Outcome, share: float) -> Outcome:
    """The same with this share of its records held out, which then stand once however often they were drawn."""
    if part.rows is None or part.taken is None or part.rows <= part.taken:
        return part
    rows = part.rows - round(share * (part.rows - part.taken))
    sizes = [name for name in SIZES if name in part.cells.columns]
    cells = part.cells.with_columns(pl.col(sizes) * (rows / part.rows))
    return replace(part, rows=rows, cells=cells, basis=worst([part.basis, "estimated"]))
