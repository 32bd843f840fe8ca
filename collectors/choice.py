"""Which sources a user means: by name, by glob (`alpaca*`), and by tag (`lang=CN`)."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal

from collectors.errors import CatalogError, nearest

Lang = Literal["EN", "CN", "ML"]
Task = Literal["MT", "TS"]
Gen = Literal["HG", "SI", "MIX", "COL"]
"""The tags of the Alpaca-CoT collection."""

KEYS: Final = ("lang", "task", "gen", "license", "terms")
"""What a tag filter may ask for."""

Tags = Mapping[str, frozenset[str]]
"""The values of a source by key; several where its files differ."""


def words(asked: Sequence[str]) -> list[str]:
    """The single names, globs and filters of what was asked for; blanks and commas part them."""
    return [word for one in asked for word in re.split(r"[\s,]+", one) if word]


def chosen(asked: Sequence[str], sources: Mapping[str, Tags]) -> list[str]:
    """The names that are meant, in the order of `sources`; all of them when nothing is asked for.

    A source is meant by its name or a glob, and of these (of all, where none is given) it must meet every filter
    `key=value`. A value is a glob as well, upper and lower case alike; a source meets it if one of its files does.
    Raises `CatalogError` for a name, key or value there is not, and when nothing is left.
    """
    named = [word for word in words(asked) if "=" not in word]
    filters = [word for word in words(asked) if "=" in word]
    for word in named:
        if not any(fnmatchcase(name, word) for name in sources):
            what = "no source is named like" if _is_glob(word) else "unknown source"
            raise CatalogError(f"{what} {word}; {nearest(word.strip('*?'), sources)}")
    for word in filters:
        _check(word, sources)
    found = [
        name
        for name, tags in sources.items()
        if (not named or any(fnmatchcase(name, word) for word in named)) and all(_meets(tags, one) for one in filters)
    ]
    if not found and sources:
        raise CatalogError(f"no source meets all of {' '.join([*named, *filters])}; leave one out")
    return found


def _is_glob(word: str) -> bool:
    return any(mark in word for mark in "*?[")


def _meets(tags: Tags, word: str) -> bool:
    key, _, value = word.partition("=")
    return any(fnmatchcase(one.lower(), value.lower()) for one in tags[key])


def _check(word: str, sources: Mapping[str, Tags]) -> None:
    """Refuse a filter that no source could meet: for its key, or for its value alone."""
    key = word.partition("=")[0]
    if key not in KEYS:
        raise CatalogError(f"unknown tag {key} in {word}; {nearest(key, KEYS)}")
    if not any(_meets(tags, word) for tags in sources.values()):
        known = {value for tags in sources.values() for value in tags[key]}
        raise CatalogError(f"no source has {word}; {nearest(word.partition('=')[2], known)}")
