"""Patterns of paths, as `Path.glob` reads them: one rule for what is fetched, what is read and what is marked."""

from fnmatch import fnmatchcase
from typing import Final

ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
"""Endings of archives, whose members are named below them."""


def is_glob(path: str) -> bool:
    """Whether a path is a pattern."""
    return any(mark in path for mark in "*?[")


def matches(path: str, pattern: str) -> bool:
    """Whether a glob names a path; `**` is any number of folders. Hidden files are not named."""
    return _match(path.split("/"), pattern.split("/"))


def _match(steps: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not steps
    if pattern[0] == "**":
        return _match(steps, pattern[1:]) or bool(steps and not steps[0].startswith(".") and _match(steps[1:], pattern))
    seen = bool(steps) and (not steps[0].startswith(".") or pattern[0].startswith("."))
    return seen and fnmatchcase(steps[0], pattern[0]) and _match(steps[1:], pattern[1:])


def first_mark(subset: str, marks: list[tuple[str, bool]]) -> bool:
    """The mark of the first glob that names the file of a record's `subset`: of its archive, for a member of one."""
    steps = subset.split("/")
    above = ("/".join(steps[:count]) for count in range(1, len(steps)))
    file = next((path for path in above if path.endswith(ARCHIVES)), subset)
    return next((mark for glob, mark in marks if matches(file, glob)), False)
