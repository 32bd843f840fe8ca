"""How a source asks to be cited: its paper, or the announcement of its authors, as a BibTeX entry."""

import re
from typing import Annotated, Final

from pydantic import Field, model_validator

from collectors.nodes import Node

SPECIAL: Final = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    mark: f"\\{mark}" for mark in "&%$#_{}"
}
"""Characters that mean something to LaTeX, and how they are written."""


class Citation(Node):
    """A work to cite. Authors are as they sign, in their order; the last may be `others`.

    `booktitle` or `journal` is where it appeared; `arxiv` its number there. Without `url` it is found at arXiv, or at
    the source's homepage. `verified` is false where the authors publish no entry: then title, author and year are what
    the source's page shows, and the entry says so.
    """

    title: str
    authors: Annotated[list[str], Field(min_length=1)]
    year: Annotated[int, Field(ge=1900, le=2100)]
    booktitle: str | None = None
    journal: str | None = None
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    verified: bool = True

    @model_validator(mode="after")
    def _one_place(self) -> "Citation":
        if self.booktitle is not None and self.journal is not None:
            raise ValueError("give booktitle or journal, not both")
        return self


UNVERIFIED: Final = "unverified: its authors publish no entry to cite"
"""The note of an entry that is not its authors' own."""


def bibtex(key: str, citation: Citation | None, title: str, homepage: str) -> str:
    """The BibTeX entry `key` of a source; without a citation, one of its title and homepage and no more."""
    if citation is None:
        return _entry("misc", key, {"title": f"{{{_escaped(title)}}}", "howpublished": f"\\url{{{homepage}}}"})
    kind = "inproceedings" if citation.booktitle else "article" if citation.journal else "misc"
    arxiv = {"eprint": citation.arxiv, "archivePrefix": "arXiv"} if citation.arxiv else {}
    place = citation.url or (f"https://arxiv.org/abs/{citation.arxiv}" if citation.arxiv else homepage)
    fields = {
        "title": f"{{{_escaped(citation.title)}}}",
        "author": " and ".join(map(_escaped, citation.authors)),
        "year": str(citation.year),
        "booktitle": _escaped(citation.booktitle or ""),
        "journal": _escaped(citation.journal or ""),
        **arxiv,
        "url": place,
        "note": "" if citation.verified else UNVERIFIED,
    }
    return _entry(kind, key, {name: value for name, value in fields.items() if value})


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}\n}}"


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: SPECIAL[found[0]], text)
