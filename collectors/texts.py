"""A field that is one text in some files and a list of texts in others."""

from typing import Final, cast

import msgspec
import polars as pl
import pyarrow as pa

from collectors.values import text

_STRINGS: Final = msgspec.json.Decoder(list[str])
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def texts(raw: pl.Expr) -> pl.Expr:
    """A `RAW_JSON` column as lists of texts: a single text is a list of one, a number its text as it is written.

    Null where the field is missing, or where it is, or holds, anything else.
    """
    return raw.map_batches(_lists, return_dtype=pl.List(pl.String))


def _lists(values: pl.Series) -> pl.Series:
    """A row function: the type of the value decides, which expressions cannot ask of JSON text.

    The fields of a file stand in each of its rows, so the value before is remembered.
    """
    found: list[list[str] | None] = []
    before: bytes | None = None
    last: list[str] | None = None
    for value in values:
        if value != before:
            before, last = value, None if value is None else _list(value)
        found.append(last)
    # polars itself would make a series of each list first.
    lists = pa.array(found, type=pa.large_list(pa.large_string()))
    return cast(pl.Series, pl.from_arrow(lists)).alias(values.name)


def _list(value: bytes) -> list[str] | None:
    if not value.startswith(b"["):
        one = text(value)
        return None if one is None else [one]
    try:
        return _STRINGS.decode(value)
    except msgspec.ValidationError:
        every = [text(bytes(element)) for element in _ELEMENTS.decode(value)]
    found = [one for one in every if one is not None]
    return found if len(found) == len(every) else None
