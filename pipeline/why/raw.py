"""A raw row as upstream has it: its bytes, found again in the file that the records were made of."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from collectors.archives import is_archive
from collectors.blocks import BOM, Block
from collectors.catalog import Source
from collectors.cut import cut
from collectors.delimited import csv_records
from collectors.errors import SourceError
from collectors.files import RawFile, opened, raw_file
from collectors.shape import Shape
from collectors.shapes import shape
from pipeline.folder import Hashes

_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Raw(NamedTuple):
    """A raw row: the file it stands in, and its text, bytes that are none as `\\xNN`; `note` says why there is none."""

    file: Path | None
    text: str | None
    note: str | None


class RawRows:
    """The raw files of sources, looked for in a given folder, else where fetch, the samples or collect had them."""

    def __init__(self, out: Path, given: Path | None) -> None:
        self.out, self.given = out, given
        self.hashes = Hashes(out)

    def row(self, name: str, source: Source | None, book: dict[str, Any], subset: str, row: int) -> Raw:
        """Row `row` of the file, or member of an archive, `subset` of the source `name`, whose manifest is `book`."""
        entry = next((one for one in book["files"] if _holds(one["path"], subset)), None)
        if entry is None:
            return Raw(None, None, f"no file of {name} is called {subset}")
        if source is None:
            return Raw(None, None, f"the catalog has no source {name} any more, so nothing says how its files read")
        path, note = self._found(name, entry)
        if path is None:
            return Raw(None, None, note)
        file = raw_file(name, source, path, entry["path"])
        if file is None:
            return Raw(path, None, f"no glob of the catalog names {entry['path']} any more")
        member = subset.removeprefix(entry["path"]).removeprefix("/") or None
        try:
            text = _text(file, member, row)
        except SourceError as error:
            return Raw(path, None, str(error))
        except OSError as error:
            return Raw(path, None, f"{path}: cannot be read: {error.strerror}")
        if text is None:
            return Raw(path, None, f"{path}: has no row {row:,}")
        return Raw(path, text.decode(file.encoding, "backslashreplace"), None)

    def _found(self, name: str, entry: dict[str, Any]) -> tuple[Path | None, str]:
        """The file that the records were made of, told by its sha256; else why there is none."""
        others = []
        for path in self._places(name, entry):
            if not path.is_file():
                continue
            try:
                if self.hashes.take(path) == entry["sha256"]:
                    return path, ""
            except OSError as error:
                others.append(f"{path} cannot be read ({error.strerror})")
            else:
                others.append(f"{path} is another file than the one the records were made of (its sha256 differs)")
        if others:
            return None, "; ".join(others)
        where = str(self.given) if self.given else f"{self.out / 'raw'}, the samples, or where corpus read it"
        return None, f"{name}/{entry['path']} is not in {where}; name the folder that holds {name}/ with --from"

    def _places(self, name: str, entry: dict[str, Any]) -> Iterator[Path]:
        if self.given is not None:
            yield self.given / name / entry["path"]
            return
        yield self.out / "raw" / name / entry["path"]
        noted = (path for path, (_, _, digest) in self.hashes.known.items() if digest == entry["sha256"])
        yield from (Path(path) for path in noted if path.endswith(f"/{entry['path']}"))


def _holds(path: str, subset: str) -> bool:
    """Whether a file is meant by a record's `subset`: itself, or a member of it."""
    return path == subset or (is_archive(Path(path)) and subset.startswith(f"{path}/"))


def _text(file: RawFile, member: str | None, row: int) -> bytes | None:
    """The bytes of one row; None when the file has no such row."""
    if file.format == "parquet" and (found := _parquet(file.path, row)) is not None:
        return found
    form = replace(shape(file), whole=False)
    with file.path.open("rb", buffering=0) as handle, opened(file, handle) as (stream, packed):
        for block in cut(file, form, stream, packed, None):
            if block.member == member and block.first <= row < block.first + block.rows:
                data = os.pread(handle.fileno(), block.length, block.offset) if block.data is None else block.data
                return _rows(file, form, block, data)[row - block.first]
    return None


def _parquet(path: Path, row: int) -> bytes | None:
    """A row of a Parquet file with all its columns, read from its row group; None if there is none."""
    import pyarrow.parquet as pq  # dear to load

    with path.open("rb") as handle:
        if handle.read(4) != b"PAR1":
            return None
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < first + rows:
                table = file.read_row_group(group)
                return _shown(table.slice(row - first, 1).to_pylist())
            first += rows
    return None


def _shown(rows: Iterable[dict[str, Any]]) -> bytes:
    return json.dumps(next(iter(rows)), ensure_ascii=False, default=str).encode()


def _rows(file: RawFile, form: Shape, block: Block, data: bytes) -> Sequence[bytes]:
    """The bytes of each row of a block."""
    if file.format == "parquet":  # an Arrow file, whose block holds the declared columns
        import pyarrow as pa

        return [_shown([one]) for one in pa.ipc.open_stream(data).read_all().to_pylist()]
    if file.format == "csv":
        return [record.rstrip(b"\r\n") for record in csv_records(data)]
    if form.pattern is not None:
        text = data.removeprefix(BOM).decode(errors="backslashreplace")
        return [match[0].encode() for match in form.pattern.finditer(text)]
    if block.spans is not None:
        return [data[start:end] for start, end in block.spans]
    if block.array:
        return [bytes(one) for one in _ELEMENTS.decode(b"".join((b"[", data, b"]")))]
    lines = (data.removeprefix(BOM) if block.first == 0 else data).removesuffix(b"\n").split(b"\n")
    return lines
