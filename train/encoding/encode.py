"""Conversations to ids and labels, none longer than the cutoff, every row accounted for.

A conversation is written in `train/encoding/writer.py`; what is done here is what becomes of those that are too long,
that have nothing to train, or that the tokenizer cannot write.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from templates.prompt import Prompt
from train.encoding.coded import Coded, Flags, Ids, flagged, joined
from train.encoding.exchanges import Parts, parted
from train.encoding.render import Conversation, Message
from train.encoding.writer import Writer

if TYPE_CHECKING:  # workers do without the second that its import takes
    from transformers import PreTrainedTokenizerBase

IGNORED: Final = -100
"""The label of a token that is not trained, as torch's cross entropy takes it."""

TOO_LONG: Final = "longer than the cutoff"
UNTRAINED: Final = "no trained token"
UNWRITABLE: Final = "holds a text that this tokenizer cannot write, such as the spelling of a special token"
CUT_SHORT: Final = "cut at the cutoff, without end token"
MENDED: Final = "an earlier answer not trained, which would change the ids before it"
SPELT: Final = "spells a special token, encoded as text"
SPLIT: Final = "split between exchanges"
BEFORE: Final = "before the last exchanges that fit"

Beyond = Literal["drop", "truncate", "split"]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The kept sequences of a batch, end to end: `ids` and `labels` of all tokens, `lengths` and `rows` of sequences.

    `rows` are ordinals: which row a sequence is of, or is a part of where rows are split. `dropped` counts the rows
    left out by reason, `noted` the kept rows that were changed, `dropped_turns` the exchanges lost inside kept rows;
    the rows kept and the dropped ones together are the rows that came in.
    """

    ids: Ids
    labels: Ids
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    dropped: Counter[str]
    noted: Counter[str]
    dropped_turns: Counter[str]

    @property
    def kept(self) -> int:
        """How many rows there are sequences of."""
        return int(np.count_nonzero(np.diff(self.rows, prepend=-1)))


class Encoder:
    """Encodes conversations for one tokenizer and prompt format; refuses pairs of them that do not go together.

    `cutoff` is in tokens. Beyond it a row is left out (`drop`), loses its end (`truncate`), or becomes several
    sequences (`split`), see `train.encoding.exchanges`.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        prompt: Prompt,
        *,
        loss_on: Literal["all", "last"] = "all",
        cutoff: int,
        beyond_cutoff: Beyond = "drop",
    ) -> None:
        self.prompt, self.loss_on, self.cutoff, self.beyond_cutoff = prompt, loss_on, cutoff, beyond_cutoff
        self.writer = Writer(tokenizer, prompt, loss_on)

    def encode(self, conversations: Sequence[Conversation]) -> Encoded:
        """Encode a batch of conversations (messages of `role` and `content`, perhaps `input`).

        `TemplateError` for a conversation that the format refuses.
        """
        whole = self.writer.write(conversations)
        long = whole.lengths > self.cutoff
        found, rows, parts = whole, np.arange(len(conversations)), dict[int, Parts]()
        if self.beyond_cutoff == "truncate":
            found = whole.cut_at(self.cutoff)
        elif self.beyond_cutoff == "split" and long.any():
            found, rows, parts = self._split(conversations, whole, long)
        keep = (found.lengths <= self.cutoff) & (found.trained() > 0) & ~found.lost
        kept = flagged(rows[keep], len(conversations))
        changes = {
            CUT_SHORT if self.beyond_cutoff == "truncate" else SPLIT: long & kept,
            MENDED: flagged(rows[keep & found.mended], len(conversations)),
            SPELT: whole.spelt & kept,
        }
        taken = found.taken(np.flatnonzero(keep))
        return Encoded(
            ids=taken.ids,
            labels=np.where(taken.mask, taken.ids, np.int32(IGNORED)),
            lengths=taken.lengths,
            rows=rows[keep],
            dropped=self._dropped(whole, long, kept),
            noted=+Counter({reason: int(which.sum()) for reason, which in changes.items()}),
            dropped_turns=_dropped_turns({row: one for row, one in parts.items() if kept[row]}, rows, keep),
        )

    def _dropped(self, whole: Coded, long: Flags, kept: Flags) -> Counter[str]:
        """The rows left out, by the first reason that holds."""
        dropped = Counter({UNWRITABLE: int((whole.lost & ~kept).sum())})
        left = ~whole.lost & ~kept
        if self.beyond_cutoff == "truncate":
            long = np.zeros_like(long)
        elif self.beyond_cutoff == "split":
            long = long & (whole.trained() > 0)
        dropped[TOO_LONG] = int((left & long).sum())
        dropped[UNTRAINED] = int((left & ~long).sum())
        return +dropped

    def _split(
        self, conversations: Sequence[Conversation], whole: Coded, long: Flags
    ) -> tuple[Coded, NDArray[np.int64], dict[int, Parts]]:
        """The long rows in parts, between the others: the sequences, the row of each, and what became of long rows."""
        there, others = np.flatnonzero(long), np.flatnonzero(~long)
        found, owners, parts = parted(
            [conversations[row] for row in there.tolist()],
            whole.lengths[there].tolist(),
            self.cutoff,
            self.writer.write,
            last=self.loss_on == "last",
        )
        rows = np.concatenate([others, there[owners]])
        order = np.argsort(rows, kind="stable")
        return (
            joined([whole.taken(others), found]).taken(order),
            rows[order],
            dict(zip(there.tolist(), parts, strict=True)),
        )


def _dropped_turns(parts: Mapping[int, Parts], rows: NDArray[np.int64], keep: Flags) -> Counter[str]:
    """The exchanges of kept rows that no kept sequence holds, by reason."""
    turns: Counter[str] = Counter()
    for row, one in parts.items():
        turns += Counter({TOO_LONG: one.too_long, BEFORE: one.before, UNTRAINED: one.unanswered})
        for (start, end), there in zip(one.runs, keep[rows == row], strict=True):
            turns[UNTRAINED] += 0 if there else end - start
    return +turns


def conversation(row: Mapping[str, Any], prompt: Prompt) -> list[Message]:
    """A mixture's row as the messages a prompt format is given.

    Formats take `messages` as they are. One that knows the key `input` gets the last request in its two halves where
    the wording is plain, so that it can set the input apart as the format was published.
    """
    messages: list[Message] = row["messages"]
    if row["template"] != "plain" or not row["input"] or "'input'" not in prompt.text:
        return messages
    asked = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
    # A suffix may have been added to the request; what is trained is then what `messages` says.
    if asked is None or messages[asked]["content"] != f"{row['instruction']}\n{row['input']}":
        return messages
    request = {"role": "user", "content": row["instruction"], "input": row["input"]}
    return [*messages[:asked], request, *messages[asked + 1 :]]
