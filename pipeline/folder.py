"""Artefact folders: built aside, finished by their manifest, put in place by one rename.

`<name>.part` is what a run is writing and means nothing to anybody else. `manifest.json` is written last, so a folder
without one is unfinished. A folder that is being replaced stands as `<name>.old` for the instant between two renames.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError

MANIFEST: Final = "manifest.json"
ASIDE: Final = ".aside"
FULL: Final = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


@contextlib.contextmanager
def lock(out: Path) -> Iterator[None]:
    """Hold the data folder `out`, made if need be, against a second run; `ArtefactError` when one holds it already.

    The system drops the lock when the process ends, however it ends.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / ".lock").open("a+")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise ArtefactError(
                f"{out}: another run (process {holder}) is writing there; wait for it or name another folder with --out"
            ) from None
        # Told to whoever comes second; on a full disk that is left out.
        with contextlib.suppress(OSError):
            os.ftruncate(handle.fileno(), 0)
            os.write(handle.fileno(), str(os.getpid()).encode())
        yield


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Tell the operating system's refusals to write at `place` as one `ArtefactError`."""
    try:
        yield
    except OSError as error:
        # pyarrow raises OSError with its own words, and now and then without a number.
        said = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        if error.errno in FULL:
            said += "; nothing finished before was touched: free some space or name another folder with --out"
        elif error.errno in {errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EPERM}:
            said += "; name a folder one can write to with --out"
        raise ArtefactError(f"{place}: cannot be written: {said}") from None


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """An empty `<folder>.part` to fill, put in place of `folder` when the block ends well, else left behind.

    The block writes its manifest last, with `write_manifest`.
    """
    part, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    with writing(folder):
        restore(folder)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    with writing(folder):
        yield part
        for path in part.rglob(f"*{ASIDE}"):
            path.unlink(missing_ok=True)
        for path in [*part.rglob("*"), part]:
            sync(path)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def placing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file to, put in place by one rename when the block ends well, else removed.

    So two attempts at the same piece of work, of which one is cut off and not yet ended, never write the same file;
    what is left of an attempt that was killed goes when `building` ends.
    """
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}{ASIDE}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def restore(folder: Path) -> None:
    """Undo a replacement that was cut between its two renames."""
    old = folder.with_name(folder.name + ".old")
    if old.exists():
        if folder.exists():
            shutil.rmtree(old)
        else:
            old.rename(folder)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json`, the last file of a folder."""
    write_text(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 file, with LF line ends wherever the program runs."""
    path.write_text(text, encoding="utf-8", newline="\n")


def manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished folder, else None; `ArtefactError` when it is there but cannot be read."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path}: cannot be read ({error}); delete the folder and build it again") from None
    if not isinstance(found, dict):
        raise ArtefactError(f"{path}: is no manifest; delete the folder and build it again")
    return found


def fingerprint(**parts: Any) -> str:
    """sha256 over the named inputs of a folder, as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Hashes:
    """sha256 of raw files, kept in `OUT/.hashes.json` by path, size and modification time, so each is read once."""

    def __init__(self, out: Path) -> None:
        self.path = out / ".hashes.json"
        try:
            noted = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            noted = {}
        # Notes that are damaged are none.
        whole = {path: note for path, note in noted.items() if _is_note(note)} if isinstance(noted, dict) else {}
        self.known: dict[str, list[Any]] = whole

    def get(self, path: Path) -> str | None:
        """The sha256 noted for a file that has not changed since, else None."""
        size, moment, digest = self.known.get(_whole(path), [None, None, None])
        stat = path.stat()
        return digest if (size, moment) == (stat.st_size, stat.st_mtime_ns) else None

    def put(self, path: Path, stat: os.stat_result, digest: str) -> None:
        """Note the sha256 of a file whose `stat` was taken before it was read."""
        self.known[_whole(path)] = [stat.st_size, stat.st_mtime_ns, digest]

    def take(self, path: Path) -> str:
        """The sha256 of a file, from the notes or by reading it."""
        known = self.get(path)
        if known is None:
            stat = path.stat()
            with path.open("rb") as handle:
                known = hashlib.file_digest(handle, "sha256").hexdigest()
            self.put(path, stat, known)
        return known

    def save(self) -> None:
        """Write the notes; losing them costs a reading of the files, nothing more."""
        with contextlib.suppress(OSError):
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(self.known, ensure_ascii=False), encoding="utf-8")
            part.replace(self.path)


def _whole(path: Path) -> str:
    """The path of a file from the root, links in its folder's path followed."""
    return f"{_resolved(path.parent)}/{path.name}"


@functools.cache
def _resolved(folder: Path) -> Path:
    """Following links is dear where a folder holds thousands of files."""
    return folder.resolve()


def _is_note(note: Any) -> bool:
    """Whether this is what `Hashes.put` notes of a file: size, modification time, sha256."""
    return isinstance(note, list) and [type(value) for value in note] == [int, int, str]
