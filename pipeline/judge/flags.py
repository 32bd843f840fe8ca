"""What is wrong, or looks wrong, with a record: named rules, each of which can say what it found.

docs/flags.md tells them one by one. A flag changes no text and drops no record; a mixture decides what it takes.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl
import pyarrow as pa

from collectors.record import HISTORY
from pipeline.judge.answers import ANSWERS
from pipeline.judge.personal import PERSONAL
from pipeline.judge.refusal import REFUSAL
from pipeline.judge.repetition import REPETITION
from pipeline.judge.residue import RESIDUE
from pipeline.judge.rule import Exchange, Rule, exchanges
from pipeline.judge.tongue import TONGUE
from pipeline.judge.truncation import TRUNCATED
from pipeline.judge.unfinished import UNFINISHED

RULES: Final[dict[str, Rule]] = ANSWERS | TRUNCATED | REFUSAL | TONGUE | REPETITION | RESIDUE | UNFINISHED | PERSONAL
"""Every flag by its name, in the order in which a record's flags are listed."""

COLUMNS: Final = ("system", "history", "instruction", "input", "rationale", "output")
"""The columns of a record that rules look at."""

LANGUAGES: Final = ("request_language", "answer_language")
"""What rules want beside them: BCP 47 tags as detected; null and `und` where nothing is known."""


def flags(frame: pl.DataFrame) -> pl.Series:
    """The names of the rules that fire for each record, in the order of `RULES`: a series of List[String], no nulls.

    `frame` has the columns `COLUMNS` and `LANGUAGES`.
    """
    seen = exchanges(frame)
    gates = seen.select(rule.gate.fill_null(value=False).alias(name) for name, rule in RULES.items())
    found: list[list[str]] = [[] for _ in range(frame.height)]
    chosen = gates.select(pl.any_horizontal(pl.all()).arg_true()).to_series()
    looked = dict(zip(chosen, map(Exchange._make, seen[chosen].iter_rows()), strict=True))
    for name, rule in RULES.items():
        for row in gates[name].arg_true():
            if rule.find(looked[row]) is not None:
                found[row].append(name)
    # Arrow builds a column of lists many times as fast as polars.
    return pl.Series("flags", pa.array(found, pa.large_list(pa.large_string())), dtype=pl.List(pl.String))


def evidence(record: Mapping[str, object], name: str) -> str | None:
    """What makes the rule `name` fire for one record: the matched text, or the figure and its bound; None: it does not.

    `record` has the columns that `flags` wants. Raises `KeyError` for a rule that does not exist.
    """
    schema = {column: HISTORY if column == "history" else pl.String for column in (*COLUMNS, *LANGUAGES)}
    frame = pl.DataFrame([{column: record[column] for column in schema}], schema=schema)
    return RULES[name].find(Exchange._make(exchanges(frame).row(0)))
