"""The errors a user can cause or meet, in one tree.

    SuriError
    ├── CatalogError    catalog.yaml, a mixture file or a recipe: a wrong key, a name that does not exist
    ├── SourceError     a raw file: missing, empty, cut short, of another encoding or shape
    ├── TemplateError   a template or prompt: does not parse, names an unknown variable, renders too much
    ├── ArtefactError   the data folder: locked, not writable, full, unfinished or stale
    ├── RemoteError     the Hub or another server: out of reach, refuses, answers with something else
    └── TrainingError   a base, tokenizer or recipe that cannot be trained as asked

A message is one line: who (file and row, key in the catalog), what is wrong, what would be right. The command line
prints it and exits with 2. Anything that is not a `SuriError` is a defect of the program and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SuriError(Exception):
    """What a user can mend; its text is one line."""


class CatalogError(SuriError):
    """catalog.yaml, a mixture file or a recipe says something that cannot be."""


class SourceError(SuriError):
    """A raw file cannot be read as its catalog entry says."""


class TemplateError(SuriError):
    """A template cannot be parsed or rendered."""


class ArtefactError(SuriError):
    """The data folder cannot be read or written as asked."""


class RemoteError(SuriError):
    """A server is out of reach or refuses."""


class TrainingError(SuriError):
    """The training asked for cannot be done with this base, tokenizer or recipe."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of an "unknown name" message: the near misses of `name`, else every name there is."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names)}" if names else "none is known"
