"""One file over HTTP: in pieces that a later try or run goes on from, checked before it is put in place."""

import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Self, TypeVar

import httpx2

from collectors.errors import ArtefactError, RemoteError

TIMEOUT: Final = httpx2.Timeout(30.0)
TRIES: Final = 5
"""Tries without a new byte before a server is given up."""
PAUSE: Final = 1.0
"""Seconds before the second try; each further pause is twice as long."""
PATIENCE: Final = 60.0
"""The longest pause in seconds that a server may ask for with Retry-After."""
BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
SPARE: Final = 64 << 20
"""Bytes of a disk that are left free."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A file to bring: who asks (for messages), from where, to where, and what upstream announces of its bytes.

    `blob` is git's id of the file. `gated` holds for a server whose refusals a login mends.
    """

    label: str
    url: str
    target: Path
    part: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    sha256: str | None = None
    blob: str | None = None
    gated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Got:
    """What was put in place: bytes, sha256, and the server's ETag where it gave one."""

    size: int
    sha256: str
    etag: str | None


class Stopped(Exception):  # noqa: N818 -- not an error: the run was interrupted
    """Another part of the run has failed or was interrupted, so this download gives up; its piece stays."""


class _Anew(Exception):  # noqa: N818 -- a turn of the loop, not an error
    """The piece that is there cannot be gone on from; its text says why."""


class Downloads:
    """A client that downloads, and tries again when a server is busy or the line is cut; to be closed.

    `sleep` and `now` are the clock. Several threads may use it at a time; `stop` ends their downloads.
    """

    def __init__(self, sleep: Callable[[float], object] | None = None, now: Callable[[], float] = time.time) -> None:
        self.stop = threading.Event()
        self.sleep = sleep or self.stop.wait
        self.now = now
        # Packed on the way, a file could not be gone on from and its length would not be known.
        plain = {"Accept-Encoding": "identity", "User-Agent": "suri"}
        self.client = httpx2.Client(follow_redirects=True, timeout=TIMEOUT, headers=plain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def download(self, wanted: Wanted, moved: Callable[[int], object] = lambda _: None) -> Got:
        """Bring a file to its place; `moved` is told the bytes there are after each block.

        Raises `RemoteError` when the server does not give it whole, `ArtefactError` when it cannot be written.
        """
        part = wanted.part
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            etag = self.patiently(
                wanted.label, lambda: self._try(wanted, moved), gated=wanted.gated, there=lambda: _size(part)
            )
            got = Got(size=part.stat().st_size, sha256=digest(part, "sha256"), etag=etag)
            wanted.target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(wanted.target)
            _note(part).unlink(missing_ok=True)
        except OSError as error:
            full = "; free some space" if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else ""
            said = f"cannot be written: {error.strerror or error}{full}"
            raise ArtefactError(f"{wanted.target}: {said}, or name another folder with --out") from None
        return got

    def patiently(
        self, label: str, action: Callable[[], T], *, gated: bool = False, there: Callable[[], int] = lambda: 0
    ) -> T:
        """What `action` returns; it is called again, after a pause, when a server is busy or the line is cut.

        A try that brings more bytes than were ever `there` starts the count anew. A server that cannot be reached at
        all is not asked twice. Raises `RemoteError`, which begins with `label`.
        """
        tries, most = 0, there()
        while True:
            try:
                return action()
            except (httpx2.HTTPError, httpx2.InvalidURL, ConnectionError) as error:
                if self.stop.is_set():
                    raise Stopped from None
                tries = 1 if there() > most else tries + 1
                most = max(most, there())
                pause = self._pause(error, tries, under_way=most > 0)
                if pause is None or tries >= TRIES:
                    raise RemoteError(f"{label}: {_said(error, gated)}") from None
            except _Anew as reason:
                tries, pause = tries + 1, 0.0
                if tries >= TRIES:
                    raise RemoteError(f"{label}: {reason}; try again later") from None
            if pause:
                self.sleep(pause)
            if self.stop.is_set():
                raise Stopped

    def _pause(self, error: Exception, tries: int, *, under_way: bool) -> float | None:
        """Seconds to wait before another try; None when there is no point in one."""
        own = PAUSE * 2.0 ** (tries - 1)
        response = answer_of(error)
        if response is not None:
            if response.status_code not in BUSY:
                return None
            asked = self._retry_after(response.headers.get("Retry-After", ""))
            return own if asked is None else asked if asked <= PATIENCE else None
        if isinstance(error, httpx2.ConnectError):
            return own if under_way else None
        passing = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
        return own if isinstance(error, passing) else None

    def _retry_after(self, value: str) -> float | None:
        """The seconds that a Retry-After asks for, given as such or as a date (RFC 9110, 10.2.3)."""
        if value.strip().isdecimal():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self.now())
        except ValueError:
            return None

    def _try(self, wanted: Wanted, moved: Callable[[int], object]) -> str | None:
        """Fill the piece from where it ends, and check it; the server's ETag."""
        have, etag = _size(wanted.part), _etag(wanted.part)
        strong = etag if etag and not etag.startswith("W/") else None
        # What upstream announces proves a piece as well as a strong ETag does.
        if have and not (strong or wanted.sha256 or wanted.blob):
            have = 0
        if have == 0 or have != wanted.size:
            asked = {"Range": f"bytes={have}-"} | ({"If-Range": strong} if strong else {}) if have else {}
            etag = self._receive(wanted, have, {**wanted.headers, **asked}, moved)
        self._check(wanted, resumed=have > 0)
        return etag

    def _receive(
        self, wanted: Wanted, have: int, headers: Mapping[str, str], moved: Callable[[int], object]
    ) -> str | None:
        with self.client.stream("GET", wanted.url, headers=headers) as answer:
            if wanted.url.startswith("https:") and answer.url.scheme != "https":
                raise RemoteError(f"{wanted.label}: leads from https to {answer.url.scheme}, which is not followed")
            etag = answer.headers.get("ETag")
            if answer.status_code == 416 and have:
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return _etag(wanted.part)  # nothing was missing
                raise _Anew(_forget(wanted.part, "the server has another file than the piece that is there"))
            answer.raise_for_status()
            resumed = answer.status_code == 206
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise _Anew(_forget(wanted.part, "the server sends another range than the one asked for"))
            packed = "Content-Encoding" in answer.headers
            _note(wanted.part).write_text("" if packed else etag or "", encoding="utf-8")
            room(wanted.part.parent, int(answer.headers.get("Content-Length", 0)), wanted.label)
            with wanted.part.open("ab" if resumed else "wb") as handle:
                # As they come: blocks of a fixed size would hold back, and lose, what arrives before a cut.
                for block in answer.iter_bytes():
                    handle.write(block)
                    moved(handle.tell())
                    if self.stop.is_set():
                        raise Stopped
        return etag

    def _check(self, wanted: Wanted, *, resumed: bool) -> None:
        """Refuse and forget a piece that is not what upstream announces; one that was gone on from is begun anew."""
        wrong = differs(wanted, wanted.part)
        if wrong is None:
            return
        _forget(wanted.part, wrong)
        if resumed:
            raise _Anew(wrong)
        raise RemoteError(f"{wanted.label}: {wrong}; it is not kept, try again later")


def differs(wanted: Wanted, path: Path) -> str | None:
    """What upstream announces of a file and `path` is not, in words; None when nothing is."""
    size = path.stat().st_size
    if wanted.size is not None and size != wanted.size:
        return f"has {size:,} bytes instead of {wanted.size:,}"
    if wanted.sha256 is not None and (found := digest(path, "sha256")) != wanted.sha256:
        return f"has the sha256 {found} instead of {wanted.sha256}"
    if wanted.blob is not None and (found := digest(path, "sha1", b"blob %d\0" % size)) != wanted.blob:
        return f"has the git id {found} instead of {wanted.blob}"
    return None


def digest(path: Path, kind: str, head: bytes = b"") -> str:
    """A hash over `head` and the bytes of a file."""
    found = hashlib.new(kind, head, usedforsecurity=False)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: found).hexdigest()


def room(folder: Path, size: int, label: str) -> None:
    """`ArtefactError` when the disk of `folder`, which need not be there yet, has no room for `size` bytes more."""
    place = next(place for place in [folder, *folder.absolute().parents] if place.is_dir())
    free = shutil.disk_usage(place).free
    if size and size + SPARE > free:
        raise ArtefactError(
            f"{label}: needs {shown(size)} more on the disk of {place}, {shown(free)} are free; "
            "free some space, or name another folder with --out"
        )


def shown(size: int) -> str:
    """A number of bytes for people."""
    amount, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:,.0f} {units[0]}" if units[0] == "bytes" else f"{amount:,.1f} {units[0]}"


def answer_of(error: BaseException) -> httpx2.Response | None:
    """The server's answer that an error stands for, if any; huggingface_hub has an error class of its own."""
    found = getattr(error, "response", None)
    return found if isinstance(found, httpx2.Response) else None


def _said(error: Exception, gated: bool) -> str:
    response = answer_of(error)
    if response is None:
        if isinstance(error, httpx2.TooManyRedirects):
            return "is redirected in a circle; mend the origin in catalog.yaml, or try again later"
        said = " ".join(str(error).split()) or type(error).__name__
        return f"out of reach ({said}); check the network, or give the files with --from DIR"
    status = response.status_code
    what = {404: "is not there; mend the origin in catalog.yaml, or give the files with --from DIR"}
    if gated:
        what[401] = "is not there, or needs a login: accept the data set's terms on the Hub and set HF_TOKEN"
        what[403] = "is gated: accept the data set's terms on the Hub and set HF_TOKEN"
    return what.get(status, "the server refuses; try again later") + f" (HTTP {status})"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note(part: Path) -> Path:
    """Where the ETag of a piece is kept."""
    return part.with_name(part.name + ".etag")


def _etag(part: Path) -> str | None:
    note = _note(part)
    return (note.read_text(encoding="utf-8", errors="replace") or None) if note.exists() else None


def _forget(part: Path, why: str) -> str:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
    return why
