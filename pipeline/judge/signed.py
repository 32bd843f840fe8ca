"""The signature shards that the merge works on: one beside each record shard, a row a record, in the records' order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from pipeline import shards
from pipeline.judge import tokens
from pipeline.judge.minhash import BANDS, signatures
from pipeline.keys import halves

NOTIONS: Final = ("request", "row")
"""What near-duplicates are told by: the request alone, or the request and its answer."""

_BANDS: Final = pa.list_(pa.field("item", pa.uint32(), nullable=False), BANDS)

SCHEMA: Final = pa.schema(
    [
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        *(pa.field(f"{notion}_key", pa.uint64(), nullable=False) for notion in NOTIONS),
        *(pa.field(f"{notion}_bands", _BANDS, nullable=False) for notion in NOTIONS),
    ]
)
"""Columns of a signature shard: both halves of the id, and for each notion `Signature`."""


class Signature(NamedTuple):
    """Of each text: `keys` as `tokens.keys` gives them, shape (texts,), `bands` as `minhash.signatures` does."""

    keys: npt.NDArray[np.uint64]
    bands: npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A source as the merge takes it: its record shards in their order, and the signature shard of each."""

    name: str
    records: tuple[Path, ...]
    signatures: tuple[Path, ...]


def signature(words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> Signature:
    """The signature of each text, of which text `i` has the folded words `offsets[i]` to `offsets[i + 1]`."""
    return Signature(tokens.keys(words, offsets), signatures(words, offsets))


def write_signatures(path: Path, ids: pl.Series, request: Signature, row: Signature) -> None:
    """Write the signature shard of records of these `ids` (32 hexadecimal digits each)."""
    bands = [pa.FixedSizeListArray.from_arrays(pa.array(one.bands.ravel()), type=_BANDS) for one in (request, row)]
    columns = [*(pa.array(half) for half in halves(ids).T), *map(pa.array, (request.keys, row.keys)), *bands]
    shards.write(path, pa.Table.from_arrays(columns, schema=SCHEMA))


class Names(NamedTuple):
    """What tells the records of a shard: `ids` by their halves, shape (records, 2), and the keys of each notion."""

    ids: npt.NDArray[np.uint64]
    keys: tuple[npt.NDArray[np.uint64], ...]


def names(path: Path) -> Names:
    """The ids and keys of a signature shard; `ArtefactError` when it is none."""
    high, low, *keys = (column.to_numpy() for column in _read(path, SCHEMA.names[: 2 + len(NOTIONS)]))
    return Names(np.stack([high, low], axis=1), tuple(keys))


def bands(path: Path, notion: str) -> npt.NDArray[np.uint32]:
    """The bands of one notion in a signature shard, shape (records, BANDS); `ArtefactError` when it is none."""
    (column,) = _read(path, [f"{notion}_bands"])
    found: npt.NDArray[np.uint32] = column.flatten().to_numpy().reshape(-1, BANDS)
    return found


def _read(path: Path, columns: Sequence[str]) -> list[pa.Array]:
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    try:
        table = pa.Table.from_batches(list(shards.batches(path, list(columns)))).select(list(columns)).cast(schema)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard of signatures ({str(error).splitlines()[0]}); "
            f"delete {path.parent} and run make judge"
        ) from None
    return [column.combine_chunks() for column in table.columns]
