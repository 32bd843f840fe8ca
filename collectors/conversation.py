"""Dialogues: turns of a user and an assistant, paired into exchanges by one set of rules."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from collectors.record import HISTORY, TURN

Speaker = Literal["user", "assistant"]
Turns = list[tuple[Speaker, str]]

BEFORE_USER: Final = "answer before the first user turn"
AFTER_ANSWER: Final = "user turn after the last answer"
EMPTY_HALF: Final = "exchange with an empty half"

DIALOGUE: Final = pl.Struct(
    {
        "system": pl.String,
        "history": HISTORY,
        "instruction": pl.String,
        "output": pl.String,
        "rejected": pl.String,
        "dropped": pl.List(pl.String),
    }
)
"""What a row function makes of a dialogue; `dropped` holds a reason for each turn that was lost."""


def joined(turns: Turns) -> Turns:
    """Turns stripped, and those of one speaker in a row made one, a blank line between them."""
    merged: Turns = []
    for speaker, text in turns:
        stripped = strip(text)
        if merged and merged[-1][0] == speaker:
            merged[-1] = (speaker, "\n\n".join(part for part in (merged[-1][1], stripped) if part))
        else:
            merged.append((speaker, stripped))
    return merged


def paired(turns: Turns) -> tuple[list[tuple[str, str]], list[str]]:
    """The exchanges of joined turns, empty halves included, and why turns at either end belong to none."""
    dropped = []
    if turns and turns[0][0] == "assistant":
        dropped += [BEFORE_USER] if turns[0][1] else []
        turns = turns[1:]
    if turns and turns[-1][0] == "user":
        dropped += [AFTER_ANSWER] if turns[-1][1] else []
        turns = turns[:-1]
    return [(user, answer) for (_, user), (_, answer) in zip(turns[::2], turns[1::2], strict=True)], dropped


def dialogue(turns: Turns, *, last_counts: bool = False) -> dict[str, Any] | None:
    """The columns of a dialogue: its last whole exchange, the whole ones before it as history; None without one.

    With `last_counts` the last exchange is taken even when a half of it is empty, so that the row is rejected rather
    than an earlier exchange put in its place.
    """
    exchanges, dropped = paired(joined(turns))
    tail = exchanges[-1:] if last_counts else []
    whole = [(user, answer) for user, answer in exchanges[: len(exchanges) - len(tail)] if user and answer]
    for user, answer in exchanges[: len(exchanges) - len(tail)]:
        if bool(user) != bool(answer):
            dropped.append(EMPTY_HALF)
    if not whole + tail:
        return None
    *history, (instruction, output) = whole + tail
    return {
        "history": [{"user": user, "assistant": answer} for user, answer in history],
        "instruction": instruction,
        "output": output,
        "dropped": dropped,
    }


TALK: Final = pl.Struct(
    {field.name: field.dtype for field in DIALOGUE.fields if field.name not in {"system", "rejected"}}
)
"""What `dialogues` makes of a row."""

SPOKEN: Final = {"row": pl.UInt32, "user": pl.Boolean, "text": pl.String}
"""A frame of turns, one a row: of which raw row (ascending), whether a user's, and what was said."""

Lost = Sequence[tuple[pl.Series, str]]
"""Reasons for lost turns: the raw rows that each stands for, a row as often as it lost a turn."""


def dialogues(spoken: pl.DataFrame, rows: int, *, last_counts: bool = False, lost: Lost = ()) -> pl.DataFrame:
    """`dialogue` for the turns of so many raw rows at once, by the same rules and many times as fast.

    `spoken` is as `SPOKEN` says, `lost` are turns that were dropped before. The frame has the columns of `TALK`, a row
    for each raw row, with a null `instruction` and `output` where there is no dialogue.
    """
    turns = runs(spoken)
    first, last = _ends(turns["row"])
    user, said = turns["user"].to_numpy(), (turns["text"] != "").to_numpy()
    early, late = first & ~user, last & user
    asked = user & ~late
    pairs = pl.DataFrame(
        {
            "row": turns["row"].filter(asked),
            "user": turns["text"].filter(asked),
            "assistant": turns["text"].filter(~user & ~early),
        }
    )
    _, tail = _ends(pairs["row"])
    halves = [(pairs[name] != "").to_numpy() for name in ("user", "assistant")]
    counted = tail & last_counts
    lost = [
        *lost,
        (turns["row"].filter(early & said), BEFORE_USER),
        (turns["row"].filter(late & said), AFTER_ANSWER),
        (pairs["row"].filter((halves[0] != halves[1]) & ~counted), EMPTY_HALF),
    ]
    return _dialogues(pairs.filter(halves[0] & halves[1] | counted), rows).with_columns(dropped=_reasons(lost, rows))


def runs(spoken: pl.DataFrame) -> pl.DataFrame:
    """`joined` for the turns of many raw rows."""
    new = (pl.col("row") != pl.col("row").shift()) | (pl.col("user") != pl.col("user").shift())
    turns = spoken.with_columns(pl.col("text").str.strip_chars(), run=new.fill_null(True).cum_sum())
    if not len(turns) or turns["run"][-1] == len(turns):
        return turns.drop("run")
    # Runs are rare, and grouping is dear.
    several = turns.select(pl.col("run").is_duplicated()).to_series()
    texts = pl.col("text").filter(pl.col("text") != "").str.join("\n\n")
    merged = turns.filter(several).group_by("run").agg(pl.col("row", "user").first(), texts)
    return pl.concat([turns.filter(~several), merged], how="diagonal").sort("run").drop("run")


def _reasons(lost: Lost, rows: int) -> pl.Series:
    """The column `dropped` for so many raw rows."""
    found = pl.concat([row.to_frame("row").with_columns(reason=pl.lit(reason)) for row, reason in lost]).sort(
        "row", maintain_order=True
    )
    offsets = _offsets(found["row"], rows)
    texts = found["reason"].cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
    return pl.Series("dropped", pa.LargeListArray.from_arrays(offsets, texts), dtype=pl.List(pl.String))


def _dialogues(exchanges: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The last exchange of each raw row, and those before it as its history."""
    _, last = _ends(exchanges["row"])
    final, before = exchanges.filter(last), exchanges.filter(~last)
    struct = before.select("user", "assistant").to_struct().to_arrow(compat_level=pl.CompatLevel.oldest())
    history = pa.LargeListArray.from_arrays(_offsets(before["row"], rows), struct.cast(TURN))
    talk = placed(final.select("row", instruction="user", output="assistant"), rows)
    return talk.insert_column(0, pl.Series("history", history, dtype=HISTORY))


def placed(found: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The columns beside `row` for every one of so many raw rows; null for one that is not in `found`."""
    every = pl.DataFrame({"row": range(rows)}, schema={"row": pl.UInt32})
    return every.join(found, on="row", how="left", maintain_order="left").drop("row")


def _ends(row: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Where each raw row's entries begin, and where they end."""
    numbers = row.to_numpy()
    new = numbers[1:] != numbers[:-1]
    edge = np.full(min(1, len(numbers)), True)
    return np.concatenate([edge, new]), np.concatenate([new, edge])


def _offsets(row: pl.Series, rows: int) -> pa.Array:
    """Where the list of each of so many raw rows begins and ends among entries that are sorted by raw row."""
    return pa.array(np.searchsorted(row.to_numpy(), np.arange(rows + 1)), pa.int64())


WHITE_SPACE: Final = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space, which polars strips; `str.strip` alone would take U+001C to U+001F as well."""


def strip(text: str) -> str:
    """`text` without the white space around it."""
    return text.strip(WHITE_SPACE)
