"""Answers in another language than their request, where nothing in the request asked for one."""

import re
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule

LETTERS: Final = 30
"""Letters below which a text says too little (`HAN` for Chinese and Japanese), or is a name or a term."""

HAN: Final = 12
SURE: Final = 60
"""The same for two languages of one script, between which a detector errs more."""

FOREIGN: Final = 16
"""Letters of the answer's script in the request (`FOREIGN_HAN` for Chinese) from which on the answer may keep to it."""

FOREIGN_HAN: Final = 5

_ASKED: Final = re.compile(
    r"(?i)translat|language|\b(?:english|chinese|mandarin|cantonese|french|german|spanish|italian|japanese|korean"
    r"|russian|portuguese|arabic|hindi|latin|greek|dutch|swedish|turkish|polish|vietnamese|thai|indonesian|hebrew"
    r"|persian|farsi|urdu|bengali|pinyin|catalan|romanian|czech|danish|finnish|norwegian|hungarian|ukrainian"
    r"|bulgarian|esperanto|galician|filipino|tagalog|malay|swahili)\b"
    r"|翻译|译成|译为|译文|[英中汉法德日韩俄]语|[英中法德日韩俄]文|西班牙|葡萄牙|意大利|阿拉伯|拉丁|外语|双语|语言"
    r"|拼音|单词|词汇|造句"
)
_CODE: Final = re.compile(
    r"(?m)```|^[ \t]*(?:def |class \w|import |#include|function |public |var |let |const |SELECT "
    r"|<\w+[^>\n]{0,200}>|<!)|[{;][ \t]*$|\w\(.{0,200}\)[ \t]*[:.]?[ \t]*$|</\w|https?://|\$"
)
_ABOUT_CODE: Final = re.compile(
    r"(?i)\b(?:code|python|java|javascript|c\+\+|sql|html|css|regex|function|program|latex|bash|shell)\b"
    r"|代码|编程|程序|函数|算法|脚本|查询|正则|公式"
)
_SCRIPTS: Final = {
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"),
    "han": re.compile(r"[\u3040-\u30ff\u3400-\u9fff]"),
    "other": re.compile(r"[\u0370-\u1dff\ua960-\ud7ff\ufb1d-\ufefc]"),
}
_HAN_WRITING: Final = re.compile(r"[\u3001-\u301f\u3040-\u30ff\u3400-\u9fff\uff01-\uff5e]")
_SENTENCE: Final = re.compile(r"\b[a-zà-ÿ]{1,12} [a-zà-ÿ]{2,12} [a-zà-ÿ]{2,12}\b")
"""Three words in lower case: no list of names has them."""

_ENGLISH: Final = re.compile(r"(?i)\b(?:the|and|what|how|you|your|with|are|this|that|which|my)\b")


def find(exchange: Exchange) -> str | None:
    """Both languages, where the answer's is another: variants of one language are the same."""
    asked, given = (tag.split("-")[0] for tag in (exchange.request_language, exchange.answer_language))
    if asked == given or "und" in (asked, given) or {asked, given} == {"zh", "ja"}:
        return None
    request, answer = f"{exchange.system}\n{exchange.request}", exchange.output
    if not (_apart(request, answer) if _script(request) != _script(answer) else _unlike(request, answer, asked)):
        return None
    if _ASKED.search(request) or _ABOUT_CODE.search(request) or _CODE.search(answer):
        return None
    return f"asked in {exchange.request_language}, answered in {exchange.answer_language}"


def _script(text: str) -> str:
    """The script that most of a text is written in, a Chinese character counting for three letters."""
    weights = {name: len(letter.findall(text)) * (3 if name == "han" else 1) for name, letter in _SCRIPTS.items()}
    return max(weights, key=lambda name: weights[name])


def _apart(request: str, answer: str) -> bool:
    """Whether an answer in another script is prose in it, and the request has hardly any of that script."""
    script = _script(answer)
    letter, han = _SCRIPTS[script], script == "han"
    if len(letter.findall(answer)) < (HAN if han else LETTERS):
        return False
    if len(letter.findall(request)) >= (FOREIGN_HAN if han else FOREIGN):
        return False
    return script != "latin" or (_HAN_WRITING.search(answer) is None and _SENTENCE.search(answer) is not None)


def _unlike(request: str, answer: str, asked: str) -> bool:
    """Whether two texts of one script are both prose, and the one that is not English has no common English word."""
    other = answer if asked == "en" else request
    return (
        min(sum(map(str.isalpha, text)) for text in (request, answer)) >= SURE
        and all(_SENTENCE.search(text) for text in (request, answer))
        and _ENGLISH.search(other) is None
    )


TONGUE: Final = {
    "wrong-language": Rule(
        meaning="The answer is in another language than its request, which asks for none and is not about any.",
        gate=(pl.col("request_language").str.head(2) != pl.col("answer_language").str.head(2))
        & (pl.col("request_language") != "und")
        & (pl.col("answer_language") != "und"),
        find=find,
    )
}
