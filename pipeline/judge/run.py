"""judge: verdicts beside the records of every source, `data/verdicts/<source>/`.

What follows from a record alone is found source by source and kept under `_rows/`, so that a new source costs its own
rows; the near-duplicates among all of them are found in one merge, which leaves its pairs under `_pairs/`. Under
`_suites/` stand the evaluation items that leaks were looked for in.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from collectors.catalog import Catalog
from collectors.choice import words
from collectors.errors import ArtefactError, SourceError
from pipeline import shards
from pipeline.engine import Engine
from pipeline.folder import building, fingerprint, manifest, restore, write_manifest
from pipeline.judge import leaks
from pipeline.judge.leaks import Index
from pipeline.judge.merge import Merged, merge
from pipeline.judge.rows import SIGNATURES, Counts, Piece, judge_rows
from pipeline.judge.signed import NOTIONS, Signed
from pipeline.judge.suites import SuiteItems
from pipeline.judge.verdict import PAIRS, ROWS, SCHEMA, SUITES

VERSION: Final = 2
"""Part of every fingerprint of this stage: raised when the same records would be judged otherwise."""

INDEX: Final = "index"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The verdicts of one source: their manifest, their folder, and whether they were made now."""

    manifest: dict[str, Any]
    folder: Path
    fresh: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judging:
    """A source on its way: its record shards, their fingerprint, and the folder and manifest of its judged rows."""

    name: str
    records: tuple[Path, ...]
    corpus: str
    folder: Path
    rows: dict[str, Any]

    def signed(self) -> Signed:
        beside = self.folder / SIGNATURES
        return Signed(name=self.name, records=self.records, signatures=tuple(beside / one.name for one in self.records))


def judging(
    catalog: Catalog, names: list[str], out: Path, engine: Engine, suites: Sequence[SuiteItems] | None
) -> Iterator[Judged]:
    """Judge the built sources that `names` means (all, if none is named), in the catalog's order.

    `suites` are the evaluation sets to look for leaks in; None: those of the run before. Sources that were judged
    before and have not changed take part in the merge. Raises `SourceError` where there are no records to judge.
    """
    chosen = _chosen(catalog, names, out)
    verdicts = out / "verdicts"
    items = _suites(suites, verdicts / SUITES)
    ready: list[_Judging] = []
    for name in catalog.sources:
        records = manifest(out / "records" / name)
        if records is None:
            continue
        one = _rows(name, records, verdicts, out, items, engine if name in chosen else None)
        if one is not None:
            ready.append(one)
    yield from _merged(ready, verdicts, items, engine)


def _chosen(catalog: Catalog, names: list[str], out: Path) -> set[str]:
    """The sources to judge; one that is named outright must have records."""
    meant = catalog.chosen(names)
    built = {name for name in meant if manifest(out / "records" / name) is not None}
    for name in words(names):
        if name in catalog.sources and name not in built:
            raise SourceError(f"{name}: has no records in {out / 'records'}; run make corpus SOURCES={name}")
    if not built:
        raise SourceError(f"{out / 'records'}: holds no records of {', '.join(meant)}; run make corpus")
    return built


def _suites(suites: Sequence[SuiteItems] | None, folder: Path) -> dict[str, Any]:
    """The manifest of the evaluation items looked for, which are written to `folder` with their index."""
    restore(folder)
    before = manifest(folder)
    if suites is None:
        return before or _of_suites([])
    now = _of_suites(suites)
    if before == now:
        return now
    with building(folder) as part:
        if suites:
            items = pl.concat([one.items for one in suites])
            items.write_ipc(part / "items.arrow", compat_level=pl.CompatLevel.oldest())
            (part / INDEX).mkdir()
            index = Index.of(items)
            index.save(part / INDEX)
        write_manifest(part, now)
    return now


def _of_suites(suites: Sequence[SuiteItems]) -> dict[str, Any]:
    listed = {one.name: {"items": one.items.height, "files": one.files} for one in suites}
    named = [one.name for one in suites if one.named]
    mark = fingerprint(stage="suites", version=leaks.VERSION, suites=listed)
    return {"suites": listed, "named": named, "fingerprint": mark}


def _rows(
    name: str, records: dict[str, Any], verdicts: Path, out: Path, items: dict[str, Any], engine: Engine | None
) -> _Judging | None:
    """The judged rows of a source, judged now where that is needed; None where it is needed and there is no engine."""
    folder = verdicts / ROWS / name
    listed = tuple(shards.paths(out / "records" / name))
    now = fingerprint(
        stage="judge", version=VERSION, records=records["fingerprint"], suites=items["fingerprint"], shards=len(listed)
    )
    restore(folder)
    found = manifest(folder)
    if found is None or found.get("fingerprint") != now:
        if engine is None:
            return None
        index = verdicts / SUITES / INDEX if items["suites"] else None
        with building(folder) as part:
            (part / SIGNATURES).mkdir()
            counts = list(engine.map(judge_rows, [Piece(path, part, index) for path in listed]))
            found = {"source": name, **_books(counts), "fingerprint": now}
            if found["records"] != records["records"]:
                raise ArtefactError(
                    f"{out / 'records' / name}: holds {found['records']:,} records, its manifest tells of "
                    f"{records['records']:,}; delete it and run make corpus SOURCES={name}"
                )
            write_manifest(part, found)
    return _Judging(name=name, records=listed, corpus=records["fingerprint"], folder=folder, rows=found)


def _books(counts: list[Counts]) -> dict[str, Any]:
    languages = sum((one.languages for one in counts), Counter[tuple[str, str]]())
    declared: dict[str, dict[str, int]] = {}
    for (tag, language), count in sorted(languages.items()):
        declared.setdefault(tag, {})[language] = count
    return {
        "records": sum(one.records for one in counts),
        "languages": declared,
        "disagree": sum(one.disagree for one in counts),
        "flags": dict(sorted(sum((one.flags for one in counts), Counter[str]()).items())),
        "leaks": dict(sorted(sum((one.leaks for one in counts), Counter[str]()).items())),
    }


def _merged(ready: list[_Judging], verdicts: Path, items: dict[str, Any], engine: Engine) -> Iterator[Judged]:
    """The verdicts of all sources, after a merge if any of them changed."""
    sources = {one.name: one.rows["fingerprint"] for one in ready}
    merge_print = fingerprint(stage="merge", version=VERSION, sources=list(sources.items()))
    prints = {
        one.name: fingerprint(stage="verdicts", rows=one.rows["fingerprint"], merge=merge_print, corpus=one.corpus)
        for one in ready
    }
    pairs = verdicts / PAIRS
    for folder in [pairs, *(verdicts / one.name for one in ready)]:
        restore(folder)
    there = {one.name: manifest(verdicts / one.name) for one in ready}
    current = [name for name, found in there.items() if found and found.get("fingerprint") == prints[name]]
    made = manifest(pairs)
    if made and made.get("fingerprint") == merge_print and len(current) == len(ready):
        for name in current:
            yield Judged(manifest=there[name] or {}, folder=verdicts / name, fresh=False)
        return
    with building(pairs) as part:
        scratch = part / "scratch"
        scratch.mkdir()
        merged = merge([one.signed() for one in ready], scratch, part, engine)
        shard = 0
        for one in ready:
            found = _verdicts(one, merged, shard, verdicts / one.name, prints[one.name], items)
            shard += len(one.records)
            yield Judged(manifest=found, folder=verdicts / one.name, fresh=True)
        shutil.rmtree(scratch)
        books = {notion: {name: getattr(merged.books[notion], name) for name in _BOOKS} for notion in NOTIONS}
        write_manifest(part, {"sources": sources, **_turned(books), "fingerprint": merge_print})


_BOOKS: Final = ("copies", "candidates", "pairs", "crowds", "unmet", "clusters", "clustered")


def _turned(books: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Books by notion as books by what they count."""
    return {name: {notion: books[notion][name] for notion in NOTIONS} for name in _BOOKS}


def _verdicts(
    one: _Judging, merged: Merged, shard: int, folder: Path, mark: str, items: dict[str, Any]
) -> dict[str, Any]:
    """Write the verdicts of a source, whose first shard is number `shard` of the merge; their manifest."""
    clustered = Counter[str]()
    with building(folder) as part:
        for number, path in enumerate(one.records, shard):
            clusters = {
                "request_cluster": merged.cluster_ids("request", number),
                "cluster": merged.cluster_ids("row", number),
            }
            table = pa.Table.from_batches(shards.batches(one.folder / path.name))
            for name, column in clusters.items():
                table = table.append_column(name, column.to_arrow(compat_level=pl.CompatLevel.oldest()))
            shards.write(part / path.name, table.select(SCHEMA.names).cast(SCHEMA))
            for notion, column in zip(NOTIONS, clusters.values(), strict=True):
                clustered[notion] += column.len() - column.null_count()
        found = {
            **{name: value for name, value in one.rows.items() if name != "fingerprint"},
            "records_fingerprint": one.corpus,
            "clustered": {notion: clustered[notion] for notion in NOTIONS},
            "suites": sorted(items["suites"]),
            "fingerprint": mark,
        }
        write_manifest(part, found)
    return found
