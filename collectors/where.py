"""`where` of a part of a mixture: which records are candidates, by their columns and by their verdicts."""

from typing import Annotated, Final

from pydantic import Field, model_validator

from collectors.nodes import Node

Names = str | list[str]

GLOBS: Final = ("source", "subset")
"""Columns of which a value is a glob, as `Path.glob` reads it."""

VERDICTS: Final = ("language", "confidence", "flags", "leaks", "request_chars", "answer_chars")
"""What is asked of the verdict; `language` of the record, where its source is not judged."""


class Range(Node):
    """Numbers from `min` to `max`, both let in; either may be left out."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is over max {self.max:g}, so that no number is let in")
        return self


class Where(Node):
    """Which of a part's records are candidates: all keys that are set must let a record in.

    Names let in the records that have one of them; those of `source` and `subset` are globs. `flags` and `leaks` let in
    records with one of these flags, or with items of one of these evaluation sets, and an empty list those without any.
    """

    lang: Names | None = None
    task: Names | None = None
    gen: Names | None = None
    language: Names | None = None
    license: Names | None = None
    id: Names | None = None
    source: Names | None = None
    subset: Names | None = None
    row: Range | None = None
    part: Range | None = None
    confidence: Annotated[Range | None, Field(description="Of the language's detection, 0 to 1.")] = None
    flags: Names | None = None
    leaks: Names | None = None
    request_chars: Range | None = None
    answer_chars: Range | None = None

    def allowed(self) -> dict[str, list[str]]:
        """The columns of the record that must hold one of some values, each with these."""
        every = self.names()
        return {name: values for name, values in every.items() if name not in {*GLOBS, "flags", "leaks"}}

    def names(self) -> dict[str, list[str]]:
        """All keys that are set to names, each with the list of them."""
        return {
            name: [value] if isinstance(value, str) else value
            for name, value in self._set().items()
            if not isinstance(value, Range)
        }

    def ranges(self) -> dict[str, Range]:
        """All keys that are set to ranges."""
        return {name: value for name, value in self._set().items() if isinstance(value, Range)}

    @property
    def columns(self) -> list[str]:
        """The columns of the record that are looked at; `language` counts as one."""
        return [name for name in self._set() if name not in VERDICTS or name == "language"]

    @property
    def verdicts(self) -> list[str]:
        """The columns of the verdict that are looked at."""
        return [name for name in self._set() if name in VERDICTS]

    def _set(self) -> dict[str, str | list[str] | Range]:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if value is not None}
