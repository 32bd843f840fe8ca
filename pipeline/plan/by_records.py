"""A plan by the records themselves: every one is decided on as `mix` does, so that no figure is another than its."""

from typing import Any

import numpy as np
import polars as pl

from pipeline.counts import Counter
from pipeline.engine import Engine
from pipeline.keys import Keys
from pipeline.mix import Ready
from pipeline.plan.cells import SIZES, TAGS, Shard, facts, merged
from pipeline.plan.outcome import COUNTED, Outcome, Outcomes
from pipeline.plan.stock import verdicts_on
from pipeline.selection import REASONS, TAKEN, Selection, left_out


def decided(ready: Ready, by: Counter | None, engine: Engine) -> Outcomes:
    """What `mix` would make of a mixture whose sources are all built; tokens are those that `by` has counted before.

    Raises what `Ready.decide` does.
    """
    known, selection = ready.decide(engine)
    judged = {name: verdicts_on(ready.out, name) is not None for name in ready.records}
    frames: list[list[pl.DataFrame]] = [[] for _ in ready.mixture.parts]
    for number, path, span in known.pieces:
        source = ready.mixture.parts[number].source
        beside = by.folder(ready.out, source) if by is not None else None
        shard = Shard(out=ready.out, source=source, name=path.name, judged=judged[source], counts=beside)
        frames[number].append(_told(facts(shard), selection, span))
    parts = [_part(ready, number, frames[number], known, selection) for number in range(len(frames))]
    return Outcomes(
        parts=parts,
        holdout=int(selection.held.sum()),
        shortfalls=selection.shortfalls,
        basis="exact",
    )


def _told(records: pl.DataFrame, selection: Selection, span: slice) -> pl.DataFrame:
    """The records of a shard by their tags and by what became of them, with the sizes of the rows that they give."""
    frame = records.select(*TAGS, pl.col(name for name in SIZES if name in records.columns)).with_columns(
        verdict=pl.Series(selection.verdict[span].astype(np.int64)),
        rows=pl.Series(selection.repeats[span].astype(np.int64)),
        held=pl.Series(selection.held[span]),
    )
    sizes = [name for name in SIZES if name in frame.columns and name != "rows"]
    barred = pl.col("verdict") == REASONS.index("licence")
    frame = frame.filter(barred | (pl.col("rows") > 0)).with_columns(pl.col(sizes) * pl.col("rows"))
    return merged([frame.with_columns(rows=pl.when(barred).then(1).otherwise("rows"))])


def _part(ready: Ready, number: int, frames: list[pl.DataFrame], known: Keys, selection: Selection) -> Outcome:
    span, source = known.parts[number], ready.sources[number]
    verdict, repeats = selection.verdict[span], selection.repeats[span]
    taken = verdict == TAKEN
    benchmarks = taken & (known.evaluation[span] | source.evaluation)
    cells = merged(frames) if frames else pl.DataFrame(schema=dict.fromkeys(TAGS, pl.String) | {"rows": pl.Int64})
    forbidden: dict[str, Any] = {}
    if "verdict" in cells.columns:
        barred = pl.col("verdict") == REASONS.index("licence")
        lost = cells.filter(barred).group_by("license").agg(pl.col("rows").sum()).sort("license")
        forbidden, cells = dict(lost.iter_rows()), cells.filter(~barred)
    return Outcome(
        known=COUNTED,
        candidates=len(verdict),
        left_out=left_out(verdict),
        taken=int(taken.sum()),
        rows=int(repeats.sum()),
        holdout=int(selection.held[span].sum()),
        repeats=int(repeats.max(initial=0)),
        basis="exact",
        evaluation=int(benchmarks.sum()),
        forbidden=forbidden,
        cells=cells,
    )
