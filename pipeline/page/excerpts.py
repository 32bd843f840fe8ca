"""What is shown of a row: its texts, cut short, with what makes a flag fire or where an evaluation item overlaps."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pipeline.judge.flags import COLUMNS, evidence
from pipeline.judge.language import detect
from pipeline.judge.overlap import Spans, overlap
from pipeline.judge.personal import PERSONAL
from pipeline.judge.texts import answer, request
from pipeline.keys import columns
from pipeline.page.counts import Shard

LENGTH: Final = 400
"""Characters of a text that are shown at most; of a flagged row its request and its answer have half of them each."""
BEFORE: Final = 40
"""Characters that are shown before an overlap."""
EVIDENCE: Final = 120

HIDDEN: Final = re.compile(r"[^\s@]+@[^\s@]+|\d[\d\s().-]{5,}[\dXx]")
"""What is masked in rows that a rule for personal data marks: e-mail addresses and long numbers."""

Segments = list[str]
"""A text in pieces, of which every second one, the second first, is marked."""


class Wanted(NamedTuple):
    """The rows of one shard to show: places, each with the flags to explain and the items (name, text) it holds."""

    shard: Shard
    flags: dict[int, list[str]]
    items: dict[int, list[tuple[str, str]]]


def shown(wanted: Wanted) -> dict[int, dict[str, Any]]:
    """The rows to show by their places: lineage, `request` and `answer`, `flags` and `items`, ready for the page."""
    places = sorted({*wanted.flags, *wanted.items})
    records = columns(wanted.shard.path, ["id", "subset", "row", "part", *COLUMNS])[places]
    asked, answered = request(records), answer(records)
    named = records.with_columns(
        request_language=detect(asked)["language"], answer_language=detect(answered)["language"]
    )
    rows = zip(places, named.iter_rows(named=True), asked, answered, strict=True)
    return {
        place: _row(record, asks.strip(), answers.strip(), wanted.flags.get(place, []), wanted.items.get(place, []))
        for place, record, asks, answers in rows
    }


def _row(
    record: Mapping[str, Any], asks: str, answers: str, flags: list[str], items: list[tuple[str, str]]
) -> dict[str, Any]:
    found = {name: evidence(record, name) or "" for name in flags}
    if any(name in PERSONAL for name in flags):
        asks, answers = masked(asks), masked(answers)
        found = {name: masked(text) for name, text in found.items()}
    return {
        **{name: record[name] for name in ("id", "subset", "row", "part")},
        "request": cut(asks, LENGTH // 2),
        "answer": cut(answers, LENGTH // 2),
        "flags": {name: cut(text, EVIDENCE)[0] for name, text in found.items()},
        "items": {name: _overlap(f"{asks}\n{answers}", text) for name, text in items},
    }


def masked(text: str) -> str:
    """A text with the letters and digits of e-mail addresses and long numbers replaced, but for the first two."""
    return HIDDEN.sub(lambda found: found[0][:2] + re.sub(r"\w", "•", found[0][2:]), text)


def cut(text: str, length: int) -> tuple[str, int]:
    """The beginning of a text, and how many characters are left out."""
    return text[:length], max(len(text) - length, 0)


def _overlap(record: str, item: str) -> dict[str, Segments]:
    both = overlap(record, item)
    return {"record": marked(record, both.record), "item": marked(item, both.item)}


def marked(text: str, spans: Spans) -> Segments:
    """The stretch of a text around its first span, in segments; an ellipsis stands for what is left out."""
    begin = max(spans[0][0] - BEFORE, 0) if spans else 0
    # A text that is a little longer than what is shown begins where it begins.
    begin = 0 if begin <= BEFORE or len(text) <= LENGTH else begin
    end = min(begin + LENGTH, len(text))
    segments, at = ["…" if begin else ""], begin
    for first, last in spans:
        if first < end and last > begin:
            segments[-1] += text[at:first]
            segments += [text[first : min(last, end)], ""]
            at = min(last, end)
    segments[-1] += text[at:end] + ("…" if end < len(text) else "")
    return segments
