"""Reading verdicts, and refusing those of other records."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from pipeline import shards
from pipeline.folder import manifest
from pipeline.judge.verdict import PAIRS, SCHEMA


def judged(out: Path, source: str) -> dict[str, Any] | None:
    """The manifest of a source's verdicts, None where it was never judged.

    Raises `ArtefactError` where they were made of other records, or a shard of them is missing.
    """
    folder = out / "verdicts" / source
    found = manifest(folder)
    if found is None:
        return None
    records = manifest(out / "records" / source)
    if records is None or records.get("fingerprint") != found.get("records_fingerprint"):
        raise ArtefactError(f"{folder}: judges other records than {out / 'records' / source} holds; run make judge")
    lacking = {path.name for path in shards.paths(out / "records" / source)} ^ {
        path.name for path in shards.paths(folder)
    }
    if lacking:
        raise ArtefactError(
            f"{folder}: shard {min(lacking)} has no counterpart among the records; delete the folder and run make judge"
        )
    return found


def verdicts(out: Path, source: str, shard: str, columns: list[str] | None = None) -> pl.DataFrame:
    """The verdicts of the record shard of this name, some columns or all; `ArtefactError` when it is not whole."""
    path = out / "verdicts" / source / shard
    names = SCHEMA.names if columns is None else columns
    schema = pa.schema([SCHEMA.field(name) for name in names])
    try:
        batches = list(shards.batches(path, names))
        table = pa.Table.from_batches(batches).select(names) if batches else schema.empty_table()
        # A cast loads all of pyarrow.compute, and is seldom needed.
        table = table if table.schema == schema else table.cast(schema)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard of verdicts ({str(error).splitlines()[0]}); "
            f"delete {path.parent} and run make judge"
        ) from None
    return pl.DataFrame(table)


def pairs(out: Path) -> list[Path]:
    """The shards of the near-duplicate pairs; `ArtefactError` where they are missing or not finished."""
    folder = out / "verdicts" / PAIRS
    if manifest(folder) is None:
        raise ArtefactError(f"{folder}: holds no finished pairs of near-duplicates; run make judge")
    return shards.paths(folder)


def read_pairs(folder: Path, notion: str, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Some columns of the pairs of a notion, a shard at a time; `ArtefactError` where a shard cannot be read."""
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: no such folder, so no near-duplicates are known; run make judge")
    for path in shards.paths(folder, f"{notion}-*.arrow"):
        yield pairs_in(path, names)


def pairs_in(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """Some columns of one shard of pairs; `ArtefactError` where it cannot be read."""
    try:
        return pl.DataFrame(pa.Table.from_batches(list(shards.batches(path, list(names)))).select(list(names)))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard of near-duplicates ({str(error).splitlines()[0]}); run make judge again"
        ) from None
