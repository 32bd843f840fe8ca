"""The language a text is written in: by its script and common words where they decide it, by lingua where they do not.

A text of several scripts is of the one most of its words are in; `scripts` says what is no prose and does not count.
Japanese and Chinese are told apart by `han` and `vocabulary`: lingua takes any text without kana for Chinese.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import lingua
import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.judge import scripts, vocabulary
from pipeline.judge.scripts import HAN, KANA, LATIN, SCRIPTS, SPACED, Counts, counts

SOLE: Final = {
    "HANGUL": "ko",
    "THAI": "th",
    "GREEK": "el",
    "HEBREW": "he",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "ORIYA": "or",
    "SINHALA": "si",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "MYANMAR": "my",
    "KHMER": "km",
    "LAO": "lo",
    "ETHIOPIC": "am",
    "TIBETAN": "bo",
}
"""Scripts that are taken for one language."""

COMMON, RARE = 0.1, 0.001
_LATIN_COMMON: Final = "fr de es it pt nl pl cs ro hu sv da fi tr vi id sw ca"
_LATIN_RARE: Final = "af cy et eu ga hr is lt lv lg ms nb sk sl sn so sq st tl tn ts xh yo zu"
PLAUSIBLE: Final = {
    "LATIN": {"en": 1.0} | dict.fromkeys(_LATIN_COMMON.split(), COMMON) | dict.fromkeys(_LATIN_RARE.split(), RARE),
    "CYRILLIC": {"ru": 1.0, "uk": 0.5}
    | dict.fromkeys(("bg", "sr"), COMMON)
    | dict.fromkeys(("be", "mk", "kk", "mn"), RARE),
    "ARABIC": {"ar": 1.0, "ur": 1.0, "fa": 1.0},
    "DEVANAGARI": {"hi": 1.0, "mr": 1.0},
    "SHORT": {"en": 1.0} | dict.fromkeys(("fr", "de", "es", "it", "pt", "nl", "sv", "pl", "id"), COMMON),
}
"""The languages lingua chooses among in a script, weighed by how often instruction corpora hold them.

`SHORT` are Latin words of up to `FEW` bytes without a letter that has a mark. There lingua looks at single letters and
up to five in a row, which is right half as often again as three in a row, and takes memory by the language.
"""

FEW: Final = 24

FEW_HAN: Final = 40
"""Chinese characters up to which a text is asked for its words."""

LEANING, UNBROKEN = 100, 5
"""What a sign of `han`, and each character that is allowed in Japanese, adds there, in hundredths of a power of ten."""

LETTERS_A_WORD: Final = {"CJK": 1.5, "KANA": 2.0, "HANGUL": 2.5, "DEVANAGARI": 3.0} | dict.fromkeys(
    ("THAI", "LAO", "KHMER", "MYANMAR"), 4.0
)
"""Letters that make a word's weight against the words of another script; 5 where nothing is said."""

_NEPALI: Final = "छ छन् हो को र गर्नुहोस् गर्न लागि भएको हुन्छ यो मा पनि छैन थियो तपाईं एउटा बारेमा कुन गर्ने"
NEPALI: Final = frozenset(_NEPALI.split())
"""Common words of Nepali, which lingua does not know; `को` alone is Hindi as well."""

_HINDI: Final = "है हैं का की में से और था थे थी यह नहीं करें क्या लिए आहे आणि"
HINDI: Final = frozenset(_HINDI.split())
"""Common words of Hindi and Marathi that Nepali lacks."""


def detect(texts: pl.Series) -> pl.DataFrame:
    """`language` (BCP 47) and `confidence` (Float32, 0 to 1) of a string column, each text by itself.

    Chinese is `zh-Hans` or `zh-Hant` by the characters that only one of them has, `zh` where a text has neither or as
    many of both; a mixture that wants any Chinese names all three. `und`, confidence 0, is a text with nothing to tell
    by: null, blank, or digits, symbols, code and lone letters only. The confidence is the share of the language's
    script in the words, times how clearly the language shows in that script; it ranks texts, and is no probability.
    """
    found = counts(texts)
    weights = _weights(found)
    total = weights.sum(axis=1)
    winner = np.where(total > 0, weights.argmax(axis=1), -1)
    language = np.full(len(texts), "und", dtype=object)
    certain = np.zeros(len(texts))
    for name, tag in SOLE.items():
        language[winner == SCRIPTS.index(name)], certain[winner == SCRIPTS.index(name)] = tag, 1
    _east(texts, found.table, np.flatnonzero(winner == HAN), language, certain)
    known = found.table[:, scripts.KNOWN]
    english = (winner == LATIN) & _english(found.table)
    language[english], certain[english] = "en", 1 - 0.5 ** known[english]
    for name in SPACED:
        rows = np.flatnonzero((winner == SCRIPTS.index(name)) & ~english)
        _doubtful(name, found, rows, language, certain)
    share = weights.max(axis=1) / np.maximum(total, 1e-9)
    return pl.DataFrame(
        {"language": pl.Series(language, dtype=pl.String), "confidence": (share * certain).round(3)},
        schema={"language": pl.String, "confidence": pl.Float32},
    )


def agrees(tag: pl.Expr, language: pl.Expr) -> pl.Expr:
    """Whether a found language is one that the declared tag `lang` (EN, CN, ML) means; ML means any, `und` is none."""
    english = (tag == "EN") & (language != "en")
    chinese = (tag == "CN") & ~language.str.contains("^zh(-|$)")
    return (language == "und") | ~(english | chinese)


def _weights(found: Counts) -> npt.NDArray[np.float64]:
    """How many words a text has in each script, about; kana count as Chinese characters. Shape (texts, scripts)."""
    table = found.table
    each = np.array([LETTERS_A_WORD.get(name, 5.0) for name in SCRIPTS])
    weights: npt.NDArray[np.float64] = table[:, : len(SCRIPTS)] / each
    weights[:, HAN] += weights[:, KANA]
    weights[:, KANA] = 0
    words, common = table[:, scripts.WORDS], table[:, scripts.KNOWN] + table[:, scripts.OTHERS]
    # Names and terms are no sentence; one or two words in capitals may be anything.
    weights[:, LATIN] = np.where(common * 10 >= words, words, words / 2)
    weights[(words == table[:, scripts.CAPITALS]) & (words <= 2) & (common == 0), LATIN] = 0
    return weights


def _english(table: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Whether the words in Latin letters are plainly English."""
    words, known, others = table[:, scripts.WORDS], table[:, scripts.KNOWN], table[:, scripts.OTHERS]
    plain = (table[:, scripts.MARKS] * 5 <= words) & (others * 3 <= known)
    return plain & (known >= 2) & (known * 8 >= words)


def _east(
    texts: pl.Series,
    table: npt.NDArray[np.int32],
    rows: npt.NDArray[np.intp],
    language: npt.NDArray[np.object_],
    certain: npt.NDArray[np.float64],
) -> None:
    """Tell Japanese, simplified and traditional Chinese apart in `rows`."""
    table = table[rows]
    kana, hans, hant = table[:, KANA], table[:, scripts.BROKEN_HANS], table[:, scripts.BROKEN_HANT]
    not_japanese = 4 * table[:, scripts.BROKEN_JA] + table[:, scripts.TOWARDS_ZH]
    not_chinese = 4 * np.minimum(hans, hant) + table[:, scripts.TOWARDS_JA]
    gap = not_chinese - not_japanese
    # About three letters in five of a Japanese text are kana, one in three of a Chinese text is no Japanese character.
    few = 5 * table[:, scripts.BROKEN_JA] >= 3 * kana
    japanese = np.where(kana > 0, ~few, gap >= 3)
    likelier = np.where(kana > 0, np.abs(kana - table[:, scripts.BROKEN_JA]), np.abs(gap) / 2)
    # What every standard allows is told by its words; what is long would have broken one.
    allowed = (kana == 0) & (table[:, scripts.BROKEN_JA] == 0) & (gap < 3)
    for place in np.flatnonzero(allowed & (table[:, HAN] <= FEW_HAN)):
        words = vocabulary.japanese(texts[int(rows[place])])
        words += LEANING * int(gap[place]) + UNBROKEN * int(table[place, HAN])
        japanese[place], likelier[place] = words > 0, abs(words) / 200
    chinese = np.where(hans < hant, "zh-Hans", np.where(hant < hans, "zh-Hant", "zh"))
    language[rows] = np.where(japanese, "ja", chinese)
    certain[rows] = 1 - 0.5 ** (1 + likelier)


def _doubtful(
    script: str,
    found: Counts,
    rows: npt.NDArray[np.intp],
    language: npt.NDArray[np.object_],
    certain: npt.NDArray[np.float64],
) -> None:
    """Ask lingua about the words of `rows`, each text once."""
    asked: dict[tuple[bytes, int], tuple[str, float]] = {}
    leaning = np.clip(found.table[:, scripts.KNOWN] - found.table[:, scripts.OTHERS], -3, 3)
    for row in rows:
        key = found.words[row, : found.kept[row]].tobytes(), int(leaning[row])
        if key not in asked:
            short = script == "LATIN" and len(key[0]) <= FEW and key[0].isascii()
            asked[key] = _asked("SHORT" if short else script, key[0].decode(), 10.0 ** key[1])
        language[row], certain[row] = asked[key]


def _asked(script: str, words: str, english: float) -> tuple[str, float]:
    """The likeliest language of some words, and its share of the likelihood; `und` where no language knows them.

    English is as many times likelier as `english` says.
    """
    if script == "DEVANAGARI":
        every = set(words.split())
        if len(every & NEPALI) > len(every & HINDI):
            return "ne", 1.0
    values = {value.language.iso_code_639_1.name.lower(): value.value for value in _detector(script)(words)}
    weighed = {tag: prior * values[tag] for tag, prior in PLAUSIBLE[script].items()}
    weighed |= {tag: weighed[tag] * english for tag in weighed if tag == "en"}
    total = sum(weighed.values())
    if not total:
        return "und", 0.0
    # lingua adds up in no fixed order: the last digits are not the same twice.
    best = max(weighed, key=lambda tag: round(weighed[tag] / total, 6))
    return best, weighed[best] / total


@functools.cache
def _detector(script: str) -> Callable[[str], list[Any]]:
    """The lingua detector of a script's languages, built when first asked."""
    codes = [getattr(lingua.IsoCode639_1, tag.upper()) for tag in PLAUSIBLE[script]]
    builder = lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    builder = builder if script == "SHORT" else builder.with_low_accuracy_mode()
    detector: Callable[[str], list[Any]] = builder.build().compute_language_confidence_values
    return detector
