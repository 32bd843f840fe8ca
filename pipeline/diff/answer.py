"""The whole answer of a comparison, ready for JSON: how many rows differ, in what, and a few of them."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.counts import counter
from pipeline.diff.examples import examples
from pipeline.diff.matching import paired
from pipeline.diff.rows import TAGS, Rows, read
from pipeline.diff.sides import Kind, Side, check_kinds, side
from pipeline.engine import Engine

Record = dict[str, Any]
Statuses = npt.NDArray[np.uint8]

SAME, MOVED, CHANGED, ONLY = range(4)
"""What became of a row: the other side has it as it is; the record is there, from another raw row; it is worded
differently, or its raw row gives another record; the other side lacks it."""

BITS: Final = 5
"""Rows are paired by the first bits of their ids, or marks, in two to this power steps, which bounds the memory."""


def diff(first: str, second: str, out: Path, engine: Engine, *, tokenizer: str | None = None) -> Record:
    """What two built mixtures, or two corpora, do not have in common.

    Each is a name in the data folder `out` or a folder (see `sides.side`). `rows` counts the rows both have (`same`;
    `moved` of them from another raw row), those that are there in both but `changed` (worded differently; of corpora:
    the raw row gives another record), and those `only_a` and `only_b`; repeated rows count each time. `by` has the same
    by the values of each tag, with the rows and characters of both sides, and their tokens where a `tokenizer` (see
    `counts.counter`) is named: of a mixture those of its messages, of a corpus those of its records, as `counts` has
    them. `examples` are a few of each, chosen by a hash of their ids. Raises what `side`, `read` and `counter` raise,
    and `CatalogError` for a mixture beside a corpus.
    """
    sides = side(first, out), side(second, out)
    check_kinds(*sides)
    counted_by = None if tokenizer is None else counter(tokenizer)
    a, b = (read(one, engine, counted_by) for one in sides)
    status = _compared(sides[0].kind, a, b)
    counted = [{what: int((found == code).sum()) for what, code in CODES.items()} for found in status]
    return {
        "kind": sides[0].kind,
        "tokenizer": tokenizer,
        "a": _told(sides[0], a),
        "b": _told(sides[1], b),
        "rows": {
            "same": counted[0]["same"] + counted[0]["moved"],
            "moved": counted[0]["moved"],
            "changed": counted[0]["changed"],
            "only_a": counted[0]["only"],
            "only_b": counted[1]["only"],
        },
        "by": _by((a, b), status),
        "examples": examples(sides, (a, b), status, changed=CHANGED, only=ONLY),
    }


CODES: Final = {"same": SAME, "moved": MOVED, "changed": CHANGED, "only": ONLY}


def _told(one: Side, rows: Rows) -> Record:
    sizes = {unit: int(found.sum(dtype=np.int64)) for unit, found in _sizes(rows).items()}
    return {"name": one.name, "rows": one.rows, **sizes, "judged": rows.judged}


def _sizes(rows: Rows) -> dict[str, npt.NDArray[np.uint32]]:
    """The length of each row by what it is counted in."""
    return {"characters": rows.size} | ({} if rows.tokens is None else {"tokens": rows.tokens})


def _compared(kind: Kind, a: Rows, b: Rows) -> tuple[Statuses, Statuses]:
    """What became of each row of both sides."""
    status = np.full(len(a.high), ONLY, np.uint8), np.full(len(b.high), ONLY, np.uint8)
    cuts = np.arange(1, 1 << BITS, dtype=np.uint64) << np.uint64(64 - BITS)
    edges = [[0, *np.searchsorted(rows.high, cuts).tolist(), len(rows.high)] for rows in (a, b)]
    for span in zip(*(map(slice, ends, ends[1:]) for ends in edges), strict=True):
        both = [(rows.high[cut], rows.low[cut], rows.mark[cut]) for rows, cut in zip((a, b), span, strict=True)]
        _mark(status, span, paired(*both), SAME)
        rest = [found[cut] == ONLY for found, cut in zip(status, span, strict=True)]
        ids = [(high[left], low[left]) for (high, low, _), left in zip(both, rest, strict=True)]
        for found, cut, left, flags in zip(status, span, rest, paired(*ids), strict=True):
            found[cut][np.flatnonzero(left)[flags]] = CHANGED if kind == "mixture" else MOVED
    for step in range(1 << BITS if kind == "corpus" else 0):
        left = [
            np.flatnonzero((found == ONLY) & (rows.mark >> np.uint64(64 - BITS) == step))
            for found, rows in zip(status, (a, b), strict=True)
        ]
        for found, some, flags in zip(status, left, paired([a.mark[left[0]]], [b.mark[left[1]]]), strict=True):
            found[some[flags]] = CHANGED
    return status


def _mark(
    status: tuple[Statuses, Statuses], span: tuple[slice, ...], flags: tuple[npt.NDArray[np.bool_], ...], code: int
) -> None:
    for found, cut, chosen in zip(status, span, flags, strict=True):
        found[cut][chosen] = code


def _by(sides: tuple[Rows, Rows], status: tuple[Statuses, Statuses]) -> Record:
    """Rows, characters and tokens of both sides, and of what differs, by the values of tags, language and split."""
    by: Record = {}
    units = ["rows", *_sizes(sides[0])]
    for number, name in enumerate([*TAGS, "split"]):
        cells: dict[str, Record] = {}
        for cell, end, chosen in CELLS:
            rows, found = sides[end], status[end]
            values = rows.languages if name == "language" else [group[number] for group in rows.groups]
            places = rows.language if name == "language" else rows.group
            mine = slice(None) if chosen is None else found == chosen
            counts = [np.bincount(places[mine], minlength=len(values))]
            counts += [np.bincount(places[mine], size[mine], len(values)) for size in _sizes(rows).values()]
            for value, *sums in zip(values, *(count.tolist() for count in counts), strict=True):
                told = cells.setdefault(value, {one: dict.fromkeys(units, 0) for one, _, _ in CELLS})[cell]
                for unit, count in zip(units, sums, strict=True):
                    told[unit] += int(count)
        by[name] = {value: cell for value, cell in sorted(cells.items()) if cell["a"]["rows"] or cell["b"]["rows"]}
    return {name: values for name, values in by.items() if name != "split" or "" not in values}


CELLS: Final = (("a", 0, None), ("b", 1, None), ("only_a", 0, ONLY), ("only_b", 1, ONLY), ("changed", 0, CHANGED))
"""What is counted by tag: its name, which side's rows, and what became of them; of changed rows the first side's."""
