"""Where two texts differ, word by word: what one has and the other has not, with some words around it."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

AROUND: Final = 4
"""Words shown before and behind a difference."""

MOST: Final = 3_000
"""Words compared one by one, of what is left when the beginning and the end that are alike are taken off."""

_WORD: Final = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|\s+|[^\w\s]"
)
"""A letter of a script that does without blanks, a run of other letters and digits, blanks, or any other sign."""


class Change(NamedTuple):
    """One stretch in which two texts differ: words alike before it, what each of them has, and words alike behind."""

    before: str
    one: str
    other: str
    behind: str


def changes(one: str, other: str) -> list[Change]:
    """The stretches in which two texts differ, in their order; none where they are equal.

    Very long texts that differ in more than `MOST` words are not aligned: all of that is one stretch.
    """
    words = _WORD.findall(one), _WORD.findall(other)
    head = _alike(*words)
    tail = _alike(*(side[head:][::-1] for side in words))
    inner = [side[head : len(side) - tail] for side in words]
    if not any(inner):
        return []
    spans: list[tuple[int, int, int, int]] = [(0, len(inner[0]), 0, len(inner[1]))]
    if max(map(len, inner)) <= MOST:
        found = SequenceMatcher(None, inner[0], inner[1], autojunk=False).get_opcodes()
        spans = [code[1:] for code in found if code[0] != "equal"]
    shifted = [(head + start, head + end, head + begin, head + stop) for start, end, begin, stop in spans]
    return list(_told(words[0], words[1], _joined(shifted)))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two sequences have in common from their beginning."""
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def _joined(spans: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Spans of which those parted by no more than a word are one."""
    joined: list[tuple[int, int, int, int]] = []
    for start, end, begin, stop in spans:
        if joined and start - joined[-1][1] <= 1:
            start, _, begin, _ = joined.pop()
        joined.append((start, end, begin, stop))
    return joined


def _told(one: Sequence[str], other: Sequence[str], spans: list[tuple[int, int, int, int]]) -> Iterator[Change]:
    for number, (start, end, begin, stop) in enumerate(spans):
        # Blanks are words here: twice as many, and not beyond the next difference.
        floor = spans[number - 1][1] if number else 0
        ceiling = spans[number + 1][0] if number + 1 < len(spans) else len(one)
        yield Change(
            before="".join(one[max(floor, start - 2 * AROUND) : start]),
            one="".join(one[start:end]),
            other="".join(other[begin:stop]),
            behind="".join(one[end : min(ceiling, end + 2 * AROUND)]),
        )
