"""Runs independent pieces of work, in this process, in several or on a cluster, and hands their results back in order.

Results never depend on how many workers there are or where they run: a piece carries all it needs and a result says all
it did. A piece that writes a file writes the same one when it is worked on again.
"""

import multiprocessing
import multiprocessing.forkserver as forkserver
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Final, Literal, Protocol, TypeVar

from collectors.errors import CatalogError, SuriError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
EngineKind = Literal["local", "ray"]

IMPORTS: Final = ("pipeline.pieces", "collectors.flat", "pandas")
"""The modules that collecting and judging need in every worker; pyarrow imports the last, where it is installed, as
soon as it makes an array of what is not one."""


class Task(Protocol):
    """A piece of work under way."""

    def result(self) -> Any:
        """Wait for what it gives; what it raised is raised here."""

    def cancel(self) -> bool:
        """Drop it if it has not ended, which may be too late for one that is being worked on."""


class Cluster(Protocol):
    """Other machines to work on: `workers` pieces at once, of which `ahead` are handed over at most."""

    workers: int
    ahead: int

    def submit(self, work: Callable[[Any], Any], piece: Any, /) -> Task:
        """Have a piece worked on."""

    def shutdown(self) -> None:
        """Drop what is under way and let go of the machines."""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(
    kind: EngineKind = "local", address: str | None = None, workers: int | None = None, imports: Sequence[str] = IMPORTS
) -> "Engine":
    """The engine that a command line asks for.

    `address` is that of a Ray cluster (`auto`, or HOST:PORT of its head), see `pipeline.cluster`; `imports` are as
    `Engine` has them. Raises `CatalogError` for an address without `ray`, and what `RayCluster` raises.
    """
    if kind == "ray":
        from pipeline.cluster import RayCluster

        return Engine(cluster=RayCluster(address, workers))
    if address is not None:
        raise CatalogError(f"--address {address} is that of a Ray cluster and goes with --engine ray; add it")
    return Engine(workers, imports)


class Engine:
    """A pool of `workers` local processes, used when there is more than one piece to work on; or a `cluster`.

    One engine serves a whole command, so that processes are started once. The server that workers are forked from
    starts with the engine and imports the modules named `imports`, beside the command's own imports. Pieces are drawn
    from their iterable only as workers become free: `2 * workers` of them are under way at most (a cluster's `ahead`),
    which bounds the memory.
    """

    def __init__(
        self, workers: int | None = None, imports: Sequence[str] = IMPORTS, *, cluster: Cluster | None = None
    ) -> None:
        self.workers = cluster.workers if cluster is not None else workers or cores()
        self._ahead = cluster.ahead if cluster is not None else 2 * self.workers
        self._cluster = cluster
        self._pool: ProcessPoolExecutor | None = None
        if cluster is None and self.workers > 1:
            _start_server(self.workers, imports)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._cluster is not None:
            self._cluster.shutdown()

    def map(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """`work` over `pieces`, results in the pieces' order; what a piece raises is raised here.

        `work` is a module-level function. Without a cluster, a single piece is worked on here and now.
        """
        iterator = iter(pieces)
        first = list(islice(iterator, 2))
        if self._cluster is None and (self.workers == 1 or len(first) < 2):
            yield from map(work, chain(first, iterator))
            return
        pool = self._cluster or self._started()
        waiting: deque[Task] = deque()
        try:
            for piece in chain(first, iterator):
                waiting.append(pool.submit(work, piece))
                if len(waiting) >= self._ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise SuriError(
                "a worker process died, most likely for want of memory; try again with fewer --workers"
            ) from None
        finally:
            for task in waiting:
                task.cancel()

    def renew(self) -> None:
        """Have other workers do what comes next: of other work, whose memory these hold on to for the sake of theirs.

        Nothing is under way. Does nothing on a cluster.
        """
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_attached)
        return self._pool


def environment(threads: int) -> dict[str, str]:
    """What the environment of a worker that runs so many threads should say, where this process's says nothing."""
    wanted = {
        "POLARS_MAX_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # Blocks are alike: memory that polars, Arrow or Python gives back is asked for again at once, and the asking is
        # dear. Arrow's own allocator gives it back to the system.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "_RJEM_MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _start_server(workers: int, imports: Sequence[str]) -> None:
    """Start the server that workers are forked from, in the environment they want, without waiting for it.

    What they all import is imported there once, before any thread runs.
    """
    wanted = environment(max(1, cores() // workers))
    os.environ.update(wanted)
    try:
        forkserver.set_forkserver_preload(list(imports))
        forkserver.ensure_running()
    finally:
        for name in wanted:
            del os.environ[name]


def _attached() -> None:
    """Tie a worker to the process it works for: an interrupt is that one's to answer, and its end is the worker's too.

    Else the workers of a killed run would go on to write into the folder that the next run fills.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
