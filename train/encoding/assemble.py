"""The packed rows of a part of a mixture, gathered from its encoded pieces into one Arrow file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collectors.kernel import kernel
from train.encoding import pieces
from train.encoding.coded import Ids
from train.encoding.encode import IGNORED
from train.encoding.pack import Bins, Places

BATCH: Final = 1 << 22
"""Tokens gathered and written at a time."""

LISTS: Final = pa.list_(pa.int32())
SCHEMA: Final = pa.schema([("ids", LISTS), ("labels", LISTS), ("bounds", LISTS), ("rows", pa.list_(pa.int64()))])


def write(path: Path, files: Sequence[Path], lengths: Sequence[Places], bins: Bins) -> None:
    """Write the packed rows of `bins`, whose members are sequences counted through all pieces.

    `lengths` are those of each piece's sequences. Memory is bounded by `BATCH` and what is known of each sequence.
    """
    with path.open("wb") as handle, pa.ipc.new_file(handle, SCHEMA) as writer:
        for batch in _batches(files, lengths, bins):
            writer.write_batch(batch)


def _batches(files: Sequence[Path], lengths: Sequence[Places], bins: Bins) -> Iterator[pa.RecordBatch]:
    starts = np.concatenate([np.cumsum(one) - one for one in lengths]) if files else np.empty(0, np.int64)
    sizes = np.concatenate(lengths) if files else np.empty(0, np.int64)
    firsts = np.cumsum([0, *map(len, lengths)])
    ends = np.concatenate([[0], np.cumsum(sizes[bins.members])])
    for first, last in _groups(ends[bins.edges]):
        members = bins.members[bins.edges[first] : bins.edges[last]]
        edges = bins.edges[first : last + 1] - bins.edges[first]
        places = np.concatenate([[0], np.cumsum(sizes[members])])
        ids, labels = np.empty(places[-1], np.int32), np.empty(places[-1], np.int32)
        rows = np.empty(len(members), np.int64)
        owners = np.searchsorted(firsts, members, side="right") - 1
        for owner in np.unique(owners).tolist():
            piece = pieces.opened(files[owner])
            here = np.flatnonzero(owners == owner)
            within = members[here]
            _copy(piece.ids, piece.mask, starts[within], sizes[within], places[here], ids, labels)
            rows[here] = piece.rows[within - firsts[owner]]
        yield _batch(ids, labels, places, edges, rows)


def _groups(ends: Places) -> Iterator[tuple[int, int]]:
    """Bins from and to, of about `BATCH` tokens each; `ends` are the tokens before every bin, and all of them."""
    first = 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + BATCH)))
        yield first, min(last, len(ends) - 1)
        first = last


@kernel
def _copy(ids: Ids, mask: NDArray[np.uint8], starts: Places, sizes: Places, to: Places, out: Ids, labels: Ids) -> None:
    """Copy sequences of a piece to their places in a batch.

    A sequence's first token is never a target: the shift of the loss would have the sequence before predict it.
    """
    for number in range(len(starts)):
        source, place = starts[number], to[number]
        for step in range(sizes[number]):
            out[place + step] = ids[source + step]
            trained = step > 0 and mask[source + step] != 0
            labels[place + step] = ids[source + step] if trained else IGNORED


def _batch(ids: Ids, labels: Ids, places: Places, edges: Places, rows: NDArray[np.int64]) -> pa.RecordBatch:
    """The packed rows between `edges` (sequences), of sequences at `places` (tokens)."""
    tokens = places[edges]
    # Every row has a bound more than sequences.
    wide = edges + np.arange(len(edges))
    bounds = np.empty(wide[-1], np.int32)
    owner = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    bounds[np.arange(len(owner)) + owner] = places[:-1] - tokens[owner]
    bounds[wide[1:] - 1] = np.diff(tokens)
    lists = [_lists(tokens, ids), _lists(tokens, labels), _lists(wide, bounds), _lists(edges, rows)]
    return pa.record_batch(lists, schema=SCHEMA)


def _lists(edges: Places, values: NDArray[Any]) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(edges.astype(np.int32)), pa.array(values))
