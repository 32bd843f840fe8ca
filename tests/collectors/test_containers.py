"""Containers: one object a file, lists within an object, archives, Parquet, zstd, text, many small files."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built import Built, read

from collectors import shapes
from collectors.catalog import Catalog
from collectors.errors import SourceError
from collectors.shape import Shape
from pipeline.collect import corpus

TEXTS = {"q": pl.String, "a": pl.String}


def ask(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("row", instruction="q", output="a")


def titled(raw: pl.LazyFrame) -> pl.LazyFrame:
    return raw.select("row", instruction=pl.concat_str("title", "q", separator=": "), output="a", lang="tag")


SHAPES = {
    "plain": Shape(schema=TEXTS, collect=ask),
    "whole": Shape(schema=TEXTS, collect=lambda raw: ask(raw.with_columns(q=pl.col("q") + pl.len().cast(pl.String)))),
    "listed": Shape(schema=TEXTS, collect=titled, file={"title": pl.String, "tag": pl.String}),
    "lists": Shape(schema=TEXTS, collect=ask, lists=True),
    "place": Shape(schema=TEXTS, collect=lambda raw: raw.select("row", instruction="subset", output="a")),
}


def collect(
    tmp_path: Path, files: dict[str, bytes], *, form: str = "plain", limit: int | None = None, **entry: Any
) -> Built:
    raw = tmp_path / "raw" / "s"
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content)
    source = {
        "title": "S", "about": "s", "homepage": "https://example.org/s", "origins": [], "lang": "EN", "task": "MT",
        "gen": "HG", "license": "MIT", "files": [{"glob": "**/*", "collector": form} | entry],
    }  # fmt: skip
    corpus(
        Catalog.model_validate({"sources": {"s": source}}),
        ["s"],
        tmp_path / "raw",
        tmp_path / "out",
        workers=1,
        limit=limit,
    )
    return read(tmp_path / "out" / "records" / "s")


@pytest.fixture(autouse=True)
def _forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "COLLECTORS", SHAPES)


def row(number: int) -> dict[str, str]:
    return {"q": f"q{number}", "a": f"a{number}"}


def pretty(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def said(built: Built) -> list[tuple[str, int, str]]:
    return [(one["subset"], one["row"], one["instruction"]) for one in built.records]


def test_one_object_a_file_and_many_files_a_shard(tmp_path: Path) -> None:
    built = collect(tmp_path, {f"d/{number}.json": pretty(row(number)) for number in range(30)})
    assert said(built)[:2] == [("d/0.json", 0, "q0"), ("d/1.json", 0, "q1")]
    assert len(built.records) == 30
    assert built.shards == ["00000.arrow"]


def test_an_object_on_one_line_and_lines_that_begin_with_a_broken_one(tmp_path: Path) -> None:
    lines = b'{"q": "cut\n' + json.dumps(row(1)).encode() + b"\n"
    built = collect(tmp_path, {"one.json": json.dumps(row(0)).encode(), "two.json": lines})
    assert said(built) == [("one.json", 0, "q0"), ("two.json", 1, "q1")]
    assert built.refused == [(0, "unparsable")]


def test_an_object_cut_short_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"one\.json: is one JSON object and ends within it"):
        collect(tmp_path, {"one.json": pretty(row(0))[:-6]})


def test_a_list_within_an_object_has_its_fields_beside_it(tmp_path: Path) -> None:
    file = {"title": "T", "tag": "CN", "Instances": [row(0), {"q": "no answer"}, row(2)], "more": [1]}
    built = collect(tmp_path, {"t.json": pretty(file)}, form="listed", rows="Instances")
    assert [(one["row"], one["instruction"], one["lang"]) for one in built.records] == [
        (0, "T: q0", "CN"),
        (2, "T: q2", "CN"),
    ]
    assert built.refused == [(1, "missing field")]


@pytest.mark.parametrize("content", [b'{"title": "T"}', b'{"Instances": {}}', b'{"Instances": [', b"[]"])
def test_an_object_without_its_list_is_an_error(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Instances"):
        collect(tmp_path, {"t.json": content}, form="listed", rows="Instances")


def test_column_lists_are_rows_where_the_shape_says_so(tmp_path: Path) -> None:
    files = {"c.json": json.dumps({"q": ["x", "y"], "a": ["1", None]}).encode(), "u.json": b'{"q": ["x"], "a": []}'}
    built = collect(tmp_path, files, form="lists")
    assert said(built) == [("c.json", 0, "x")]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == [
        ("c.json", 1, "missing field"),
        ("u.json", 0, "unparsable"),
    ]


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return sink.getvalue()


def tarred(members: dict[str, bytes], link: str | None = None) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo("x.json")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return gzip.compress(sink.getvalue(), mtime=0)


MEMBERS = {
    "b/2.json": pretty(row(2)),
    "b/10.json": pretty(row(10)),
    "a.json": pretty(row(0)),
    "README.md": b"no row",
    "._a.json": b"x",
}


@pytest.mark.parametrize(
    ("name", "content"), [("x.zip", zipped(MEMBERS)), ("x.tar.gz", tarred(MEMBERS)), ("x.tgz", tarred(MEMBERS))]
)
def test_members_are_rows_in_the_order_of_their_names(name: str, content: bytes, tmp_path: Path) -> None:
    built = collect(tmp_path, {name: content})
    assert said(built) == [(name, 0, "q0"), (name, 1, "q10"), (name, 2, "q2")]
    assert built.manifest["files"][0]["rows"] == 3


def test_a_member_of_several_rows_is_a_file_of_its_own(tmp_path: Path) -> None:
    lines = b"".join(json.dumps(row(number)).encode() + b"\n" for number in range(2))
    built = collect(tmp_path, {"x.zip": zipped({"in/r.jsonl": lines, "in/s.json": pretty([row(5)])})})
    assert said(built) == [("x.zip/in/r.jsonl", 0, "q0"), ("x.zip/in/r.jsonl", 1, "q1"), ("x.zip/in/s.json", 0, "q5")]


@pytest.mark.parametrize("name", ["../out.json", "/etc/x.json", "a/../../x.json", "c:/x.json"])
def test_an_archive_that_leads_out_of_itself_is_refused(name: str, tmp_path: Path) -> None:
    for file, content in {"x.zip": zipped({name: b"{}"}), "x.tar.gz": tarred({name: b"{}"})}.items():
        with pytest.raises(SourceError, match="leads out of the archive"):
            collect(tmp_path / file, {file: content})


def test_a_link_in_an_archive_and_a_bomb_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds a link"):
        collect(tmp_path / "l", {"x.tar.gz": tarred({}, link="/etc/passwd")})
    bomb = io.BytesIO(zipped({"x.json": b"{}"}))
    with zipfile.ZipFile(bomb, "a") as archive:
        archive.infolist()[0].file_size = 1 << 30
        archive._didModify = True  # type: ignore[attr-defined]  # has the false size written
    with pytest.raises(SourceError, match="that is no data"):
        collect(tmp_path / "b", {"x.zip": bomb.getvalue()})


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.zip", zipped(MEMBERS)[:-30]), ("x.tar.gz", tarred(MEMBERS)[:60]), ("x.zip", zipped({"r.txt": b""}))],
)
def test_an_archive_that_is_not_sound_is_told(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        collect(tmp_path, {name: content})


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_parquet_and_arrow_files(tmp_path: Path) -> None:
    table = pa.table({"q": ["q0", None, "q2"], "a": ["a0", "a1", ""], "more": [1, 2, 3]})
    file, stream = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    files = {"a.parquet": parquet(table), "b.arrow": file.getvalue(), "c.arrow": stream.getvalue()}
    built = collect(tmp_path, files, format="parquet")
    assert said(built) == [(name, 0, "q0") for name in files]
    assert built.refused == [(1, "missing field"), (2, "empty output")] * 3
    assert json.loads(built.rejects[0]["bytes"]) == {"q": None, "a": "a1"}


def test_parquet_of_other_types_reads_as_json_would(tmp_path: Path) -> None:
    table = pa.table({"q": ["q0", "q1"], "a": [[1], [2]]})
    numbers = pa.table({"q": ["q0", "q1"], "a": [7, 8]})
    built = collect(tmp_path, {"a.parquet": parquet(table), "b.parquet": parquet(numbers)}, format="parquet")
    assert [(one["subset"], one["output"]) for one in built.records] == [("b.parquet", "7"), ("b.parquet", "8")]
    assert built.refused == [(0, "missing field"), (1, "missing field")]


def test_parquet_that_is_none_or_lacks_the_columns_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has none of the columns q, a"):
        collect(tmp_path / "1", {"a.parquet": parquet(pa.table({"x": [1]}))}, format="parquet")
    with pytest.raises(SourceError, match="is no sound Parquet"):
        collect(tmp_path / "2", {"a.parquet": parquet(pa.table({"q": ["x"]}))[:-9]}, format="parquet")


def test_zstd_and_its_damage(tmp_path: Path) -> None:
    lines = b"".join(json.dumps(row(number)).encode() + b"\n" for number in range(9))
    packed = bytes(pa.Codec("zstd").compress(lines, asbytes=True))
    assert said(collect(tmp_path / "1", {"r.jsonl.zst": packed}))[-1] == ("r.jsonl.zst", 8, "q8")
    with pytest.raises(SourceError, match="zstd"):
        collect(tmp_path / "2", {"r.jsonl.zst": packed[:-12]})


def test_a_limit_counts_rows_in_every_container(tmp_path: Path) -> None:
    many = [row(number) for number in range(9)]
    files = {
        "x.zip": zipped({f"{number}.json": pretty(one) for number, one in enumerate(many)}),
        "y.json": pretty(many),
    }
    assert collect(tmp_path / "1", files, limit=4).manifest["raw_rows"] == 8
    lines = b"\n".join(json.dumps(one).encode() + b"\n" for one in many[:3])
    inside = {"x.zip": zipped({"a.jsonl": lines, "b.json": pretty(many), "c.json": pretty(many[0])})}
    assert said(collect(tmp_path / "4", inside, limit=4)) == [
        ("x.zip/a.jsonl", 0, "q0"),
        ("x.zip/a.jsonl", 2, "q1"),
        ("x.zip/a.jsonl", 4, "q2"),
        ("x.zip/b.json", 0, "q0"),
    ]
    table = {"t.parquet": parquet(pa.Table.from_pylist(many))}
    assert collect(tmp_path / "2", table, limit=4, format="parquet").manifest["raw_rows"] == 4
    listed = {"t.json": pretty({"title": "T", "rows": many})}
    assert collect(tmp_path / "3", listed, limit=4, form="listed", rows="rows").manifest["raw_rows"] == 4


def test_the_subset_is_a_column(tmp_path: Path) -> None:
    built = collect(tmp_path, {"en/x.jsonl": json.dumps(row(0)).encode() + b"\n"}, form="place")
    assert said(built) == [("en/x.jsonl", 0, "en/x.jsonl")]
