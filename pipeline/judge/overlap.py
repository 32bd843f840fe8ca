"""Where a record and an evaluation item overlap, told for a pair of texts: `leaks` searches millions of them for it."""

from itertools import pairwise
from typing import Final, NamedTuple

from pipeline.judge.characters import ALONE, HAN, KIND, SKIPPED, WORD, changed, entry

WORDS: Final = 8
"""Folded words of an n-gram."""

LABELS: Final = ("a", "b", "c", "d", "e", "options", "choices", "选", "项")
"""Words read over: they label options, or stand as a heading above them."""

Spans = list[tuple[int, int]]


class Overlap(NamedTuple):
    """The characters of a record's text and of an item's that stand in both: first and end of each stretch."""

    record: Spans
    item: Spans


class Folded(NamedTuple):
    """A folded word, and the characters of the text that it stands for."""

    word: str
    first: int
    end: int


def overlap(record: str, item: str, words: int = WORDS) -> Overlap:
    """Where two texts have runs of `words` folded words in common, or all words of the item if it has fewer.

    Option letters are read over, as in the search. Stretches that touch are one.
    """
    both = [[one for one in folded(text) if one.word not in LABELS] for text in (record, item)]
    words = min(words, len(both[1]))
    if not words:
        return Overlap([], [])
    grams = [[tuple(one.word for one in text[at : at + words]) for at in range(len(text) - words + 1)] for text in both]
    common = set(grams[0]) & set(grams[1])
    record_spans, item_spans = (
        _stretches([at for at, gram in enumerate(runs) if gram in common], words, text)
        for runs, text in zip(grams, both, strict=True)
    )
    return Overlap(record_spans, item_spans)


def folded(text: str) -> list[Folded]:
    """The folded words of a text, as `tokens.tokens` has them, without the compiler and the tables that wants."""
    every = set(text)
    chinese = sorted(one for one in every if any(first <= ord(one) <= last for first, last in HAN))
    simplified = changed("t2s", chinese) if chinese else {}
    entries = {one: entry(one, simplified) for one in every}
    found, began, word = list[Folded](), -1, ""
    for at, character in enumerate(text):
        kind, form = entries[character] >> KIND, chr(entries[character] & (1 << KIND) - 1)
        if kind == WORD:
            began, word = (at, form) if began < 0 else (began, word + form)
        elif kind != SKIPPED:
            if began >= 0:
                found.append(Folded(word, began, at))
                began = -1
            if kind == ALONE:
                found.append(Folded(form, at, at + 1))
    return [*found, Folded(word, began, len(text))] if began >= 0 else found


def _stretches(hits: list[int], words: int, text: list[Folded]) -> Spans:
    """The characters from the first to the last word of runs that begin at the words `hits`."""
    edges = [0, *(at for at, (one, other) in enumerate(pairwise(hits), 1) if other > one + words), len(hits)]
    parted = [hits[first:end] for first, end in pairwise(edges) if first < end]
    return [(text[some[0]].first, text[some[-1] + words - 1].end) for some in parted]
