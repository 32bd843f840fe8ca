"""A field that is one text in some files and a list of texts in others."""

from typing import Final, cast

import msgspec
import polars as pl
import pyarrow as pa

from collectors.values import text

_EVERY: Final = msgspec.json.Decoder(list[list[str] | str | None])
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def texts(raw: pl.Expr) -> pl.Expr:
    """A `RAW_JSON` column as lists of texts: a single text is a list of one, a number its text as it is written.

    Null where the field is missing, or where it is, or holds, anything else.
    """
    return raw.map_batches(_lists, return_dtype=pl.List(pl.String))


def _lists(values: pl.Series) -> pl.Series:
    """The type of the value decides, which expressions cannot ask of JSON text.

    The fields of a file stand in each of its rows, so a value that repeats the one before is read once.
    """
    new = values.ne_missing(values.shift()).to_numpy().copy()
    new[:1] = True
    texts = [value or b"null" for value in values.filter(new)]
    try:
        every = _EVERY.decode(b"[%s]" % b",".join(texts))
        found = [[one] if isinstance(one, str) else one for one in every]
    except msgspec.ValidationError:
        found = [_list(one) for one in texts]
    # polars itself would make a series of each list first.
    lists = cast(pl.Series, pl.from_arrow(pa.array(found, type=pa.large_list(pa.large_string()))))
    return lists.gather(new.cumsum() - 1).alias(values.name)


def _list(value: bytes) -> list[str] | None:
    if not value.startswith(b"["):
        one = text(value)
        return None if one is None else [one]
    found = [text(bytes(element)) for element in _ELEMENTS.decode(value)]
    whole = [one for one in found if one is not None]
    return whole if len(whole) == len(found) else None
