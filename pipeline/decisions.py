"""What became of each record that a mixture was chosen from, kept beside its rows, so that it need not be decided anew.

`decisions.ipc` has one byte a record, zstd behind that: the split that takes it, or the reason that leaves it out.
The parts follow on one another, a part's records in the order of subset, row and part of the row, which does not depend
on how records are cut into shards; so a record is found by its number in that order, and one batch is read for it. How
far a draw went, where one left records out, stands in the manifest.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from collectors.errors import ArtefactError
from collectors.mixture import Mixture
from pipeline import shards
from pipeline.arrays import arrow
from pipeline.keys import DRAWN_AT_ONCE, Keys, Numbers, draws
from pipeline.quota import Drawn, tree
from pipeline.selection import REASONS, TAKEN, Selection, seed_of

FILE: Final = "decisions.ipc"
"""The file beside a mixture's rows; these alone are called `*.arrow`."""

TRAIN: Final = "train"
SPLITS: Final = (TRAIN, "holdout")
"""What stands there of a record that is taken; of another it is one of `selection.REASONS`."""

DRAWN: Final = REASONS[REASONS.index("max_rows") :]
"""The reasons that a draw decides by, in the order in which they do."""

SCHEMA: Final = pa.schema([pa.field("outcome", pa.dictionary(pa.int8(), pa.large_string()), nullable=False)])

_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd"), use_threads=False)
"""Few rows are ever asked for, so that the size counts, not how fast all are read."""

_AT_ONCE: Final = 1 << 20
"""Records put in order at a time, which bounds the memory that takes."""


def keep(place: Path, mixture: Mixture, known: Keys, chosen: Selection) -> dict[str, Any]:
    """Write the decisions to the folder `place`: what a manifest says of them, its key `decisions`.

    That is the file's `path`, `sha256` and `rows`, and in `draws`, for each draw that left records out, the `parts`
    (by number) it was among, the `rule` it served, of how many records (`of`) it took how many (`taken`), and the
    `last` draw that was among these, None where none was.
    """
    names = arrow([*REASONS, *SPLITS])
    with pa.ipc.new_file(str(place / FILE), SCHEMA, options=_OPTIONS) as writer:
        for outcomes in _batches(known, chosen):
            column = pa.DictionaryArray.from_arrays(arrow(outcomes), names)
            writer.write_batch(pa.record_batch([column], schema=SCHEMA))
    rows = len(chosen.verdict)
    drawn = [entry for pool in tree(mixture)[1] for entry in _draws(mixture, pool, known, chosen)]
    return {"path": FILE, "sha256": shards.digest(place / FILE), "rows": rows, "draws": drawn}


def outcomes(place: Path, numbers: Sequence[int]) -> list[str]:
    """The outcomes of the records of these numbers, from the mixture's folder; `ArtefactError` if they cannot be read.

    A record's number counts those of the parts before its own, and those of its part before it.
    """
    found = dict[int, str]()
    try:
        with pa.memory_map(str(place / FILE)) as source:
            reader = pa.ipc.open_file(source)
            for batch, some in groupby(sorted(set(numbers)), lambda number: number // shards.ROWS):
                column = reader.get_batch(batch).column("outcome")
                found |= {number: column[number % shards.ROWS].as_py() for number in some}
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise ArtefactError(f"{place / FILE}: cannot be read ({str(error).splitlines()[0]})") from None
    return [found[number] for number in numbers]


def _batches(known: Keys, chosen: Selection) -> Iterator[npt.NDArray[np.int8]]:
    """The outcomes in the order of the file, as places in `REASONS` and behind them `SPLITS`, a batch at a time."""
    ordered = np.empty(len(chosen.verdict), np.int8)
    for start in range(0, len(ordered), _AT_ONCE):
        span = slice(start, start + _AT_ONCE)
        held = chosen.held[span] & (chosen.verdict[span] == TAKEN)
        ordered[known.age[span]] = chosen.verdict[span] + held
    for start in range(0, len(ordered), shards.ROWS):
        yield ordered[start : start + shards.ROWS]


def _draws(mixture: Mixture, pool: Drawn, known: Keys, chosen: Selection) -> Iterator[dict[str, Any]]:
    """What is told of the draws among the records of a pool."""
    spans = [known.parts[number] for number in pool.parts]
    counts = np.sum([np.bincount(chosen.verdict[span], minlength=TAKEN + 1) for span in spans], axis=0)
    left = [REASONS.index(rule) for rule in DRAWN]
    for rule in [rule for rule in left if counts[rule]]:
        kept = [*(later for later in left if later > rule), TAKEN]
        last = -1
        for some in _records(spans, chosen, kept):
            last = max(last, int(draws(known.ids, some, seed_of(mixture.parts[pool.parts[0]], mixture), "draw").max()))
        taken = int(counts[kept].sum())
        yield {
            "parts": list(pool.parts),
            "rule": REASONS[rule],
            "of": taken + int(counts[rule]),
            "taken": taken,
            "last": last if taken else None,
        }


def _records(spans: list[slice], chosen: Selection, verdicts: list[int]) -> Iterator[Numbers]:
    """The records of some parts that have one of these verdicts, not too many at a time."""
    wanted = np.isin(np.arange(TAKEN + 1), verdicts)
    for span in spans:
        for start in range(span.start, span.stop, DRAWN_AT_ONCE):
            some = np.flatnonzero(wanted[chosen.verdict[start : min(span.stop, start + DRAWN_AT_ONCE)]])
            if len(some):
                yield (start + some).astype(np.uint32)
