"""Flags of what does not belong in a text: prompt formats, damaged encoding, markup."""

import re
from typing import Final

import polars as pl

from pipeline.judge.rule import Exchange, Rule, among

# --- prompt formats -------------------------------------------------------------------------------------------------

TOKENS: Final = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|begin_of_text|>", "<|eot_id|>", "<|Human|>"),
    *("<|MOSS|>", "<|system|>", "<|user|>", "<|assistant|>", "<|prompter|>", "[INST]", "[/INST]", "<<SYS>>", "<eoh>"),
    *("<eom>", "<eoa>", "<start_of_turn>", "<end_of_turn>", "<human>:", "<bot>:", "[gMASK]", "<sop>", "[UNUSED_TOKEN"),
    *("Below is an instruction that describes", "A chat between a curious"),
    "以下是一个描述任务的指令",
)
"""Marks and sentences that only a prompt format has."""

_HEADS: Final = re.compile(
    r"(?m)^[ \t]*#{2,4} ?(?:(?:Instruction|Response|Human|Assistant|指令|回答|回复) ?[:：]"
    r"|(?:Input|Output|User|输入) ?[:：]$)"
)
_TURN: Final = re.compile(r"(?m)^[ \t]*(Human|Assistant|USER|ASSISTANT|User|AI|人类|助手) ?[:：]")
_ASKED_TURNS: Final = re.compile(
    r"(?i)dialog|conversation|chat|transcript|interview|script|assistant|human:|对话|聊天|交谈|会话|台词|助手"
)


def prompt_leak(exchange: Exchange) -> str | None:
    """A mark, heading or pair of speakers of a prompt format in the answer, or a mark or heading in the instruction."""
    for text in (exchange.answer, exchange.instruction):
        for token in TOKENS:
            if token in text:
                return token
        if (head := _HEADS.search(text)) is not None:
            return head[0].strip()
    if _ASKED_TURNS.search(f"{exchange.instruction}\n{exchange.input}") is None:
        speakers = {found[1].lower() for found in _TURN.finditer(exchange.answer)}
        if len(speakers) > 1 or speakers & {"human", "人类"}:
            return " and ".join(sorted(speakers))
    return None


# --- damaged encoding -----------------------------------------------------------------------------------------------

_DAMAGE: Final = re.compile(
    "\ufffd+|[ÃÂâ][\u0080-\u00bf]+|â[€‚„‹†‡ˆ‰Š][^\\s\\w]?|Ã[ƒ†‡‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\u0080-\u00ff]|ï»¿|ï¿½|ðŸ|[åæçèé][\u0080-\u00bf]{2}"
    "|锟斤拷|锟斤|斤拷|烫烫烫烫|屯屯屯屯|鈥[檚滄潨攢]|锛[屽氾岃]|銆[傚佺]|[\u0080-\u0084\u0086-\u009f]"
)
_ABOUT_ENCODING: Final = re.compile(r"(?i)mojibake|encoding|unicode|utf-?8|乱码|编码")


def mojibake(exchange: Exchange) -> str | None:
    """The first piece of text that was read in another encoding than it was written in."""
    found = _DAMAGE.search(exchange.text)
    return None if found is None or _ABOUT_ENCODING.search(exchange.request) else found[0]


# --- HTML -----------------------------------------------------------------------------------------------------------

_TAG: Final = re.compile(
    r"(?i)</?(?:p|div|br|hr|span|strong|em|ul|ol|li|table|tbody|thead|tr|td|th|h[1-6]|img|font|center|blockquote|pre|code"
    r"|sub|sup|script|style|iframe|small|big)(?:\s[^<>]{0,300})?/?>|<a\s+(?:href|name|class|id|target|rel|title|style)\b[^<>]{0,300}>|</[abiu]>"
)
_ENTITY: Final = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|ldquo|rdquo|lsquo|rsquo|hellip|mdash|ndash|copy|#[0-9]{2,6}|#x[0-9a-fA-F]{2,5});"
)
_ABOUT_HTML: Final = re.compile(
    r"(?i)html|css\b|\btags?\b|xml|markup|\bjsx?\b|javascript|react|vue|angular|php|bootstrap|django|jinja|svg"
    r"|web ?(?:page|site|app)|browser"
    r"|\b(?:code|coding|program|function|script|regex|element|button|table|link|hyperlink|anchor|header|heading|snippet|format)\b"
    r"|网页|网站|标签|代码|编程|前端|程序|函数|脚本|表格|链接"
)
_CODE: Final = re.compile(r"(?s)(```|~~~).*?(?:\1|\Z)|`[^`\n]*`")


def html_residue(exchange: Exchange) -> str | None:
    """The first tag or entity outside code, where the request speaks of nothing that has any."""
    text = exchange.text
    if "`" in text or "~~~" in text:
        text = _CODE.sub(" ", text)
    found = _TAG.search(text) or _ENTITY.search(text)
    return None if found is None or _ABOUT_HTML.search(exchange.request) else found[0]


RESIDUE: Final = {
    "prompt-leak": Rule(
        meaning="A prompt format's own words stand in the answer or the instruction.",
        gate=pl.any_horizontal(
            among(
                name,
                "<|",
                "[INST]",
                "INST]",
                "<<SYS>>",
                "<eo",
                "_of_turn>",
                "<human>",
                "<bot>",
                "[gMASK]",
                "<sop>",
                "[UNUSED_T",
                "Below is an in",
                "A chat between a c",
                "以下是一个描述",
                "##",
            )
            for name in ("answer", "instruction")
        )
        | among(
            "answer",
            "Human:",
            "Assistant:",
            "USER:",
            "ASSISTANT:",
            "User:",
            "AI:",
            "人类",
            "助手",
            "Human ",
            "Assistant ",
            "AI ",
            "AI：",
            "Human：",
            "Assistant：",
            "User ",
        ),
        find=prompt_leak,
    ),
    "mojibake": Rule(
        meaning="Text was damaged by being read in another encoding than it was written in.",
        gate=pl.col("text").str.contains("[\ufffdÃÂâïðåæçèé\u0080-\u009f锟斤烫屯鈥锛銆]"),
        find=mojibake,
    ),
    "html-residue": Rule(
        meaning="HTML tags or entities stand outside code in a record whose request is not about them.",
        gate=pl.col("text").str.contains(r"</?[a-zA-Z]|&[a-z#]"),
        find=html_residue,
    ),
}
