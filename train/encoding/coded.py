"""Encoded conversations, end to end in flat arrays."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Flags = NDArray[np.bool_]

RawIds = bytes
"""The ids of a text, `WIDTH` bytes each: at once joined and compared, and one object however many they are."""
WIDTH: Final = 4


@dataclass(frozen=True, kw_only=True)
class Coded:
    """The ids of conversations, the `mask` of those that are trained, and the `lengths` of conversations.

    Flags of conversations: `mended` has an earlier answer that is not trained, since it would change the ids before it;
    `spelt` spells a special token; `lost` cannot be written by this tokenizer.
    """

    ids: Ids
    mask: Flags
    lengths: NDArray[np.int64]
    mended: Flags
    spelt: Flags
    lost: Flags

    def trained(self) -> NDArray[np.int64]:
        """How many tokens of each conversation are trained."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        before = np.concatenate([[0], np.cumsum(self.mask, dtype=np.int64)])
        counts: NDArray[np.int64] = np.diff(before[ends])
        return counts

    def taken(self, order: NDArray[np.int64]) -> "Coded":
        """The conversations of these places, in this order."""
        lengths = self.lengths[order]
        starts = (np.cumsum(self.lengths) - self.lengths)[order]
        places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        flags = {name: getattr(self, name)[order] for name in ("mended", "spelt", "lost")}
        return Coded(ids=self.ids[places], mask=self.mask[places], lengths=lengths, **flags)

    def cut_at(self, most: int) -> "Coded":
        """Each conversation's first `most` tokens."""
        starts = np.cumsum(self.lengths) - self.lengths
        within = np.arange(len(self.ids)) - np.repeat(starts, self.lengths) < most
        flags = {name: getattr(self, name) for name in ("mended", "spelt", "lost")}
        return Coded(ids=self.ids[within], mask=self.mask[within], lengths=np.minimum(self.lengths, most), **flags)


def joined(parts: Sequence[Coded]) -> Coded:
    """Conversations of several batches, one batch behind the other."""
    names = ("ids", "mask", "lengths", "mended", "spelt", "lost")
    return Coded(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def flagged(places: NDArray[np.int64] | Sequence[int], number: int) -> Flags:
    """Flags of so many, set at `places`."""
    flags = np.zeros(number, bool)
    flags[list(places)] = True
    return flags


def raw(ids: Sequence[int]) -> RawIds:
    """These ids as bytes."""
    return array("i", ids).tobytes()


def flat(texts: Sequence[RawIds]) -> Ids:
    """The ids of many texts, end to end; not to be written to."""
    return np.frombuffer(b"".join(texts), np.int32)
