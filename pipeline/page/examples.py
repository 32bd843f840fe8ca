"""Which rows are shown as examples of what, and the texts of these rows alone."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from collectors.errors import ArtefactError
from pipeline.engine import Engine
from pipeline.judge.verdict import SUITES
from pipeline.page.corpus import Corpus
from pipeline.page.counts import Shard
from pipeline.page.excerpts import Wanted, shown


def examples(corpus: Corpus, engine: Engine) -> dict[str, list[Any]]:
    """`rows` to show, and what they are examples of: `flagged` and `leaked` are [group, flag or item, row].

    Those of a group and a flag, or a group and an evaluation set, are in the order of their draws. Raises
    `ArtefactError` when a shard or the evaluation items cannot be read.
    """
    wanted: dict[tuple[str, str], Wanted] = {}
    for name, shard, place, flag in _listed(corpus, "flagged", "flag"):
        held = wanted.setdefault((name, shard), Wanted(Shard(corpus.out, name, shard, True), {}, {}))
        held.flags.setdefault(place, []).append(flag)
    texts = _texts(corpus, {item for *_, item in _listed(corpus, "leaked", "item")})
    for name, shard, place, item in _listed(corpus, "leaked", "item"):
        held = wanted.setdefault((name, shard), Wanted(Shard(corpus.out, name, shard, True), {}, {}))
        held.items.setdefault(place, []).append((item, texts.get(item, "")))
    rows: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str, int], int] = {}
    for (name, shard), found in zip(wanted, engine.map(shown, list(wanted.values())), strict=True):
        for place, row in found.items():
            numbers[name, shard, place] = len(rows)
            rows.append(row)
    return {
        "rows": rows,
        "flagged": _numbered(corpus, "flagged", "flag", numbers),
        "leaked": _numbered(corpus, "leaked", "item", numbers),
    }


def _listed(corpus: Corpus, frame: str, what: str) -> Iterable[tuple[str, str, int, str]]:
    for name, one in corpus.counted.items():
        for shard, place, value in getattr(one, frame).select("shard", "place", what).iter_rows():
            yield name, shard, place, value


def _numbered(corpus: Corpus, frame: str, what: str, numbers: dict[tuple[str, str, int], int]) -> list[list[Any]]:
    return [
        [group + corpus.starts[name], value, numbers[name, shard, place]]
        for name, one in corpus.counted.items()
        for group, value, shard, place in getattr(one, frame).select("group", what, "shard", "place").iter_rows()
    ]


def _texts(corpus: Corpus, names: set[str]) -> dict[str, str]:
    """The text of evaluation items, options below the question."""
    path = corpus.out / "verdicts" / SUITES / "items.arrow"
    if not names:
        return {}
    try:
        items = pl.read_ipc(path, columns=["name", "question", "options"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtefactError(
            f"{path}: the evaluation items cannot be read ({str(error).splitlines()[0]}); run make judge again"
        ) from None
    there = items.filter(pl.col("name").is_in(sorted(names)))
    return {name: f"{question}\n{options}".rstrip("\n") for name, question, options in there.iter_rows()}
