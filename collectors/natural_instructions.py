"""Super-NaturalInstructions: a task a file, its definition beside its instances (allenai/natural-instructions, JSON).

A raw file: `{"Definition": ["..."], "Categories": ["Misc."], "Output_language": ["English"], "Instance License":
["MIT"], "Instances": [{"id": "task1-0", "input": "Andorra", "output": ["020"]}, ...], ...}`; an element of `Instances`
is a row. In the older form definition and output are plain strings, and instances have no id.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape
from collectors.texts import texts

RAW: Schema = {"id": pl.String, "input": pl.String, "output": RAW_JSON}
FILE: Schema = dict.fromkeys(
    ("Definition", "Categories", "Input_language", "Output_language", "Instance License"), RAW_JSON
)

LANGUAGES: Final[dict[str, str]] = {
    name: code
    for code, names in {
        "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "as": "Assamese", "az": "Azerbaijani",
        "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali,Bangla", "bs": "Bosnian", "ca": "Catalan",
        "ckb": "Central Kurdish,Sorani", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
        "el": "Greek,Modern Greek", "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian",
        "eu": "Basque", "fa": "Persian,Farsi", "fi": "Finnish", "fil": "Filipino", "fr": "French", "ga": "Irish",
        "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
        "ht": "Haitian,Haitian Creole", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian,Bahasa Indonesia",
        "ig": "Igbo", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jv": "Javanese", "ka": "Georgian",
        "kk": "Kazakh",
        "km": "Khmer,Central Khmer", "kn": "Kannada", "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz,Kirghiz",
        "la": "Latin", "lo": "Lao,Laotian", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam",
        "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese", "my": "Burmese,Myanmar", "ne": "Nepali",
        "nl": "Dutch", "no": "Norwegian", "or": "Oriya,Odia", "pa": "Punjabi,Panjabi", "pl": "Polish",
        "ps": "Pashto,Pushto", "pt": "Portuguese", "qu": "Quechua", "ro": "Romanian", "ru": "Russian",
        "sa": "Sanskrit", "sd": "Sindhi", "si": "Sinhala,Sinhalese", "sk": "Slovak", "sl": "Slovenian",
        "so": "Somali", "sq": "Albanian", "sr": "Serbian", "su": "Sundanese", "sv": "Swedish", "sw": "Swahili",
        "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "tt": "Tatar",
        "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "xh": "Xhosa", "yo": "Yoruba",
        "zh": "Chinese,Mandarin,Mandarin Chinese", "zu": "Zulu",
    }.items()
    for name in names.lower().split(",")
}  # fmt: skip
"""BCP 47 codes by the names of languages in lower case; others are `und`."""

LICENSES: Final[dict[str, str]] = {
    "mit": "MIT",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "cc0": "CC0-1.0",
    "cc0 1.0": "CC0-1.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "gpl 3.0": "GPL-3.0-only",
    "gpl-3.0": "GPL-3.0-only",
}
"""SPDX ids by the names of licences in lower case; Creative Commons' own are a pattern, others are `unknown`."""

_COMMONS: Final = r"^CC[ -]BY(-NC)?(-SA|-ND)?[ -][1-4]\.[0-9]$"


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The first of several outputs is the output; a list of none is an empty one. Licence and language are the task's.

    Two languages are `mul`; two licences are no one licence, so the row is `unknown`.
    """
    native = raw.with_columns(
        output=texts(pl.col("output")), declared=_codes("Output_language"), given=_codes("Input_language")
    )
    language = pl.when(pl.col("declared").list.len() > 0).then("declared").otherwise("given")
    first = pl.col("output").list.get(0, null_on_oob=True)
    return native.with_columns(language=language, licenses=_licenses()).select(
        "row",
        "input",
        instruction=texts(pl.col("Definition")).list.join("\n"),
        output=pl.when(pl.col("output").list.len() == 0).then(pl.lit("")).otherwise(first),
        extra=extra(
            id=json_text(pl.col("id")),
            categories=json_text(texts(pl.col("Categories"))),
            outputs=json_text(pl.when(pl.col("output").list.len() > 1).then("output")),
        ),
        language=_only("language", "mul"),
        license=_only("licenses", "unknown"),
    )


def _codes(name: str) -> pl.Expr:
    """The codes of the languages that a field of the file names, each once; names that are empty say nothing."""
    code = pl.element().replace_strict(LANGUAGES, default="und", return_dtype=pl.String)
    return _names(name).list.eval(code).list.unique(maintain_order=True)


def _licenses() -> pl.Expr:
    """The SPDX ids of the licences that the file names, each once."""
    name = pl.element().str.to_uppercase()
    known = pl.element().replace_strict(LICENSES, default="unknown", return_dtype=pl.String)
    commons = pl.when(name.str.contains(_COMMONS)).then(name.str.replace_all(" ", "-", literal=True))
    return _names("Instance License").list.eval(commons.otherwise(known)).list.unique(maintain_order=True)


def _names(field: str) -> pl.Expr:
    names = texts(pl.col(field)).list.eval(pl.element().str.strip_chars().str.to_lowercase())
    return names.list.eval(pl.element().filter(pl.element() != ""))


def _only(column: str, several: str) -> pl.Expr:
    """The one value of a list, null of none."""
    values = pl.col(column).list
    return pl.when(values.len() > 1).then(pl.lit(several)).otherwise(values.get(0, null_on_oob=True))


SHAPE = Shape(schema=RAW, file=FILE, collect=collect)
