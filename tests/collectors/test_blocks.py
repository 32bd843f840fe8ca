"""Cutting: blocks are the file and nothing but the file, whatever its rows hold and however its bytes arrive."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import blocks
from collectors.blocks import Block, array_blocks, line_blocks
from collectors.delimited import csv_blocks, csv_rows
from collectors.errors import SourceError
from collectors.rows import Schema, json_elements, json_lines

TEXTS: Schema = {"a": pl.String, "b": pl.String}
sizes = st.integers(1, 40)
Sizes = tuple[int, int, int]
small = st.tuples(st.integers(1, 6), sizes, st.integers(4, 12))


@contextmanager
def shrunk(sizes: Sizes) -> Iterator[None]:
    """Blocks of so many rows or bytes, read so many bytes at a time, so that cuts fall anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in zip(("ROWS", "BYTES", "CHUNK"), sizes, strict=True):
            patch.setattr(blocks, name, size)
        yield


class Dribble(io.RawIOBase):
    """A file that hands out a few bytes at a time, as many as the pattern says in turn."""

    def __init__(self, data: bytes, pattern: list[int]) -> None:
        self.data, self.pattern, self.position, self.reads = data, pattern, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self.pattern[self.reads % len(self.pattern)])
        part = self.data[self.position : self.position + size]
        buffer[: len(part)] = part
        self.position, self.reads = self.position + len(part), self.reads + 1
        return len(part)


def dribbled(data: bytes, pattern: list[int]) -> io.BufferedReader:
    return io.BufferedReader(Dribble(data, pattern), buffer_size=7)  # type: ignore[arg-type]  # a raw file it is


def broken(text: str) -> SourceError:
    return SourceError(f"file: {text}")


def bytes_of(data: bytes, block: Block) -> bytes:
    return data[block.offset : block.offset + block.length]


patterns = st.lists(st.integers(1, 9), min_size=1, max_size=4)


# --- lines --------------------------------------------------------------------------------------------------------

line_files = st.lists(st.sampled_from([b"\n", b"\r\n", b"x", b"{}", b" ", b"\t", b"\x0b", b"yyyyyyyy"])).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(data=line_files, pattern=patterns, by=small)
def test_blocks_of_lines_are_the_file(data: bytes, pattern: list[int], by: Sizes) -> None:
    with shrunk(by):
        found = list(line_blocks(dribbled(data, pattern), broken, keep=True))
        assert b"".join(block.data or b"" for block in found) == data
        offset = first = 0
        for block in found:
            here = bytes_of(data, block)
            assert (block.offset, block.first, block.data) == (offset, first, here)
            assert block.rows == here.count(b"\n") + (not here.endswith(b"\n"))
            assert block.rows <= by[0]
            before = here[: here[:-1].rfind(b"\n") + 1]
            assert block.rows == by[0] or len(here) > by[1] or block is found[-1]
            assert len(before) <= by[1]
            offset, first = offset + block.length, first + block.rows
        assert not any(block.last for block in found[:-1])
        assert data.endswith(b"\n") or not data or found[-1].last
        again = list(line_blocks(io.BufferedReader(io.BytesIO(data)), broken, keep=False))
        assert [(b.offset, b.length, b.first, b.rows, b.last) for b in again] == [
            (b.offset, b.length, b.first, b.rows, b.last) for b in found
        ]


@settings(max_examples=400, deadline=None)
@given(data=line_files, limit=st.integers(1, 6), by=small)
def test_a_limit_counts_the_lines_that_are_rows(data: bytes, limit: int, by: Sizes) -> None:
    with shrunk(by):
        taken = list(line_blocks(io.BufferedReader(io.BytesIO(data)), broken, limit=limit))
        every = [line for line in data.split(b"\n") if line.strip(b" \t\r")]
        read = [json_lines(bytes_of(data, block), block, TEXTS) for block in taken]
        assert sum(rows.count for rows in read) == min(limit, len(every))
        whole = b"".join(bytes_of(data, block) for block in taken)
        assert data.startswith(whole)


def test_a_block_ends_at_so_many_rows() -> None:
    data = b"{}\n" * (2 * blocks.ROWS + 1)
    cuts = [(b.first, b.rows) for b in line_blocks(io.BufferedReader(io.BytesIO(data)), broken)]
    assert cuts == [(0, blocks.ROWS), (blocks.ROWS, blocks.ROWS), (2 * blocks.ROWS, 1)]


def test_a_line_of_100_megabytes() -> None:
    row = b'{"a":"' + b"x" * 100_000_000 + b'","b":"y"}\n'
    data = b"{}\n" + row + b"{}\n"
    found = list(line_blocks(io.BufferedReader(io.BytesIO(data)), broken, keep=True))
    assert [(block.first, block.rows) for block in found] == [(0, 2), (2, 1)]
    read = json_lines(found[0].data or b"", found[0], TEXTS)
    assert read.frame["a"].str.len_bytes().to_list() == [None, 100_000_000]


@pytest.mark.parametrize("limit", [None, 5])
def test_a_line_without_end_is_not_waited_for(limit: int | None) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = b"{}\n{".ljust(len(buffer), b"x") if not self.given else b"x" * len(buffer)
            self.given += len(buffer)
            return len(buffer)

    endless = Endless()
    with pytest.raises(SourceError, match=r"^file: has a line of more than 256 MB, line 1; "):
        list(line_blocks(io.BufferedReader(endless), broken, limit=limit))
    assert endless.given < blocks.LONGEST + 4 * blocks.CHUNK


# --- arrays -------------------------------------------------------------------------------------------------------


def elements(data: bytes, limit: int | None = None, stream: io.BufferedReader | None = None) -> list[tuple[int, bytes]]:
    """(ordinal, text) of every element the cutter sees; what it says of the blocks is checked on the way."""
    found: list[tuple[int, bytes]] = []
    for block in array_blocks(stream or io.BufferedReader(io.BytesIO(data)), broken, True, limit):
        assert block.first == len(found)
        assert block.data == bytes_of(data, block)
        read = json_elements(block.data, block, TEXTS)
        assert read.count == block.rows == len(read.texts)
        found += [(block.first + index, bytes(text)) for index, text in enumerate(read.texts)]
    return found


def seen(data: bytes, limit: int | None = None) -> dict[int, list[Any] | str]:
    """What is read of an array: by ordinal the values of a row, or the reason why it is none."""
    found: dict[int, list[Any] | str] = {}
    for block in array_blocks(io.BufferedReader(io.BytesIO(data)), broken, False, limit):
        read = json_elements(bytes_of(data, block), block, TEXTS)
        found |= {row: [a, b] for a, b, row in read.frame.iter_rows()}
        found |= {block.first + index: reason for index, reason in read.bad}
    return found


def wanted(value: Any) -> list[Any] | str:
    """The values of a sound element's two text fields, or why there are none."""
    if not isinstance(value, dict):
        return "missing field"
    cells = [value.get("a"), value.get("b")]
    numbers = [str(cell) if type(cell) is int else cell for cell in cells]
    return numbers if all(cell is None or isinstance(cell, str) for cell in numbers) else "missing field"


texts = st.text(max_size=6) | st.sampled_from(['}, {"a": "', "],", '"', "\\", "}\n,\n{", "[", "]", "字}", '\\",'])
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=5,
)
rows_ = st.fixed_dictionaries({"a": texts, "b": texts}) | values
indents = st.sampled_from([None, 0, 2, "\t"])


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any] = rows_) -> tuple[list[Any], bytes]:
    """An array, written in any of the usual ways."""
    rows = draw(st.lists(inner, max_size=7))
    text = json.dumps(rows, ensure_ascii=draw(st.booleans()), indent=draw(indents))
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    around = st.sampled_from(["", "\n", " \r\n\t"])
    return rows, draw(st.sampled_from([b"", blocks.BOM])) + f"{draw(around)}{text}{draw(around)}".encode()


@settings(max_examples=800, deadline=None)
@given(case=arrays(), by=small)
def test_an_array_reads_as_its_elements(case: tuple[list[Any], bytes], by: Sizes) -> None:
    with shrunk(by):
        rows, data = case
        assert seen(data) == {index: wanted(row) for index, row in enumerate(rows)}
        assert [json.loads(text) for _, text in elements(data)] == rows


@settings(max_examples=300, deadline=None)
@given(case=arrays(), pattern=patterns, by=small)
def test_an_array_is_cut_the_same_however_it_arrives(
    case: tuple[list[Any], bytes], pattern: list[int], by: Sizes
) -> None:
    with shrunk(by):
        _, data = case
        whole = list(array_blocks(io.BufferedReader(io.BytesIO(data)), broken))
        assert list(array_blocks(dribbled(data, pattern), broken)) == whole


@settings(max_examples=300, deadline=None)
@given(case=arrays(), limit=st.integers(1, 5), by=small)
def test_a_limit_counts_elements(case: tuple[list[Any], bytes], limit: int, by: Sizes) -> None:
    with shrunk(by):
        rows, data = case
        assert [json.loads(text) for _, text in elements(data, limit)] == rows[:limit]


BROKEN = [
    b"{bad}", b'{"a": "x}', b'{"a": tru}', b'{"a": "x",}', b"{'a': 'x'}", b'{"a": "\xff"}', b'{"a": "\x01"}', b"nul",
    b"", b'{"a": [1, 2}', b"words and more", b'{"a": NaN}', b'{"a": "\\q"}', b'{"a": "\\ud83d"}',
]  # fmt: skip


@settings(max_examples=800, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"a": st.text("xy字 ", max_size=5), "b": st.just("z")}), min_size=2, max_size=8
    ),
    spots=st.dictionaries(st.integers(1, 6), st.sampled_from(BROKEN), max_size=3),
    gap=st.sampled_from([", ", ",\n  ", ",\r\n", ","]),
    by=small,
)
def test_a_broken_element_between_sound_ones_costs_itself(
    rows: list[Any], spots: dict[int, bytes], gap: str, by: Sizes
) -> None:
    with shrunk(by):
        # Two broken ones side by side may be taken for one; a sound row stands behind each, and at both ends.
        spots = {spot: text for spot, text in spots.items() if spot < len(rows) - 1 and spot - 1 not in spots}
        parts = [spots.get(index, json.dumps(row, ensure_ascii=False).encode()) for index, row in enumerate(rows)]
        data = b"[" + gap.encode().join(parts) + b"]"
        expected = {index: "unparsable" if index in spots else wanted(row) for index, row in enumerate(rows)}
        assert seen(data) == expected


SEVERAL = [
    {"a": '1}, {"', "b": "[x],"},
    {"a": "字", "b": {"c": [1, {"d": "]"}]}},
    [1, ["y"]],
    5,
    "s",
    {"a": "2", "b": ""},
]


def until_the_error(data: bytes) -> tuple[list[bytes], str]:
    """The elements that are read of a broken array, and what is said then."""
    found: list[bytes] = []
    try:
        for block in array_blocks(io.BufferedReader(io.BytesIO(data)), broken):
            found += [bytes(text) for text in json_elements(bytes_of(data, block), block, TEXTS).texts]
    except SourceError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("by", [(100, 1 << 20, 1 << 10), (2, 40, 16), (100, 5, 3)])
def test_an_array_cut_short_anywhere_never_gives_a_wrong_row(indent: int | None, by: Sizes) -> None:
    with shrunk(by):
        data = json.dumps(SEVERAL, ensure_ascii=False, indent=indent).encode()
        for size in range(1, len(data)):
            found, said = until_the_error(data[:size])
            assert re.fullmatch(r"file: ends .*(\d+ elements|element \d+).*; the file is cut short, .*", said), data[
                :size
            ]
            assert [json.loads(text) for text in found] == SEVERAL[: len(found)], data[:size]


@pytest.mark.parametrize("tail", [b"{}", b"[]", b",", b"x", b"\0"])
def test_more_behind_an_array_is_an_error(tail: bytes) -> None:
    with pytest.raises(SourceError, match=r"file: .*more behind"):
        list(array_blocks(io.BufferedReader(io.BytesIO(b'[{"a": "x"}]\n' + tail)), broken))


def test_an_element_of_40_megabytes() -> None:
    long = json.dumps({"a": "x" * 40_000_000, "b": "y"}).encode()
    data = b'[{"a": "1"},\n' + long + b',\n{"a": "3"}]'
    lengths = {}
    for block in array_blocks(io.BufferedReader(io.BytesIO(data)), broken):
        frame = json_elements(bytes_of(data, block), block, TEXTS).frame
        lengths |= dict(zip(frame["row"], frame["a"].str.len_bytes(), strict=True))
    assert lengths == {0: 1, 1: 40_000_000, 2: 1}


@pytest.mark.parametrize("depth", [500, 5_000, 500_000])
def test_a_deep_element_costs_itself_at_most(depth: int) -> None:
    deep = b'{"a":"1","b":"2","x":' + b"[" * depth + b"]" * depth + b"}"
    data = b'[{"a":"0"},' + deep + b',{"a":"3"}]'
    found = seen(data)
    assert found.pop(1) in (["1", "2"], "unparsable")
    assert found == {0: ["0", None], 2: ["3", None]}


def test_many_sound_elements_behind_a_broken_one() -> None:
    rows = [json.dumps({"a": str(index), "b": "字" * 10}, ensure_ascii=False) for index in range(60_000)]
    data = ("[" + ",\n".join(["{bad}", *rows]) + "]").encode()
    found = seen(data)
    assert found.pop(0) == "unparsable"
    assert [values[0] for values in found.values()] == [str(index) for index in range(60_000)]


# --- CSV ----------------------------------------------------------------------------------------------------------


@settings(max_examples=600, deadline=None)
@given(text=st.text(st.sampled_from('xy字"",,\n\n\r'), max_size=40), pattern=patterns, by=small)
def test_blocks_of_csv_are_the_file_behind_its_header(text: str, pattern: list[int], by: Sizes) -> None:
    with shrunk(by):
        body = text.encode("gb18030")
        data = b"a,b\n" + body
        found = list(csv_blocks(dribbled(data, pattern), "gb18030", keep=True))
        offset, first = 4, 0
        for block in found:
            assert (block.offset, block.first, block.data, block.header) == (
                offset,
                first,
                bytes_of(data, block),
                ("a", "b"),
            )
            assert csv_rows(block.data, block, TEXTS, "gb18030").count == block.rows
            assert block.rows <= by[0]
            offset, first = offset + block.length, first + block.rows
        assert not re.sub(rb"[\r\n]", b"", data[offset:])  # only blank lines belong to no block
        whole = csv_rows(body, Block(offset=0, length=0, first=0, rows=first, header=("a", "b")), TEXTS, "gb18030")
        assert first == whole.count
        parts = [csv_rows(block.data or b"", block, TEXTS, "gb18030") for block in found]
        assert [row for part in parts for row in part.frame.rows()] == whole.frame.rows()
        assert list(csv_blocks(io.BufferedReader(io.BytesIO(data)), "gb18030", keep=True)) == found


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from('xy"",,\n\n'), max_size=40), limit=st.integers(1, 4), by=small)
def test_a_limit_counts_records(text: str, limit: int, by: Sizes) -> None:
    with shrunk(by):
        data = b"a,b\n" + text.encode()
        every = sum(block.rows for block in csv_blocks(io.BufferedReader(io.BytesIO(data)), "utf-8"))
        taken = sum(block.rows for block in csv_blocks(io.BufferedReader(io.BytesIO(data)), "utf-8", limit=limit))
        assert taken == min(limit, every)


HEADERS = [b"a,b\n", b"a,b\r\n", b'"a","b"\n', b"\xef\xbb\xbfa,b\n", b" a , b \n", b"a,b"]


@pytest.mark.parametrize("head", HEADERS)
def test_headers(head: bytes) -> None:
    data = head + b"1,2\n" if head.endswith(b"\n") else head
    found = list(csv_blocks(io.BufferedReader(io.BytesIO(data)), "utf-8"))
    assert [block.header for block in found] == [("a", "b")] * head.endswith(b"\n")
