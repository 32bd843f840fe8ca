"""Everything the page tells, gathered from a data folder as one object for its script."""

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from collectors.catalog import Catalog, Source
from pipeline.card import TAGS as MEANINGS
from pipeline.engine import Engine
from pipeline.folder import fingerprint, manifest
from pipeline.judge.flags import RULES
from pipeline.judge.language import agrees
from pipeline.judge.verdict import SUITES
from pipeline.page.corpus import Corpus, gather
from pipeline.page.counts import EDGES, Counted
from pipeline.page.examples import examples
from pipeline.page.near import matrices

Facts = dict[str, Any]


def facts(catalog: Catalog, out: Path, engine: Engine) -> Facts:
    """What `page.js` draws, of every source that has records in `out`.

    `groups` are the rows of a source that have the same tags; all counts are theirs, so that the page can add up those
    that pass its filters. Raises `ArtefactError` when `out` holds no records or something in it cannot be read. A
    worker holds a shard; this process some 100 bytes a record, for the near-duplicates.
    """
    corpus = gather(catalog, out, engine)
    suites = (manifest(out / "verdicts" / SUITES) or {"suites": {}})["suites"]
    return {
        "fingerprint": fingerprint(records=[book["fingerprint"] for book in corpus.books.values()]),
        "meanings": MEANINGS,
        "edges": EDGES,
        "sources": [_source(name, catalog.sources.get(name), corpus) for name in corpus.books],
        "groups": [group for number, one in enumerate(corpus.counted.values()) for group in _groups(number, one)],
        "flags": {name: rule.meaning for name, rule in RULES.items()},
        "suites": {name: one["items"] for name, one in suites.items()},
        "held": _held(corpus),
        **matrices(corpus),
        **examples(corpus, engine),
    }


BOOKS: Final = ("raw_rows", "rows_with_records", "records", "rejected", "dropped_parts", "dropped_turns", "limit")
"""What the page tells of the manifest of a source's records."""


def _source(name: str, source: Source | None, corpus: Corpus) -> Facts:
    book = corpus.books[name]
    return {
        "name": name,
        "title": source.title if source else name,
        "about": source.about if source else "",
        "homepage": source.homepage if source else "",
        "terms": source.terms if source else [],
        "state": corpus.states[name],
        **{key: book[key] for key in BOOKS},
        "files": len(book["files"]),
    }


def _groups(number: int, one: Counted) -> list[Facts]:
    """The groups of source `number`, in their order."""
    tags = one.groups.with_row_index("group")
    sizes = tags.join(one.sizes, on="group", how="left", maintain_order="left").fill_null(0).drop("group").to_dicts()
    lengths = {side: _by_group(one.lengths.filter(pl.col("side") == side), "bin") for side in ("request", "answer")}
    languages = _by_group(one.languages, "language")
    flags, leaks = _by_group(one.flags, "flag"), _by_group(one.leaks, "suite")
    others = one.languages.join(tags, on="group").filter(~agrees(pl.col("lang"), pl.col("language")))
    disagree = dict(others.group_by("group").agg(pl.col("rows").sum()).iter_rows())
    return [
        {
            "source": number,
            **size,
            "lengths": {side: found.get(group, {}) for side, found in lengths.items()},
            "languages": languages.get(group, {}),
            "disagree": disagree.get(group, 0),
            "flags": flags.get(group, {}),
            "leaks": leaks.get(group, {}),
        }
        for group, size in enumerate(sizes)
    ]


def _by_group(counts: pl.DataFrame, name: str) -> dict[int, dict[Any, int]]:
    found: dict[int, dict[Any, int]] = defaultdict(dict)
    for group, value, rows in counts.select("group", name, "rows").iter_rows():
        found[group][value] = rows
    return found


def _held(corpus: Corpus) -> list[tuple[str, list[int], int]]:
    """How many evaluation items are held: (set, groups that hold them, items); an item counts once a source."""
    found = []
    for name, one in corpus.counted.items():
        holders = one.items.group_by("suite", "item").agg(pl.col("group").sort())
        counts = holders.group_by("suite", "group").agg(pl.len().alias("items"))
        for suite, groups, items in sorted(counts.iter_rows()):
            found.append((suite, [group + corpus.starts[name] for group in groups], items))
    return found
