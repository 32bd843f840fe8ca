"""The compiled reader of flat objects: what it reads, and what it leaves to others."""

import polars as pl
import pytest

from collectors.flat import flat

LONG = "字" * 40


def read(*lines: str, names: tuple[str, ...] = ("a", "b")) -> list[list[str | None]] | None:
    found = flat("\n".join(lines).encode(), len(lines), names)
    return None if found is None else [pl.Series(column).to_list() for column in found]


def test_texts_nulls_and_fields_that_are_missing() -> None:
    rows = ['{"a": "x", "b": ""}', '{"b":null,"a":"y"}', " {}"[1:], '{"a":"' + LONG + '"}\r', '\t{ "b" : "z" }  '[1:]]
    assert read(*rows) == [["x", "y", None, LONG, None], ["", None, None, None, "z"]]


def test_every_escape() -> None:
    row = r'{"a":"\"\\\/\b\f\n\r\t\u0041\u00e9\u5b57\ud83d\uDE00\u0000.","b":"\\n"}'
    assert read(row) == [['"\\/\b\f\n\r\tAé字😀\0.'], ["\\n"]]


def test_other_fields_are_passed_over() -> None:
    row = r'{"c":"\u00e9\"","a":"x","n":-12.50,"z":0,"t":true,"f":false,"u":null,"aa":"y","":"","b":"z"}'
    assert read(row) == [["x"], ["z"]]


def test_line_breaks_within_an_object_are_blanks() -> None:
    assert read('{\n "a":\n "x"\n}', '{"a":"y"\r\n}', names=("a",)) == [["x", "y"]]
    assert flat(b'{"a":\n"x"}', 2, ["a"]) is None


@pytest.mark.parametrize(
    "row",
    [
        '{"a":1}', '{"a":true}', '{"a":["x"]}', '{"a":{}}', '{"a":"x","a":"y"}', '{"a":null,"a":"y"}', '{"c":[]}',
        '{"c":{}}', '{"c":1e5}', '{"c":01}', '{"c":1.}', '{"c":-}', '{"c":.5}', '{"c":NaN}', '{"c":nul}', '{"c":True}',
        '{"c":1234567890123456}', r'{"a":"\ud83d"}', r'{"a":"\ude00"}', r'{"a":"\ud83d\n"}', r'{"a":"\u12g4"}',
        r'{"a":"\q"}', r'{"c":"\q"}', '{"a":"x\ty"}', '{"c":"x\ty"}', r'{"\u0061":"x"}', '{"a":"x",}', '{"a" "x"}',
        '{"a":}', '{"a":"x"', '{"a":"x', '{"a', '{', '{"a":"x"} {}', '{"a":"x"},', '[]', "null", "", " {}", "{}\0",
    ],
)  # fmt: skip
def test_what_is_not_plainly_flat_is_left_to_others(row: str) -> None:
    assert read(row) is None
    assert read('{"a":"x"}', row) is None
    assert read(row, '{"a":"x"}') is None


def test_no_rows() -> None:
    assert flat(b"", 0, ["a"]) is None
