"""Conversations longer than the cutoff, split between their exchanges into several that fit.

An exchange is a request with all that is said until the next one. Every part begins with the conversation's system
messages, takes as many exchanges as fit, and is rendered as a conversation of its own, so no answer is trained twice or
behind anything but what a model would be served; this is how FastChat split the conversations that Vicuna was trained
on. An exchange that is too long by itself is left out, and the next part begins behind it, so that no answer stands
behind a request that it does not answer. Where only the last answer is trained there is one part: the last exchanges
that fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from train.encoding.coded import Coded
from train.encoding.render import Conversation, Message

Exchange = list[Message]


@dataclass(kw_only=True)
class Parts:
    """The parts of one conversation, each a run of exchanges (from, to), and how many exchanges are in none."""

    head: list[Message]
    exchanges: list[Exchange]
    runs: list[tuple[int, int]] = field(default_factory=list)
    too_long: int = 0
    before: int = 0
    unanswered: int = 0

    def conversations(self) -> list[Conversation]:
        """Each part as a conversation."""
        return [[*self.head, *chain.from_iterable(self.exchanges[start:end])] for start, end in self.runs]


def exchanges(conversation: Conversation) -> Parts:
    """The exchanges of a conversation, behind its system messages; a request at the end without answer is none."""
    start = next((place for place, message in enumerate(conversation) if message["role"] != "system"), 0)
    found: list[Exchange] = []
    for place, message in enumerate(conversation[start:], start):
        asked = message["role"] == "user" and (place == start or conversation[place - 1]["role"] != "user")
        if asked or not found:
            found.append([])
        found[-1].append(message)
    answered = [one for one in found if any(message["role"] == "assistant" for message in one)]
    return Parts(head=list(conversation[:start]), exchanges=answered, unanswered=len(found) - len(answered))


def parted(
    conversations: Sequence[Conversation],
    lengths: Sequence[int],
    cutoff: int,
    coded: Callable[[Sequence[Conversation]], Coded],
    *,
    last: bool,
) -> tuple[Coded, NDArray[np.int64], list[Parts]]:
    """The parts of all conversations as `coded` encodes them, which conversation each is of, and what was left out.

    `lengths` are the tokens of each conversation whole. `last`: only the last answer is trained. Every part is at most
    `cutoff` tokens long.
    """
    all_parts = [exchanges(conversation) for conversation in conversations]
    singly = [[*parts.head, *one] for parts in all_parts for one in parts.exchanges]
    sizes = iter(coded(singly).lengths.tolist())
    for parts, size in zip(all_parts, lengths, strict=True):
        _plan(parts, [next(sizes) for _ in parts.exchanges], size, cutoff, last=last)
    while True:
        found = coded([one for parts in all_parts for one in parts.conversations()])
        owners = np.repeat(np.arange(len(all_parts)), [len(parts.runs) for parts in all_parts])
        if (found.lengths <= cutoff).all():
            return found, owners, all_parts
        fits = iter((found.lengths <= cutoff).tolist())
        for parts in all_parts:
            parts.runs = [part for run in parts.runs for part in _fitting(parts, run, next(fits), last=last)]


def _plan(parts: Parts, sizes: list[int], whole: int, cutoff: int, *, last: bool) -> None:
    """Fill each part in turn, taking an exchange's size to be the same wherever it stands."""
    number = len(sizes)
    shared = max(0, min((sum(sizes) - whole) // (number - 1), *sizes)) if number > 1 else 0
    order = range(number - 1, -1, -1) if last else range(number)
    room = -1
    for place in order:
        if sizes[place] > cutoff:
            if last:
                break
            parts.too_long += 1
            room = -1
        elif parts.runs and room >= sizes[place] - shared:
            start, end = parts.runs[-1]
            parts.runs[-1] = (min(start, place), max(end, place + 1))
            room -= sizes[place] - shared
        elif last and parts.runs:
            break
        else:
            parts.runs.append((place, place + 1))
            room = cutoff - sizes[place]
    if last and parts.runs:
        parts.before = parts.runs[0][0]
    elif last:
        parts.too_long = number


def _fitting(parts: Parts, run: tuple[int, int], fits: bool, *, last: bool) -> list[tuple[int, int]]:
    """A part that came out longer than its exchanges promised, made smaller; one exchange always fits."""
    start, end = run
    if fits:
        return [run]
    if last:
        parts.before += 1
        return [(start + 1, end)]
    return [(start, (start + end) // 2), ((start + end) // 2, end)]
