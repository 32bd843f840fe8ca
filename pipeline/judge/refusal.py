"""Boilerplate of a model that speaks of itself in order to refuse, in English and Chinese."""

import re
from typing import Final

from pipeline.judge.rule import Exchange, Rule, among

_SELF: Final = (
    r"(?:as|I(?:['’]m| am)(?: just| only| merely)?)(?: a| an)?(?: [a-z-]+){0,2} "
    r"(?:AI|A\.I\.|artificial intelligence|language model|chatbot|virtual assistant"
    r"|machine learning model|computer program)"
    r"(?: (?:language |chat )?(?:model|assistant|system|program|chatbot|bot|entity|machine)| \(AI\))?"
    r"(?:,? (?:developed|trained|created|designed|built|made|programmed|model)\b[^.!?\n,\"]{0,80})?"
    r"(?:,|;| -| –|—)?(?: and| so| which means| therefore)?(?: that)? "
)
_CANNOT: Final = (
    r"(?:cannot|can['’]?t|can not|could not|couldn['’]t|am (?:un|not )able|['’]m (?:un|not )able|am (?:not |in)capable"
    r"|['’]m (?:not |in)capable|(?:do not|don['’]t) (?:(?:actually|really|currently|physically) )?"
    r"(?:have|possess|experience|know|feel|hold|support|engage|provide)|have no|lack"
    r"|am not (?:programmed|allowed|designed|qualified|equipped)"
    r"|['’]m not (?:programmed|allowed|designed|qualified|equipped)|must (?:decline|refuse)|will not|won['’]t)"
)
_DO: Final = (
    r"(?:provide|assist|help(?! but)|fulfil|complete|answer|generate|create|write|do that|do this|engage|comply"
    r"|give you|support|access|process|offer|respond|discuss|share|determine|perform|browse|open|view|see|recommend"
    r"|produce)"
)
ENGLISH: Final = (
    re.compile(_SELF + r"[^.!?\n\"“”]{0,60}?\b(?:I|it|we)?\s?" + _CANNOT + r"\b", re.IGNORECASE),
    re.compile(
        r"\W*(?:unfortunately,? |(?:(?:I am|I['’]m) (?:very |really |so )?(?:sorry|afraid)|I apologi[sz]e"
        r"|sorry|my apologies)"
        r"[,.!]? ?(?:but |that |however,? |for [^.,\n]{1,40}[,.] (?:but )?)?)"
        r"(?:as [^.,\n]{1,60}, )?I(?: simply| just)?(?: cannot| can['’]?t| can not"
        r"|(?: am|['’]m) (?:unable|not able) to|(?: am|['’]m) not (?:allowed|permitted)|(?: am|['’]m) not "
        r"comfortable| do not have| don['’]t have)\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\W*I(?: cannot| can['’]?t| can not|(?: am|['’]m) (?:unable|not able) to|(?: will| wo)(?: not|n['’]t)) "
        + _DO
        + r"\b",
        re.IGNORECASE,
    ),
)
"""Who speaks is a model and cannot (anywhere); sorry or sadly, I cannot (at the beginning); I cannot do it (there)."""

_MODEL: Final = r"(?:AI|人工智能|(?:大型?)?语言模型|机器人|智能助[手理]|虚拟助[手理]|计算机程序|电脑程序)"
_NOT: Final = (
    r"(?:无法|不能|没有(?:能力|办法|权限|情感|感情|感受|个人|自己的|真实|身体|实体|意识|足够)"
    r"|不具备|不具有|难以|不会(?:有|产生|感)|并没有|不应该|不可以|不支持|拒绝)"
)
CHINESE: Final = (
    re.compile(
        r"(?:作为(?:一[个名款种位台])?|我(?:只)?是(?:一[个名款种位台])?)[^，。！？\n“”]{0,10}"
        + _MODEL
        + r"(?:语言|聊天)?(?:模型|助[手理]|程序|机器人|系统|实体)?[，,、]?(?:所以|因此|我|本)?[^。！？\n“”]{0,24}?"
        + _NOT
    ),
    re.compile(
        r"\W*我?(?:感到)?(?:非常|很|十分|实在)?(?:抱歉|对不起|不好意思|遗憾)[，,。！!]?[^。！？\n“”]{0,16}?(?:我|本)[^。！？\n“”，]{0,10}?"
        r"(?:无法|不能|没有(?:能力|办法|权限|足够)|不具备)"
    ),
    re.compile(r"\W*(?:抱歉|对不起|很遗憾)[，,](?:我)?(?:无法|不能)"),
    re.compile(r"我(?:无法|不能)(?:为您|为你|给您|给你|直接)?(?:提供|回答|完成|生成|协助|帮助|执行)"),
)
"""As for English: the first anywhere, the others at the beginning."""

_QUOTES: Final = '"“「『'


def find(exchange: Exchange) -> str | None:
    """The words of the answer that refuse; what it quotes does not count."""
    text = exchange.output
    for first, *others in (ENGLISH, CHINESE):
        for found in first.finditer(text):
            if text[max(0, found.start() - 1) : found.start()] not in tuple(_QUOTES):
                return found[0]
        for pattern in others:
            if (opening := pattern.match(text)) is not None:
                return opening[0]
    return None


REFUSAL: Final = {
    "refusal": Rule(
        meaning="The answer says that its writer, a model, cannot or will not answer.",
        gate=among(
            "output",
            *(
                "I can",
                "I am",
                "I'm",
                "I’m",
                "I a",
                "I w",
                "orry",
                "language model",
                "an AI",
                "artificial intelligence",
                "As a",
            ),
            *(
                "as a",
                "apolog",
                "抱歉",
                "对不起",
                "遗憾",
                "我无法",
                "我不能",
                "不好意思",
                "人工智能",
                "语言模型",
                "AI",
                "机器人",
                "助手",
                "助理",
                "程序",
            ),
        ),
        find=find,
    )
}
