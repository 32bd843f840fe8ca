"""What a Chinese character tells of the language it stands in: simplified Chinese, traditional Chinese or Japanese.

Each of the three is written with a standard set of characters. A text is taken for the one it breaks least, so that
国際電話会社 is Japanese: 際電話 are no simplified Chinese, 国会 no traditional. The sets are the tables of the national
encodings (GB 2312, Big5, JIS X 0208) mended by OpenCC's conversions; both come with the program's libraries, none is
stored here.
"""

import functools
from typing import Final

from pipeline.judge.characters import variants

NOT_HANS, NOT_HANT, NOT_JA, LEAN_JA, LEAN_ZH = 1, 2, 4, 8, 16
"""Signs of a character: it breaks a standard, or keeps all three yet is at home in one."""

RANGES: Final = ((0x3400, 0x9FFF), (0xF900, 0xFAFF))
"""The code points looked at, both ends included; what lies beyond is too rare to tell by."""

_FUNCTION: Final = "我他是了的在也都就把很吧但如及呢你們這那嗎麼沒請說跟讓和向从從到使它要会會能"
"""Characters that hold a Chinese sentence together and are seldom met in Japanese words."""


@functools.cache
def signs() -> dict[int, int]:
    """The signs of every character that has one, by code point."""
    simplified, traditional = variants("t2s"), variants("jp2t") | variants("s2t")
    modern, hong_kong = variants("t2jp"), set(variants("t2hk").values())
    found: dict[int, int] = {}
    for first, last in RANGES:
        for code in range(first, last + 1):
            mainland, taiwan, japan = (_level(code, name) for name in ("gb2312", "big5", "shift_jis"))
            if mainland or taiwan or japan:
                hans = bool(mainland)
                hant = taiwan == 1 or (taiwan == 2 and code not in traditional) or code in hong_kong
                ja = japan == 1 or (japan == 2 and code not in modern)
            else:
                hans, hant, ja = code not in simplified, code not in traditional, False
            sign = NOT_HANS * (not hans) | NOT_HANT * (not hant) | NOT_JA * (not ja)
            sign |= LEAN_JA * (japan == 1 and mainland != 1 and taiwan != 1)
            sign |= LEAN_ZH * ((japan == 2 and (mainland == 1 or taiwan == 1)) or chr(code) in _FUNCTION)
            if sign:
                found[code] = sign
    return found


_SECOND: Final = {"gb2312": 0xD8A1, "big5": 0xC940, "shift_jis": 0x989F}
"""Where the less common characters of an encoding begin."""


def _level(code: int, encoding: str) -> int:
    """1 for a character in common use in the land of an encoding, 2 for another that it has, 0 for none of it."""
    encoded = chr(code).encode(encoding, "ignore")
    return 1 + (int.from_bytes(encoded) >= _SECOND[encoding]) if len(encoded) == 2 else 0
