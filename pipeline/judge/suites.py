"""The items of evaluation sets: those of the catalog in a folder, and any file of questions that a user names."""

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from collectors.catalog import Catalog
from collectors.errors import CatalogError, SourceError
from collectors.fetch import fetch
from collectors.globs import matches
from collectors.suites import Fields, Suite
from pipeline.judge.sheets import sheet_rows
from pipeline.shards import digest

ITEMS: Final[dict[str, type[pl.DataType]]] = {
    "name": pl.String,
    "question": pl.String,
    "options": pl.String,
    "answer": pl.String,
}
"""An item: its name `<suite>/<file>:<row>`, and texts, empty where there are none; an option stands on a line."""

QUESTIONS: Final = ("question", "prompt", "instruction", "input", "text", "query", "problem", "题目", "问题")
"""Columns that hold the question in a file that a user names, whatever their case; the first that is there counts."""
OPTIONS: Final = ("options", "choices", "选项", "a", "b", "c", "d", "e")
ANSWERS: Final = ("answer", "std_answer", "output", "答案")

LARGEST: Final = 256 << 20
"""Bytes of the largest member of a zip that is read."""

Row = dict[str, Any]
Broken = Callable[[str], SourceError]


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteItems:
    """One evaluation set as read: its items (see `ITEMS`) in the order of their files, and the sha256 of each file.

    `named` says that it is a file which a user named, and none of the catalog.
    """

    name: str
    items: pl.DataFrame
    files: dict[str, str]
    named: bool = False


def asked(
    catalog: Catalog, where: str | None, named: list[str], out: Path, say: Callable[[str], None] = print
) -> list[SuiteItems] | None:
    """The sets that a command asks for; None when it leaves them as they were.

    `where` is a folder of them, `hub` (fetched to `out/evalsets/` first, those that have an origin) or `none`; `named`
    are words `NAME=FILE`. Raises as `suites` does, and `RemoteError` when one cannot be had.
    """
    if where is None and not named:
        return None
    for word in named:
        if "=" not in word:
            raise CatalogError(f"--suite {word}: give the file a name, NAME=FILE")
    folder = None if where in {None, "none"} else Path(where or "")
    if where == "hub":
        folder = out / "evalsets"
        fetch({name: suite for name, suite in catalog.suites.items() if suite.origins}, folder, say=say)
        for name, suite in catalog.suites.items():
            if not suite.origins and not (folder / name).is_dir():
                say(f"{name}: the catalog names no origin; put its files into {folder / name} to have it looked for")
    return suites(catalog, folder, [(name, Path(file)) for name, _, file in (word.partition("=") for word in named)])


def suites(catalog: Catalog, folder: Path | None, named: list[tuple[str, Path]]) -> list[SuiteItems]:
    """The sets of the catalog that have a folder in `folder`, and the files that `named` gives a name each.

    Raises `SourceError` for a file that cannot be read or has no question, and when `folder` holds no known set;
    `CatalogError` for a name that is taken.
    """
    found: list[SuiteItems] = []
    if folder is not None:
        there = {name: suite for name, suite in catalog.suites.items() if (folder / name).is_dir()}
        if not there:
            raise SourceError(
                f"{folder}: holds no folder of an evaluation set; it should hold some of {', '.join(catalog.suites)}"
            )
        found += [_of_folder(name, suite, folder / name) for name, suite in there.items()]
    for name, path in named:
        if name in {one.name for one in found} or name in catalog.suites or "/" in name or not name:
            raise CatalogError(f"{name}={path}: the name {name!r} is taken or none; give the file another, NAME=FILE")
        found.append(_of_file(name, path))
    return found


def _of_folder(name: str, suite: Suite, folder: Path) -> SuiteItems:
    found: list[tuple[str, str, str, str]] = []
    files: dict[str, str] = {}
    for path, (holder, read) in sorted(_files(name, folder).items()):
        split = next((one for one in suite.files if matches(path, one.glob)), None)
        if split is None or not split.scored:
            continue
        broken = _broken(f"{name}: {folder / path}")
        sheets = path.endswith(".xlsx")
        rows = list(sheet_rows(read(), suite.columns, broken) if sheets else _rows(suite.format, read(), broken))
        found += _items(f"{name}/{path}", rows, suite.columns, broken)
        files[holder.relative_to(folder).as_posix()] = digest(holder)
    if not files:
        globs = ", ".join(one.glob for one in suite.files if one.scored)
        raise SourceError(f"{name}: no file in {folder} matches {globs}")
    return SuiteItems(name=name, items=_frame(found), files=dict(sorted(files.items())))


def _of_file(name: str, path: Path) -> SuiteItems:
    broken = _broken(f"{name}: {path}")
    if not path.is_file():
        raise broken("no such file; give a JSON Lines file of questions, NAME=FILE")
    rows = list(_rows("csv" if path.suffix == ".csv" else "json", path.read_bytes(), broken))
    columns = {column.strip().casefold(): column for row in reversed(rows) for column in reversed(row)}
    question = next((columns[one] for one in QUESTIONS if one in columns), None)
    if question is None:
        there = ", ".join(reversed(columns.values()))
        raise broken(f"has no column of questions, its columns are {there}; call one of them {' or '.join(QUESTIONS)}")
    fields = Fields(
        question=question,
        options=[columns[one] for one in OPTIONS if one in columns],
        answer=next((columns[one] for one in ANSWERS if one in columns), None),
    )
    items = _items(f"{name}/{path.name}", rows, fields, broken)
    return SuiteItems(name=name, items=_frame(items), files={path.name: digest(path)}, named=True)


def _broken(where: str) -> Broken:
    return lambda what: SourceError(f"{where}: {what}")


def _frame(items: list[tuple[str, str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(items, schema=ITEMS, orient="row")


def _files(name: str, folder: Path) -> dict[str, tuple[Path, Callable[[], bytes]]]:
    """Every file below a folder by its path there: the file on the disk, and what reads it.

    Members of a zip are as if unpacked where it lies; a file that lies there under a member's path goes first.
    """
    found: dict[str, tuple[Path, Callable[[], bytes]]] = {}
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        found[path.relative_to(folder).as_posix()] = (path, path.read_bytes)
    for path in paths:
        if path.suffix == ".zip":
            broken = _broken(f"{name}: {path}")
            for member in _members(path, broken):
                inside = (path.parent.relative_to(folder) / member).as_posix()
                found.setdefault(inside, (path, partial(_inflated, path, member, broken)))
    return found


@contextmanager
def _unzipping(path: Path, broken: Broken) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise broken(f"is no sound zip ({error}); fetch it again") from None


def _members(path: Path, broken: Broken) -> list[str]:
    with _unzipping(path, broken) as archive:
        return [one.filename for one in archive.infolist() if not one.is_dir()]


def _inflated(path: Path, member: str, broken: Broken) -> bytes:
    with _unzipping(path, broken) as archive:
        if archive.getinfo(member).file_size > LARGEST:
            raise broken(f"holds {member!r} of more than {LARGEST >> 20} MB; that is no set of questions")
        return archive.read(member)


def _rows(form: Literal["json", "csv"], data: bytes, broken: Broken) -> Iterator[Row]:
    """The rows of a file, blank lines left out; `broken` for one that is empty, not UTF-8 or not of its format."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise broken("is not UTF-8; convert it") from None
    if text.startswith("version https://git-lfs"):
        raise broken("is a Git LFS pointer, not the data; run git lfs pull, or fetch the file itself")
    rows = _csv(text, broken) if form == "csv" else _json(text, broken)
    first = next(rows, None)
    if first is None:
        raise broken("is empty; fetch it again, or remove it")
    yield from chain([first], rows)


def _csv(text: str, broken: Broken) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restval=None, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise broken(f"line {reader.line_num} has not as many cells as the header; fetch it again")
            yield row
    except csv.Error as error:
        raise broken(f"line {reader.line_num} is no sound CSV ({error}); fetch it again") from None


def _json(text: str, broken: Broken) -> Iterator[Row]:
    """Objects of an array, or one a line."""
    if text.lstrip().startswith("["):
        try:
            values = [(f"element {number}", value) for number, value in enumerate(json.loads(text))]
        except ValueError as error:
            raise broken(f"is no sound JSON array ({error}); fetch it again") from None
        yield from (_object(where, value, broken) for where, value in values)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise broken(f"line {number} is not JSON ({error}); give one object a line") from None
            yield _object(f"line {number}", value, broken)


def _object(where: str, value: Any, broken: Broken) -> Row:
    if not isinstance(value, dict):
        raise broken(f"{where} is no object but {json.dumps(value, ensure_ascii=False)[:40]}; give one object a line")
    return value


def _items(file: str, rows: list[Row], fields: Fields, broken: Broken) -> list[tuple[str, str, str, str]]:
    """The rows of one file as items, in the order of `ITEMS`."""
    wanted = [fields.question] if isinstance(fields.question, str) else fields.question
    there = dict.fromkeys(column for row in rows for column in row)
    question = next((name for name in wanted if name in there), None)
    lacking = [*([] if question else [" or ".join(wanted)]), *(name for name in fields.options if name not in there)]
    if question is None or lacking:
        columns = ", ".join(str(column) for column in there)
        raise broken(f"has no column {', '.join(lacking)}; its columns are {columns}")
    return [
        (
            f"{file}:{number}",
            _text(row.get(question)),
            "\n".join(_text(row.get(name)) for name in fields.options),
            _text(row.get(fields.answer)) if fields.answer else "",
        )
        for number, row in enumerate(rows)
    ]


def _text(value: Any) -> str:
    """A value as text: lists and objects of texts stand on lines, null is empty."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = list(value.values())
    return "\n".join(map(_text, value)) if isinstance(value, list) else str(value)
