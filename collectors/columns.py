"""The plainest shape: a record's columns are native fields, renamed as the catalog entry says."""

import polars as pl

from collectors.catalog import Columns
from collectors.rows import Schema
from collectors.shape import Shape


def shape(columns: Columns) -> Shape:
    """The shape a mapping stands for: every field is text; of several native names the first not null counts."""
    given = [_names(getattr(columns, name)) for name in type(columns).model_fields]
    schema: Schema = dict.fromkeys([name for names in given for name in names], pl.String)
    chosen = {
        name: pl.coalesce(_names(getattr(columns, name)))
        for name in type(columns).model_fields
        if name != "extra" and getattr(columns, name)
    }
    if columns.extra:
        chosen["extra"] = extra(**{name: json_text(pl.col(name)) for name in columns.extra})

    return Shape(schema=schema, collect=lambda raw: raw.select("row", **chosen))


def _names(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def extra(**values: pl.Expr) -> pl.Expr:
    """A JSON object of the named JSON texts, null ones left out; null when none is left."""
    pairs = [pl.concat_str(pl.lit(f'"{name}":'), value) for name, value in values.items()]
    inner = pl.concat_str(pairs, separator=",", ignore_nulls=True)
    return pl.when(inner != "").then(pl.concat_str(pl.lit("{"), inner, pl.lit("}")))


def json_text(text: pl.Expr) -> pl.Expr:
    """A string column as JSON strings; null stays null."""
    encoded = pl.struct(text.alias("v")).struct.json_encode()
    return pl.when(text.is_not_null()).then(encoded.str.head(-1).str.strip_prefix('{"v":'))
