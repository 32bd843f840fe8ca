"""The rows of a mixture: records worded by their templates, and sorted into shards.

Each record shard is worded once (behind examples of its part where these are asked for, see `exemplars`) and its rows
written aside as a fragment, one record batch for each shard of the mixture that they belong to; then each shard of the
mixture is gathered from its batches. So a worker holds one shard's text at a time, however large the mixture is.
Fragments live for minutes and are not compressed: that would be a quarter of the work.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import TemplateError
from collectors.mixture import Part
from collectors.record import SCHEMA
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

_FRAGMENT: Final = pa.schema(
    [
        *(field for field in MIX_SCHEMA if field.name != "messages"),
        SCHEMA.field("system"),
        SCHEMA.field("history"),
        pa.field("prompt", pa.large_string(), nullable=False),
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
    ]
)

_READ: Final = [name for name in SCHEMA.names if name != "extra"]

COUNTED: Final = ("source", *_TAGS.names, "template")
"""The columns whose values a manifest counts."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A record shard to word: `record`, `repeat` and `position` have one entry for each row to make of it.

    `record` is a place in the shard, `part` the number of its part in the mixture, `fingerprint` the template's. Rows
    with a position from `train` on are held out. `inversion` is the share of rows with request and answer exchanged;
    `system` is the system prompt of records that have none of their own. `few_shot` examples of `pool` stand before
    each request.
    """

    shard: Path
    fragment: Path
    part: int
    record: keys.Numbers
    repeat: keys.Numbers
    position: npt.NDArray[np.int64]
    template: str
    fingerprint: str
    suffix: str | None
    seed: int
    train: int = 0
    few_shot: int = 0
    pool: Path = Path()
    inversion: float = 0
    system: str | None = None

    def chosen(self) -> tuple[keys.Numbers, keys.Flags]:
        """The records, each once and in their order, and which of them are held out."""
        record, first = np.unique(self.record, return_index=True)
        return record, self.position[first] >= self.train

    def serving(self) -> exemplars.Serving:
        """The same records as examples for each other."""
        record, held = self.chosen()
        return exemplars.Serving(
            shard=self.shard, pool=self.pool, record=record, held=held, suffix=self.suffix, seed=self.seed
        )


@dataclass(frozen=True, kw_only=True)
class Worded:
    """What a fragment holds: the shard of the mixture each batch is for, rows by value, rationales left unused."""

    fragment: Path
    part: int
    batches: tuple[int, ...]
    counts: dict[str, dict[str, int]]
    unused_rationales: int


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """A shard of the mixture to write: the batches of the fragments that are its rows, and how many these are."""

    shard: Path
    batches: tuple[tuple[Path, int], ...]
    rows: int


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
    exemplars.pooled((job.serving() for job in jobs if job.few_shot), engine)


def word(job: Wording) -> Worded:
    """Word the chosen records of a shard and write their rows as a fragment, in the order of their positions."""
    chosen, held = job.chosen()
    records = keys.columns(job.shard, _READ)[chosen]
    if job.suffix is not None:
        records = records.with_columns(suffixed(job.suffix))
    if job.system is not None:
        records = records.with_columns(pl.col("system").fill_null(job.system))
    shots = None
    if job.few_shot:
        shots = exemplars.shots(records, held, pl.read_ipc(job.pool), job.few_shot, job.seed)
    order = np.argsort(job.position)
    worn = _template(job.template, job.fingerprint).word(records, job.seed, inversion=job.inversion, shots=shots)
    rows = worn[np.searchsorted(chosen, job.record[order])]
    rows = rows.with_columns(repeat=pl.Series(job.repeat[order]), position=pl.Series(job.position[order]))
    table = rows.select(_FRAGMENT.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_FRAGMENT)
    shard, first = np.unique(job.position[order] // shards.ROWS, return_index=True)
    with placing(job.fragment) as aside, pa.ipc.new_file(str(aside), _FRAGMENT) as writer:
        for start, end in zip(first, [*first[1:], len(order)], strict=True):
            writer.write_table(table.slice(start, end - start).combine_chunks())
    return Worded(
        fragment=job.fragment,
        part=job.part,
        batches=tuple(shard.tolist()),
        counts={name: dict(rows[name].drop_nulls().value_counts().iter_rows()) for name in COUNTED},
        unused_rationales=rows.select((pl.col("rationale").is_not_null() & ~pl.col("rationale_used")).sum()).item(),
    )


@lru_cache(maxsize=8)
def _template(name: str, fingerprint: str) -> template.Template:
    """A template, read once a process; `fingerprint` tells one state of its files from the next."""
    found = template.load(name)
    if found.fingerprint != fingerprint:
        raise TemplateError(f"template {name!r}: changed while a mixture was built from it; start again")
    return found


def gather(job: Gathering) -> str:
    """Write a shard of the mixture; the sha256 of the file."""
    batches = []
    for path, number in job.batches:
        with pa.memory_map(str(path)) as source:
            batches.append(pa.ipc.open_file(source).get_batch(number))
    table = pa.Table.from_batches(batches, _FRAGMENT)
    table = table.take(np.argsort(table["position"].to_numpy())).combine_chunks()
    positions = table["position"].to_numpy()
    if len(positions) != job.rows or (np.diff(positions) != 1).any() or positions[0] % shards.ROWS:
        raise AssertionError(f"{job.shard}: its {job.rows:,} rows do not follow on one another")
    columns = [messages(table) if name == "messages" else _ordered(table[name]) for name in MIX_SCHEMA.names]
    shards.write(job.shard, pa.table(columns, schema=MIX_SCHEMA))
    return shards.digest(job.shard)


def _ordered(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column; one that stores its values once has them in the order of the rows, however they came together."""
    if not pa.types.is_dictionary(column.type):
        return column
    return column.cast(pa.large_string()).combine_chunks().dictionary_encode()


def messages(table: pa.Table) -> pa.Array:
    """The messages of each row, of its `system`, `history`, `prompt` and `target`; a column is one chunk.

    They are the texts of all rows sorted by row, which keeps the order they are listed in.
    """
    system, history, prompt, target = (table[name].chunk(0) for name in ("system", "history", "prompt", "target"))
    rows, turns = np.arange(len(table)), history.flatten()
    said = pa.concat_arrays([turns.field("user"), turns.field("assistant")])
    said = said.take(pa.array(np.arange(len(said)).reshape(2, -1).T.ravel()))
    texts = [system.drop_null(), said, prompt, target]
    speakers = [np.full(len(texts[0]), 0), np.tile([1, 2], len(turns)), np.full(len(rows), 1), np.full(len(rows), 2)]
    turned = np.repeat(rows, 2 * history.value_lengths().to_numpy())
    row = np.concatenate([rows[system.is_valid().to_numpy(zero_copy_only=False)], turned, rows, rows])
    order = np.argsort(row, kind="stable")
    roles = pa.array(["system", "user", "assistant"], pa.large_string()).take(pa.array(np.concatenate(speakers)[order]))
    messages = pa.StructArray.from_arrays([roles, pa.concat_arrays(texts).take(pa.array(order))], fields=list(MESSAGE))
    ends = np.cumsum(np.bincount(row, minlength=len(rows)), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([np.zeros(1, np.int32), ends])), messages)
