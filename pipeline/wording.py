"""The rows of a mixture: records worded by their templates, and sorted by the shards they belong to.

A few record shards at a time are worded (behind examples of their part where these are asked for, see `exemplars`) and
their rows written aside as a fragment, one record batch for each shard of the mixture; `gathering` makes the shards of
these. So a worker holds one shard's text at a time, however large the mixture is. Fragments live for minutes and are
not compressed: that would be a quarter of the work.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import TemplateError
from collectors.mixture import Part
from collectors.record import CONSTANT, SCHEMA
from pipeline import exemplars, keys, shards
from pipeline.engine import Engine
from pipeline.folder import placing
from templates import template
from templates.suffix import suffixed

MESSAGE: Final = pa.struct([("role", pa.large_string()), ("content", pa.large_string())])

_TEXTS: Final = pa.schema([SCHEMA.field(name) for name in ("instruction", "input", "rationale", "rejected")])
_TAGS: Final = pa.schema([SCHEMA.field(name) for name in ("lang", "task", "gen", "language", "license")])
_LINEAGE: Final = pa.schema([SCHEMA.field(name) for name in ("id", "source", "subset", "row", "part")])

MIX_SCHEMA: Final = pa.schema(
    [
        pa.field("messages", pa.list_(MESSAGE), nullable=False),
        *_TEXTS,
        *_TAGS,
        pa.field("template", pa.large_string(), nullable=False),
        *_LINEAGE,
        pa.field("repeat", pa.uint32(), nullable=False),
    ]
)
"""Columns of `data/mixes/<mixture>/*.arrow`, rows in training order.

`messages` is what is trained on: the system prompt if there is one, the finished exchanges as `user` and `assistant` in
turn, then the worded last exchange. `instruction` (with the part's suffix), `input`, `rationale` and `rejected` are the
last exchange's as the record has them; then the tags, the wording's id, the lineage, and the number of the repeat,
which is 0 for a record's first row.
"""

FRAGMENT: Final = pa.schema(
    [
        *(
            field.with_type(pa.int32()) if field.name in CONSTANT else field
            for field in MIX_SCHEMA
            if field.name != "messages"
        ),
        SCHEMA.field("system"),
        SCHEMA.field("history"),
        pa.field("prompt", pa.large_string(), nullable=False),
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("position", pa.uint32(), nullable=False),
    ]
)
"""Columns of a fragment: `messages` in its parts, and the rows' positions in the mixture.

Of the columns in `CONSTANT` there are the numbers of the values, which are told beside the fragment.
"""

_READ: Final = [name for name in SCHEMA.names if name != "extra"]

COUNTED: Final = ("source", *_TAGS.names, "template")
"""The columns whose values a manifest counts."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Record shards of one part to word: each with the records, by their places in it, of the rows to make of them.

    `repeat` and `position` have one entry for each of these rows. `part` is the number of the part in the mixture,
    `fingerprint` the template's. Rows with a position from `train` on are held out. `inversion` is the share of rows
    with request and answer exchanged; `system` is the system prompt of records that have none of their own. `few_shot`
    examples of `pool` stand before each request.
    """

    shards: tuple[tuple[Path, keys.Numbers], ...]
    fragment: Path
    part: int
    repeat: keys.Numbers
    position: keys.Numbers
    template: str
    fingerprint: str
    suffix: str | None
    seed: int
    train: int = 0
    few_shot: int = 0
    pool: Path = Path()
    inversion: float = 0
    system: str | None = None

    def servings(self) -> Iterator[exemplars.Serving]:
        """The records of each shard, each once and in their order, as examples for each other."""
        start = 0
        for shard, records in self.shards:
            record, first = np.unique(records, return_index=True)
            held = self.position[start + first] >= self.train
            start += len(records)
            yield exemplars.Serving(
                shard=shard, pool=self.pool, record=record, held=held, suffix=self.suffix, seed=self.seed
            )


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """A file of record batches and nothing else, one for each shard of the mixture that it has rows of.

    `shards` are the numbers of these, ascending; batch `i` takes the bytes `bounds[i]` to `bounds[i + 1]`. `values` are
    those of the columns in `CONSTANT`, by their numbers.
    """

    path: Path
    shards: npt.NDArray[np.uint16]
    bounds: npt.NDArray[np.int64]
    values: dict[str, list[str]]

    def batch(self, shard: int) -> "Batch | None":
        """The rows of a shard, if there are any."""
        at = int(np.searchsorted(self.shards, shard))
        if at == len(self.shards) or self.shards[at] != shard:
            return None
        return Batch(path=self.path, begin=int(self.bounds[at]), end=int(self.bounds[at + 1]), values=self.values)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Where a record batch of a fragment lies, in bytes, and the fragment's `values`."""

    path: Path
    begin: int
    end: int
    values: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Worded:
    """What was worded of a part: the fragment, its rows by value, rationales left unused."""

    fragment: Fragment
    part: int
    counts: dict[str, dict[str, int]]
    unused_rationales: int


def template_marks(parts: Iterable[Part]) -> dict[str, str]:
    """The fingerprint of each template that the parts name; `TemplateError` for one that cannot do what is asked."""
    found = {}
    for part in parts:
        known = template.load(part.template)
        if part.input_inversion and not known.inverts:
            raise TemplateError(
                f"template {part.template!r}: has no input_inversion, which {part.source} asks for; take one that has "
                "it, such as cot, or leave it out"
            )
        found[part.template] = known.fingerprint
    return found


def pools(jobs: Iterable[Wording], engine: Engine) -> None:
    """Write the pools of examples that the jobs name, before they are worded; those of a part follow on one another."""
    exemplars.pooled((serving for job in jobs if job.few_shot for serving in job.servings()), engine)


def word(job: Wording) -> Worded:
    """Word the chosen records and write their rows as a fragment."""
    # Rows of one shard need to stand together and in no order, so that they are read and written nearly as they lie.
    shard = (job.position // shards.ROWS).astype(np.uint16)
    order = np.argsort(shard, kind="stable")
    position = job.position[order]
    # In one chunk, as lists in several are slow to pick from.
    records = pl.concat([keys.columns(path, _READ)[record] for path, record in job.shards], rechunk=True)[order]
    if job.suffix is not None:
        records = records.with_columns(suffixed(job.suffix))
    if job.system is not None:
        records = records.with_columns(pl.col("system").fill_null(job.system))
    shots = None
    if job.few_shot:
        shots = exemplars.shots(records, position >= job.train, pl.read_ipc(job.pool), job.few_shot, job.seed)
    rows = _template(job.template, job.fingerprint).word(records, job.seed, inversion=job.inversion, shots=shots)
    rows = rows.with_columns(repeat=pl.Series(job.repeat[order]), position=pl.Series(position))
    return Worded(
        fragment=_write(job.fragment, rows, shard[order]),
        part=job.part,
        counts={name: dict(rows[name].drop_nulls().value_counts().iter_rows()) for name in COUNTED},
        unused_rationales=rows.select((pl.col("rationale").is_not_null() & ~pl.col("rationale_used")).sum()).item(),
    )


def _write(path: Path, rows: pl.DataFrame, shard: npt.NDArray[np.uint16]) -> Fragment:
    """Write a fragment; the rows of each shard stand together."""
    table = rows.select(FRAGMENT.names).to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    values = {}
    for name in CONSTANT:
        column = table[name].cast(SCHEMA.field(name).type).chunk(0)
        values[name] = column.dictionary.to_pylist()
        table = table.set_column(table.schema.get_field_index(name), name, column.indices)
    (batch,) = table.cast(FRAGMENT).to_batches()
    numbers, starts = np.unique(shard, return_index=True)
    bounds = [0]
    with placing(path) as aside, aside.open("wb") as handle:
        for start, end in pairwise([*starts.tolist(), len(shard)]):
            # One write for a batch, which has a hundred pieces.
            bounds.append(bounds[-1] + handle.write(batch.slice(start, end - start).serialize()))
    return Fragment(path=path, shards=numbers, bounds=np.array(bounds), values=values)


@lru_cache(maxsize=8)
def _template(name: str, fingerprint: str) -> template.Template:
    """A template, read once a process; `fingerprint` tells one state of its files from the next."""
    found = template.load(name)
    if found.fingerprint != fingerprint:
        raise TemplateError(f"template {name!r}: changed while a mixture was built from it; start again")
    return found
