"""Suffixes: sentences that induce reasoning, appended to an instruction in the language the record is worded in.

records.with_columns(suffixed("think"))
"""

from functools import cache
from pathlib import Path
from typing import Final

import polars as pl
import yaml
from pydantic import TypeAdapter

from collectors.errors import TemplateError, nearest
from templates.language import WORDED_IN, Language

FILE: Final = Path(__file__).with_name("suffixes.yaml")


@cache
def suffixes() -> dict[str, dict[Language, str]]:
    """Every suffix by name and language, as suffixes.yaml lists them."""
    listed = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, dict[Language, str]]).validate_python(listed)


def suffixed(name: str) -> pl.Expr:
    """The column `instruction` with the named suffix behind it; needs the columns `lang` and `language` as well.

    Raises `TemplateError` for a name that suffixes.yaml does not list.
    """
    if name not in suffixes():
        raise TemplateError(f"suffix {name!r}: there is none of this name; {nearest(name, suffixes())}")
    ending = WORDED_IN.replace_strict(suffixes()[name], return_dtype=pl.String)
    return (pl.col("instruction") + ending).alias("instruction")
