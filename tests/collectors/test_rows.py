"""Readers of blocks: the fast path says what the exact one says, and both what plain Python reads, on hostile bytes."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import rows
from collectors.blocks import Block
from collectors.delimited import csv_records, csv_rows, tsv_lines
from collectors.rows import RAW_JSON, Rows, Schema, exact, fast, json_elements, json_lines


@pytest.fixture(autouse=True, scope="module", params=[0, rows.LARGE], ids=["compiled", "arrow"])
def _reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here runs with the compiled reader of flat objects, and without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "LARGE", request.param)
        yield


TEXTS: Schema = {"instruction": pl.String, "output": pl.String}
SCHEMAS: dict[str, Schema] = {
    "texts": TEXTS,
    "a list": {"output": pl.List(pl.String), "instruction": pl.String},
    "a struct": {"output": pl.Struct({"a": pl.String, "b": pl.List(pl.String)})},
    "turns": {"output": pl.List(pl.Struct({"a": pl.String, "b": pl.String})), "instruction": pl.String},
    "any": {"output": RAW_JSON, "instruction": pl.String},
}
GOOD = b'{"instruction":"i","output":"o"}'
Read = dict[int, list[Any] | str]


def block(data: bytes, *, first: int = 0, last: bool = True) -> Block:
    return Block(offset=0, length=len(data), first=first, rows=data.removesuffix(b"\n").count(b"\n") + 1, last=last)


def shown(rows: Rows) -> Read:
    """What was read: by ordinal the values of a row, or the reason why it is none."""
    names = [name for name in rows.frame.columns if name != "row"]
    good = {row["row"]: [_shape(row[name]) for name in names] for row in rows.frame.iter_rows(named=True)}
    bad = {rows.first + index: reason for index, reason in rows.bad}
    assert len(good) + len(bad) == rows.count
    assert not good.keys() & bad.keys()
    assert list(good) == sorted(good)
    return good | bad


def _shape(value: Any) -> Any:
    """A cell: of JSON kept as text its meaning."""
    return json.loads(value, parse_float=str, parse_int=str) if isinstance(value, bytes) else value


# --- the oracle: Python's own json --------------------------------------------------------------------------------


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def sound(text: bytes) -> Any:
    """A line's value; `ValueError` for what the contract calls unparsable."""

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, value in pairs:
            check(key)
            check(value)
        return dict(pairs)

    def check(value: Any) -> None:
        if isinstance(value, str):
            value.encode()  # a lone surrogate is no text
        for one in value if isinstance(value, list) else ():
            check(one)

    def constant(name: str) -> None:
        raise ValueError(name)

    value = json.loads(
        text.decode().strip(" \t\r"),
        object_pairs_hook=checked,
        parse_constant=constant,
        parse_int=Number,
        parse_float=Number,
    )
    check(value)
    return value


def plain(value: Any, dtype: Any) -> Any:
    """A value under a declared type; `TypeError` when it is of another."""
    if value is None:
        return None
    if dtype == RAW_JSON:
        return value
    if isinstance(dtype, pl.List):
        if not isinstance(value, list):
            raise TypeError
        return [plain(one, dtype.inner) for one in value]
    if isinstance(dtype, pl.Struct):
        if not isinstance(value, dict):
            raise TypeError
        return {one.name: plain(value.get(one.name), one.dtype) for one in dtype.fields}
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def oracle(text: bytes, schema: Schema) -> list[Any] | str:
    """A row's values, or why there are none."""
    try:
        value = sound(text)
    except ValueError:
        return "unparsable"
    if not isinstance(value, dict):
        return "missing field"
    try:
        return [plain(value.get(name), dtype) for name, dtype in schema.items()]
    except TypeError:
        return "missing field"


def expected(data: bytes, schema: Schema) -> Read:
    """The rows of JSON Lines, by ordinal."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return {row: oracle(line, schema) for row, line in enumerate(lines) if line.strip(b" \t\r")}


# --- hostile lines ------------------------------------------------------------------------------------------------

VALUES = [
    '"a"', '""', '"字"', '"\\u5b57"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"', '"\\ud83dx"', '"\\ud83d\\n"',
    '"\\u0000"', '"\\u12"', '"\\q"', '"a\\/b\\b"', '"\\\\"', '"\\"', '"a\tb"', '"a\rb"', '"a\x00b"', '"\x1f"', '"\x7f"',
    '"},{"', '"[1]"', "'a'", '"a', 'a"', "5", "-0", "0.50", "1E+3", "1e999", "12345678901234567890123", "01", "1.",
    "-", ".5", "+1", "0x1", "NaN", "-NaN", "Infinity", "-Infinity", "true", "false", "null", "nul", "True", "", "[]",
    "{}", '["a","b"]', '["a",null,5]', '["a",true]', "[NaN]", '["a",]', '[["a"]]', '{"a":"x","b":["y",1]}', '{"a":"x"}',
    '{"b":"x"}', '{"a":null,"b":null}', '{"a":"x","a":"y"}', '{"c":{"d":[{"e":1}]}}', '{"c":NaN}', '{"c":"\\ud800"}',
    '{"a":"x",}', '[{"a":"x","b":"y"}]', '[{"a":1},null,{}]', '[{"b":["x"]}]', '[{"a":"x","c":[]}]', '[{"a":"x"},"y"]',
]  # fmt: skip
KEYS = ['"instruction"', '"output"', '"x"', '"instructio\\u006e"', '"\\ud800"', '""', "output", '"字"']
WHOLE = [
    GOOD, GOOD + GOOD, GOOD + b" " + GOOD, GOOD + b"\0", GOOD + b"\0" + GOOD, GOOD + b",", GOOD + b"//", b"\0" + GOOD,
    b"null", b"[]", b"[", b'["a"]', b'["a"', b'"a"', b"5", b"5 6", b"true", b"NaN", b"{}", b"{", b"}", b"{}}", b"{}{}",
    b"", b" ", b"\t \r", b"\x0b", b"\x0c", b"\r" + GOOD, b"\xef\xbb\xbf", b"\xef\xbb\xbf" + GOOD, b"\xff", b"\xc2\xa0",
    b'{"instruction":"i",', b'"output":"o"}', b'{"instruction":"', b'","output":"o"}', b'{"instruction":"\xff"}',
    b'{"instruction":"\xed\xa0\x80"}', b'{"x":"\xff"}', b'{"instruction":"i","output":"o",\r"x":1}', b'{"x":[1,2]}',
]  # fmt: skip

texts = st.text(max_size=8).map(json.dumps) | st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False))
gaps = st.sampled_from(["", "", "", " ", "\t", "\r", " \r "])


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """An object, more or less: hostile keys and values, white space anywhere, now and then a byte too few or many."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | texts), max_size=4))
    inner = ",".join(f"{draw(gaps)}{key}{draw(gaps)}:{draw(gaps)}{value}{draw(gaps)}" for key, value in pairs)
    line = f"{draw(gaps)}{{{inner}}}{draw(gaps)}".encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        spot = draw(st.integers(0, len(line)))
        line = line[:spot] + draw(st.sampled_from([b"", b'"', b"\\", b"\xff", b"}", b"\0"])) + line[spot + 1 :]
    return line


rows_ = st.just(GOOD) | objects() | st.sampled_from(WHOLE)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    ends = st.sampled_from([b"\n"]) if draw(st.booleans()) else st.sampled_from([b"\n", b"\r\n"])
    lines = draw(st.lists(rows_, min_size=1, max_size=8))
    mark = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"]))
    return mark + b"".join(line + draw(ends) for line in lines)


@settings(max_examples=1500, deadline=None)
@given(data=files(), name=st.sampled_from(sorted(SCHEMAS)))
def test_lines_read_as_plain_python_reads_them(data: bytes, name: str) -> None:
    assert shown(json_lines(data, block(data), SCHEMAS[name])) == expected(data, SCHEMAS[name])


@settings(max_examples=1500, deadline=None)
@given(data=files(), name=st.sampled_from(sorted(SCHEMAS)))
def test_the_fast_path_says_what_the_exact_one_says(data: bytes, name: str) -> None:
    schema, lines = SCHEMAS[name], data.removesuffix(b"\n").split(b"\n")
    frame = fast(data, len(lines), schema)
    if frame is None:
        return
    values, good, bad = exact(lines, schema)
    assert (len(values), good, bad) == (len(lines), list(range(len(lines))), [])
    slow = json_lines(b"[]\n" + data, block(b"[]\n" + data), schema).frame  # one bad row sends all to the exact path
    assert frame.to_dicts() == slow.drop("row").to_dicts()
    assert frame.schema == slow.drop("row").schema


@settings(max_examples=300, deadline=None)
@given(data=files(), first=st.integers(1, 10**6))
def test_ordinals_go_on_from_the_block_before(data: bytes, first: int) -> None:
    here = expected(b"\n" + data, TEXTS)  # only a file's first row may have a byte-order mark
    read = json_lines(data, block(data, first=first), TEXTS)
    assert shown(read) == {first + row - 1: values for row, values in here.items()}


def test_the_fast_path_is_taken_by_rows_as_they_should_be() -> None:
    data = (
        b'{"instruction":"i","input":"","output":"\\u5b57\\n"}\r\n{"output":null}\n{"x":[{"y":1}],"instruction":"j"}\n'
    )
    frame = fast(data, 3, TEXTS)
    assert frame is not None
    assert frame.rows() == [("i", "字\n"), (None, None), ("j", None)]


def test_a_block_without_a_row() -> None:
    read = json_lines(b"\n \n", block(b"\n \n"), TEXTS)
    assert (shown(read), read.frame.schema) == ({}, {**TEXTS, "row": pl.UInt64})


# --- depth --------------------------------------------------------------------------------------------------------

DEPTHS = [500, 5_000, 2_000_000]
DEEP = {
    "in a field not read": (b'{"instruction":"i","output":"o","x":%s%s}', b"[", b"]", ["i", "o"]),
    "objects in a field not read": (b'{"instruction":"i","output":"o","x":%s1%s}', b'{"y":', b"}", ["i", "o"]),
    "under text": (b'{"instruction":"i","output":%s%s}', b"[", b"]", "missing field"),
    "objects under text": (b'{"instruction":"i","output":%s1%s}', b'{"y":', b"}", "missing field"),
    "a row": (b"%s%s", b"[", b"]", "missing field"),
    "never closed": (b'{"instruction":"i","output":"o","x":%s', b"[", b"", "unparsable"),
    "never closed under text": (b'{"instruction":"i","output":%s', b"[", b"", "unparsable"),
    "closed once too often": (b'{"instruction":"i","x":%s%s]}', b"[", b"]", "unparsable"),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("case", DEEP)
def test_depth_costs_one_row_at_most(case: str, depth: int) -> None:
    form, opening, closing, want = DEEP[case]
    line = form.replace(b"%s", opening * depth, 1).replace(b"%s", closing * depth, 1)
    data = b"\n".join([GOOD, line, GOOD, b""])
    assert shown(json_lines(data, block(data), TEXTS)) == {0: ["i", "o"], 1: want, 2: ["i", "o"]}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["a list", "turns", "any"])
def test_depth_below_a_declared_structure(name: str, depth: int) -> None:
    line = b'{"instruction":"i","output":%s%s}' % (b"[" * depth, b"]" * depth)
    data = b"\n".join([b"{}", line, b"{}", b""])
    read = shown(json_lines(data, block(data), SCHEMAS[name]))
    assert read[0] == read[2] == [None, None]
    assert isinstance(read[1], str) or name == "any"


# --- a file that ends in the middle of a row ----------------------------------------------------------------------

LAST = '{"instruction":"字 \\ud83d\\ude00\\n","output":"o","x":{"k":[true,null,-1.5e-3,{"z":"}"}]}}'.encode()


@pytest.mark.parametrize("size", range(1, len(LAST)))
def test_a_row_cut_anywhere_at_the_end_of_a_file_is_told(size: int) -> None:
    data = GOOD + b"\n" + LAST[:size]
    assert json_lines(data, block(data), TEXTS).cut == 1
    assert json_lines(data, block(data, last=False), TEXTS).cut is None
    assert json_lines(data + b"\n", block(data + b"\n"), TEXTS).cut is None
    assert json_lines(data + b"\n" + GOOD, block(data + b"\n" + GOOD), TEXTS).cut is None


@pytest.mark.parametrize(
    "line",
    [
        LAST,
        b'{"instruction":"\\ud83d","output":"o"}',
        b'{"instruction":"i","output":"o"}}',
        b'{"instruction":i"}',
        b"words",
        b"[]",
        b'{"instruction":"\xff"}',
    ],
)
def test_a_last_row_that_is_whole_is_not_cut(line: bytes) -> None:
    data = GOOD + b"\n" + line
    read = json_lines(data, block(data), TEXTS)
    assert read.cut is None
    assert shown(read)[1] == oracle(line, TEXTS)


# --- elements of an array -----------------------------------------------------------------------------------------

parts = st.lists(st.just(GOOD) | objects().filter(lambda line: oracle(line, TEXTS) != "unparsable"), min_size=1)


@settings(max_examples=300, deadline=None)
@given(elements=parts, gap=st.sampled_from([b"", b" ", b"\n", b"\r\n\t"]), name=st.sampled_from(sorted(SCHEMAS)))
def test_sound_elements_read_as_lines_do(elements: list[bytes], gap: bytes, name: str) -> None:
    data = (gap + b"," + gap).join(elements)
    here = Block(offset=0, length=len(data), first=7, rows=len(elements), array=True)
    read = shown(json_elements(data, here, SCHEMAS[name]))
    assert read == {7 + index: oracle(element, SCHEMAS[name]) for index, element in enumerate(elements)}


# --- tables -------------------------------------------------------------------------------------------------------

COLUMNS = ("a", "b", "c")
TABLE: Schema = {"a": pl.String, "c": pl.String}
cells = st.text(st.sampled_from("x字\"',; \t\n\r\x00|\\1"), max_size=6)


def csv_block(data: bytes, header: tuple[str, ...] = COLUMNS) -> Block:
    return Block(offset=0, length=len(data), first=3, rows=sum(1 for _ in csv_records(data)), header=header)


@settings(max_examples=500, deadline=None)
@given(table=st.lists(st.tuples(cells, cells, cells), max_size=6), encoding=st.sampled_from(["utf-8", "gb18030"]))
def test_csv_as_pythons_writer_writes_it(table: list[tuple[str, str, str]], encoding: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(table)
    data = written.getvalue().encode(encoding)
    read = shown(csv_rows(data, csv_block(data), TABLE, encoding))
    assert read == {3 + row: [a, c] for row, (a, _, c) in enumerate(table)}


@settings(max_examples=1500, deadline=None)
@given(text=st.text(st.sampled_from('xy字"",,\n\n\r'), max_size=24), encoding=st.sampled_from(["utf-8", "gb18030"]))
def test_any_csv_reads_as_pythons_reader_reads_it(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    try:
        wanted = [row for row in csv.reader(io.StringIO(text, newline="\n")) if row]
    except csv.Error:  # a row of it is none: the others are read all the same
        csv_rows(data, csv_block(data), TABLE, encoding)
        return
    read = csv_rows(data, csv_block(data), TABLE, encoding)
    assert shown(read) == {
        3 + row: [cells[0], cells[2]] if len(cells) == 3 else "missing field" for row, cells in enumerate(wanted)
    }
    assert len(read.texts) == len(wanted)


def test_a_csv_record_that_is_none_costs_itself() -> None:
    data = "一,二,三\n四,\r五,六\n".encode("gb18030") + b'\xff\xff,"\n",z\n' + '"七\n",八,"""九"""\n'.encode("gb18030")
    read = csv_rows(data, csv_block(data), TABLE, "gb18030")
    assert shown(read) == {3: ["一", "三"], 4: "unparsable", 5: "unparsable", 6: ["七\n", '"九"']}


tab_cells = st.text(st.sampled_from("x字\"' ,\r\x00\\"), max_size=4)


@settings(max_examples=300, deadline=None)
@given(table=st.lists(st.lists(tab_cells, min_size=1, max_size=4), max_size=6))
def test_tabs_cut_and_nothing_else(table: list[list[str]]) -> None:
    schema: Schema = dict.fromkeys(["q", "a", "r"], pl.String)
    data = "".join("\t".join(row) + "\n" for row in table).encode()
    rows = {index: row for index, row in enumerate(table) if "\t".join(row).strip(" \t\r")}
    assert shown(tsv_lines(data, block(data), schema)) == {
        index: row if len(row) == 3 else "missing field" for index, row in rows.items()
    }


def test_a_tsv_line_that_is_no_utf8_costs_itself() -> None:
    data = b"\xef\xbb\xbfq\ta\tr\n\xff\ta\tr\nq\ta\tr"
    read = tsv_lines(data, block(data), dict.fromkeys(["q", "a", "r"], pl.String))
    assert shown(read) == {0: ["q", "a", "r"], 1: "unparsable", 2: ["q", "a", "r"]}
