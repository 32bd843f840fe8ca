"""What a plan tells of each part of a mixture, whether it was decided on records or reckoned from counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import polars as pl

from pipeline.quota import Shortfall

Basis = Literal["exact", "estimated", "at most", "unknown"]

SURE: Final[tuple[Basis, ...]] = ("exact", "estimated", "at most", "unknown")
"""How well a figure is known, the best first: as `mix` will have it; by rates, or by what upstream states; more than
that cannot be, for something takes rows away that nothing kept tells of; not at all."""

COUNTED: Final = "counted"
"""How the rows of a source are known that has records; else they are expected by somebody, or unknown."""

DRAWN: Final = frozenset({"weight", "rows", "tokens", "characters", "total"})
"""The reasons by which a quota leaves records out that are let in."""


def summed(bases: Iterable[Basis]) -> Basis:
    """What can be said of the sum of figures that are known so well: of bounds and estimates together, an estimate."""
    found = set(bases)
    return "estimated" if {"estimated", "at most"} <= found and "unknown" not in found else worst(found)


def worst(bases: Iterable[Basis]) -> Basis:
    """What can be said of a figure that is made of figures that are known so well."""
    return max(bases, key=SURE.index, default="exact")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What becomes of the records of one part; None where that is not known.

    `known` says how their number is, `basis` how well `rows` is. `left_out` has the records left out by reason, of
    which those `estimated` go by rates; `unreckoned` are policies that may leave out more. `rows` are given, `repeats`
    is how often a record is at most. `evaluation` counts the records of benchmarks that are taken, `forbidden` the
    records by licence that the mixture's policy keeps out. `cells` has a row for each combination of tags of the rows
    given, with their `SIZES`, and those `held` out apart where records were decided on; `asked` is the tokens of a part
    whose rows cannot be told, but whose quota can.
    """

    known: str
    candidates: int | None
    left_out: dict[str, int] = field(default_factory=dict)
    estimated: tuple[str, ...] = ()
    unreckoned: tuple[str, ...] = ()
    taken: int | None
    rows: int | None
    holdout: int | None = None
    repeats: int | None
    basis: Basis
    evaluation: int = 0
    forbidden: dict[str, int | None] = field(default_factory=dict)
    cells: pl.DataFrame
    asked: int | None = None

    @property
    def accepted(self) -> int | None:
        """The records that its quota may draw from."""
        if self.candidates is None:
            return None
        return self.candidates - sum(rows for reason, rows in self.left_out.items() if reason not in DRAWN)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What becomes of all parts, in their order: the rows held out of training, and what quotas lack."""

    parts: Sequence[Outcome]
    holdout: int
    shortfalls: Sequence[Shortfall] = ()
    basis: Basis

    def total(self, name: str) -> int:
        """The sum of a figure over the parts that have it."""
        return sum(getattr(part, name) or 0 for part in self.parts)
