"""export: records, or the rows of a mixture, in the row formats that other trainers read (see `formats`).

Records are worded plainly. In a mixture's rows the request that a template worded is one text; one that is worded
plainly keeps its input apart. A rationale that is not in the wording and the worse answer of a pair have no place in
these formats: the manifest counts them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from collectors.catalog import Catalog
from collectors.errors import ArtefactError
from collectors.record import SCHEMA
from pipeline import folder, keys, shards
from pipeline.formats import MESSAGES, ROW, Format, Kind, led, shape, write
from pipeline.front_matter import SPLITS
from pipeline.gathering import messages
from pipeline.layout import AT_ONCE, asked
from pipeline.tree import finished
from templates.template import PLAIN

VERSION: Final = 2
"""Part of an export's fingerprint: raised when the same rows are to be written as other bytes."""

OURS: Final = re.compile(r"[^/]+\.(json|jsonl|parquet)")
"""The files an export writes, the manifest among them."""

Frames = Callable[[], Iterator[pl.DataFrame]]
"""What reads rows, as often as it is called: frames of the columns `formats.ROW`."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export did: the folder and its manifest, and whether it stood there already."""

    folder: Path
    manifest: dict[str, Any]
    up_to_date: bool


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one file to write: its name without ending, how many there must be, and what reads them.

    `again` is the command that makes what is read anew.
    """

    name: str
    rows: int
    frames: Frames
    again: str


@dataclass(kw_only=True)
class Books:
    """What is counted as rows pass by."""

    licenses: Counter[str] = field(default_factory=Counter)
    rationales: int = 0
    rejected: int = 0

    def entered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Some rows, counted."""
        self.licenses.update(dict(rows["license"].value_counts().iter_rows()))
        self.rationales += int(rows["rationale"].sum())
        self.rejected += int(rows["rejected"].sum())
        return rows


def export(catalog: Catalog, to: Path, out: Path, *, name: str, mixture: bool, form: Format, kind: Kind) -> Exported:
    """Write the mixture `name`, or the sources that `name` means (see `Catalog.chosen`), to the folder `to`.

    A mixture gives a file a split, sources a file each. The caller holds the lock of the data folder `out`. Raises
    `CatalogError` for a source that does not exist, `ArtefactError` when what is asked for is not built or damaged, or
    when `to` holds anything but an earlier export.
    """
    parts, inputs, unused = _of_mixture(name, out) if mixture else _of_sources(list(catalog.chosen([name])), out)
    mark = folder.fingerprint(stage="export", version=VERSION, format=form, kind=kind, inputs=inputs)

    def fill(place: Path) -> dict[str, Any]:
        columns = shape(form, (rows for part in parts for rows in part.frames()))
        files, books = [], Books()
        for part in parts:
            path = place / f"{part.name}.{kind}"
            told: Iterator[pl.DataFrame] = (books.entered(rows).select(**columns) for rows in part.frames())
            if kind == "jsonl" and "history" in columns:
                told = led((rows.select(**columns) for rows in part.frames()), told)
            rows = write(path, kind, told, columns)
            if rows != part.rows:
                raise ArtefactError(
                    f"{out}: {part.name} has {rows:,} rows, its manifest tells of {part.rows:,}; run {part.again} again"
                )
            files.append(described(path, rows))
        lost = {"rationale": books.rationales + unused, "rejected": books.rejected}
        return {"format": form, "inputs": inputs, "licenses": dict(sorted(books.licenses.items())), "unused": lost} | {
            "rows_in": sum(part.rows for part in parts), "rows": sum(file["rows"] for file in files), "dropped": {},
            "files": files,
        }  # fmt: skip

    return written(to, mark, fill)


def written(to: Path, mark: str, fill: Callable[[Path], dict[str, Any]]) -> Exported:
    """The export of fingerprint `mark` at `to`, filled by `fill`, which returns its manifest, unless it stands there.

    Raises `ArtefactError` when `to` holds anything but an earlier export.
    """
    to = to.resolve()
    for beside in (to.with_name(to.name + ".part"), to.with_name(to.name + ".old")):
        if strangers := [one for one in _within(beside) if not OURS.fullmatch(one)]:
            raise ArtefactError(f"{beside}: is in the way and holds {strangers[0]}; move it or name another folder")
    with folder.writing(to):
        folder.restore(to)
    before = _standing(to)
    if before is not None and before["export"]["fingerprint"] == mark and _whole(to, before):
        return Exported(folder=to, manifest=before, up_to_date=True)
    with folder.building(to) as place:
        manifest = {"export": {"version": VERSION, "fingerprint": mark}} | fill(place)
        if manifest["rows_in"] != manifest["rows"] + sum(manifest["dropped"].values()):
            raise AssertionError(f"the books of the export do not close: {manifest}")
        folder.write_manifest(place, manifest)
    return Exported(folder=to, manifest=manifest, up_to_date=False)


def described(path: Path, rows: int) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"path": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": shards.digest(path)}


def _standing(to: Path) -> dict[str, Any] | None:
    """The manifest of the export at `to`, None where nothing is; `ArtefactError` where something else is."""
    if to.exists() and not to.is_dir():
        raise ArtefactError(f"{to}: is a file; name a folder")
    there = _within(to)
    if not there:
        return None
    manifest = folder.manifest(to) or {}
    files = manifest.get("files", []) if "export" in manifest else []
    strangers = set(there) - {folder.MANIFEST} - {file["path"] for file in files}
    if strangers or "export" not in manifest:
        name = min(strangers, default=folder.MANIFEST)
        raise ArtefactError(f"{to}: holds {name}, which no export has written; name a new folder")
    return manifest


def _within(place: Path) -> list[str]:
    """The files below a folder, relative to it; none when it is not there."""
    found = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(place).as_posix() for path in found)


def _whole(to: Path, manifest: dict[str, Any]) -> bool:
    paths = [(to / file["path"], file["bytes"]) for file in manifest["files"]]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


# --- what is read -------------------------------------------------------------------------------------------------

_TEXT: Final = pa.large_string()
_TOLD: Final = pa.schema([SCHEMA.field("system"), SCHEMA.field("history"), ("prompt", _TEXT), ("target", _TEXT)])

Inputs = list[dict[str, str]]


def built(name: str, out: Path) -> dict[str, Any]:
    """The manifest of a source's records; `ArtefactError` when they are not built."""
    manifest = folder.manifest(out / "records" / name)
    if manifest is None:
        raise ArtefactError(f"{out / 'records'} lacks {name}; run make corpus SOURCES={name} first")
    return manifest


def _of_sources(names: list[str], out: Path) -> tuple[list[Rows], Inputs, int]:
    """The records of sources; their rationales are counted as they are read."""
    manifests = {name: built(name, out) for name in names}

    def frames(name: str) -> Frames:
        return lambda: (one for path in shards.paths(out / "records" / name) for one in _records(path))

    parts = [
        Rows(name=name, rows=found["records"], frames=frames(name), again=f"make corpus SOURCES={name}")
        for name, found in manifests.items()
    ]
    return parts, [{"source": name, "fingerprint": found["fingerprint"]} for name, found in manifests.items()], 0


def _records(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a record shard, worded plainly."""
    names = ["id", "source", "license", "system", "history", "instruction", "input", "rationale", "output", "rejected"]
    for records in keys.columns(path, names).rechunk().iter_slices(AT_ONCE):
        prompt = records.select(question="instruction", context="input").select(prompt=PLAIN)["prompt"]
        told = records.select("system", "history", prompt, target="output")
        table = told.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_TOLD).combine_chunks()
        lost = records.select(pl.col("rationale", "rejected").is_not_null())
        yield (
            records.with_columns(lost)
            .with_columns(pl.Series("messages", messages(table), dtype=MESSAGES))
            .select(pl.col(name).cast(dtype) for name, dtype in ROW.items())
        )


def _of_mixture(name: str, out: Path) -> tuple[list[Rows], Inputs, int]:
    """The rows of a mixture's splits, and how many rationales its wordings left unused."""
    mixture = finished(name, out)
    digests = {file["path"]: file["sha256"] for file in mixture.manifest["files"]}
    again = f"make mix MIX={name}"

    def frames(split: str) -> Frames:
        return lambda: (one for path in mixture.files(split) for one in _mixed(path, digests[path.name], again))

    parts = [
        Rows(name=split, rows=rows, frames=frames(split), again=again)
        for split in SPLITS
        if (rows := mixture.manifest["rows"].get(split, 0))
    ]
    inputs = [{"mixture": name, "fingerprint": mixture.manifest["fingerprint"]}]
    return parts, inputs, mixture.manifest["unused_rationales"]


def _mixed(path: Path, digest: str, again: str) -> Iterator[pl.DataFrame]:
    """The rows of a mixture's shard, if it is the one of this sha256."""
    if not path.is_file() or shards.digest(path) != digest:
        raise ArtefactError(f"{path}: is not the file its manifest names; run {again} again")
    yield from asked(path)
