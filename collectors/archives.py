"""zip and tar archives of JSON files: members in the order of their names, read in place, never unpacked."""

import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from collectors.blocks import Broken

TARS: Final = (".tar.gz", ".tgz", ".tar")
ENDINGS: Final = (".json", ".jsonl")
LARGEST: Final = 256 << 20
"""Bytes of the largest member that is read as one JSON text."""

RATIO: Final = 2_000
"""How many times its packed size a zip's contents may say they are; text packs some ten times."""

Member = tuple[str, Callable[[], Any]]


def is_archive(path: Path) -> bool:
    """Whether a raw file is an archive, by its name."""
    return path.name.endswith((".zip", *TARS))


@contextmanager
def members(path: Path, stream: BinaryIO, broken: Broken) -> Iterator[list[Member]]:
    """The JSON members of an archive by name, each with a function that opens it.

    `stream` are the bytes of the archive, decompressed if it is a packed tar. Members whose names end otherwise are
    left alone. An archive that holds a link or a path that leads out of it is refused, read or not.
    """
    if path.name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                yield _zip_members(archive, path.stat().st_size, broken)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise broken(f"is no sound zip ({error}); fetch it again") from None
        return
    # Members are wanted in the order of their names, so the tar must be one that can be gone about in.
    with tempfile.TemporaryFile() as plain:
        while chunk := stream.read(1 << 20):
            plain.write(chunk)
        plain.seek(0)
        try:
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield _tar_members(archive, broken)
        except tarfile.TarError as error:
            raise broken(f"is no sound tar ({error}); fetch it again") from None


def _zip_members(archive: zipfile.ZipFile, packed: int, broken: Broken) -> list[Member]:
    if sum(one.file_size for one in archive.infolist()) > RATIO * packed:
        raise broken(f"says it unpacks to more than {RATIO:,} times its size; that is no data")
    found: list[Member] = []
    for one in archive.infolist():
        _check(one.filename, stat.S_ISLNK(one.external_attr >> 16), broken)
        if one.filename.endswith(ENDINGS) and not _hidden(one.filename):
            found.append((one.filename, partial(archive.open, one)))
    return sorted(found, key=lambda member: member[0])


def _tar_members(archive: tarfile.TarFile, broken: Broken) -> list[Member]:
    found: list[Member] = []
    for one in archive.getmembers():
        _check(one.name, one.issym() or one.islnk(), broken)
        if one.isfile() and one.name.endswith(ENDINGS) and not _hidden(one.name):
            found.append((one.name, partial(archive.extractfile, one)))
    return sorted(found, key=lambda member: member[0])


def _check(name: str, link: bool, broken: Broken) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if link:
        raise broken(f"holds a link, {name!r}; an archive of data has none")
    if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")):
        raise broken(f"holds {name!r}, which leads out of the archive")


def _hidden(name: str) -> bool:
    """Whether a member is a hidden file, or of the kind that macOS puts beside others."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
