"""Pieces of work on Ray: on a cluster that runs already, or on one started on this machine for the while.

    ray start --head                  on the first machine
    ray start --address HOST:6379     on each of the others, as the first has printed it
    python -m pipeline corpus --from hub --engine ray --address auto

What a cluster must have: every node the same installation of Suri (and of Ray and Python), and the folder that the
command runs in, the data folder and the raw files at the same paths of a file system that all nodes share. The command
runs on one of the nodes. Where the cluster asks for a token (Ray's default wherever it finds one), `auto` finds it as
Ray does (`~/.ray/auth_token`, RAY_AUTH_TOKEN); with HOST:PORT, RAY_AUTH_MODE=token must be set as well.

The pieces of a node that is lost are worked on again by others. Ray itself is spoken to by a process of its own,
`pipeline.driver`: the library ends the process it lives in when a cluster is lost, waits for minutes where nothing
answers, and writes to the terminal what nobody asked for.
"""

import contextlib
import importlib.util
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe
from typing import Any, Final

from collectors.errors import RemoteError, SuriError

REACHED: Final = 20.0
STARTED: Final = 120.0
"""Seconds within which a cluster must answer, and one started here."""

ENDED: Final = 30.0
"""Seconds that Ray is given to end in good order."""

SHOWN: Final = 4000
"""Bytes of what Ray said that the note of an error keeps, for those who look for a defect."""


class RayCluster:
    """A Ray cluster: the one at `address` (`auto`, or HOST:PORT of its head), without it one on this machine.

    One started here has `workers` processes, one a core without; of another, all cores are used, or `workers` of them.
    Raises `SuriError` when Ray is not installed and `RemoteError` when the cluster cannot be had, or is lost later on.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise SuriError(
                '--engine ray: Ray is not installed; run: python -m pip install -c constraints.txt -e ".[ray]"'
            )
        self._place = f"the Ray cluster {address}" if address else "Ray on this machine"
        self._numbers = count()
        with contextlib.ExitStack() as stack:
            self._said = stack.enter_context(tempfile.TemporaryFile())
            self._link, end = Pipe()
            with end:
                self._driver = self._started(end.fileno())
            stack.callback(self.shutdown)
            cores = self._reached(address, workers)
            stack.pop_all()
        self.workers: int = workers or cores
        self.ahead: int = workers if workers and address else 2 * cores

    def submit(self, work: Callable[[Any], Any], piece: Any, /) -> "_Task":
        """Have a piece worked on; `work` and `piece` travel as pickle has them, and so does what they give."""
        number = next(self._numbers)
        self._tell(("submit", number, pickle.dumps((work, piece))))
        return _Task(self, number)

    def result(self, number: int) -> Any:
        """Wait for what the piece `number` gives; what it raised is raised here."""
        self._tell(("result", number))
        return pickle.loads(self._heard())

    def cancel(self, number: int) -> None:
        """Drop the piece `number`: the process that works on it is ended."""
        with contextlib.suppress(OSError):  # a cluster that is lost works on nothing
            self._link.send(("cancel", number))

    def shutdown(self) -> None:
        """Drop what is under way and leave the cluster, or end the one that was started here."""
        self._link.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._driver.wait(ENDED)
        finally:
            self._driver.kill()
            self._driver.wait()
            self._said.close()

    def _started(self, descriptor: int) -> "subprocess.Popen[bytes]":
        """The driver, in a session of its own: an interrupt reaches this process alone, which then ends the driver."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.driver", str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[descriptor],
            start_new_session=True,
        )

    def _reached(self, address: str | None, workers: int | None) -> int:
        """The cores of the cluster, once it answers."""
        self._tell((address, workers))
        if self._link.poll(REACHED if address else STARTED):
            return int(self._heard())
        self._driver.kill()  # it would wait for minutes
        if b"InvalidAuthToken" in self._output():
            raise RemoteError(
                f"{self._place} refuses the token of this user; it wants RAY_AUTH_MODE=token "
                "and its own token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
            )
        raise RemoteError(f"{self._place} does not answer; --address is auto, or HOST:PORT as ray start printed it")

    def _tell(self, message: tuple[Any, ...]) -> None:
        try:
            self._link.send(message)
        except OSError:
            raise self._lost() from None

    def _heard(self) -> Any:
        try:
            heard = self._link.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(heard, BaseException):
            raise heard
        return heard

    def _lost(self) -> RemoteError:
        error = RemoteError(
            f"{self._place} is lost: its head, or this machine's part of it, ended; run the same command again"
        )
        error.add_note(self._output()[-SHOWN:].decode(errors="replace"))
        return error

    def _output(self) -> bytes:
        """What Ray and its driver have said."""
        self._said.seek(0)
        return self._said.read()


@dataclass(frozen=True, slots=True)
class _Task:
    """A piece under way on a cluster."""

    cluster: RayCluster
    number: int

    def result(self) -> Any:
        return self.cluster.result(self.number)

    def cancel(self) -> bool:
        self.cluster.cancel(self.number)
        return True
