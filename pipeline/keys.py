"""What a mixture decides by: the ids, the lineage and the tags of records, without their text.

A record costs 22 bytes here once it is read, so that ten million of them are decided on in one process; what policies
and quotas ask for beside comes to 8 for near-duplicates, 16 for requests, 4 for lengths and 1 for each other policy.
What is sorted is sorted a bucket at a time, so that a sort takes little more than what it gives.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from collectors.globs import first_mark
from collectors.mixture import Part
from collectors.record import SCHEMA
from pipeline import candidates, counts, shards
from pipeline.candidates import Asked
from pipeline.engine import Engine
from pipeline.judge.read import verdicts

Flags = candidates.Flags
Marks = candidates.Marks
Numbers = npt.NDArray[np.uint32]
Halves = npt.NDArray[np.uint64]

Piece = tuple[int, Path, slice]
"""A shard of records: the number of its part, the file, and which of all records are its."""

FURTHER: Final[dict[str, tuple[tuple[int, ...], str]]] = {
    "licence": ((), "?"),
    "leak": ((), "?"),
    "flag": ((), "?"),
    "prompts": ((2,), "u8"),
    "near": ((), "u8"),
    "characters": ((), "u4"),
    "tokens": ((), "u4"),
}
"""Shape and type, of one record, of what is known only where it is asked for."""

DRAWN_AT_ONCE: Final = 1 << 16
"""Ids turned back into text at a time, which bounds the memory of a draw."""

SORTED_AT_ONCE: Final = 1 << 19
"""Hashes in a bucket, more or less, which bounds the memory of a sort."""

MOST_BUCKETS: Final = 64
"""All hashes are looked at for each bucket."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The records a mixture is chosen from, one entry each; the parts lie one after another, a part's shards too.

    `ids` has the shape (records, 2): the upper and the lower half of each id. `age` is the record's place in the order
    of part, subset, row and part of the row, which does not depend on how records are cut into shards. `admitted` says
    whether the part's `where` lets the record in, `evaluation` whether its file is marked as part of a benchmark.
    `parts` are the entries of each part, `pieces` those of each shard with the number of its part.

    The others are None where nothing asks for them: whether the mixture's policies refuse the record for its `licence`,
    a `leak` or a `flag`; `prompts`, the halves of the hash of its request; `near`, the key by which near-duplicates are
    known (both 0 where the source is not judged); its `characters` and `tokens`.
    """

    ids: Halves
    age: Numbers
    admitted: Flags
    evaluation: Flags
    parts: tuple[slice, ...]
    pieces: tuple[Piece, ...]
    licence: Flags | None = None
    leak: Flags | None = None
    flag: Flags | None = None
    prompts: Halves | None = None
    near: Halves | None = None
    characters: Numbers | None = None
    tokens: Numbers | None = None

    def decided(self) -> "Keys":
        """What is still asked for when all is decided: which records are whose, and which are a benchmark's."""
        return Keys(
            ids=np.empty((0, 2), np.uint64),
            age=np.empty(0, np.uint32),
            admitted=np.empty(0, np.bool_),
            evaluation=self.evaluation,
            parts=self.parts,
            pieces=self.pieces,
        )


def read(
    parts: Sequence[Part],
    marks: Sequence[Marks],
    folders: Sequence[Path],
    records: Sequence[int],
    engine: Engine,
    asked: Sequence[Asked] | None = None,
) -> Keys:
    """The keys of the records in `folders`, one a part, with as many `records` as their manifests tell of.

    `marks` are the globs of each part's source, as `Source.marked` has them; `asked` is what else is asked of each
    part's records, without it only their `where`, of the record alone.

    Raises `ArtefactError` when a shard cannot be read or a folder holds other numbers of records.
    """
    listed = [shards.paths(folder) for folder in folders]
    wanted = asked if asked is not None else _plain(parts, marks)
    jobs = [(path, one) for one, paths in zip(wanted, listed, strict=True) for path in paths]
    results = engine.map(_read, jobs)
    total = sum(records)
    ids, age = np.empty((total, 2), np.uint64), np.empty(total, np.uint32)
    admitted, evaluation = np.empty(total, np.bool_), np.empty(total, np.bool_)
    further: dict[str, npt.NDArray[Any]] = {}
    spans, pieces, start = [], [], 0
    for number, (folder, paths, count) in enumerate(zip(folders, listed, records, strict=True)):
        span, lineage = slice(start, start + count), list[_Lineage]()
        for path in paths:
            shard = next(results)
            here = slice(start, start := start + len(shard.ids))
            pieces.append((number, path, here))
            if start > span.stop:
                break
            ids[here], admitted[here], evaluation[here] = shard.ids, shard.admitted, shard.evaluation
            for name, values in shard.further.items():
                shape, kind = FURTHER[name]
                further.setdefault(name, np.zeros((total, *shape), kind))[here] = values
            lineage.append(shard.lineage)
        if start != span.stop:
            raise ArtefactError(
                f"{folder}: its shards do not hold the {count:,} records its manifest tells of; "
                f"delete it and run make corpus SOURCES={folder.name}"
            )
        if lineage:
            age[span] = _ages(lineage)
            age[span] += np.uint32(span.start)
        spans.append(span)
    return Keys(
        ids=ids,
        age=age,
        admitted=admitted,
        evaluation=evaluation,
        parts=tuple(spans),
        pieces=tuple(pieces),
        **further,
    )


def _plain(parts: Sequence[Part], marks: Sequence[Marks]) -> list[Asked]:
    return [Asked(where=part.where, marks=globs) for part, globs in zip(parts, marks, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Lineage:
    """Where the records of one shard come from, in arrays as narrow as their numbers allow.

    `subset` is a place in `subsets`, which are sorted. `ends` are the lineage of the first and the last record where
    all stand in the order of it, each once; else None.
    """

    subsets: list[str]
    subset: npt.NDArray[np.unsignedinteger]
    row: npt.NDArray[np.unsignedinteger]
    part: npt.NDArray[np.unsignedinteger]
    ends: tuple[tuple[str, int, int], tuple[str, int, int]] | None


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """The keys of one shard; `further` has arrays as `FURTHER` tells of them."""

    ids: Halves
    lineage: _Lineage
    admitted: Flags
    evaluation: Flags
    further: dict[str, npt.NDArray[Any]]


def of(
    parts: Sequence[Part],
    marks: Sequence[Marks],
    frames: Sequence[pl.DataFrame],
    asked: Sequence[Asked] | None = None,
) -> Keys:
    """The keys of some records of each part, as `read` has those of all: frames of id, lineage and tags, one a part.

    A frame has the columns that are asked for, of the record and of the verdict; a key of `where` that it has no column
    for asks nothing.
    """
    wanted = asked if asked is not None else _plain(parts, marks)
    found = [_keys(frame, one) for one, frame in zip(wanted, frames, strict=True)]
    names = list(dict.fromkeys(name for one in found for name in one.further))
    starts = [0, *np.cumsum([len(one.ids) for one in found]).tolist()]
    return Keys(
        ids=np.concatenate([one.ids for one in found]),
        age=np.concatenate(
            [_ages([one.lineage]) + np.uint32(start) for one, start in zip(found, starts, strict=False)]
        ),
        admitted=np.concatenate([one.admitted for one in found]),
        evaluation=np.concatenate([one.evaluation for one in found]),
        parts=tuple(map(slice, starts, starts[1:])),
        pieces=(),
        **{
            name: np.concatenate(
                [one.further.get(name, np.zeros((len(one.ids), *FURTHER[name][0]), FURTHER[name][1])) for one in found]
            )
            for name in names
        },
    )


def _read(piece: tuple[Path, Asked]) -> _Shard:
    """The keys of one shard."""
    path, asked = piece
    records = columns(path, list(dict.fromkeys(["id", "subset", "row", "part", *asked.columns])))
    if asked.judged is not None and asked.verdicts:
        beside = verdicts(*asked.judged, path.name, asked.verdicts)
        if beside.height != records.height:
            out, source = asked.judged
            raise ArtefactError(
                f"{out / 'verdicts' / source / path.name}: judges {beside.height:,} records of {records.height:,}; "
                "run make judge"
            )
        records = records.with_columns(beside.get_columns())
    found = _keys(records, asked)
    if asked.counts is not None:
        found.further["tokens"] = counts.read(asked.counts, path.name)
    return found


def _keys(records: pl.DataFrame, asked: Asked) -> _Shard:
    """The keys of some records of one part."""
    frame = records.select("subset", "row", "part", place=pl.col("subset").rank("dense").cast(pl.UInt32) - 1)
    subsets, place = frame["subset"].unique().sort().to_list(), frame["place"].to_numpy()
    return _Shard(
        ids=halves(records["id"]),
        lineage=_lineage(subsets, place, frame["row"].to_numpy(), frame["part"].to_numpy()),
        admitted=candidates.admitted(asked.where, records),
        evaluation=np.array([first_mark(subset, asked.marks) for subset in subsets], np.bool_)[place],
        further=_further(records, asked),
    )


def _lineage(subsets: list[str], *columns: npt.NDArray[np.unsignedinteger]) -> _Lineage:
    """The lineage of a shard's records: the place of the subset, the row and the part of each."""
    subset, row, part = (column.astype(np.min_scalar_type(column.max(initial=0))) for column in columns)
    higher = part[1:] > part[:-1]
    for column in (row, subset):
        higher = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & higher)
    ends = None
    if len(row) and higher.all():
        one, other = ((subsets[subset[at]], int(row[at]), int(part[at])) for at in (0, -1))
        ends = one, other
    return _Lineage(subsets=subsets, subset=subset, row=row, part=part, ends=ends)


def halves(ids: pl.Series) -> Halves:
    """Ids of 32 hexadecimal digits as the upper and the lower half of each, shape (ids, 2)."""
    raw = ids.to_frame("id").select(pl.col("id").str.decode("hex"))
    parts = [pl.col("id").bin.slice(at, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big") for at in (0, 8)]
    return raw.select(high=parts[0], low=parts[1]).to_numpy()


def _further(records: pl.DataFrame, asked: Asked) -> dict[str, npt.NDArray[Any]]:
    """What is known of some records only where it is asked for."""
    found: dict[str, npt.NDArray[Any]] = dict(candidates.refused(records, asked))
    if asked.prompts and "prompt_id" in records.columns:
        found["prompts"] = halves(records["prompt_id"])
    if asked.notion and (name := f"{asked.notion}_key") in records.columns:
        found["near"] = records[name].to_numpy()
    if asked.characters:
        from pipeline.judge.rows import characters  # loads all of judging, which few mixtures want

        found["characters"] = records.select(characters(candidates.TEXTS)).to_series().to_numpy()
    return found


def _ages(of_part: Sequence[_Lineage]) -> Numbers:
    """The place of each record among those of its part, in the order of subset, row and part of the row."""
    starts = np.cumsum([0, *(len(shard.row) for shard in of_part)])
    ages = np.empty(starts[-1], np.uint32)
    if (follow := _following(of_part)) is not None:
        age = 0
        for number in follow:
            count = len(of_part[number].row)
            ages[starts[number] : starts[number + 1]] = np.arange(age, age := age + count, dtype=np.uint32)
        return ages
    names = sorted({name for shard in of_part for name in shard.subsets})
    subset = np.concatenate(
        [np.searchsorted(names, shard.subsets).astype(np.uint32)[shard.subset] for shard in of_part]
    )
    row = np.concatenate([shard.row for shard in of_part])
    part = np.concatenate([shard.part for shard in of_part])
    ages[np.lexsort((part, row, subset))] = np.arange(len(row), dtype=np.uint32)
    return ages


def _following(shards: Sequence[_Lineage]) -> list[int] | None:
    """The numbers of shards that only need to be put one behind the other; None where records are out of order."""
    known = sorted((shard.ends, number) for number, shard in enumerate(shards) if shard.ends is not None)
    ends = [end for end, _ in known]
    whole = len(known) == sum(len(shard.row) > 0 for shard in shards)
    apart = all(one[1] < other[0] for one, other in pairwise(ends))
    return [number for _, number in known] if whole and apart else None


def columns(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """Some columns of a record shard, plain however they are encoded; `ArtefactError` when it is no such shard."""
    schema = pa.schema([SCHEMA.field(name) for name in names])
    try:
        batches = list(shards.batches(path, list(names)))
        table = pa.Table.from_batches(batches).select(list(names)) if batches else schema.empty_table()
        # A cast loads all of pyarrow.compute, and is seldom needed.
        table = table if table.schema == schema else table.cast(schema)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard of records ({str(error).splitlines()[0]}); "
            f"delete {path.parent} and run make corpus SOURCES={path.parent.name}"
        ) from None
    return pl.DataFrame(table)


def draws(ids: Halves, chosen: Numbers, seed: int, purpose: str, repeats: Numbers | None = None) -> Halves:
    """A 64-bit draw for each of the `chosen` rows of `ids`, as `keyed(seed, purpose, "id")` has it.

    With `repeats`, one for each chosen row, it is drawn for id and repeat: `keyed(seed, purpose, "id", "repeat")`.
    """
    result = np.empty(len(chosen), np.uint64)
    for start in range(0, len(chosen), DRAWN_AT_ONCE):
        cut = slice(start, start + DRAWN_AT_ONCE)
        names = digits(ids[chosen[cut]])
        if repeats is None:
            result[cut] = draws_of(names, seed, purpose).to_numpy()
            continue
        for repeat in np.unique(repeats[cut]).tolist():
            its = np.flatnonzero(repeats[cut] == repeat)
            result[start + its] = draws_of(names[its], seed, purpose, repeat).to_numpy()
    return result


def draws_of(ids: pl.Series, seed: int, purpose: str, repeat: int | None = None) -> pl.Series:
    """A 64-bit draw for each id: `keyed(seed, purpose, "id")`, at three times its speed; or for each id and `repeat`.

    All ids have 32 digits, so the frame around them is the same text.
    """
    behind = "," if repeat is None else f",{len(str(repeat))}:{repeat},"
    text = pl.concat_str(pl.lit(f"{seed}:{purpose}:32:"), "id", pl.lit(behind))
    return ids.to_frame("id").select(text.nchash.xxh3_64()).to_series()  # type: ignore[attr-defined]


def digits(ids: Halves) -> pl.Series:
    """Ids given by their halves, as the 32 hexadecimal digits that records hold."""
    raw = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(ids.astype(">u8"))])
    return pl.Series(raw.cast(pa.large_binary())).bin.encode("hex")


def places(flags: Flags, first: int = 0) -> Numbers:
    """Where flags are set, counted from `first`."""
    found = np.empty(np.count_nonzero(flags), np.uint32)
    end = 0
    for start in range(0, len(flags), SORTED_AT_ONCE):
        some = np.flatnonzero(flags[start : start + SORTED_AT_ONCE])
        found[end : (end := end + len(some))] = some + (first + start)
    return found


def buckets(hashes: npt.NDArray[np.uint64], of: Flags | None = None) -> Iterator[Numbers]:
    """The places of hashes (those that are flagged by `of`, if it is given) by ranges of these, in ascending order.

    Only what is in one bucket then needs to be sorted at once.
    """
    count = min(max(1, -(-len(hashes) // SORTED_AT_ONCE)), MOST_BUCKETS)
    bounds = [number * 2**64 // count for number in range(count + 1)]
    for low, high in pairwise(bounds):
        inside = hashes >= np.uint64(low)
        inside &= hashes <= np.uint64(high - 1)
        if of is not None:
            inside &= of
        yield places(inside)


def by_draw(drawn: npt.NDArray[np.uint64], ages: Callable[[Numbers], Numbers]) -> Iterator[Numbers]:
    """The places of draws in ascending order, a bucket of them at a time; equal ones by what `ages` says of places."""
    for some in buckets(drawn):
        values = drawn[some]
        order = np.argsort(values)
        ascending = values[order]
        if (ascending[1:] == ascending[:-1]).any():
            order = np.lexsort((ages(some), values))
        yield some[order]
