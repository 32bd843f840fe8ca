"""The rows that a mixture made of a record: found by the draw that put them in order, and how they are worded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError, TemplateError
from collectors.mixture import Mixture, Part
from collectors.record import keyed
from pipeline import keys, shards
from pipeline.selection import seed_of
from pipeline.why.places import LINEAGE, Lineage

Record = dict[str, Any]

DRAWS: Final = 1 << 64
"""How many draws there are; those of rows are spread evenly over them."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one split: its shards, in which rows lie in the order of the draws that `seed` gives them."""

    split: str
    paths: Sequence[Path]
    seed: int
    _read: dict[int, pl.DataFrame] = field(default_factory=dict)

    def of(self, lineage: Lineage, ident: str, most: int) -> list[Record]:
        """The rows of a record, at most `most` repeats: their split, position and repeat, and the `path` they are in.

        Raises `ArtefactError` when a shard cannot be read.
        """
        found: list[Record] = []
        for repeat in range(most):
            copies = list(self._copies(lineage, ident, repeat))
            if not copies:
                break
            found += copies
        return found

    def _copies(self, lineage: Lineage, ident: str, repeat: int) -> Iterator[Record]:
        """The rows of one repeat, which are several where parts take the same record."""
        draw = self._draws(pl.DataFrame({"id": [ident], "repeat": pl.Series([repeat], dtype=pl.UInt32)}))[0]
        names = ("id", *LINEAGE[1:], "repeat")
        wanted = [pl.col(name) == value for name, value in zip(names, (ident, *lineage, repeat), strict=True)]
        for shard in range(self._first(draw), len(self.paths)):
            if self._ends(shard)[0] > draw:
                return
            for place in self._rows(shard).select(pl.all_horizontal(wanted)).to_series().arg_true():
                position = shard * shards.ROWS + place
                yield {"split": self.split, "position": position, "repeat": repeat, "path": self.paths[shard]}

    def _first(self, draw: int) -> int:
        """The first shard that does not end before a draw; as draws are spread evenly, one or two are looked into."""
        low, high, floor, ceiling = 0, len(self.paths), -1, DRAWS
        while low < high:
            guess = min(high - 1, low + (draw - floor) * (high - low) // (ceiling - floor))
            first, last = self._ends(guess)
            if last < draw:
                low, floor = guess + 1, last
            elif first < draw:
                return guess
            else:
                high, ceiling = guess, first
        return low

    def _ends(self, shard: int) -> tuple[int, int]:
        """The draws of a shard's first row and of its last."""
        first, last = self._draws(self._rows(shard)[[0, -1]])
        return first, last

    def _draws(self, rows: pl.DataFrame) -> list[int]:
        return rows.select(keyed(self.seed, "order", "id", "repeat")).to_series().to_list()

    def _rows(self, shard: int) -> pl.DataFrame:
        if shard not in self._read:
            self._read[shard] = _columns(self.paths[shard], [*LINEAGE, "repeat"])
        return self._read[shard]


def worn(row: Record) -> Record:
    """The `template` and the `messages` of a row that `Rows` has found."""
    return _columns(row["path"], ["template", "messages"]).row(row["position"] % shards.ROWS, named=True)


def _columns(path: Path, names: list[str]) -> pl.DataFrame:
    """Some columns of a mixture's shard; `ArtefactError` when it cannot be read."""
    try:
        frame = pl.DataFrame(pa.Table.from_batches(list(shards.batches(path, names))).select(names))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def wording(part: Part, mixture: Mixture, record: Record, worn: str) -> Record:
    """The wording a row wears: by its template, and the draw that chose it among those of its task and language."""
    told: Record = {"name": part.template, "wording": worn}
    if part.template == "plain":
        return told
    from templates import template  # dear to load, and plain rows do without

    seed = seed_of(part, mixture)
    told["draw"] = draw = int(keys.draws_of(pl.Series([record["id"]]), seed, "template").item())
    try:
        known = template.load(part.template)
        frame = _frame(record)
        now, drawn = (
            known.word(one, seed, inversion=part.input_inversion)["template"].item()
            for one in (frame, frame.with_columns(rationale=pl.col("rationale").fill_null("?")))
        )
    except TemplateError as error:
        return told | {"said": f"the draw cannot be followed: {error}"}
    if now != worn.partition("+")[0]:  # behind the plus stands the number of examples before it
        return told | {"said": "the template has changed since the mixture was made; run make mix"}
    if drawn == "plain":
        return told | {"said": "the template has no wording for this task and language"}
    kin = [one.id for one in known.all_wordings if one.id.rpartition("-")[0] == drawn.rpartition("-")[0]]
    told |= {"number": draw % len(kin) + 1, "of": len(kin)}
    return told if now == drawn else told | {"said": f"{drawn} was drawn and wants a rationale, which it lacks"}


def ending(part: Part, record: Record) -> Record | None:
    """The suffix behind the request: its `name` and `text`, of which there is none where it cannot be told (`said`)."""
    if part.suffix is None:
        return None
    from templates.suffix import suffixed

    try:
        worded = _frame(record).select(suffixed(part.suffix)).item()
    except TemplateError as error:
        return {"name": part.suffix, "text": None, "said": str(error)}
    return {"name": part.suffix, "text": worded.removeprefix(record["instruction"])}


def _frame(record: Record) -> pl.DataFrame:
    names = ("id", "subset", "lang", "language", "instruction", "input", "rationale", "output")
    return pl.DataFrame([{name: record[name] for name in names}], schema=dict.fromkeys(names, pl.String))
