"""A few rows of each kind of difference, with their text: chosen by a hash of their ids, so always the same ones."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collectors.record import HASHED
from pipeline import keys
from pipeline.diff.rows import LINEAGE, Rows, frames
from pipeline.diff.sides import Side

Record = dict[str, Any]
Places = npt.NDArray[np.int64]

FEW: Final = 10
"""Examples of each kind."""

SHOWN: Final = {
    "mixture": ["id", *LINEAGE, "repeat", "lang", "license", "template", "messages"],
    "corpus": ["id", *LINEAGE, "lang", "license", *HASHED],
}
"""What an example shows of its row."""


def examples(
    sides: tuple[Side, Side],
    rows: tuple[Rows, Rows],
    status: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    *,
    changed: int,
    only: int,
) -> Record:
    """`FEW` rows of each kind at most: `only_a` and `only_b` are rows, `changed` pairs of `a` and `b`.

    `changed` and `only` are what `status` says of such a row. Only the shards that examples lie in are read.
    """
    chosen = [_drawn(one, np.flatnonzero(found == only)) for one, found in zip(rows, status, strict=True)]
    first = _drawn(rows[0], np.flatnonzero(status[0] == changed))
    second = [_partner(sides[0].kind, rows, place, np.flatnonzero(status[1] == changed)) for place in first]
    pairs = zip(_rows(sides[0], rows[0], first), _rows(sides[1], rows[1], np.array(second, np.int64)), strict=True)
    return {
        "only_a": _rows(sides[0], rows[0], chosen[0]),
        "only_b": _rows(sides[1], rows[1], chosen[1]),
        "changed": [{"a": one, "b": other} for one, other in pairs],
    }


def _drawn(rows: Rows, places: Places) -> Places:
    """The first row of each of the `FEW` ids with the smallest draws, in the order of these."""
    best: Places = np.empty(0, np.int64)
    lots = np.empty(0, np.uint64)
    for start in range(0, len(places), keys.DRAWN_AT_ONCE):
        some = places[start : start + keys.DRAWN_AT_ONCE]
        ids = keys.digits(np.stack([rows.high[some], rows.low[some]], axis=1))
        lots = np.concatenate([lots, keys.draws_of(ids, 0, "diff").to_numpy()])
        best = np.concatenate([best, some])
        # Equal ids have equal lots, and of these the first is kept: rows are sorted, so it is the earliest.
        lots, kept = np.unique(lots, return_index=True)
        lots, best = lots[:FEW], best[kept[:FEW]]
    return best


def _partner(kind: str, rows: tuple[Rows, Rows], place: int, among: Places) -> int:
    """The row of the second side that a changed row of the first is compared with."""
    a, b = rows
    if kind == "corpus":
        return int(among[b.mark[among] == a.mark[place]][0])
    return int(among[(b.high[among] == a.high[place]) & (b.low[among] == a.low[place])][0])


def _rows(side: Side, rows: Rows, chosen: Places) -> list[Record]:
    """The rows at these places, read from their shards."""
    found: dict[int, Record] = {}
    spots = rows.place[chosen].tolist()
    shard = np.searchsorted(rows.ends, spots, "right").tolist()
    for number in sorted(set(shard)):
        start = rows.ends[number - 1] if number else 0
        wanted = sorted({spot - start for spot, its in zip(spots, shard, strict=True) if its == number})
        at = 0
        for frame in frames(side.shards[number], SHOWN[side.kind]):
            mine = [row for row in wanted if at <= row < at + frame.height]
            for row, told in zip(mine, frame[[row - at for row in mine]].to_dicts(), strict=True):
                found[start + row] = told
            at += frame.height
    return [found[spot] for spot in spots]


def text(kind: str, row: Record) -> str:
    """The text of an example: every message, or every field of a record, behind its name."""
    if kind == "mixture":
        return "\n".join(f"{one['role']}: {one['content']}" for one in row["messages"])
    turns = [f"{who}: {turn[who]}" for turn in row["history"] or [] for who in ("user", "assistant")]
    fields = [f"{name}: {row[name]}" for name in HASHED if name != "history" and row[name]]
    return "\n".join([*turns, *fields])
