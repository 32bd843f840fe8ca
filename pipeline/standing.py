"""What stands where a tree is published: whether it is one, whole and up to date, and what its files are."""

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError
from pipeline import folder

OURS: Final = re.compile(
    r"(data/(train|holdout)-\d{5}(-of-\d{5})?\.parquet|figures/composition\.png|README\.md|manifest\.json)"
)
"""The files that writing a tree makes, while it is written and after."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a tree: its path there, its bytes and their sha256."""

    path: str
    bytes: int
    sha256: str


def files(place: Path) -> list[File]:
    """The files of a tree by their paths, the manifest among them, each with its size and hash."""
    entries = (folder.manifest(place) or {})["files"]
    told = [File(path=one["path"], bytes=one["bytes"], sha256=one["sha256"]) for one in entries]
    data = (place / folder.MANIFEST).read_bytes()
    return sorted([*told, File(path=folder.MANIFEST, **described(data))], key=lambda file: file.path)


def contents(target: Path) -> list[Path]:
    """The files of a tree, the manifest among them, as paths relative to it; `ArtefactError` when it is none."""
    manifest = folder.manifest(target) or {}
    if "tree" not in manifest:
        raise ArtefactError(f"{target}: holds something else than a published mixture; name a new folder")
    return [Path(entry["path"]) for entry in manifest["files"]] + [Path(folder.MANIFEST)]


def stands(target: Path, mark: str) -> bool:
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
    return up_to_date(target, mark)


def up_to_date(target: Path, mark: str) -> bool:
    """Whether `target` holds the tree of fingerprint `mark`, whole."""
    manifest = folder.manifest(target) or {}
    if manifest.get("tree", {}).get("fingerprint") != mark:
        return False
    return all(_is_whole(target, one) for one in manifest["files"])


def _is_whole(target: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file of a tree is there, by its size."""
    path: Path = target / entry["path"]
    return path.is_file() and path.stat().st_size == int(entry["bytes"])


def _within(place: Path) -> list[Path]:
    """The files below a folder, relative to it; none when it is not there."""
    return sorted(path.relative_to(place) for path in place.rglob("*") if path.is_symlink() or not path.is_dir())


def kept(target: Path, part: Path, data: str) -> list[dict[str, Any]]:
    """The shards of the tree at `target`, linked to `part` if they are those of the fingerprint `data`, else none."""
    before = folder.manifest(target) or {}
    if before.get("tree", {}).get("data") != data:
        return []
    entries = [one for one in before["files"] if "split" in one]
    if not all(_is_whole(target, one) for one in entries):
        return []
    # A file system without links has them encoded again.
    with contextlib.suppress(OSError):
        for one in entries:
            os.link(target / one["path"], part / one["path"])
        return entries
    for path in (part / "data").iterdir():
        path.unlink()
    return []


def described(data: bytes) -> dict[str, Any]:
    """What a manifest says of a small file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
