"""Flags of an answer that does not answer: empty, an echo, cut off, a refusal, a bare address, out of proportion."""

import re
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule

# --- nothing said ---------------------------------------------------------------------------------------------------

_MARKUP: Final = re.compile(
    r"</?[A-Za-z][^<>]{0,80}>|&(?:[a-zA-Z]{2,8}|#[0-9]{1,6});|\[[^\W\d_](?:[^\W_]| ){2,60}\]|\\[nrt]"
)
"""Tags, entities, stage directions such as "[image]", written-out line breaks."""

_NOTHING: Final = re.compile(r"(?i)\W*(?:no ?(?:input|output|answer|response)|n/a|nan|todo)\W*")
_MORSE: Final = frozenset(".-/| \n")
_ABOUT_MARKUP: Final = re.compile(r"(?i)html|xml|\btags?\b|\bdiv\b|markup|element|code|标签|网页|代码")
_FURNITURE: Final = re.compile(r"[\u2500-\u257f\u3000-\u303f\ufe00-\ufe6f\uff00-\uffef\ufffd\ue000-\uf8ff]")
_SHORT: Final = 200


def empty(exchange: Exchange) -> str | None:
    """The answer, where it has no letter, digit or symbol besides markup and placeholders."""
    said = exchange.output
    if len(said) > _SHORT or (_MORSE.issuperset(said) and len(said.split()) >= 3):
        return None
    left = _MARKUP.sub(" ", said)
    if left != said and _ABOUT_MARKUP.search(exchange.request):
        return None
    return said if not any(map(_speaks, left)) or _NOTHING.fullmatch(said) else None


def _speaks(character: str) -> bool:
    """Whether a character may be an answer: a letter, a digit, or a symbol such as an emoji."""
    return character.isalnum() or (ord(character) >= 0x2190 and not _FURNITURE.match(character))


# --- the request again ----------------------------------------------------------------------------------------------

_WORDS: Final = re.compile(r"[^\W_]+")
LEAST_ECHO: Final = 12
"""An echo has so many letters and digits at least."""


def echo(exchange: Exchange) -> str | None:
    """The part of the request that the answer is.

    The instruction may come back in other case and marks; an input must come back as it is, since to change no more
    than case, marks or blanks is what an edit may have been asked to do.
    """
    said = exchange.output
    words = _folded(said)
    if len(words) < LEAST_ECHO:
        return None
    if words == _folded(exchange.instruction):
        return "the answer is the instruction"
    if said == exchange.input:
        return "the answer is the input"
    return "the answer is the whole request" if words == _folded(exchange.instruction + exchange.input) else None


def _folded(text: str) -> str:
    """The letters and digits of a text in lower case."""
    return "".join(_WORDS.findall(text.lower()))


def _start(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars_start("\"'“”‘’「」*#-. ").str.head(6).str.to_lowercase()


# --- only an address ------------------------------------------------------------------------------------------------

_ADDRESS: Final = re.compile(r"\W*(?:https?://|www\.)")
_ABOUT_ADDRESSES: Final = re.compile(r"(?i)\burls?\b|\blinks?\b|web ?(?:site|page|address)|\buri\b|网址|链接|网站|网页")


def url_only(exchange: Exchange) -> str | None:
    """The answer, where it is web addresses and nothing else, and the request asks for none."""
    words = exchange.output.split()
    if not (words and all(map(_ADDRESS.match, words))) or _ABOUT_ADDRESSES.search(exchange.request):
        return None
    return exchange.output


# --- out of proportion ----------------------------------------------------------------------------------------------

MOST: Final = 33
"""Bytes of an answer for one of the request: more is out of proportion.

The 99.99th percentile of the rows of docs/flags.md."""

LONG: Final = 1000
"""An answer of fewer bytes is in proportion to any request."""


def length_ratio(exchange: Exchange) -> str | None:
    """How many times as long as its request the answer is, and how often it might be.

    Lengths are bytes of UTF-8, in which a Chinese character, which says as much as a few letters, weighs three.
    """
    answer, request = (len(text.encode()) for text in (exchange.answer, exchange.request))
    if answer >= LONG and answer > MOST * request:
        return f"{answer} bytes for {request}, {answer / max(1, request):.0f} times as many; the bound is {MOST}"
    return None


ANSWERS: Final = {
    "empty-after-cleaning": Rule(
        meaning="The answer is nothing but markup, punctuation and placeholders.",
        gate=(pl.col("output").str.len_bytes() <= 4 * _SHORT)
        & (
            ~pl.col("output").str.contains(r"[a-zA-Z0-9\p{Han}]")
            | pl.col("output").str.contains(r"^[^a-zA-Z0-9]*(?:[\[<&\\]|(?i:n|todo)[a-zA-Z/ ]{0,12}[^a-zA-Z]*$)")
        ),
        find=empty,
    ),
    "echo": Rule(
        meaning="The answer is the request again, or its instruction or its input.",
        gate=(_start("output") == _start("instruction")) | (_start("output") == _start("input")),
        find=echo,
    ),
    "url-only": Rule(
        meaning="The answer is web addresses and nothing else.",
        gate=pl.col("output").str.contains(r"^[^\w\s]*(?:https?://|www\.)"),
        find=url_only,
    ),
    "length-ratio": Rule(
        meaning="The answer is out of all proportion to its request.",
        gate=(pl.col("answer").str.len_bytes() >= LONG)
        & (pl.col("answer").str.len_bytes() > MOST * pl.col("request").str.len_bytes().cast(pl.Int64)),
        find=length_ratio,
    ),
}
