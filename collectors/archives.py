"""zip and tar archives of JSON files: members in the order of their names, read in place, never unpacked."""

import io
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from collectors.blocks import Broken

TARS: Final = (".tar.gz", ".tgz", ".tar")
ENDINGS: Final = (".json", ".jsonl")
LARGEST: Final = 256 << 20
"""Bytes of the largest member that is read as one JSON text."""

RATIO: Final = 2_000
"""How many times its packed size a zip's contents may say they are; text packs some ten times."""

SMALL: Final = 1 << 20
"""Bytes of a member that is read at once."""

Member = tuple[str, Callable[[], BinaryIO]]


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
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
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
            found.append((one.filename, partial(_opened, archive, one)))
    return sorted(found, key=lambda member: member[0])


def _opened(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> BinaryIO:
    """A member of a zip. What is small is inflated at once: there may be 20,000, and a stream for each is dear."""
    encrypted = one.flag_bits & 1
    if (
        encrypted
        or max(one.file_size, one.compress_size) > SMALL
        or one.compress_type != zipfile.ZIP_DEFLATED
        or archive.fp is None
    ):
        return cast(BinaryIO, archive.open(one))
    archive.fp.seek(one.header_offset)
    head = archive.fp.read(_LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no member begins where {one.filename!r} should")
    archive.fp.seek(sum(_LOCAL.unpack(head)), io.SEEK_CUR)
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(archive.fp.read(one.compress_size), one.file_size + 1)
    if len(data) != one.file_size or zlib.crc32(data) != one.CRC:
        raise zipfile.BadZipFile(f"{one.filename!r} is not what its checksum says")
    return io.BytesIO(data)


_LOCAL: Final = struct.Struct("<26xHH")
"""The header before a member's bytes: behind it stand the name and the extra field, of these lengths."""


def _tar_members(archive: tarfile.TarFile, broken: Broken) -> list[Member]:
    found: list[Member] = []
    for one in archive.getmembers():
        _check(one.name, one.issym() or one.islnk(), broken)
        if one.isfile() and one.name.endswith(ENDINGS) and not _hidden(one.name):
            found.append((one.name, cast(Callable[[], BinaryIO], partial(archive.extractfile, one))))
    return sorted(found, key=lambda member: member[0])


def _check(name: str, link: bool, broken: Broken) -> None:
    parts = name.replace("\\", "/").split("/")
    if link:
        raise broken(f"holds a link, {name!r}; an archive of data has none")
    if not parts[0] or parts[0].endswith(":") or ".." in parts:
        raise broken(f"holds {name!r}, which leads out of the archive")


def _hidden(name: str) -> bool:
    """Whether a member is a hidden file, or of the kind that macOS puts beside others."""
    return any(part.startswith((".", "__MACOSX")) and part != "." for part in name.split("/"))
