"""What the tests of near-duplicates share: sources of a few rows, merged, and an oracle in plain Python."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from collectors.record import HISTORY, SCHEMA, ids
from pipeline import shards
from pipeline.engine import Engine
from pipeline.judge.merge import Merged, merge
from pipeline.judge.signed import Signed, signature, write_signatures
from pipeline.judge.texts import answer, request
from pipeline.judge.tokens import joined, tokens

Row = tuple[str, str]
"""Instruction and output."""


def records(source: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Record columns of some rows."""
    texts = {"instruction": [row[0] for row in rows], "output": [row[1] for row in rows]}
    frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String)).with_columns(
        **{name: pl.lit(None, pl.String) for name in ("language", "system", "rationale", "rejected", "extra")},
        **dict.fromkeys(("subset", "lang", "task", "gen", "license"), pl.lit("x")),
        source=pl.lit(source),
        row=pl.int_range(pl.len(), dtype=pl.UInt64),
        part=pl.lit(0, pl.UInt16),
        history=pl.lit([], HISTORY),
        input=pl.lit(""),
    )
    return frame.with_columns(id=ids(frame))


def lay(place: Path, sources: dict[str, list[list[Row]]]) -> list[Signed]:
    """Write sources, given by the rows of each of their shards, as record shards and signature shards."""
    signed = []
    for source, cut in sources.items():
        (place / source).mkdir(parents=True)
        paths = [place / source / f"{number:05d}.arrow" for number in range(len(cut))]
        for path, rows in zip(paths, cut, strict=True):
            frame = records(source, rows)
            table = frame.select(SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
            shards.write(path, pa.Table.from_arrays([dictionary(table[f.name], f) for f in SCHEMA], schema=SCHEMA))
            sign(frame, path.with_suffix(".signed"))
        signed.append(
            Signed(name=source, records=tuple(paths), signatures=tuple(path.with_suffix(".signed") for path in paths))
        )
    return signed


def dictionary(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    """A column in the type that records have."""
    array = column.combine_chunks()
    return array.dictionary_encode() if pa.types.is_dictionary(field.type) else array.cast(field.type)


def sign(frame: pl.DataFrame, path: Path) -> None:
    """Write the signature shard of some records."""
    asked = tokens(request(frame))
    hashes, offsets, _ = joined(asked, tokens(answer(frame)))
    write_signatures(path, frame["id"], signature(asked.hashes, asked.offsets), signature(hashes, offsets))


def merged(place: Path, sources: dict[str, list[list[Row]]], workers: int = 1) -> Merged:
    """The merge of some sources; the pairs lie in `<place>/pairs`."""
    signed = lay(place, sources)
    for name in ("scratch", "pairs"):
        (place / name).mkdir()
    with Engine(workers) as engine:
        return merge(signed, place / "scratch", place / "pairs", engine)


def pairs(place: Path, notion: str) -> list[tuple[str, str, float]]:
    """The pairs written, in their order: both ids and the similarity."""
    frames = [pl.read_ipc(path) for path in shards.paths(place / "pairs", f"{notion}-*.arrow")]
    return [pair for frame in frames for pair in frame.select("a", "b", "jaccard").iter_rows()]


def clusters(found: Merged, place: Path, notion: str) -> dict[str, str | None]:
    """The representative of each id."""
    result: dict[str, str | None] = {}
    for number, path in enumerate(found.register.records):
        names = pl.DataFrame(pa.Table.from_batches(list(shards.batches(path, ["id"]))))["id"]
        result |= dict(zip(names, found.cluster_ids(notion, number), strict=True))
    return result


def shingles(text: str) -> set[tuple[str, ...]]:
    """The shingles of a text of plain letters, the way a reader would say it."""
    words = re.findall(r"[a-z0-9]+|[一-鿿]", text.lower())
    return {tuple(words[at : at + 2]) for at in range(max(1, len(words) - 1))} if words else set()


def jaccard(one: str, other: str) -> float:
    """The Jaccard similarity of two texts of plain letters."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second) if first or second else 0.0
