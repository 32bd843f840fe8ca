"""ChatGPT's answers as its web page showed them: HTML to Markdown, and the page's own furniture taken away."""

import re
from typing import Final

from collectors.conversation import strip

_TAG: Final = re.compile(r"<[a-z][a-z0-9-]*(?:\s[^<>]*)?/?>")
_FRAMES: Final = re.compile(r"""</?(?:div|span)(?:\s(?:"[^"]*"|'[^']*'|[^"'>])*)?/?>""")
_PAGER: Final = re.compile(r"[0-9]+ / [0-9]+")
_LENGTH: Final = re.compile(r"Copy[0-9]+ chars / [0-9]+ words")
_COPY: Final = re.compile(r"^([ \t]*)(```+)[ \t]*\n[ \t]*([^\n`]*?)(?:Copy code)+([ \t]*$)?", re.MULTILINE)

_NESTING: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*>")
_VOID: Final = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
DEEPEST: Final = 100
"""Elements within elements that are followed: a bound of our own, so that the answer does not hang on the stack's."""


def is_html(text: str) -> bool:
    """Whether a stripped text begins with a tag. Tags further on in a Markdown answer are its own."""
    return _TAG.match(text) is not None


def markdown(html: str) -> str | None:
    """HTML as Markdown; None where it cannot be read, being broken or nested beyond reason.

    The page's `div` and `span` go first: inside code blocks their line breaks and emphasis would become text.
    """
    # Loaded where there is such text: it takes longer than all collectors together.
    from bs4.exceptions import ParserRejectedMarkup
    from markdownify import MarkdownConverter

    bare = _FRAMES.sub("", html)
    if _depth(bare) > DEEPEST:
        return None
    try:
        # With a tag around it, text such as a path or an address is no reason to the parser for a warning.
        return str(MarkdownConverter(heading_style="ATX").convert(f"<body>{bare}</body>"))
    except ParserRejectedMarkup:
        return None


def _depth(html: str) -> int:
    """The most elements open at once; one that is never closed stays open, as it does to the parser."""
    open_now = deepest = 0
    for closing, name in _NESTING.findall(html):
        if closing:
            open_now = max(0, open_now - 1)
        elif name.lower() not in _VOID:
            open_now += 1
            deepest = max(deepest, open_now)
    return deepest


def answer(text: str) -> str | None:
    """An answer as Markdown without page furniture, stripped; None where its HTML cannot be read.

    Furniture is: the pager `2 / 2` at its start, `Copy123 chars / 45 words`, and in a code block the button's label
    behind the language's name, which goes to the fence.
    """
    plain = _unpaged(text.replace("\r\n", "\n"))
    if is_html(plain):
        converted = markdown(plain)
        if converted is None:
            return None
        plain = _unpaged(converted)
    return strip(_COPY.sub(_fence, _LENGTH.sub("", plain))) if "Copy" in plain else plain


def _fence(found: re.Match[str]) -> str:
    """The opening of a code block, its first line indented as its fence, as a block within a list is."""
    indent, fence, language, end = found.groups()
    return indent + fence + language + ("" if end is not None else "\n" + indent)


def _unpaged(text: str) -> str:
    text = strip(text)
    pager = _PAGER.match(text)
    return strip(text[pager.end() :]) if pager else text
