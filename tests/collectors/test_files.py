"""Raw files: which are a source's, and what is said of one that is not what it should be."""

import gzip
import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from collectors.catalog import Source
from collectors.errors import CatalogError, SourceError
from collectors.files import Hashing, RawFile, claimed, opened


def source(**keys: Any) -> Source:
    entry: dict[str, Any] = {
        "title": "T",
        "about": "a",
        "homepage": "https://example.org/t",
        "origins": [{"hub": "o/n", "paths": ["rows.json"]}],
        "files": ["**/*.json"],
        "lang": "EN",
        "task": "MT",
        "gen": "HG",
        "license": "MIT",
        "columns": {"instruction": "i", "output": "o"},
    }
    return Source.model_validate(entry | keys)


def lay(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", encoding="utf-8")


def test_files_come_in_the_order_of_their_names_and_the_others_are_told(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "b/2.json",
        "a.json",
        "b/10.json",
        "notes.md",
        "b/x.txt",
        ".git/a.json.txt",
        "b/.cache/y",
        ".cache/c.json",
        "b/.d.json",
    )
    found, others = claimed("s", source(), tmp_path)
    assert [file.subset for file in found] == ["a.json", "b/10.json", "b/2.json"]
    assert others == ["b/x.txt", "notes.md"]
    assert [file.path for file in found] == [tmp_path / file.subset for file in found]


def test_of_two_globs_that_name_a_file_the_first_counts(tmp_path: Path) -> None:
    lay(tmp_path, "x_zh.json", "x.json")
    files = [
        {"glob": "*_zh.json", "lang": "CN", "task": "TS", "gen": "SI", "collector": "belle"},
        {"glob": "*.json", "format": "tsv"},
    ]
    found, _ = claimed("s", source(files=files), tmp_path)
    shown = [(file.subset, file.lang, file.task, file.gen, file.format, file.collector) for file in found]
    assert shown == [("x.json", "EN", "MT", "HG", "tsv", None), ("x_zh.json", "CN", "TS", "SI", "json", "belle")]
    assert [file.columns is None for file in found] == [False, True]


def test_a_folder_that_is_not_there_or_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^s: no folder .*/none; .*--from$"):
        claimed("s", source(), tmp_path / "none")
    lay(tmp_path, "rows.csv")
    with pytest.raises(SourceError, match=r"^s: no file in .* matches \*\*/\*\.json$"):
        claimed("s", source(), tmp_path)


@pytest.mark.parametrize("glob", ["/rows.json", ""])
def test_a_glob_that_is_none_is_told(tmp_path: Path, glob: str) -> None:
    with pytest.raises((CatalogError, SourceError)):
        claimed("s", source(files=[glob]), tmp_path)


def raw(path: Path, encoding: str = "utf-8") -> RawFile:
    form = "json" if encoding == "utf-8" else "csv"
    (found,), _ = claimed("s", source(files=[path.name], encoding=encoding, format=form), path.parent)
    return found


def read(path: Path, encoding: str = "utf-8") -> tuple[bytes, bool]:
    with (
        path.open("rb", buffering=0) as handle,
        opened(raw(path, encoding), cast(BinaryIO, handle)) as (stream, packed),
    ):
        return stream.read(), packed


ROW = '{"i":"字","o":"%s"}\n' % ("内容" * 50)
LARGE = b"{}\n" * 500_000


@pytest.mark.parametrize("content", [ROW.encode(), LARGE, b"\xef\xbb\xbf" + ROW.encode(), b" \n" + ROW.encode()])
def test_a_file_and_its_gzip_give_the_same_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content))
    half = len(content) // 2
    (tmp_path / "members").write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    assert read(tmp_path / "plain") == (content, False)
    assert read(tmp_path / "packed") == (content, True)
    assert read(tmp_path / "members") == (content, True)


WRONG = [
    ("nothing", b"", "utf-8", "is empty"),
    ("blanks", b" \r\n\t", "utf-8", "is empty"),
    ("gzip of nothing", gzip.compress(b""), "utf-8", "is empty"),
    (
        "LFS",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "utf-8",
        "Git LFS pointer.*lfs pull",
    ),
    ("UTF-16", ROW.encode("utf-16"), "utf-8", "is UTF-16.*the catalog says utf-8"),
    ("UTF-16 without a mark", ROW.encode("utf-16-le"), "utf-8", "is UTF-16"),
    ("UTF-32", ROW.encode("utf-32"), "utf-8", "is UTF-16 or UTF-32"),
    ("GB18030 for UTF-8", ROW.encode("gb18030"), "utf-8", r"is no UTF-8 \(GB18030\?\)"),
    ("UTF-8 for GB18030", ROW.encode(), "gb18030", "is UTF-8, but the catalog says gb18030"),
    ("gzip of GB18030", gzip.compress(ROW.encode("gb18030")), "utf-8", "is no UTF-8"),
    ("no gzip after its mark", b"\x1f\x8bwords", "utf-8", "gzip is cut short or damaged"),
]


@pytest.mark.parametrize(("content", "encoding", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_cannot_be_meant_is_told(tmp_path: Path, content: bytes, encoding: str, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"^s: {path}: .*{said}") as caught:
        read(path, encoding)
    assert "\n" not in str(caught.value)


def test_a_gzip_cut_anywhere_is_told(tmp_path: Path) -> None:
    packed, path = gzip.compress(ROW.encode() * 20), tmp_path / "rows.json.gz"
    for size in range(2, len(packed)):
        path.write_bytes(packed[:size])
        with pytest.raises(SourceError, match=rf"^s: {path}: the gzip is cut short or damaged"):
            read(path)


def test_a_gzip_with_a_wrong_byte_is_told(tmp_path: Path) -> None:
    packed, path = bytearray(gzip.compress(ROW.encode() * 20)), tmp_path / "rows.json.gz"
    packed[-6] ^= 1
    path.write_bytes(packed)
    with pytest.raises(SourceError, match="damaged"):
        read(path)


@pytest.mark.parametrize(
    "content", [ROW.encode(), b"{}\n" * 100, ("字" * 30_000).encode() + b"\n", b'{"i":"\xff"}\n' + ROW.encode()]
)
def test_a_character_cut_by_the_look_at_the_head_is_no_wrong_encoding(tmp_path: Path, content: bytes) -> None:
    for shift in range(3):
        path = tmp_path / "rows.json"
        path.write_bytes(b" " * shift + content * 3)
        assert read(path) == (b" " * shift + content * 3, False)


def test_gb18030_is_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("科,题\n内,外\n".encode("gb18030") * 20_000)
    assert read(path, "gb18030")[0] == path.read_bytes()


@pytest.mark.parametrize("taken", [0, 1, 1000, 10**7])
def test_the_hash_is_of_the_whole_file_however_much_was_read(taken: int) -> None:
    data = bytes(range(256)) * 20_000
    hashing = Hashing(io.BytesIO(data))
    assert io.BufferedReader(hashing, buffer_size=512).read(taken) == data[:taken]  # type: ignore[type-var]
    assert hashing.drained() == hashlib.sha256(data).hexdigest()
