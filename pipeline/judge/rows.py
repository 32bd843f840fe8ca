"""The first step of judge: what can be said of a record by itself, and the signature it is compared by."""

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa

from collectors.record import ids
from pipeline import shards
from pipeline.judge.flags import COLUMNS, flags
from pipeline.judge.language import agrees, detect
from pipeline.judge.leaks import Index, leaks
from pipeline.judge.signed import signature, write_signatures
from pipeline.judge.texts import answer, request
from pipeline.judge.tokens import joined, tokens
from pipeline.judge.verdict import LATER, SCHEMA
from pipeline.keys import columns

PROMPT: Final = ("system", "history", "instruction", "input")
"""The columns of a request, as ids take them."""

SIGNATURES: Final = "signatures"
"""The folder of the signature shards, beside the shards of the rows' own verdicts."""


class Piece(NamedTuple):
    """A record shard, the folder for what is found, and the folder of the index of leaks, if any are looked for."""

    shard: Path
    folder: Path
    items: Path | None


class Counts(NamedTuple):
    """What one shard adds to the books: records, (declared, detected) languages, disagreements, flags, leaks by set."""

    records: int
    languages: Counter[tuple[str, str]]
    disagree: int
    flags: Counter[str]
    leaks: Counter[str]


def judge_rows(piece: Piece) -> Counts:
    """Judge the records of one shard each by itself; write its verdicts, but for the clusters, and its signatures."""
    records = columns(piece.shard, ["id", "lang", *COLUMNS]).with_columns(pl.col("lang").cast(pl.String))
    asked, answered = request(records), answer(records)
    found, answers = detect(asked), detect(answered)
    named = records.with_columns(request_language=found["language"], answer_language=answers["language"])
    asked_words, answered_words = tokens(asked), tokens(answered)
    of_request = signature(asked_words.hashes, asked_words.offsets)
    of_row = signature(*joined(asked_words, answered_words)[:2])
    held = leaks(asked_words, answered_words, Index.load(piece.items)) if piece.items else _nothing(len(asked))
    verdicts = pl.DataFrame(
        [
            records["id"],
            *found.get_columns(),
            flags(named).alias("flags"),
            ids(records, PROMPT).alias("prompt_id"),
            pl.Series("request_key", of_request.keys),
            pl.Series("row_key", of_row.keys),
            held.alias("leaks"),
            *records.select(request_chars=characters(PROMPT), answer_chars=characters(("rationale", "output"))),
        ]
    )
    kept = [name for name in SCHEMA.names if name not in LATER]
    table = verdicts.select(kept).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    shards.write(piece.folder / piece.shard.name, table.cast(pa.schema([SCHEMA.field(name) for name in kept])))
    write_signatures(piece.folder / SIGNATURES / piece.shard.name, records["id"], of_request, of_row)
    return _counts(named, verdicts)


def _nothing(count: int) -> pl.Series:
    return pl.Series("leaks", [[]], dtype=pl.List(pl.String)).new_from_index(0, count)


def characters(names: tuple[str, ...]) -> pl.Expr:
    """The characters of all these columns together; those of a history are its turns'."""
    turn = pl.element().struct
    lengths = [
        pl.col(name).list.eval(turn.field("user").str.len_chars() + turn.field("assistant").str.len_chars()).list.sum()
        if name == "history"
        else pl.col(name).str.len_chars()
        for name in names
    ]
    return pl.sum_horizontal(lengths).cast(pl.UInt32)


def _counts(records: pl.DataFrame, verdicts: pl.DataFrame) -> Counts:
    languages = records.group_by("lang", "request_language").len()
    agree = records.select(agrees(pl.col("lang"), pl.col("request_language")).sum()).item()
    suites = verdicts.select(pl.col("leaks").list.eval(pl.element().str.extract("^([^/]*)/").unique()).explode())
    return Counts(
        records=records.height,
        languages=Counter({(tag, language): count for tag, language, count in languages.iter_rows()}),
        disagree=records.height - agree,
        flags=Counter(verdicts["flags"].explode().drop_nulls().to_list()),
        leaks=Counter(suites.to_series().drop_nulls().to_list()),
    )
