"""`where` of a part of a mixture: which records are candidates, by their columns and by their verdicts."""

import re
from typing import Annotated, Final, get_args

import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from collectors.choice import Gen, Lang, Task
from collectors.errors import nearest
from collectors.nodes import Node

Names = str | list[str]
Text = bool | Annotated[str, Field(min_length=1)]
"""Whether there is one, or a pattern that must be found in it."""

GLOBS: Final = ("source", "subset")
"""Columns of which a value is a glob, as `Path.glob` reads it."""

TAGS: Final = {"lang": get_args(Lang), "task": get_args(Task), "gen": get_args(Gen)}
"""Columns that hold one of few values, with these."""

TEXTS: Final = ("system", "instruction", "input", "rationale", "output", "rejected", "extra")
"""Columns of text."""

CLUSTERS: Final = ("request_cluster", "cluster")
"""Columns of the verdict that a record with near-duplicates in the corpus has, by its request and as a whole."""

VERDICTS: Final = ("language", "confidence", "flags", "leaks", *CLUSTERS, "request_chars", "answer_chars")
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
    A text, and a cluster, is there (`true`: not null and not empty) or not, or a text holds a match of a regular
    expression (Rust's). `history` counts the exchanges before the last one.
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
    system: Text | None = None
    history: Range | None = None
    instruction: Text | None = None
    input: Text | None = None
    rationale: Text | None = None
    output: Text | None = None
    rejected: Text | None = None
    extra: Text | None = None
    confidence: Annotated[Range | None, Field(description="Of the language's detection, 0 to 1.")] = None
    flags: Names | None = None
    leaks: Names | None = None
    request_cluster: bool | None = None
    cluster: bool | None = None
    request_chars: Range | None = None
    answer_chars: Range | None = None

    @field_validator(*TAGS)
    @classmethod
    def _is_a_tag(cls, value: Names | None, field: ValidationInfo) -> Names | None:
        known = TAGS[str(field.field_name)]
        for name in [value] if isinstance(value, str) else value or []:
            if name not in known:
                raise ValueError(f"no record has {name}; {nearest(name, known)}")
        return value

    @field_validator(*TEXTS)
    @classmethod
    def _is_a_pattern(cls, value: Text | None) -> Text | None:
        if isinstance(value, str):
            try:
                pl.Series([""]).str.contains(value)
            except pl.exceptions.ComputeError as error:
                said = re.search(r"^error: (.*)$", str(error), re.MULTILINE)
                raise ValueError(f"is no regular expression{f': {said[1]}' if said else ''}") from None
        return value

    def names(self) -> dict[str, list[str]]:
        """All keys that are set to names, each with the list of them."""
        given = {name: value for name, value in self._set().items() if name not in {*TEXTS, *CLUSTERS}}
        listed = {name: [value] if isinstance(value, str) else value for name, value in given.items()}
        return {name: value for name, value in listed.items() if isinstance(value, list)}

    def ranges(self) -> dict[str, Range]:
        """All keys that are set to ranges."""
        return {name: value for name, value in self._set().items() if isinstance(value, Range)}

    def texts(self) -> dict[str, Text]:
        """All keys that are set to whether there is something, or to a pattern."""
        given = {name: value for name, value in self._set().items() if name in {*TEXTS, *CLUSTERS}}
        return {name: value for name, value in given.items() if isinstance(value, bool | str)}

    @property
    def columns(self) -> list[str]:
        """The columns of the record that are looked at; `language` counts as one."""
        return [name for name in self._set() if name not in VERDICTS or name == "language"]

    @property
    def verdicts(self) -> list[str]:
        """The columns of the verdict that are looked at."""
        return [name for name in self._set() if name in VERDICTS]

    def _set(self) -> dict[str, Names | Range | Text]:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if value is not None}
