"""A record's duplicates: rows of its id, rows of its words, verified near-duplicates, and its clusters."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from collectors.errors import ArtefactError
from pipeline.judge.read import pairs, pairs_in
from pipeline.why.difference import changes
from pipeline.why.judgement import TEXTS, texts
from pipeline.why.places import LINEAGE, Lineage, Place, Records
from pipeline.why.verdicts import Verdicts

CLUSTERS: Final = {"request": "request_cluster", "row": "cluster"}
"""By what records are compared, and the column with the representative."""

Record = dict[str, Any]
Pairs = list[tuple[str, int, float]]
"""Near-duplicates: id, key, and Jaccard similarity."""


def duplicates(
    place: Place, record: Record, verdict: Record | None, same: Sequence[Place], known: Verdicts, most: int | None
) -> Record:
    """`same_id`: other rows of the record's id, of which `same` are all; and for each notion what is `_Near` it.

    Of each kind there are `most`, None: all. Without a verdict there is nothing but the id.
    """
    others = [one for one in same if one != place]
    found: Record = {"same_id": {"count": len(others), "rows": _lineages(others[:most], known.records)}}
    if verdict is not None:
        for notion in CLUSTERS:
            key, head = verdict[f"{notion}_key"], verdict[CLUSTERS[notion]]
            near = _Near(notion, record, texts(record), key, head, known, most)
            found[notion] = near.told(set(same))
    return found


def _lineages(places: Sequence[Place], records: Records) -> list[Record]:
    return [one._asdict() for one in records.lineages(places)]


@dataclass(frozen=True, slots=True)
class _Near:
    """The duplicates of a record by one notion; `key` is 0 where it has no words, `head` None where it has no cluster.

    `texts` are its request and answer.
    """

    notion: str
    record: Record
    texts: tuple[str, str]
    key: int
    head: str | None
    known: Verdicts
    most: int | None

    def told(self, twins: set[Place]) -> Record:
        """`equal`: rows of the same words, but for `twins`; `pairs`: near-duplicates, nearest first; the `cluster`."""
        near, problem = paired(self.known.records.out, self.notion, self.key) if self.key else ([], None)
        equal, rows = self._rows(near)
        wanted = {ident for ident, _, _ in near[: self.most]} | ({self.head} if self.head else set())
        ids = self.known.records.by_id(wanted)
        other = [one for one in equal if one not in twins]
        return {
            "equal": {"count": len(other), "rows": list(self._compared(other[: self.most]))},
            "pairs": {"count": len(near), "problem": problem, "rows": self._near(near[: self.most], rows, ids)},
            "cluster": self._cluster(ids),
        }

    def _rows(self, paired: Pairs) -> tuple[list[Place], Counter[int]]:
        """The rows of the record's words, and how many there are of the words of each near-duplicate."""
        equal: list[Place] = []
        rows = Counter[int]()
        partners = pl.Series([key for _, key, _ in paired], dtype=pl.UInt64).implode()
        for source, shard, keys in self.known.column(f"{self.notion}_key"):
            if self.key:
                equal += [Place(source, shard, at) for at in (keys == self.key).arg_true()]
            if paired:
                rows.update(keys.filter(keys.is_in(partners)))
        return equal, rows

    def _near(self, paired: Pairs, rows: Counter[int], ids: dict[str, list[Place]]) -> list[Record]:
        """Near-duplicates with what differs; `rows` have the same words as each, `lineage` is None where it is gone."""
        compared = {one["id"]: one for one in self._compared([ids[ident][0] for ident, _, _ in paired if ident in ids])}
        return [
            {"jaccard": round(jaccard, 3), "rows": rows[key]}
            | compared.get(ident, {"id": ident, "lineage": None, "changes": []})
            for ident, key, jaccard in paired
        ]

    def _compared(self, places: Sequence[Place]) -> Iterator[Record]:
        """Records with what they have in place of words of ours: `id`, `lineage` and `changes`."""
        if not places:
            return
        for other in self.known.records.read(places, [*LINEAGE, *TEXTS]).iter_rows(named=True):
            theirs = texts(other)
            sides = [both[0] if self.notion == "request" else "\n".join(both) for both in (self.texts, theirs)]
            yield {
                "id": other["id"],
                "lineage": Lineage(*(other[name] for name in LINEAGE[1:]))._asdict(),
                "changes": [change._asdict() for change in changes(*sides)],
            }

    def _cluster(self, ids: dict[str, list[Place]]) -> Record | None:
        """The representative, where it stands first, and how many records it stands for, itself among them."""
        if self.head is None:
            return None
        size = self.known.count(CLUSTERS[self.notion], self.head)
        rows = _lineages(ids.get(self.head, [])[:1], self.known.records)
        return {"representative": self.head, "rows": rows, "size": size}


def paired(out: Path, notion: str, key: int) -> tuple[Pairs, str | None]:
    """The near-duplicates of the records of this key, nearest first; or why they are not known."""
    near = (pl.col("a_key") == key) | (pl.col("b_key") == key)
    found: Pairs = []
    try:
        for path in pairs(out):
            if path.name.startswith(f"{notion}-") and pairs_in(path, ["a_key", "b_key"]).select(near.any()).item():
                shard = pairs_in(path, ["a", "b", "jaccard", "a_key", "b_key"]).filter(near)
                found += [
                    (b, b_key, jaccard) if a_key == key else (a, a_key, jaccard)
                    for a, b, jaccard, a_key, b_key in shard.iter_rows()
                ]
    except ArtefactError as error:
        return [], str(error)
    return sorted(found, key=lambda one: (-one[2], one[0])), None
