"""Runs independent pieces of work, in this process or in several, and hands their results back in order.

Results never depend on how many workers there are: a piece carries all it needs and a result says all it did.
"""

import multiprocessing
import multiprocessing.forkserver as forkserver
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing.connection import wait
from types import TracebackType
from typing import TypeVar

from collectors.errors import SuriError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine:
    """A pool of `workers` local processes, used when there is more than one piece to work on.

    One engine serves a whole command, so that processes are started once. The server that workers are forked from
    starts with the engine, so that its imports run beside the command's own. Pieces are drawn from their iterable only
    as workers become free: `2 * workers` of them are under way at most, which bounds the memory.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()
        self._pool: ProcessPoolExecutor | None = None
        if self.workers > 1:
            _start_server(self.workers)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """`work` over `pieces`, results in the pieces' order; what a piece raises is raised here.

        `work` is a module-level function. A single piece is worked on here and now.
        """
        iterator = iter(pieces)
        first = list(islice(iterator, 2))
        if self.workers == 1 or len(first) < 2:
            yield from map(work, chain(first, iterator))
            return
        pool = self._started()
        waiting: deque[Future[Result]] = deque()
        try:
            for piece in chain(first, iterator):
                waiting.append(pool.submit(work, piece))
                if len(waiting) >= 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise SuriError(
                "a worker process died, most likely for want of memory; try again with fewer --workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_attached)
        return self._pool


def _start_server(workers: int) -> None:
    """Start the server that workers are forked from, in the environment they want, without waiting for it."""
    threads = max(1, cores() // workers)
    wanted = {
        "POLARS_MAX_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # Blocks are alike: memory that polars gives back is asked for again at once, and the asking is dear.
        "_RJEM_MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",
    }
    before = dict(os.environ)
    os.environ.update({name: value for name, value in wanted.items() if name not in before})
    try:
        # Imported once, in the server; no thread runs there yet.
        forkserver.set_forkserver_preload(["pipeline.pieces"])
        forkserver.ensure_running()
    finally:
        for name in wanted.keys() - before.keys():
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
