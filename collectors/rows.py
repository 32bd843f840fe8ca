"""From a block of raw bytes to a frame of native columns, in the schema a source declares.

JSON has a fast path and an exact one. The fast path (pyarrow) takes a whole block and is used only where it is known to
say what the exact one would; the exact path (msgspec) goes row by row, so that a bad row costs itself and nothing else.
Nothing is inferred: a field that is not declared is not read, and a declared one has its type or the row is rejected.
"""

import re
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.json as pj

from collectors.blocks import BOM, Block

RAW_JSON: Final = pl.Binary
"""Declares a field of no one type: the column holds the value's JSON text, as it stands in the file."""

Kind = pl.DataType | pl.datatypes.DataTypeClass
Schema = dict[str, Kind]

LARGE: Final = 1 << 20
"""Bytes of a block from which on loops that are compiled at their first call are worth it."""

UNPARSABLE: Final = "unparsable"
MISSING: Final = "missing field"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The rows of a block: `frame` has the declared columns and `row` (ordinal in the file) of the readable ones.

    `bad` gives the others as (index in the block, reason); `texts` every row's bytes, by that index; `ordinals` are
    theirs in the file; `count` is the number of raw rows, and `cut` is set when the file ends inside the last one.
    """

    frame: pl.DataFrame
    bad: list[tuple[int, str]]
    texts: Sequence[bytes]
    first: int
    count: int
    cut: int | None = None


def _physical(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n")


class Lines(Sequence[bytes]):
    """The lines of a block, without their line breaks, split when the first of them is asked for.

    They are physical ones, unless `cut` says otherwise.
    """

    def __init__(self, data: bytes, cut: Callable[[bytes], list[bytes]] = _physical) -> None:
        self.data, self.cut = data, cut
        self._lines: list[bytes] | None = None

    def split(self) -> list[bytes]:
        """All lines."""
        if self._lines is None:
            self._lines = self.cut(self.data)
        return self._lines

    def __getitem__(self, index: Any) -> Any:
        return self.split()[index]

    def __len__(self) -> int:
        return len(self.split())


def json_lines(data: bytes, block: Block, schema: Schema) -> Rows:
    """A block of JSON Lines; a blank line is no row, but counts in the ordinals."""
    if block.first == 0:
        data = data.removeprefix(BOM)
    lines = Lines(data)
    frame = fast(data, block.rows, schema)
    if frame is not None:
        return Rows(frame=numbered(frame, block.first), bad=[], texts=lines, first=block.first, count=frame.height)
    kept = [(index, line) for index, line in enumerate(lines.split()) if line.strip(b" \t\r")]
    values, good, bad = exact([line for _, line in kept], schema)
    frame = _frame(values, schema, [block.first + kept[index][0] for index in good])
    cut = None
    if block.last and bad and not data.endswith(b"\n") and bad[-1][0] == len(kept) - 1 and _is_cut(kept[-1][1]):
        cut = block.first + kept[-1][0]
    return Rows(
        frame=frame,
        bad=[(kept[index][0], reason) for index, reason in bad],
        texts=lines,
        first=block.first,
        count=len(kept),
        cut=cut,
    )


def _is_cut(line: bytes) -> bool:
    """Whether a line that does not parse is the beginning of an object whose end is missing."""
    text = line.strip()
    if not text.startswith(b"{"):
        return False
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    # msgspec says "truncated" of a lone surrogate, too; and a number that is cut, such as `1.`, is to it a wrong one.
    paired = _SURROGATE.sub(rb"\\u00", text)
    return any("truncated" in _fault(paired + digit) for digit in (b"", b"0"))


_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _fault(text: bytes) -> str:
    """What keeps `text` from being JSON, nothing when it is."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return str(error)
    return ""


def json_elements(data: bytes, block: Block, schema: Schema) -> Rows:
    """A block of the elements of a JSON array."""
    elements = _sound(data) or []
    frame = None
    if block.spans is not None and len(elements) != len(block.spans):
        elements = [data[start:end] for start, end in block.spans]
    else:
        lines = b"\n".join(elements)
        if _begin_objects(lines, elements):
            # Sound objects, so line breaks within them stand between tokens, where they say nothing.
            frame = fast(lines, len(elements), schema, sound=True)
    if frame is not None:
        return Rows(frame=numbered(frame, block.first), bad=[], texts=elements, first=block.first, count=len(elements))
    elements = [bytes(element) for element in elements]
    values, good, bad = exact(elements, schema)
    frame = _frame(values, schema, [block.first + index for index in good])
    return Rows(frame=frame, bad=bad, texts=elements, first=block.first, count=len(elements))


def _sound(data: bytes) -> list[Any] | None:
    """The elements of a run, None where one of them is no JSON."""
    try:
        return msgspec.json.decode(b"".join((b"[", data, b"]")), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None


def _begin_objects(lines: bytes, elements: Sequence[Any]) -> bool:
    """Whether each of the elements that `lines` joins is an object."""
    lengths = np.fromiter(map(len, elements), np.int64, len(elements))
    begins = np.cumsum(lengths + 1) - lengths - 1
    return bool((np.frombuffer(lines, np.uint8)[begins] == _OPEN).all())


def fast(data: bytes, rows: int, schema: Schema, *, sound: bool = False) -> pl.DataFrame | None:
    """All of a block at once, or None where that could differ from the exact path.

    Flat objects of a large block are read by `flat`, all else by pyarrow, which refuses wrong types, unknown escapes,
    lone surrogates and keys that stand twice. What it would let pass is looked for first: text that is no UTF-8, and
    lines that are not exactly one object (it would also crash on a line that is just `null`). In fields that are not
    declared it lets NaN pass. A field of any type is read here where it holds whole numbers alone, whose text is known
    but for -0. `sound` says that the block is known to be so many sound objects.
    """
    whole = [name for name, dtype in schema.items() if dtype == RAW_JSON]
    if not _plain(schema) or not _is_utf8(data) or (whole and b"-0" in data):
        return None
    if len(data) >= LARGE and all(dtype == pl.String for dtype in schema.values()):
        from collectors.flat import flat  # its loops are not loaded for a few rows

        # As many objects as lines, each with a line break behind it: so none spans two of them.
        columns = flat(data, rows, list(schema))
        if columns is not None:
            return pl.DataFrame(dict(zip(schema, columns, strict=True)))
    if not (sound or _objects(data, rows)):
        return None
    for unknown in ("error", "ignore"):
        if unknown == "ignore" and (b"NaN" in data or b"Infinity" in data):
            return None
        try:
            table = pj.read_json(
                pa.BufferReader(data),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=pj.ParseOptions(explicit_schema=_arrow(schema), unexpected_field_behavior=unknown),
            )
        except (pa.ArrowInvalid, pa.ArrowCapacityError):
            continue
        frame = cast(pl.DataFrame, pl.from_arrow(table, rechunk=False))
        return frame.with_columns(pl.col(whole).cast(pl.String).cast(pl.Binary)) if table.num_rows == rows else None
    return None


def _objects(data: bytes, rows: int) -> bool:
    """Whether a block is `rows` lines that each begin with `{` and end with `}`: then no object spans two of them."""
    view = np.frombuffer(data, np.uint8)
    # In slices, so that what is compared stays in the processor's cache.
    found = [np.flatnonzero(view[start : start + _SLICE] == _BREAK) + start for start in range(0, len(view), _SLICE)]
    breaks = np.concatenate([*found, [len(data)] * (not data.endswith(b"\n"))]).astype(np.int64)
    if len(breaks) != rows or not rows or breaks[0] == 0:
        return False
    ends = view[breaks - 1]
    ends = np.where(ends == _RETURN, view[np.maximum(breaks - 2, 0)], ends)
    begins = view[np.append(0, breaks[:-1] + 1)]
    return bool((begins == _OPEN).all() and (ends == _CLOSE).all())


_SLICE: Final = 1 << 18
_BREAK, _RETURN, _OPEN, _CLOSE = b"\n\r{}"


def _is_utf8(data: bytes) -> bool:
    bounds = pa.py_buffer(np.array([0, len(data)], np.int64))
    held = pa.Array.from_buffers(pa.large_binary(), 1, [None, bounds, pa.py_buffer(data)])
    try:
        pl.Series(held).cast(pl.String)  # which checks three times as fast as pyarrow does
    except pl.exceptions.ComputeError:
        return False
    return True


def _plain(schema: Schema) -> bool:
    """Whether nothing within a field is declared as whatever JSON it holds."""
    return not any("Binary" in str(dtype) and dtype != RAW_JSON for dtype in schema.values())


def _arrow(schema: Schema) -> pa.Schema:
    native = {name: pl.Int64 if dtype == RAW_JSON else dtype for name, dtype in schema.items()}
    empty = pl.DataFrame(schema=native).to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.schema([pa.field(column.name, _narrow(column.type)) for column in empty.schema])


def _narrow(kind: pa.DataType) -> pa.DataType:
    """The type as pyarrow's JSON reader knows it: 32-bit offsets, which a block never outgrows."""
    if pa.types.is_large_list(kind):
        return pa.list_(_narrow(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(one.name, _narrow(one.type)) for one in kind])
    return pa.string() if pa.types.is_large_string(kind) else kind


def exact(texts: Sequence[bytes], schema: Schema) -> tuple[list[Any], list[int], list[tuple[int, str]]]:
    """Row by row: the readable rows' values, their indices, and (index, reason) of the others."""
    names = {f"f{index}": name for index, name in enumerate(schema)}
    typed = msgspec.defstruct(
        "Row", [(key, _typed(schema[name]), None) for key, name in names.items()], rename=names, gc=False
    )
    decode = msgspec.json.Decoder(typed).decode
    values: list[Any] = []
    good: list[int] = []
    bad: list[tuple[int, str]] = []
    checked = _utf8(texts)
    for index, text in enumerate(texts):
        try:
            if not checked:
                text.decode()
            row: Any = decode(text)
        except msgspec.ValidationError:
            row = _converted(text, schema)
        except (msgspec.DecodeError, UnicodeDecodeError):
            row = UNPARSABLE
        except RecursionError:
            row = _deep(text, schema)
        if isinstance(row, str):
            bad.append((index, row))
        else:
            values.append(row)
            good.append(index)
    return values, good, bad


def _utf8(texts: Iterable[bytes]) -> bool:
    try:
        b"\n".join(texts).decode()
    except UnicodeDecodeError:
        return False
    return True


def _typed(dtype: Kind) -> Any:
    """The Python type msgspec decodes a declared field to; struct fields may be missing or null."""
    if isinstance(dtype, pl.List):
        return types.GenericAlias(list, (_typed(dtype.inner),)) | None
    if isinstance(dtype, pl.Struct):
        names = {f"f{index}": one.name for index, one in enumerate(dtype.fields)}
        fields = [(f"f{index}", _typed(one.dtype), None) for index, one in enumerate(dtype.fields)]
        return msgspec.defstruct("Inner", fields, rename=names, gc=False) | None
    return msgspec.Raw if dtype == RAW_JSON else str | None


def _converted(text: bytes, schema: Schema) -> Any:
    """A row that is not of the declared types: a number is text as it is written, anything else rejects the row."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # whether it is JSON at all comes first
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        values = [_value(fields.get(name), dtype) for name, dtype in schema.items()]
    except (msgspec.ValidationError, TypeError):
        return MISSING
    except (msgspec.DecodeError, UnicodeDecodeError):
        return UNPARSABLE
    except RecursionError:
        return _deep(text, schema)
    return tuple(values)


def _value(raw: msgspec.Raw | None, dtype: Kind) -> Any:
    """One declared value; `TypeError` when it is of another kind."""
    text = b"null" if raw is None else bytes(raw)
    if text == b"null":
        return None
    if dtype == RAW_JSON:
        return text
    if isinstance(dtype, pl.List):
        return [_value(one, dtype.inner) for one in msgspec.json.decode(text, type=list[msgspec.Raw])]
    if isinstance(dtype, pl.Struct):
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {one.name: _value(fields.get(one.name), one.dtype) for one in dtype.fields}
    if text[:1] == b'"':
        return msgspec.json.decode(text, type=str)
    if text[:1] in b"-0123456789":
        return text.decode()
    raise TypeError


def _one_line(text: bytes) -> bytes:
    """Sound JSON with its line breaks, which stand between tokens only, made blanks."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def _deep(text: bytes, schema: Schema) -> Any:
    """A row nested deeper than msgspec follows: sound all the same where pyarrow, which knows no limit, reads it."""
    line = _one_line(text).strip()
    frame = fast(line + b"\n", 1, schema)
    if frame is not None:
        return frame.row(0)
    return UNPARSABLE if fast(b'{"row":%s}\n' % line, 1, {"": pl.String}) is None else MISSING


def _frame(values: list[Any], schema: Schema, ordinals: list[int]) -> pl.DataFrame:
    """Decoded rows (structs or tuples in the schema's order) as columns."""
    rows = [msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else value for value in values]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    series = [_series(name, column, dtype) for (name, dtype), column in zip(schema.items(), columns, strict=True)]
    return pl.DataFrame([*series, pl.Series("row", ordinals, dtype=pl.UInt64)])


def _series(name: str, column: Sequence[Any], dtype: Kind) -> pl.Series:
    """One column; Arrow builds nested ones many times as fast as polars."""
    if column.count(None) == len(column):
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, len(column))
    if not _nested(dtype):
        return pl.Series(name, column, dtype=dtype)
    kind = pl.Series(name, [], dtype=dtype).to_arrow(compat_level=pl.CompatLevel.oldest()).type
    return pl.Series(name, pa.array([_plain_value(value, dtype) for value in column], kind), dtype=dtype)


def _nested(dtype: Kind) -> bool:
    return dtype == RAW_JSON or isinstance(dtype, pl.List | pl.Struct)


def _plain_value(value: Any, dtype: Kind) -> Any:
    """A decoded value in the shape polars builds columns from."""
    if value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, msgspec.Raw):
        text = bytes(value)
        return None if text == b"null" else text
    if isinstance(dtype, pl.List):
        return [_plain_value(one, dtype.inner) for one in value]
    assert isinstance(dtype, pl.Struct)  # no other dtype is nested
    if isinstance(value, msgspec.Struct):
        value = dict(zip((one.name for one in dtype.fields), msgspec.structs.astuple(value), strict=True))
    return {one.name: _plain_value(value[one.name], one.dtype) for one in dtype.fields}


def numbered(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """A frame with the column `row`, its first row being row `first` of the file."""
    return frame.with_columns(pl.int_range(first, first + frame.height, dtype=pl.UInt64).alias("row"))


def enclosed(rows: Rows, block: Block, fields: Schema) -> Rows:
    """Rows with the fields of the object that encloses them as columns, in each the same value."""
    assert block.enclosing is not None  # the catalog says `rows:` where a shape declares such fields
    values, good, _ = exact([block.enclosing], fields)
    if not good:
        every = [(index, MISSING) for index in range(rows.count)]
        return replace(
            rows,
            frame=rows.frame.clear().with_columns(pl.lit(None, kind).alias(name) for name, kind in fields.items()),
            bad=every,
        )
    one = _frame(values, fields, [0]).drop("row")
    return replace(rows, frame=rows.frame.join(one, how="cross", maintain_order="left"))
