"""Suspected personal data: e-mail addresses, telephone numbers, Chinese identity numbers."""

import re
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule, among

_EMAIL: Final = re.compile(
    r"(?<![\w.+%/:-])([A-Za-z0-9][A-Za-z0-9._%+-]{0,63})@((?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12})(?![A-Za-z0-9_-])"
)
_NOBODY: Final = re.compile(
    r"(?i)(?:.*\.)?(?:example|test|invalid|localhost)[0-9]*(?:\.[a-z]+)*"
    r"|(?:.*\.)?(?:domain|email|mail|company|your-?[a-z]*|my-?[a-z]*|some-?[a-z]*|abc|xyz|xxx+|website|site|foo|bar"
    r"|acme|sample|placeholder|provider|host|server|businessname|companyname|business)\.[a-z.]+"
)
"""Domains that are nobody's, by RFC 2606 or by their name."""
_NO_NAME: Final = re.compile(
    r"(?i)(?:your|my|some|user|first|last|full)(?:[._-]?(?:user|first|last|full|name|g?mail|e-?mail|address|account|id))*|name|e?mail|x+|abc|foo|bar|test"
    r"|example|username|someone|somebody|info|support|contact|admin|sales|help|service|no-?reply|webmaster|office"
)
"""Names of nobody and names of posts: no person's."""

_AMERICAN: Final = re.compile(
    r"(?<![\w.,$€£+-])(?:\+?1[-. ])?(?:\(([2-9][0-9]{2})\) ?|([2-9][0-9]{2})([-.]))([2-9][0-9]{2})([-. ])([0-9]{4})"
    r"(?![\w-]|[.,][0-9])"
)
_ABROAD: Final = re.compile(r"(?<![\w.+])\+[1-9][0-9]{0,2}(?:[-. ]?\(?[0-9]{1,5}\)?){2,5}(?![\w-])")
_MOBILE: Final = re.compile(
    r"(?<![0-9A-Za-z_.,$¥￥+=*/-])(?:\+?86[- ]?)?(1[3-9][0-9])([- ]?)([0-9]{4})\2([0-9]{4})"
    r"(?![0-9A-Za-z_%=*/-]|[.,][0-9]|[元米个])"
)
_LANDLINE: Final = re.compile(r"(?<![\w.,+-])\(?0(?:10|2[0-9]|[3-9][0-9]{2})\)?-? ?[2-8][0-9]{6,7}(?![\w-]|[.,][0-9])")

_FREE: Final = frozenset({"800", "833", "844", "855", "866", "877", "888", "900"})
"""American area codes of toll-free and premium lines: a firm's, not a person's."""

_ID: Final = re.compile(r"(?<![0-9A-Za-z])([1-8][0-9])[0-9]{4}((?:19|20)[0-9]{6})[0-9]{3}[0-9Xx](?![0-9A-Za-z])")
_WEIGHTS: Final = tuple(2 ** (17 - place) % 11 for place in range(17))
_CHECKS: Final = "10X98765432"
_PRINTED: Final = frozenset({"11010519491231002X", "440524188001010014"})
"""The examples of the standard itself (GB 11643)."""


def email(exchange: Exchange) -> str | None:
    """An address whose domain may be somebody's and whose name may be a person's."""
    for found in _EMAIL.finditer(exchange.text):
        if not _NOBODY.fullmatch(found[2]) and not _NO_NAME.fullmatch(found[1]):
            return found[0]
    return None


def phone(exchange: Exchange) -> str | None:
    """A telephone number in the forms of North America, of China, or with a country's code, that is no stock number."""
    return next(_numbers(exchange.text), None)


def _numbers(text: str) -> Iterator[str]:
    for found in _AMERICAN.finditer(text):
        area, exchange = found[1] or found[2], found[4]
        alike = found[1] is not None or found[3] == found[5]
        if alike and area not in _FREE and "555" not in (area, exchange) and not _stock(area + exchange + found[6]):
            yield found[0]
    for pattern in (_ABROAD, _MOBILE, _LANDLINE):
        for found in pattern.finditer(text):
            digits = "".join(filter(str.isdigit, found[0]))
            if 8 <= len(digits) <= 15 and not _stock(digits) and not (digits[0] == "1" and "555" in digits[1:7]):
                yield found[0].strip()


def _stock(digits: str) -> bool:
    """Whether digits were typed for the form only: a run up or down, or one or two digits throughout."""
    steps = [int(after) - int(before) for before, after in pairwise(digits)]
    longest = run = 1
    for before, after in pairwise(steps):
        run = run + 1 if before == after else 1
        longest = max(longest, run)
    return longest >= 5 or len(set(digits)) <= 3 or "13800138000" in digits


def identity(exchange: Exchange) -> str | None:
    """A Chinese identity number: 18 places with a region, a birthday that was, and the right check digit (GB 11643)."""
    for found in _ID.finditer(exchange.text):
        digits = found[0].upper()
        if _born(found[2]) and digits not in _PRINTED:
            total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False))
            if _CHECKS[total % 11] == digits[17]:
                return found[0]
    return None


def _born(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


_DIGITS: Final = pl.col("text").str.contains(r"[0-9]{3}[-. )]{1,2}[0-9]{3}|[0-9]{8}|\+[0-9]|[0-9] [0-9]{4} [0-9]{4}")

PERSONAL: Final = {
    "personal-email": Rule(
        meaning="An e-mail address stands in the record that may be a person's.",
        gate=among("text", "@"),
        find=email,
    ),
    "personal-phone": Rule(
        meaning="A telephone number stands in the record that may be a person's.",
        gate=_DIGITS,
        find=phone,
    ),
    "personal-id": Rule(
        meaning="A Chinese identity number with a possible birthday and the right check digit stands in the record.",
        gate=pl.col("text").str.contains(r"[0-9]{17}"),
        find=identity,
    ),
}
