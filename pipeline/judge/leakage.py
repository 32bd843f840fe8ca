"""What leaked, for people: where a record and an item overlap, and a source's leaks set by set."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import polars as pl

from collectors.record import keyed
from pipeline.judge.overlap import Overlap, overlap
from pipeline.judge.texts import answer, request

EXAMPLES: Final = 10
"""Examples of one set's items in one source."""


class Example(NamedTuple):
    """One record that holds an item: its id, the item's name, both texts, and where they overlap."""

    id: str
    item: str
    record_text: str
    item_text: str
    overlap: Overlap


class Leakage(NamedTuple):
    """What one source holds of one set: rows that hold any of it, and the items held of all there are.

    `examples` are of different items, chosen by a keyed hash.
    """

    suite: str
    rows: int
    held: int
    items: int
    examples: list[Example]

    @property
    def share(self) -> float:
        """The share of the set that the source holds."""
        return self.held / self.items


def summary(judged: Iterable[pl.DataFrame], items: pl.DataFrame) -> list[Leakage]:
    """The leaks of one source, an entry for each set of which it holds anything, by name.

    `judged` are the source's records in frames of any size, with their verdicts' column `leaks`; `items` are as
    `suites.ITEMS`. The outcome does not depend on how the records are cut into frames, nor on the frames' order.
    """
    rows: dict[str, int] = {}
    held: list[pl.DataFrame] = []
    for frame in judged:
        found = _found(frame)
        for suite, count in found.group_by("suite").agg(pl.col("place").n_unique()).rows():
            rows[suite] = rows.get(suite, 0) + count
        held = [_chosen(pl.concat([*held, found.drop("place")]))]
    if not rows:
        return []
    sizes = dict(items.group_by(suite=_suite(pl.col("name"))).len().rows())
    texts = _texts(held[0], items)
    return [
        Leakage(
            suite=suite,
            rows=rows[suite],
            held=part.height,
            items=sizes[suite],
            examples=list(_examples(part.head(EXAMPLES), texts)),
        )
        for suite in sorted(rows)
        for part in [held[0].filter(pl.col("suite") == suite)]
    ]


def _suite(name: pl.Expr) -> pl.Expr:
    return name.str.extract("^([^/]*)/")


def _found(frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each item of each record: place of the record in the frame, id, suite, item, draw, and the text."""
    listed = frame.with_row_index("place").filter(pl.col("leaks").list.len() > 0)
    text = (request(listed) + "\n" + answer(listed)).str.strip_chars()
    return (
        listed.select("place", "id", "leaks", text=text)
        .explode("leaks")
        .select(
            "place", "id", "text", suite=_suite(pl.col("leaks")), item="leaks", draw=keyed(0, "leak", "id", "leaks")
        )
    )


def _chosen(found: pl.DataFrame) -> pl.DataFrame:
    """One record for each item, that of the smallest draw, in the order of draws; texts beyond the examples go."""
    ordered = found.sort("draw", "id").unique("item", keep="first", maintain_order=True)
    rank = pl.int_range(pl.len()).over("suite")
    return ordered.with_columns(text=pl.when(rank < EXAMPLES).then("text"))


def _texts(found: pl.DataFrame, items: pl.DataFrame) -> dict[str, str]:
    """The text of each item found, its options below its question."""
    there = items.filter(pl.col("name").is_in(found["item"].implode())).select("name", "question", "options")
    return {name: f"{question}\n{options}".rstrip("\n") for name, question, options in there.rows()}


def _examples(part: pl.DataFrame, texts: dict[str, str]) -> Iterator[Example]:
    for ident, item, text in part.select("id", "item", "text").rows():
        yield Example(ident, item, text, texts[item], overlap(text, texts[item]))
