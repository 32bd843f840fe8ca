"""The tree that is published of a mixture: Parquet shards, the card, and a manifest that names no machine.

    data/train-00000-of-00002.parquet   README.md
    data/holdout-00000-of-00001.parquet manifest.json

The same mixture gives the same bytes, whether the tree is staged for the Hub or written to a folder of one's own.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from collectors.errors import ArtefactError, nearest
from pipeline import folder, shards
from pipeline.card import Credit, card, splits

VERSION: Final = 1
"""Part of a tree's fingerprint: raised when the same mixture is to be published as other bytes."""

SHARD_BYTES: Final = 300 * 2**20
"""A Parquet shard is closed by the first row group that brings it to this many bytes."""

GROUP_BYTES: Final = 32 * 2**20
GROUP_ROWS: Final = 16_384
"""A row group is closed at this many bytes in memory or rows, whichever comes first."""

REPEATING: Final = ("lang", "task", "gen", "language", "license", "template", "source", "subset")
"""Columns with few values: only these are dictionary-encoded, for a dictionary of texts costs and saves nothing."""

OURS: Final = re.compile(r"(data/(train|holdout)-\d{5}(-of-\d{5})?\.parquet|README\.md|manifest\.json)")
"""The files that writing a tree makes, while it is written and after."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished mixture as `mix` left it: its folder and its manifest."""

    place: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The mixture's name, which is also its folder's."""
        return self.place.name

    def files(self, split: str) -> list[Path]:
        """The Arrow files of a split, in their order."""
        names = [PurePosixPath(entry["path"]).name for entry in self.manifest["files"]]
        return [self.place / name for name in names if name.startswith(f"{split}-")]


def finished(name: str, out: Path) -> Built:
    """The mixture `name` under the data folder `out`; `ArtefactError` when it is not built, or not to its end."""
    mixes = out / "mixes"
    place = mixes / name
    manifest = folder.manifest(place) if name and "/" not in name else None
    if manifest is not None:
        return Built(place=place, manifest=manifest)
    if name and "/" not in name and place.is_dir():
        raise ArtefactError(f"{place}: is unfinished; run: make mix MIX={name}")
    built = [path.parent.name for path in mixes.glob(f"*/{folder.MANIFEST}")] if mixes.is_dir() else []
    raise ArtefactError(
        f"mixture {name} is not built in {out}; run: make mix MIX={name} (built: {nearest(name, built)})"
    )


def tree(mixture: Built, target: Path, credits: Mapping[str, Credit], *, shard_bytes: int = SHARD_BYTES) -> Path:
    """Write the tree of `mixture` to the folder `target`, unless it stands there already; the folder.

    `target` appears whole or not at all. `credits` are what the card says of each source. Raises `ArtefactError` when
    `target` holds anything but a tree written here before, or the mixture's files are not those of its manifest.
    """
    target = target.resolve()
    named = mixture.manifest.get("counts", {}).get("source", {})
    used = {name: credits[name] for name in sorted(named) if name in credits}
    mark = folder.fingerprint(
        version=VERSION,
        shard_bytes=shard_bytes,
        mixture=mixture.manifest,
        credits={name: asdict(credit) for name, credit in used.items()},
    )
    with folder.writing(target):
        if _stands(target, mark):
            return target
    schema = _checked(mixture)
    with folder.building(target) as part:
        (part / "data").mkdir()
        files = []
        for split in splits(mixture.manifest):
            files += _write_split(part / "data", split, _groups(mixture.files(split), schema), schema, shard_bytes)
            _same_rows(mixture, split, sum(entry["rows"] for entry in files if entry["split"] == split))
        shown = without_paths(mixture.manifest)
        text = card(shown, credits=used, licences=_licences(mixture), columns=_types(schema))
        folder.write_text(part / "README.md", text)
        files.append({"path": "README.md", **_digest(part / "README.md")})
        folder.write_manifest(part, {**shown, "files": files, "tree": {"version": VERSION, "fingerprint": mark}})
    return target


def contents(target: Path) -> list[Path]:
    """The files of a tree, the manifest among them, as paths relative to it; `ArtefactError` when it is none."""
    manifest = folder.manifest(target) or {}
    if "tree" not in manifest:
        raise ArtefactError(f"{target}: holds something else than a published mixture; name a new folder")
    return [Path(entry["path"]) for entry in manifest["files"]] + [Path(folder.MANIFEST)]


def without_paths(value: Any) -> Any:
    """A manifest's value in which absolute paths are cut to their last step, so that no machine shows in it."""
    if isinstance(value, dict):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~/", "file:/")) and not any(map(str.isspace, value)):
        return PurePosixPath(value).name
    return value


def _stands(target: Path, mark: str) -> bool:
    """Whether `target` is the tree of fingerprint `mark`; refuses to go on when something else would be lost."""
    for beside in (target.with_name(target.name + ".part"), target.with_name(target.name + ".old")):
        foreign = [name for name in _within(beside) if not OURS.fullmatch(name.as_posix())]
        if foreign:
            raise ArtefactError(f"{beside}: is in the way and holds {foreign[0]}; move it or name another folder")
    folder.restore(target)
    if not target.exists():
        return False
    if not target.is_dir():
        raise ArtefactError(f"{target}: is a file; name a folder")
    there = set(_within(target))
    if not there:
        return False
    try:
        strangers = there - set(contents(target))
    except (KeyError, TypeError, ArtefactError):
        strangers = there
    if strangers:
        name = sorted(strangers)[0]
        raise ArtefactError(f"{target}: holds {name}, which no published mixture has written; name a new folder")
    manifest = folder.manifest(target) or {}
    whole = all(
        (target / entry["path"]).is_file() and (target / entry["path"]).stat().st_size == entry["bytes"]
        for entry in manifest["files"]
    )
    return whole and manifest["tree"].get("fingerprint") == mark


def _within(place: Path) -> list[Path]:
    """The files below a folder, relative to it; none when it is not there."""
    return sorted(path.relative_to(place) for path in place.rglob("*") if path.is_symlink() or not path.is_dir())


def _checked(mixture: Built) -> pa.Schema:
    """The schema a mixture is published with, after each of its files was found to be the one of the manifest."""
    again = f"{mixture.place}: run make mix MIX={mixture.name} again"
    digests = {PurePosixPath(entry["path"]).name: entry.get("sha256") for entry in mixture.manifest["files"]}
    schema: pa.Schema | None = None
    for path in [path for split in splits(mixture.manifest) for path in mixture.files(split)]:
        if not path.is_file():
            raise ArtefactError(f"{again}: {path.name} is missing")
        if digests[path.name] not in (None, _digest(path)["sha256"]):
            raise ArtefactError(f"{again}: {path.name} is not the file its manifest names")
        with pa.memory_map(str(path)) as source:
            found = _plain(pa.ipc.open_file(source).schema)
        schema = schema or found
        if found.names != schema.names:
            raise ArtefactError(f"{again}: {path.name} has other columns than the files before it")
    if schema is None:
        raise ArtefactError(f"{again}: it holds no rows")
    return schema


def _same_rows(mixture: Built, split: str, rows: int) -> None:
    told = mixture.manifest["rows"].get(split, 0)
    if rows != told:
        raise ArtefactError(
            f"{mixture.place}: {split} holds {rows:,} rows, its manifest tells of {told:,};"
            f" run make mix MIX={mixture.name} again"
        )


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema with dictionaries spelled out: Parquet encodes repetition by itself, and every reader takes it."""
    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema(fields)


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type).replace("large_string", "string") for field in schema}


def _groups(paths: list[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of Arrow files as tables of about `GROUP_BYTES` or `GROUP_ROWS`, cut by the rows alone."""
    for path in paths:
        for batch in shards.batches(path):
            rows = batch.num_rows
            pieces = max(1, -(-batch.nbytes // GROUP_BYTES), -(-rows // GROUP_ROWS))
            step = max(1, -(-rows // pieces))
            for start in range(0, rows, step):
                yield pa.Table.from_batches([batch.slice(start, step)]).cast(schema)


def _write_split(
    data: Path, split: str, groups: Iterator[pa.Table], schema: pa.Schema, shard_bytes: int
) -> list[dict[str, Any]]:
    """Write row groups to shards of `shard_bytes`; an entry of the manifest for each."""
    written: list[tuple[Path, int]] = []
    group = next(groups, None)
    while group is not None:
        path, rows = data / f"{split}-{len(written):05d}.parquet", 0
        with path.open("wb") as handle:
            dictionaries = [name for name in schema.names if name in REPEATING]
            # Without the Arrow schema in the footer, every reader sees plain strings, whatever their width here.
            with pq.ParquetWriter(
                handle, schema, compression="zstd", compression_level=3, use_dictionary=dictionaries, store_schema=False
            ) as writer:
                while group is not None and (rows == 0 or handle.tell() < shard_bytes):
                    writer.write_table(group, row_group_size=max(1, group.num_rows))
                    rows += group.num_rows
                    group = next(groups, None)
            handle.flush()
            os.fsync(handle.fileno())
        written.append((path, rows))
    return [_named(path, split, place, len(written), rows) for place, (path, rows) in enumerate(written)]


def _named(path: Path, split: str, place: int, whole: int, rows: int) -> dict[str, Any]:
    final = path.rename(path.with_name(f"{split}-{place:05d}-of-{whole:05d}.parquet"))
    return {"path": f"data/{final.name}", "split": split, "rows": rows, **_digest(final)}


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as handle:
        return {"bytes": os.fstat(handle.fileno()).st_size, "sha256": hashlib.file_digest(handle, "sha256").hexdigest()}


def _licences(mixture: Built) -> dict[str, dict[str, int]]:
    """Rows of each licence by source, counted over the rows themselves: a source may hold files of several licences."""
    pairs: Counter[tuple[str, str]] = Counter()
    for path in [path for split in splits(mixture.manifest) for path in mixture.files(split)]:
        for batch in shards.batches(path, ["source", "license"]):
            plain = pa.Table.from_batches([batch]).cast(_plain(batch.schema))
            found = plain.group_by(["license", "source"]).aggregate([([], "count_all")])
            for row in found.to_pylist():
                pairs[row["license"], row["source"]] += row["count_all"]
    licences: dict[str, dict[str, int]] = {}
    for (licence, source), rows in sorted(pairs.items()):
        licences.setdefault(licence, {})[source] = rows
    return licences
