"""The rules every source shares: from a collector's columns to finished records, or to a reason why there is none."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from collectors.record import HISTORY, ids
from collectors.rows import MISSING, UNPARSABLE

EMPTY_INSTRUCTION: Final = "empty instruction"
EMPTY_OUTPUT: Final = "empty output"

_TEXTS: Final = ("system", "instruction", "input", "rationale", "output", "rejected")
_AROUND: Final = r"[<>\[\](){}\\\s]*"
_NO_INPUT: Final = (
    rf"(?i)^{_AROUND}(?:no\s?input(?: (?:required|needed|necessary|provided|given))?|none|n/a|nan|not applicable)"
    rf"[.!]?{_AROUND}$"
)
"""The ways upstream writes "there is no input", when that is all of the input."""

_LONGEST_NO_INPUT: Final = 64
_DEFAULTS: Final[dict[str, pl.Expr]] = {
    "system": pl.lit(None, pl.String),
    "history": pl.lit([], HISTORY),
    "input": pl.lit("", pl.String),
    "rationale": pl.lit(None, pl.String),
    "rejected": pl.lit(None, pl.String),
    "extra": pl.lit(None, pl.String),
    "language": pl.lit(None, pl.String),
    "part": pl.lit(0, pl.UInt16),
    "reject": pl.lit(None, pl.String),
    "dropped": pl.lit(None, pl.List(pl.String)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What a block gave: `records` (all columns but source, subset and tags), `rejects` (row, reason) and the books."""

    records: pl.DataFrame
    rejects: pl.DataFrame
    dropped_parts: dict[str, int]
    dropped_turns: dict[str, int]


def finished(collected: pl.LazyFrame) -> Finished:
    """Apply the contract to a collector's frame: `row`, `instruction`, `output`, and any other column it knows.

    Text is stripped of Unicode white space at both ends and has LF line ends; nothing else in it changes.
    """
    frame = collected.collect()
    given = set(frame.columns)
    frame = frame.with_columns(
        *(default.alias(name) for name, default in _DEFAULTS.items() if name not in given),
        *(_text(frame, name) for name in _TEXTS if name in given),
    )
    if "history" in given:
        frame = _stripped_turns(frame)
    frame = frame.with_columns(_input(), *map(_null_if_empty, ("system", "rationale", "rejected")), reject=_reason())
    return _split(frame, several="part" in given)


def _text(frame: pl.DataFrame, name: str) -> pl.Series:
    """One column with LF line ends and no white space around it."""
    text = frame[name].cast(pl.String)
    broken = text.str.contains("\r\n", literal=True).arg_true()
    if broken.len():  # most often they are few
        text = text.clone().scatter(broken, text.gather(broken).str.replace_all("\r\n", "\n", literal=True))
    return text.str.strip_chars()


def _stripped_turns(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rule for the turns of a history."""
    turn = pl.element().struct
    turns = [
        turn.field(name).str.replace_all("\r\n", "\n", literal=True).str.strip_chars() for name in ("user", "assistant")
    ]
    cleaned = pl.col("history").list.eval(pl.struct(*turns))
    return frame.with_columns(cleaned.fill_null(pl.lit([], HISTORY)))


def _input() -> pl.Expr:
    text = pl.col("input").fill_null("")
    nothing = (text.str.len_bytes() <= _LONGEST_NO_INPUT) & text.str.contains(_NO_INPUT)
    return pl.when(nothing).then(pl.lit("")).otherwise(text).alias("input")


def _null_if_empty(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


def _reason() -> pl.Expr:
    """The first reason that applies; what a collector cannot parse comes first, other reasons of its own last."""
    instruction, output = pl.col("instruction"), pl.col("output")
    return (
        pl.when(pl.col("reject") == UNPARSABLE)
        .then("reject")
        .when(instruction.is_null() | output.is_null())
        .then(pl.lit(MISSING))
        .when(instruction == "")
        .then(pl.lit(EMPTY_INSTRUCTION))
        .when(output == "")
        .then(pl.lit(EMPTY_OUTPUT))
        .otherwise("reject")
    )


def _split(frame: pl.DataFrame, *, several: bool) -> Finished:
    """Records and rejects; a part that fails costs its row only when no other part of the row is left."""
    if frame["reject"].null_count() == frame.height:
        records, rejects, lost = frame, frame.clear(), frame.clear()
    else:
        records, failed = frame.filter(pl.col("reject").is_null()), frame.filter(pl.col("reject").is_not_null())
        rejects, lost = failed, failed.clear()
        if several:
            rejects = failed.join(records, on="row", how="anti").unique("row", keep="first", maintain_order=True)
            lost = failed.join(records, on="row", how="semi")
    return Finished(
        records=records.with_columns(ids(records)),
        rejects=rejects.select("row", pl.col("reject").alias("reason")),
        dropped_parts=counts(lost["reject"]),
        dropped_turns=counts(records["dropped"].explode().drop_nulls()),
    )


def counts(values: pl.Series) -> dict[str, int]:
    """How often each value stands in a column, in the values' order."""
    return dict(sorted(values.value_counts(name="rows").iter_rows()))
