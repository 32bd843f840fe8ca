"""Flags of an answer that was left unfinished: a blank not filled in, a code block not closed."""

import re
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule, among

_FIELD: Final = (
    r"(?:name|date|address|phone|email|title|company|city|state|recipient|position|subject|product|number|link|url|topic"
    r"|location|signature|organi[sz]ation|employer|time|amount|input|output|text)"
)
_PLACEHOLDER: Final = re.compile(
    r"(?i:[\[<{（【(]\s*(?:insert|enter|fill in|此处|请填|填写|插入)[^\]>})】）\n]{1,60}[\]>})】）])"
    r"|(?i:(?:\[|<|\{\{|【)(?:your|recipient(?:['’]s)?|company|sender(?:['’]s)?|customer|client|employer"
    r"|first|last|full|job)[ _-][^\]>}】\n]{1,40}[\]>}】])"
    r"|(?<![\w\]])\[(?i:" + _FIELD + r")(?: here)?\](?![(\[\w])"
    r"|[\[【〔](?:您|你|我)?的?(?:姓名|名字|公司名?|日期|地址|电话|邮箱|收件人|寄件人|职位)[^\]】〕\n]{0,8}[\]】〕]"
    r"|<(?:input|output|noinput|text|name|placeholder|answer)>"
    r"|(?<![A-Za-z0-9_-])(?:X{3,}|x{3,})(?![A-Za-z0-9_\u2150-\u218f-])|(?<![A-Za-z0-9×])(?:XX|xx|××)(?=[\u4e00-\u9fff])"
    r"|\bTODO\b(?!\s*list)|(?i:lorem ipsum)"
)
_ASKED_BLANKS: Final = re.compile(
    r"(?i)template|placeholder|fill[- ]in|\bforms?\b|\bletter|e-?mail|resume|résumé|\bcv\b|contract"
    r"|invitation|todo|to-do|lorem|html|invoice|memo|message|roman|模板|占位|信|邮件|简历|合同|通知|表格|范文|申请|罗马|[\[{<_]"
)


def placeholder(exchange: Exchange) -> str | None:
    """The first blank left to fill in the answer, where none was asked for: no letter, no form, no such blank."""
    for found in _PLACEHOLDER.finditer(exchange.answer):
        if found[0] not in exchange.request:
            return None if _ASKED_BLANKS.search(exchange.request) else found[0]
    return None


_FENCE: Final = re.compile(r"(?m)^[ \t>*-]*(`{3,})([^`\n]*)$")


def open_fence(exchange: Exchange) -> str | None:
    """The line that opens a code block which the answer does not close (as CommonMark has it)."""
    opened: re.Match[str] | None = None
    for found in _FENCE.finditer(exchange.answer):
        if opened is None:
            opened = found
        elif len(found[1]) >= len(opened[1]) and not found[2].strip():
            opened = None
    return None if opened is None else opened[0].strip()


UNFINISHED: Final = {
    "placeholder": Rule(
        meaning="A blank to be filled in was left in the answer though none was asked for.",
        gate=pl.col("answer").str.contains(
            r"[\[<{（【(〔]\s*(?i:insert|enter|fill|your|recipient|company|sender|customer|client|employer|first|last|full|job"
            r"|placeholder|answer|noinput|[您你我的姓名公日地电邮收寄职此请填插]|"
            + _FIELD
            + r")|[Xx×]{2}|TODO|(?i:lorem)"
        ),
        find=placeholder,
    ),
    "unbalanced-code-fence": Rule(
        meaning="The answer opens a code block and does not close it.",
        gate=among("answer", "```"),
        find=open_fence,
    ),
}
