"""Dialogues: turns of a user and an assistant, paired into exchanges by one set of rules."""

from typing import Any, Final, Literal

import polars as pl

from collectors.record import HISTORY

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


WHITE_SPACE: Final = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space, which polars strips; `str.strip` alone would take U+001C to U+001F as well."""


def strip(text: str) -> str:
    """`text` without the white space around it."""
    return text.strip(WHITE_SPACE)
