"""Which rows stand as solved examples before others of their part: FLAN's few-shot prompts, drawn by keyed hash.

The examples of a part are a bounded pool of its own rows, so that the text they need fits beside a shard, however large
the part is, and so that another part changes nothing. A pool is the rows with the smallest draws of each group: held
out or not, task, language, and whether there is a rationale and options, so that an example can be worded as the row is
before which it stands, and no held-out row is shown in training. Rows of a dialogue neither serve nor are shown any.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.record import keyed
from pipeline import keys
from pipeline.engine import Engine
from templates.language import WORDED_IN
from templates.suffix import suffixed
from templates.template import OPTIONS, TASK, Shots

POOL: Final = 1024
"""Rows of a group that serve as examples."""

LONGEST: Final = 2000
"""Characters that an example may have, request, rationale and answer together."""

_TEXTS: Final = ("instruction", "input", "rationale", "output")
_READ: Final = ["id", "subset", "lang", "task", "language", "history", *_TEXTS]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The rows of a shard that may serve: `record` are places in it, each once, `held` says which are held out."""

    shard: Path
    pool: Path
    record: keys.Numbers
    held: keys.Flags
    suffix: str | None
    seed: int


def pooled(jobs: Iterable[Serving], engine: Engine) -> None:
    """Write the pools that the jobs name; the jobs of one pool follow on one another."""
    path, kept = None, pl.DataFrame()
    for pool, found in engine.map(_serving, jobs):
        if path is not None and pool != path:
            kept.write_ipc(path)
        kept = found if pool != path else _smallest(pl.concat([kept, found]))
        path = pool
    if path is not None:
        kept.write_ipc(path)


def _serving(job: Serving) -> tuple[Path, pl.DataFrame]:
    """The rows of one shard that its part's pool may need."""
    records = keys.columns(job.shard, _READ)[job.record]
    if job.suffix is not None:
        records = records.with_columns(suffixed(job.suffix))
    size = pl.sum_horizontal(pl.col(name).str.len_chars().fill_null(0) for name in _TEXTS)
    rows = records.with_columns(_group(job.held), draw=keyed(job.seed, "exemplar", "id"))
    rows = rows.filter((pl.col("history").list.len() == 0) & (size <= LONGEST))
    return job.pool, _smallest(rows.select("group", "id", "draw", *_TEXTS))


def _group(held: keys.Flags) -> pl.Expr:
    """What a row has in common with its examples, as one text."""
    flags = [pl.lit(pl.Series(held)), pl.col("rationale").is_null(), OPTIONS.is_null()]
    texts = [one.cast(pl.String) for one in (*flags, pl.col("task"), WORDED_IN, TASK.fill_null(""))]
    return pl.concat_str(texts, separator="\n").alias("group")


def _smallest(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the smallest draws of each group, by group and draw; of an id's rows one."""
    found = rows.unique(["group", "id"], keep="first", maintain_order=True).sort("group", "draw", "id")
    return found.filter(pl.int_range(pl.len()).over("group") < POOL)


def shots(records: pl.DataFrame, held: keys.Flags, pool: pl.DataFrame, count: int, seed: int) -> Shots:
    """Up to `count` examples for each record, none of them itself: as many as its group has.

    A record's draw gives where in its group it begins and how far apart its examples lie.
    """
    places = pool.select("group", "id", place=pl.int_range(pl.len()))
    groups = places.group_by("group").agg(first=pl.col("place").min(), size=pl.len())
    alone = pl.col("history").list.len() == 0
    asked = records.select("id", _group(held), alone=alone, draw=keyed(seed, "few_shot", "id"))
    asked = asked.join(groups, on="group", how="left", maintain_order="left")
    asked = asked.join(places, on=["group", "id"], how="left", maintain_order="left")
    known = asked.select(
        first=pl.col("first").fill_null(0),
        size=pl.when("alone").then("size").fill_null(0).cast(pl.Int64),
        own=(pl.col("place") - pl.col("first")).fill_null(-1),
    )
    first, size, own = (known[name].to_numpy() for name in ("first", "size", "own"))
    return Shots(pool=pool, places=_places(first, size, own, asked["draw"].to_numpy(), count))


def _places(
    first: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    own: npt.NDArray[np.int64],
    draw: npt.NDArray[np.uint64],
    count: int,
) -> npt.NDArray[np.int32]:
    """Different places of each row's group, but for its `own` (-1: none); of the shape (rows, count), -1 for none."""
    others = np.maximum(size - (own >= 0), 0)
    apart = np.maximum((others - 1) // max(count - 1, 1), 1)
    start = (draw % np.maximum(others, 1).astype(np.uint64)).astype(np.int64)
    step = 1 + ((draw >> np.uint64(32)) % apart.astype(np.uint64)).astype(np.int64)
    shot = np.arange(count)
    place = (start[:, None] + step[:, None] * shot) % np.maximum(others, 1)[:, None]
    place += (own[:, None] >= 0) & (place >= own[:, None])
    return np.where(shot < others[:, None], first[:, None] + place, -1).astype(np.int32)
