"""What a mixture asks of single records beyond their keys, and which records meet it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.globs import matches
from collectors.licences import Key, forbidden, key
from collectors.where import GLOBS, Where

Flags = npt.NDArray[np.bool_]
Marks = list[tuple[str, bool]]

TEXTS: Final = ("system", "history", "instruction", "input", "rationale", "output")
"""The columns whose characters count, as a verdict's `request_chars` and `answer_chars` do."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of the records of one part.

    `marks` are the globs of its source, as `Source.marked` has them. `judged` is the data folder and the source whose
    verdicts are read; None where there are none, and then nothing is asked of verdicts. `licence` is the policy and
    what the catalog says of the source. `flags` are refused; `suites` are the evaluation sets whose items are.
    `prompts`, `notion` and `characters` say what else is read: the hash of the request, the near-duplicates' key, the
    length; `counts` is the folder of the source's tokens (see `pipeline.counts`).
    """

    where: Where
    marks: Marks
    judged: tuple[Path, str] | None = None
    licence: tuple[str | list[str], Key | None] | None = None
    flags: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    prompts: bool = False
    notion: str | None = None
    characters: bool = False
    counts: Path | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the record that are read beside id and lineage."""
        names = [*self.where.columns, *(["license"] if self.licence else [])]
        return list(dict.fromkeys([*names, *(TEXTS if self.characters else ())]))

    @property
    def verdicts(self) -> list[str]:
        """The columns of the verdict that are read; none where the source is not judged."""
        if self.judged is None:
            return []
        wanted = [*self.where.verdicts, *(["flags"] if self.flags else []), *(["leaks"] if self.suites else [])]
        wanted += ["prompt_id"] if self.prompts else []
        wanted += [f"{self.notion}_key"] if self.notion else []
        return list(dict.fromkeys(wanted))


def admitted(where: Where, frame: pl.DataFrame) -> Flags:
    """Which records of a frame `where` lets in; a key that the frame has no column for asks nothing.

    A null is none of the values and in no range.
    """
    names = {name: values for name, values in where.names().items() if name in frame.columns}
    asks = [_named(name, values, frame) for name, values in names.items()]
    asks += [_told(name, wanted) for name, wanted in where.texts().items() if name in frame.columns]
    asks += [
        (pl.col(name).list.len() if name == "history" else pl.col(name)).is_between(
            -np.inf if wanted.min is None else wanted.min, np.inf if wanted.max is None else wanted.max
        )
        for name, wanted in where.ranges().items()
        if name in frame.columns
    ]
    if not asks:
        return np.ones(frame.height, np.bool_)
    return frame.select(pl.all_horizontal(asks).fill_null(value=False)).to_series().to_numpy()


def _named(name: str, values: list[str], frame: pl.DataFrame) -> pl.Expr:
    if name in GLOBS:
        there = frame[name].unique()
        values = [one for one in there if any(matches(one, glob) for glob in values)]
    if name == "flags":
        return flagged(values) if values else pl.col(name).list.len() == 0
    if name == "leaks":
        return leaking(values) if values else pl.col(name).list.len() == 0
    return pl.col(name).is_in(values)


def _told(name: str, wanted: bool | str) -> pl.Expr:
    """Whether a text is there or not, as is wanted, or holds a match of the pattern that is."""
    if isinstance(wanted, str):
        return pl.col(name).str.contains(wanted)
    return (pl.col(name).fill_null("") != "") == wanted


def flagged(names: Sequence[str]) -> pl.Expr:
    """Whether a verdict has one of these flags."""
    return pl.any_horizontal(pl.col("flags").list.contains(name) for name in names)


def leaking(suites: Sequence[str]) -> pl.Expr:
    """Whether a verdict names an item of one of these evaluation sets."""
    suite = pl.element().str.extract("^([^/]*)/")
    return pl.col("leaks").list.eval(suite.is_in(list(suites))).list.any()


def refused(frame: pl.DataFrame, asked: Asked) -> dict[str, Flags]:
    """Which records the mixture's policies refuse, by reason: `licence`, `leak`, `flag`, as far as they are asked."""
    found: dict[str, Flags] = {}
    if asked.licence is not None:
        policy, source = asked.licence
        barred = [name for name in frame["license"].unique() if forbidden(policy, *key(name, source))]
        found["licence"] = frame["license"].is_in(barred).to_numpy()
    if asked.suites and "leaks" in frame.columns:
        found["leak"] = frame.select(leaking(asked.suites)).to_series().to_numpy()
    if asked.flags and "flags" in frame.columns:
        found["flag"] = frame.select(flagged(asked.flags)).to_series().to_numpy()
    return found
