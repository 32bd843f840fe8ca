"""How far a fetch is: bars on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from collectors.download import shown

FEW: Final = 20
"""Files of which each is told by a line."""
BEAT: Final = 30.0
"""Seconds between two lines about what is still under way."""


class Bars:
    """Shows files that arrive, from several threads; a context manager."""

    def __init__(self, say: Callable[[str], None], console: Console | None = None) -> None:
        self._say = say
        console = console or Console()
        # A terminal gets a bar for all and one for each file under way; what is said meanwhile stands above them.
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        shown_here = console.is_terminal
        self.progress = Progress(*columns, TimeRemainingColumn(), console=console) if shown_here else None
        self.mutex = threading.Lock()
        self.files = self.done = self.bytes = self.total = 0
        self.told = time.monotonic()

    def __enter__(self) -> Self:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress is not None:
            self.progress.stop()

    def say(self, line: str) -> None:
        """Print a line."""
        with self.mutex:
            self._say(line)

    def expect(self, files: int, size: int) -> None:
        """So many files are to come, with so many bytes as far as that is known."""
        self.files, self.done, self.bytes, self.total = files, 0, 0, size
        if files:
            self.say(f"fetching {files:,} files" + (f", {shown(size)}" if size else ""))

    @contextmanager
    def file(self, label: str, size: int | None, there: int) -> Iterator[Callable[[int], None]]:
        """Show a file of `size` bytes that begins with the `there` it has; the function given is told what it has."""
        bar = self.progress.add_task(label, total=size, completed=there) if self.progress is not None else None
        seen = there

        def moved(have: int) -> None:
            nonlocal seen
            self._count(have - seen)
            seen = have
            if self.progress is not None and bar is not None:
                self.progress.update(bar, completed=have)

        try:
            yield moved
            with self.mutex:
                self.done += 1
                if self.files <= FEW:
                    self._say(f"{label}: {shown(seen)}")
        finally:
            if self.progress is not None and bar is not None:
                self.progress.remove_task(bar)

    def _count(self, more: int) -> None:
        with self.mutex:
            self.bytes += more
            if self.progress is None and time.monotonic() - self.told > BEAT:
                self.told = time.monotonic()
                of = f" of {shown(self.total)}" if self.total else ""
                self._say(f"fetching: {self.done:,} of {self.files:,} files, {shown(self.bytes)}{of}")
