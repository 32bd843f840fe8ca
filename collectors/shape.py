"""What a collector is: the native schema of a row, and a function from native columns to record columns."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from collectors.rows import Schema

Collect = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One form of a source's files.

    `schema` are the fields of a raw row, `collect` maps them: its frame has them and `row`, and what it returns has
    `row`, `instruction`, `output` and any other record column it fills, perhaps several records a row (`part`), perhaps
    `reject` (a reason or null) and `dropped` (a list of reasons, one a lost turn).

    `file` are fields of the object that encloses the rows, where the catalog says `rows: key`; they are columns beside
    the row's own. `whole` asks for all rows of a file in one frame. `pattern` finds the rows of a text file: each match
    is a row, the columns are `text`, the match, and `head`, what stands before the first one. `lists` says that a file
    which is one object of column lists is read as its rows. Every frame has the column `subset` as well.
    """

    schema: Schema
    collect: Collect
    file: Schema = field(default_factory=dict)
    whole: bool = False
    lists: bool = False
    pattern: re.Pattern[str] | None = None
