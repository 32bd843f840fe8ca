"""The records of a source counted once by all that a mixture asks of single records, and kept beside its tokens.

A cell is the records that agree in file, tags, language, flags and leaks; a source has a few, or some thousands where
it has many files. They are kept in `data/counts/<tokenizer>/_cells/<source>/` (`characters` in place of a tokenizer,
where none is named) until the records or their verdicts change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
from polars.selectors import categorical

from collectors.errors import ArtefactError
from pipeline import counts, folder, shards
from pipeline.candidates import TEXTS
from pipeline.counts import DIGITS, Counter
from pipeline.engine import Engine
from pipeline.judge.read import verdicts
from pipeline.keys import columns

VERSION: Final = 1
"""Part of the fingerprint of cells: raised when the same records would be counted otherwise."""

TAGS: Final = ("lang", "task", "gen", "license")
"""The tags of a record, by which the shares of a mixture are told."""

SIZES: Final = ("rows", "characters", "tokens")
"""What is counted of a cell; tokens where a tokenizer is named."""

JUDGED: Final = ("flags", "leaks")
"""The columns of a cell that only verdicts tell."""

_READ: Final = ["language", *JUDGED, "request_chars", "answer_chars"]
_PLAIN: Final = "characters"
_FILE: Final = "cells.arrow"

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A record shard of a source in the data folder `out`; whether verdicts are read, and where its tokens are."""

    out: Path
    source: str
    name: str
    judged: bool
    counts: Path | None = None


def facts(shard: Shard) -> pl.DataFrame:
    """A row for each record: `source`, `subset`, the `TAGS`, `language`, and its sizes but for `rows`.

    Where the source is judged, `language` is the one found, `flags` are sorted, and `leaks` are the evaluation sets of
    which it holds items, each with a slash behind it. Raises `ArtefactError` for a shard that cannot be read.
    """
    path = shard.out / "records" / shard.source / shard.name
    records = columns(path, ["subset", *TAGS, "language", *(() if shard.judged else TEXTS)])
    if shard.judged:
        beside = verdicts(shard.out, shard.source, shard.name, _READ)
        if beside.height != records.height:
            raise ArtefactError(
                f"{shard.out / 'verdicts' / shard.source / shard.name}: judges {beside.height:,} records of "
                f"{records.height:,}; run make judge"
            )
        suites = pl.col("leaks").list.eval(pl.element().str.extract("^([^/]*/)")).list.unique().list.sort()
        size = pl.col("request_chars").cast(pl.Int64) + pl.col("answer_chars")
        found = beside.select("language", pl.col("flags").list.sort(), suites, characters=size)
        frame = records.with_columns(found.get_columns())
    else:
        from pipeline.judge.rows import characters  # loads all of judging, which is not needed where that is done

        frame = records.with_columns(characters=characters(TEXTS).cast(pl.Int64)).drop(TEXTS)
    if shard.counts is not None:
        frame = frame.with_columns(tokens=pl.Series(counts.read(shard.counts, shard.name)).cast(pl.Int64))
    return frame.with_columns(source=pl.lit(shard.source))


def merged(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Frames of cells, or of records that have `rows` as well, as one frame of cells."""
    whole = pl.concat(frames)
    names = [name for name in whole.columns if name not in SIZES]
    sizes = [name for name in SIZES if name in whole.columns]
    found = whole.group_by(names).agg(pl.col(sizes).sum())
    # Constant columns of a shard are dictionaries of its own.
    return found.with_columns(categorical().cast(pl.String)).sort(names)


def _count(shard: Shard) -> pl.DataFrame:
    return merged([facts(shard).with_columns(rows=pl.lit(1, pl.Int64))])


def kept(
    source: str, records: Manifest, verdicts_: Manifest | None, by: Counter | None, out: Path
) -> pl.DataFrame | None:
    """The cells of a source as they are kept; None where they are not, or of other records.

    `records` and `verdicts_` are the manifests of both, `by` counts the tokens.
    """
    place = _place(source, by, out)
    found = folder.manifest(place)
    if found is None or found.get("fingerprint") != _mark(records, verdicts_, by):
        return None
    try:
        return pl.DataFrame(pa.Table.from_batches(list(shards.batches(place / _FILE))))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{place / _FILE}: is no whole shard of counts ({str(error).splitlines()[0]}); delete {place} and try again"
        ) from None


def counted(
    source: str, records: Manifest, verdicts_: Manifest | None, by: Counter | None, out: Path, engine: Engine
) -> pl.DataFrame:
    """Count the cells of a source and keep them; the caller holds the lock of `out`.

    Raises `ArtefactError` when a shard cannot be read or the counts not written.
    """
    beside = counts.counted(by, source, out, engine) if by is not None else None
    listed = shards.paths(out / "records" / source)
    jobs = [
        Shard(out=out, source=source, name=path.name, judged=verdicts_ is not None, counts=beside) for path in listed
    ]
    found = merged(list(engine.map(_count, jobs))) if jobs else _nothing(by)
    keep(found, source, records, verdicts_, by, out)
    return found


def keep(
    found: pl.DataFrame,
    source: str,
    records: Manifest,
    verdicts_: Manifest | None,
    by: Counter | None,
    out: Path,
) -> None:
    """Keep the cells of a source, for `kept` to find with the same manifests; the caller holds the lock of `out`."""
    with folder.building(_place(source, by, out)) as part:
        shards.write(part / _FILE, found.to_arrow(compat_level=pl.CompatLevel.oldest()))
        told = {"source": source, "records": records["records"], "cells": found.height}
        folder.write_manifest(part, told | {"fingerprint": _mark(records, verdicts_, by)})


def _nothing(by: Counter | None) -> pl.DataFrame:
    sizes = SIZES if by is not None else SIZES[:2]
    return pl.DataFrame(
        schema=dict.fromkeys(("subset", *TAGS, "language", "source"), pl.String) | dict.fromkeys(sizes, pl.Int64)
    )


def _place(source: str, by: Counter | None, out: Path) -> Path:
    return out / "counts" / (by.digest[:DIGITS] if by is not None else _PLAIN) / "_cells" / source


def _mark(records: Mapping[str, Any], verdicts_: Mapping[str, Any] | None, by: Counter | None) -> str:
    return folder.fingerprint(
        stage="cells",
        version=VERSION,
        records=records["fingerprint"],
        verdicts=None if verdicts_ is None else verdicts_["fingerprint"],
        tokenizer=None if by is None else by.digest,
    )
