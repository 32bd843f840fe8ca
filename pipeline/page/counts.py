"""What one record shard, with its verdicts, adds to the report: counts by tag, near-duplicate keys, rows to show."""

import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from collectors.errors import ArtefactError
from collectors.record import keyed
from pipeline.judge.read import verdicts
from pipeline.judge.rows import PROMPT, characters
from pipeline.judge.texts import ANSWER
from pipeline.keys import columns

TAGS: Final = ("lang", "task", "gen", "license")
"""The columns that tell the groups of a source apart: everything is counted by them."""

EDGES: Final = (0, *dict.fromkeys(math.ceil(10 ** (step / 6)) for step in range(43)))
"""The least length, in characters, of each bin of the histograms; six bins to a power of ten."""

FLAG_EXAMPLES: Final = 3
"""Examples of one flag in one group."""
LEAK_EXAMPLES: Final = 10
"""Examples of one evaluation set's items in one group, each of another item."""

SUITE: Final = pl.col("item").str.extract("^([^/]*)/").alias("suite")
"""The evaluation set that an item is of."""

_JUDGED: Final = ["id", "language", "flags", "request_key", "row_key", "leaks", "request_chars", "answer_chars"]


class Shard(NamedTuple):
    """A record shard of a source in the data folder `out`, and whether its verdicts are there."""

    out: Path
    source: str
    name: str
    judged: bool

    @property
    def path(self) -> Path:
        """The file of the records."""
        return self.out / "records" / self.source / self.name


class Counted(NamedTuple):
    """The counts of one shard, or of several of one source, as frames; each has `group`, a row number of `groups`.

    `groups` has the `TAGS`; `sizes` rows and characters; `lengths` rows by `side` (request, answer) and `bin` of
    `EDGES`; `languages`, `flags` and `leaks` rows by language found, flag and evaluation set. `items` has each
    evaluation item that is held, once. `flagged` and `leaked` are rows to show, by shard and `place` in it, of the
    smallest draws. `keys` has the near-duplicate keys of every record. Without verdicts what they tell is empty.
    """

    groups: pl.DataFrame
    sizes: pl.DataFrame
    lengths: pl.DataFrame
    languages: pl.DataFrame
    flags: pl.DataFrame
    leaks: pl.DataFrame
    items: pl.DataFrame
    flagged: pl.DataFrame
    leaked: pl.DataFrame
    keys: pl.DataFrame


def count(shard: Shard) -> Counted:
    """Count one shard; `ArtefactError` when it, or its verdicts, cannot be read or do not belong together."""
    records = columns(shard.path, ["id", *TAGS, *([] if shard.judged else [*PROMPT, *ANSWER])])
    groups = records.select(TAGS).unique(maintain_order=True).with_row_index("group")
    columns_of = _judged(shard, records) if shard.judged else _unjudged()
    frame = (
        records.join(groups, on=TAGS, how="left", maintain_order="left")
        .with_columns(**columns_of, shard=pl.lit(shard.name))
        .with_row_index("place")
    )
    return _counted(groups.select(TAGS), frame.select(*_FRAME))


_FRAME: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "group": pl.UInt32,
    "shard": pl.String,
    "place": pl.UInt32,
    "id": pl.String,
    "language": pl.String,
    "flags": pl.List(pl.String),
    "request_key": pl.UInt64,
    "row_key": pl.UInt64,
    "leaks": pl.List(pl.String),
    "request_chars": pl.UInt32,
    "answer_chars": pl.UInt32,
}


def nothing(tags: dict[str, str]) -> Counted:
    """The counts of a source that has no records: those of one group of these `TAGS`, with no rows."""
    return _counted(pl.DataFrame([tags], schema=dict.fromkeys(TAGS, pl.String)), pl.DataFrame(schema=_FRAME))


def _counted(groups: pl.DataFrame, frame: pl.DataFrame) -> Counted:
    leaks = frame.explode("leaks").filter(pl.col("leaks").is_not_null()).rename({"leaks": "item"}).with_columns(SUITE)
    flags = frame.explode("flags").filter(pl.col("flags").is_not_null()).rename({"flags": "flag"})
    return Counted(
        groups=groups,
        sizes=frame.group_by("group", maintain_order=True).agg(
            pl.len().cast(pl.UInt64).alias("rows"), pl.col("request_chars", "answer_chars").cast(pl.UInt64).sum()
        ),
        lengths=pl.concat([_lengths(frame, side) for side in ("request", "answer")]),
        languages=_tally(frame.filter(pl.col("language").is_not_null()), "language"),
        flags=_tally(flags, "flag"),
        leaks=_tally(leaks.unique(["place", "suite"]), "suite"),
        items=leaks.select("group", "suite", "item").unique().sort("group", "item"),
        flagged=first(
            flags.select("group", "flag", "shard", "place", "id", draw=keyed(0, "example", "id", "flag")),
            "flag",
            FLAG_EXAMPLES,
        ),
        leaked=leaked(
            leaks.select("group", "suite", "item", "shard", "place", "id", draw=keyed(0, "leak", "id", "item"))
        ),
        keys=frame.filter(pl.col("request_key") | pl.col("row_key") != 0).select(
            "group", request="request_key", row="row_key"
        ),
    )


def _judged(shard: Shard, records: pl.DataFrame) -> dict[str, pl.Series]:
    found = verdicts(shard.out, shard.source, shard.name, _JUDGED)
    if not found["id"].equals(records["id"]):
        raise ArtefactError(
            f"{shard.out / 'verdicts' / shard.source / shard.name}: judges other records than {shard.path} holds; "
            f"delete {shard.out / 'verdicts' / shard.source} and run make judge"
        )
    return {name: found[name] for name in _JUDGED}


def _unjudged() -> dict[str, pl.Expr]:
    texts = pl.lit(None, dtype=pl.List(pl.String))
    return {
        "language": pl.lit(None, dtype=pl.String),
        "flags": texts,
        "leaks": texts,
        "request_key": pl.lit(0, dtype=pl.UInt64),
        "row_key": pl.lit(0, dtype=pl.UInt64),
        "request_chars": characters(PROMPT),
        "answer_chars": characters(ANSWER),
    }


def _lengths(frame: pl.DataFrame, side: str) -> pl.DataFrame:
    bins = np.searchsorted(np.array(EDGES), frame[f"{side}_chars"].to_numpy(), side="right") - 1
    binned = frame.select("group", bin=pl.Series(bins.astype(np.uint32)))
    return _tally(binned, "bin").select("group", "bin", "rows", side=pl.lit(side))


def _tally(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.group_by("group", name).agg(pl.len().cast(pl.UInt64).alias("rows")).sort("group", name)


def first(drawn: pl.DataFrame, name: str, most: int) -> pl.DataFrame:
    """Of each group and value of the column `name` the rows of the smallest draws, in the order of draws."""
    ordered = drawn.sort("group", name, "draw", "id", "shard", "place")
    return ordered.group_by("group", name, maintain_order=True).head(most)


def leaked(drawn: pl.DataFrame) -> pl.DataFrame:
    """Of each group and evaluation set the rows of the smallest draws, no two of one item."""
    return first(first(drawn, "item", 1).select(drawn.columns), "suite", LEAK_EXAMPLES).select(drawn.columns)


def together(counted: list[Counted]) -> Counted:
    """The counts of the shards of one source as one."""
    groups = pl.concat([one.groups for one in counted]).unique(maintain_order=True).sort(TAGS)
    numbered = groups.with_row_index("to")

    def all_of(name: str) -> pl.DataFrame:
        parts = []
        for one in counted:
            # Numbers of the shard's groups as those of the source's.
            to = one.groups.join(numbered, on=TAGS, how="left", maintain_order="left")["to"]
            part: pl.DataFrame = getattr(one, name)
            parts.append(part.with_columns(group=to.gather(part["group"])))
        return pl.concat(parts)

    def summed(name: str, *by: str) -> pl.DataFrame:
        return all_of(name).group_by("group", *by).agg(pl.exclude("group", *by).sum()).sort("group", *by)

    return Counted(
        groups=groups,
        sizes=summed("sizes"),
        lengths=summed("lengths", "side", "bin"),
        languages=summed("languages", "language"),
        flags=summed("flags", "flag"),
        leaks=summed("leaks", "suite"),
        items=all_of("items").unique().sort("group", "item"),
        flagged=first(all_of("flagged"), "flag", FLAG_EXAMPLES),
        leaked=leaked(all_of("leaked")),
        keys=all_of("keys"),
    )
