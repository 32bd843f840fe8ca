"""Japanese or Chinese, told by the words: for strings of characters that both write alike.

`日本銀行`, `消費者金融` and `交通事故` break no rule of either script. What is left is which words they are, and how
common these are in each language; wordfreq counts that (Robyn Speer, wordfreq 3, large lists).
"""

import functools
from typing import Final

from pipeline.judge.characters import variants

LONGEST: Final = {"ja": 6, "zh": 3}
"""Characters of the longest word that is looked up: the Chinese list has compounds of four, which Japanese splits."""

UNKNOWN: Final = 900
"""What a character costs that is no word, in hundredths of a power of ten: one in a billion."""


def japanese(text: str) -> int:
    """How much likelier the words of a text are in Japanese than in Chinese, in hundredths of a power of ten.

    A text is split into the words that make it likeliest, in each language by itself; only Chinese characters count.
    """
    han = "".join(character for character in text if "\u3400" <= character <= "\u9fff")
    simplified = "".join(_simplified().get(character, character) for character in han)
    return _cost(simplified, "zh") - _cost(han, "ja")


def _cost(text: str, language: str) -> int:
    """The improbability of the likeliest split of a text into words."""
    words, longest = _words(language), LONGEST[language]
    best = [0]
    for end, character in enumerate(text, 1):
        cost = best[-1] + words.get(character, UNKNOWN)
        for start in range(max(0, end - longest), end - 1):
            word = words.get(text[start:end])
            if word is not None and best[start] + word < cost:
                cost = best[start] + word
        best.append(cost)
    return best[-1]


@functools.cache
def _words(language: str) -> dict[str, int]:
    """The words in Chinese characters, each with the hundredths of a power of ten that it is rarer than always."""
    import wordfreq  # a tenth of a second, for few texts

    return {
        word: cost
        for cost, words in enumerate(wordfreq.get_frequency_list(language, "large"))
        for word in words
        if len(word) <= LONGEST[language] and all("\u3400" <= character <= "\u9fff" for character in word)
    }


@functools.cache
def _simplified() -> dict[str, str]:
    """The simplified form of each traditional character; wordfreq's Chinese is simplified."""
    return {chr(code): chr(form) for code, form in variants("t2s").items()}
