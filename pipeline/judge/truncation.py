"""Answers that stop before their end: within a sentence, a list's lead-in or a piece of code."""

import re
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule

LEAST: Final = 30
"""Bytes of an answer that may be called cut: a shorter one may well be a phrase that was asked for."""

PROSE: Final = 150
"""Letters of an answer whose last sentence wants its mark when the others have theirs."""

HAN_PROSE: Final = 300
"""The same for Chinese, whose writers often leave the last mark out."""

SEEN: Final = 2000
"""So many characters of the last line are looked at."""

_CODE: Final = re.compile(
    r"(?m)^[ \t]*(?:def |class \w|import |from \w+ import|#include|function |public |private |var |let |const |for ?\("
    r"|while ?\(|if ?\(|return\b|SELECT |select |INSERT |UPDATE |CREATE |<\w+[^>\n]{0,200}>|<!|print\(|@)"
    r"|[{;][ \t]*$|\)[ \t]*:[ \t]*$|=>|```|</\w"
)
_HANGING: Final = re.compile(
    r"\b(?:the|an?|and|or|because|than|whose|their|its|our|your|my|if|such|including|between|how to)$"
)
"""Words that no English sentence ends in; those that some do, such as "with", are not among them."""

_SIGNED: Final = re.compile(
    r"(?i)\b(?:sincerely|regards|yours|faithfully|truly|love|wishes|anticipation)[,.]? [^.!?]{1,60}$"
)
_HAN_HANGING: Final = re.compile(
    r"(?:以及|或者|并且|而且|但是|因为|例如|比如|从而|由于|为了|如果|包括|通过|关于|对于)$"
)
_OPEN: Final = tuple(",，、(（[［【“‘「『《〈;；")
_SENTENCE: Final = re.compile(r"[.!?](?=[\"”’)]?\s+[A-Z\"“])|[。！？]")
_LIST_MARK: Final = re.compile(r"(?:^|\s)(?:[0-9]{1,2}|[A-Za-z])[.)、]\s|^\s*[-*•·|>#]")
_NAMED: Final = re.compile(r"(?:[#@]|://|www\.)\S*$")
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")


def find(exchange: Exchange) -> str | None:
    """How the answer ends, where that is no end."""
    text = exchange.output
    if len(text.encode()) < LEAST:
        return None
    if _CODE.search(text):
        return _code(text)
    line = text[text.rfind("\n") + 1 :][-SEEN:].strip()
    ending = f"ends in {text[-30:]!r}"
    if text.endswith(_OPEN):
        return None if _closing(text, line) or exchange.input.endswith(text[-1]) else ending
    if text[-1] in ":：":
        return ending
    if _HANGING.search(line) and len(line.split()) >= 6 and text[-1].isascii():
        return ending
    if _HAN_HANGING.search(line) and len(_HAN.findall(line)) >= 12:
        return ending
    return ending if _unfinished(text, line) else None


def _closing(text: str, line: str) -> bool:
    """Whether a comma at the end closes a letter ("Yours sincerely,") or belongs to a list of one item a line."""
    lines = text.split("\n")
    return len(lines) > 1 and ((len(line.split()) <= 4 and len(line) <= 24) or lines[-2].rstrip().endswith(line[-1]))


def _unfinished(text: str, line: str) -> bool:
    """Whether the last line is prose whose last sentence alone has no mark at its end."""
    if not text[-1].isalpha() or _LIST_MARK.search(line) or _NAMED.search(line) or _SIGNED.search(line):
        return False
    marks = list(_SENTENCE.finditer(line))
    if not marks:
        return False
    tail = line[marks[-1].end() :].strip('"”’) ')
    if _HAN.match(text[-1]):
        return len(_HAN.findall(text)) >= HAN_PROSE and len(tail) >= 4
    return len(text) >= PROSE and len(tail.split()) >= 3


def _code(text: str) -> str | None:
    """How code ends that goes on: in an operator or an open bracket, or with more `{` opened than closed."""
    if text.endswith(("(", "[", "{", ",", "=", "+", "&&", "||", "->", "\\")):
        return f"code ends in {text[-30:]!r}"
    opened = text.count("{") - text.count("}")
    if opened > 0 and re.search(r"\{\s*$", text, re.MULTILINE):
        return f"{opened} braces not closed; ends in {text[-30:]!r}"
    return None


TRUNCATED: Final = {
    "truncated": Rule(
        meaning="The answer ends within a sentence, before the list it announces, or within a block of code.",
        gate=(pl.col("output").str.len_bytes() >= LEAST)
        & (
            pl.col("output").str.contains(r"[\p{L},，、(（\[［【“‘「『《〈;；:：{=+&|>\\]$")
            | pl.col("output").str.contains("{\n", literal=True)
        ),
        find=find,
    )
}
