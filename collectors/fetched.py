"""What `fetch` has brought into a source's raw folder: `.fetched.json`, so that a second run has nothing to ask for."""

import contextlib
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

from collectors.errors import RemoteError
from collectors.nodes import Node
from collectors.origin import Origin

NOTES: Final = ".fetched.json"
"""Hidden, as `claimed` wants what is no raw file."""
PARTS: Final = ".part"
"""The hidden folder of pieces that are not whole yet."""
OFTEN: Final = 100
"""Files up to which the notes are written for each; with more, once a second."""


class File(Node):
    """A file in place: its bytes, their sha256, the server's ETag if it gave one; `given` by the user, not fetched."""

    size: int
    sha256: str
    etag: str | None = None
    given: bool = False


class Brought(Node):
    """What came from one origin: the commit where it is known, the files, and all those that it names.

    Paths are those in the source's folder.
    """

    origin: Origin
    commit: str | None = None
    named: list[str] = []
    files: dict[str, File] = {}

    def summary(self) -> dict[str, Any]:
        """Where the files are from: one of hub, github and url, with revision, commit and whether it is converted."""
        origin = self.origin
        if origin.url is not None:
            return {"url": origin.url, "converted": origin.converted}
        place = {"hub": origin.hub} if origin.hub is not None else {"github": origin.github}
        return {**place, "revision": origin.revision, "commit": self.commit, "converted": origin.converted}


class Fetched(Node):
    """The notes of a raw folder, an entry an origin."""

    origins: list[Brought] = []

    def of(self, origin: Origin) -> Brought | None:
        """What came from `origin`, as the catalog now names it."""
        return next((one for one in self.origins if one.origin == origin), None)


def fetched(folder: Path) -> Fetched:
    """The notes of a raw folder; notes that are damaged are none, and the files are looked at anew."""
    try:
        return Fetched.model_validate(json.loads((folder / NOTES).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Fetched()


class Fetchable(Protocol):
    """What files can be fetched for: a source, or an evaluation set."""

    @property
    def alternatives(self) -> list[list[Origin]]:
        """The origins by choice, the best first; those of one choice complement each other."""


class Job:
    """One source on its way to its raw folder, at one of its choices of origins; several threads may note files."""

    def __init__(self, name: str, source: Fetchable, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.parts = folder / PARTS
        self.choices = source.alternatives
        self.choice = 0
        self.error: RemoteError | None = None
        self.notes = self.before = fetched(folder)
        self.saved = time.monotonic()
        self.mutex = threading.Lock()

    @property
    def origins(self) -> list[Origin]:
        """The origins of the present choice."""
        return self.choices[self.choice] if self.choices else []

    @property
    def last(self) -> bool:
        """Whether there is no choice after the present one."""
        return self.choice + 1 >= len(self.choices)

    def turn(self) -> None:
        """Go to the next choice."""
        self.choice, self.error = self.choice + 1, None

    def fail(self, error: RemoteError) -> None:
        """Keep the first thing that went wrong with the present choice."""
        with self.mutex:
            self.error = self.error or error

    def settled(self) -> bool:
        """Whether all files of some choice are there."""
        return any(all(map(self.there, choice)) for choice in self.choices)

    def there(self, origin: Origin) -> bool:
        """Whether all files that an origin names are in place as they came."""
        brought = self.notes.of(origin)
        return brought is not None and bool(brought.named) and all(self.has(origin, path) for path in brought.named)

    def has(self, origin: Origin, path: str) -> bool:
        """Whether a file of `origin` is in place as it came, by its size."""
        brought = self.notes.of(origin)
        file, place = brought.files.get(path) if brought else None, self.folder / path
        return file is not None and place.is_file() and place.stat().st_size == file.size

    def noted(self, path: str) -> File | None:
        """What was noted of a path in whatever origin, now or before this run."""
        every = [*self.notes.origins, *self.before.origins]
        return next((one.files[path] for one in every if path in one.files), None)

    def absent(self) -> str:
        """What is not there of the best choice, in one line."""
        named = [
            one.named if (one := self.notes.of(origin)) and one.named else [*map(origin.laid, origin.paths)]
            for origin in self.origins
        ]
        lacking = [path for paths in named for path in paths if not any(self.folder.glob(path))]
        if not lacking:
            return f"{self.name}: offline: {self.folder} is taken as it is, not compared with upstream"
        more = f" and {len(lacking) - 3:,} more" if len(lacking) > 3 else ""
        return f"{self.name}: offline: missing {', '.join(lacking[:3])}{more}; run again without --offline"

    def begin(self, origin: Origin, commit: str | None, named: list[str]) -> None:
        """Note what an origin holds at a commit; what is noted of its files at another one no longer counts."""
        with self.mutex:
            old = self.notes.of(origin)
            files = old.files if old and old.commit == commit else {}
            self._put(Brought(origin=origin, commit=commit, named=named, files=files))

    def keep(self, origin: Origin, files: dict[str, File]) -> None:
        """Note files that are in place; on the disk now and then, so that a kill costs little."""
        with self.mutex:
            old = self.notes.of(origin) or Brought(origin=origin)
            self._put(old.model_copy(update={"files": {**old.files, **files}}))
            if len(old.files) < OFTEN or time.monotonic() - self.saved > 1:
                self._write()

    def _put(self, brought: Brought) -> None:
        others = [one for one in self.notes.origins if one.origin != brought.origin]
        self.notes = Fetched(origins=[*others, brought])

    def save(self) -> None:
        """Write the notes to the disk."""
        with self.mutex:
            self._write()

    def _write(self) -> None:
        # Losing the notes costs a look at the files, nothing more.
        with contextlib.suppress(OSError):
            if self.folder.is_dir():
                part = self.folder / f"{NOTES}.part"
                text = json.dumps(
                    self.notes.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, indent=1
                )
                part.write_text(text + "\n", encoding="utf-8", newline="\n")
                part.replace(self.folder / NOTES)
        self.saved = time.monotonic()

    def finish(self) -> None:
        """All is there: remove what came from origins not taken or named any more, else its rows stood here twice."""
        taken = [brought for origin in self.origins if (brought := self.notes.of(origin))]
        mine = {path for brought in taken for path in brought.named}
        for brought in (*self.before.origins, *self.notes.origins):
            for path, file in brought.files.items():
                if path not in mine and not file.given:
                    (self.folder / path).unlink(missing_ok=True)
        self.notes = Fetched(origins=taken)
        self.save()
        shutil.rmtree(self.parts, ignore_errors=True)
