"""The rows of one side without their text: ids, what tells one wording from another, tags, lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash  # noqa: F401  (registers the `nchash` namespace)
import pyarrow as pa

from collectors.errors import ArtefactError
from collectors.record import HASHED, framed, keyed
from pipeline import shards
from pipeline.counts import Counter, tokens, tokens_of
from pipeline.diff.matching import Words
from pipeline.diff.sides import Kind, Side
from pipeline.engine import Engine
from pipeline.judge.read import verdicts
from pipeline.keys import halves

Numbers = npt.NDArray[np.uint32]

TAGS: Final = ("source", "lang", "task", "gen", "license", "language")
"""Columns that rows are told by; the language is the one declared, where none was detected."""

LINEAGE: Final = ("source", "subset", "row", "part")

AT_ONCE: Final = 8192
"""Rows whose text is looked at at a time."""

Group = tuple[str, ...]
"""The values of `TAGS`, and the split of a mixture's row; empty where there is none."""


@dataclass(kw_only=True)
class Rows:
    """The rows of a side sorted by id, mark and place, an entry each: 38 bytes a row, 42 where tokens are counted.

    `high` and `low` are the halves of the id. `mark` is a hash of a mixture's row as it is worded, and of the
    lineage of a record. `group` is a place in `groups`, `language` one in `languages`, `place` the row's among all
    of the side as its shards have them, `size` its characters, `tokens` its tokens, None where they are not
    counted. `ends` are the rows up to the end of each shard.
    """

    high: Words
    low: Words
    mark: Words
    group: Numbers
    language: npt.NDArray[np.uint16]
    place: Numbers
    size: Numbers
    tokens: Numbers | None = None
    groups: list[Group] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    judged: int = 0


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What a worker says of a shard: as `Rows`, in the order of the shard, `group` a place in this shard's `groups`."""

    high: Words
    low: Words
    mark: Words
    size: Numbers
    tokens: Numbers | None
    group: Numbers
    groups: list[Group]


def read(side: Side, engine: Engine, counter: Counter | None = None) -> Rows:
    """The rows of a side, with their tokens where there is a `counter` of them.

    Raises `ArtefactError` when a shard cannot be read, or they are not as many as a manifest says.
    """
    found = Rows(
        **{name: np.empty(side.rows, np.uint64) for name in ("high", "low", "mark")},  # type: ignore[arg-type]
        group=np.empty(side.rows, np.uint32),
        language=np.zeros(side.rows, np.uint16),
        place=np.arange(side.rows, dtype=np.uint32),
        size=np.empty(side.rows, np.uint32),
        tokens=None if counter is None else np.empty(side.rows, np.uint32),
    )
    known: dict[Group, int] = {}
    start = 0
    for shard in engine.map(_read, [(path, side.kind, counter) for path in side.shards]):
        span = slice(start, start + len(shard.high))
        start = span.stop
        found.ends.append(start)
        if start > side.rows:
            break
        for name in ("high", "low", "mark", "size"):
            getattr(found, name)[span] = getattr(shard, name)
        if found.tokens is not None and shard.tokens is not None:
            found.tokens[span] = shard.tokens
        places = np.array([known.setdefault(group, len(known)) for group in shard.groups], np.uint32)
        found.group[span] = places[shard.group]
    if start != side.rows:
        raise ArtefactError(f"{side.place}: its shards do not hold the {side.rows:,} rows it tells of; build it again")
    found.groups = list(known)
    _sort(found)
    _tell_languages(found, side)
    return found


def _sort(rows: Rows) -> None:
    """Sort by id, mark and place. Few ids share their upper half, so that only those rows are sorted by the rest."""
    order = np.argsort(rows.high).astype(np.uint32)
    upper = rows.high[order]
    alike = np.zeros(len(upper) + 1, np.bool_)
    alike[1:-1] = upper[1:] == upper[:-1]
    ties = np.flatnonzero(alike[1:] | alike[:-1])
    del upper
    tied = order[ties]
    order[ties] = tied[np.lexsort((tied, rows.mark[tied], rows.low[tied], rows.high[tied]))]
    for name in ("high", "low", "mark", "group", "place", "size", *(["tokens"] if rows.tokens is not None else [])):
        setattr(rows, name, getattr(rows, name)[order])


def _tell_languages(rows: Rows, side: Side) -> None:
    """Put the detected language of each row in place, or the declared one where no verdict has its id."""
    known = {"": 0}
    declared = [known.setdefault(group[TAGS.index("language")], len(known)) for group in rows.groups]
    rows.language = np.array([*declared, 0], np.uint16)[rows.group]
    judged = np.zeros(len(rows.high), np.bool_)
    for folder in side.verdicts:
        for path in shards.paths(folder):
            frame = verdicts(folder.parent.parent, folder.name, path.name, ["id", "language"])
            codes = [known.setdefault(name, len(known)) for name in frame["language"].unique(maintain_order=True)]
            names = list(known)
            code = frame["language"].replace_strict([names[one] for one in codes], codes, return_dtype=pl.UInt16)
            row, verdict = _found(rows, *halves(frame["id"]).T)
            rows.language[row], judged[row] = code.to_numpy()[verdict], True
    rows.languages, rows.judged = list(known), int(judged.sum())


def _found(rows: Rows, high: Words, low: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows that have one of these ids, and which id it is."""
    # Places that are looked for in ascending order are close to one another in memory, and found several times as fast.
    order = np.argsort(high)
    first, end = (np.searchsorted(rows.high, high[order], edge) for edge in ("left", "right"))
    which = np.repeat(order, end - first)
    row = np.arange(len(which)) + np.repeat(first - np.cumsum(end - first) + (end - first), end - first)
    same = rows.low[row] == low[which]
    return row[same], which[same]


def frames(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a shard, `AT_ONCE` rows at a time; `ArtefactError` when it cannot be read."""
    try:
        for batch in shards.batches(path, list(columns)):
            for start in range(0, batch.num_rows, AT_ONCE):
                table = pa.Table.from_batches([batch.slice(start, AT_ONCE)])
                yield pl.DataFrame(table).with_columns(pl.col(pl.Categorical).cast(pl.String)).select(columns)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard ({str(error).splitlines()[0]}); build {path.parent} again"
        ) from None


def _read(piece: tuple[Path, Kind, Counter | None]) -> Shard:
    """The rows of one shard."""
    path, kind, counter = piece
    texts = ["messages"] if kind == "mixture" else ["subset", "row", "part", *HASHED]
    mark, size = (worded(), lengths()) if kind == "mixture" else (keyed(0, "lineage", *LINEAGE), _lengths())
    split = path.name.partition("-")[0] if kind == "mixture" else ""
    pieces, groups, known, counted = [], [], dict[Group, int](), [np.empty(0, np.uint32)]
    for frame in frames(path, ["id", *TAGS, *texts]):
        kinds = frame.select(pl.col(TAGS).fill_null("")).with_columns(split=pl.lit(split))
        each = kinds.unique(maintain_order=True)
        codes = [known.setdefault(group, len(known)) for group in each.iter_rows()]
        each = each.with_columns(code=pl.Series(codes, dtype=pl.UInt32))
        groups.append(kinds.join(each, on=kinds.columns, how="left", maintain_order="left")["code"].to_numpy())
        pieces.append(frame.select("id", mark=mark, size=size.cast(pl.UInt32)))
        if counter is not None:
            counted.append(tokens(frame, counter) if kind == "corpus" else tokens_of(frame, contents(), counter))
    every = (
        pl.concat(pieces) if pieces else pl.DataFrame(schema={"id": pl.String, "mark": pl.UInt64, "size": pl.UInt32})
    )
    high, low = halves(every["id"]).T
    return Shard(
        high=high,
        low=low,
        mark=every["mark"].to_numpy(),
        size=every["size"].to_numpy(),
        tokens=None if counter is None else np.concatenate(counted),
        group=np.concatenate([*groups, np.empty(0, np.uint32)]),
        groups=list(known),
    )


def worded() -> pl.Expr:
    """A hash of a mixture's row as it is worded: of every message, its role and its content."""
    one = pl.element().struct
    text = pl.concat_str(framed(one.field("role")), framed(one.field("content")))
    return pl.col("messages").list.eval(text).list.join("").nchash.xxh3_64()  # type: ignore[attr-defined,no-any-return]


def contents() -> pl.Expr:
    """The texts of a mixture's row, a message each."""
    return pl.col("messages").list.eval(pl.element().struct.field("content"))


def lengths() -> pl.Expr:
    """The characters of a mixture's row, roles not counted."""
    return contents().list.eval(pl.element().str.len_chars()).list.sum()


def _lengths() -> pl.Expr:
    """The characters of a record."""
    one = pl.element().struct
    said = one.field("user").str.len_chars() + one.field("assistant").str.len_chars()
    texts = [pl.col(name).str.len_chars().fill_null(0) for name in HASHED if name != "history"]
    return pl.sum_horizontal(*texts, pl.col("history").list.eval(said).list.sum().fill_null(0))
