"""`python -m pipeline.driver`: the process that speaks with Ray for `pipeline.cluster`, over the pipe it is given.

It is told `(address, workers)` and answers with the cluster's cores; then it is told `("submit", number, packed)`,
`("cancel", number)` and `("result", number)`, and answers the last with what the piece gave, as pickle has it, or with
the exception to raise. It ends when the pipe is closed, by whatever cause. Only this module imports Ray.
"""

import os
import pickle
import socket
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from collectors.errors import RemoteError, SuriError
from pipeline.engine import environment

LOOK: Final = 1.0
"""Seconds between looks at the pipe and the cluster while a piece is waited for."""

TOUCHED: Final = 10.0
"""Seconds within which an address must take a connection."""

PATIENCE: Final = 60.0
"""Seconds that a cluster may have no core at all, as while its machines are replaced."""

RETRIES: Final = 3
"""How often a piece is tried again whose worker or node was lost; one that lacked memory as well."""


def piece(folder: str, packed: bytes) -> tuple[bool, bytes | str]:
    """Work on a piece, on some node: `(True, the result)`, or `(False, why this node cannot)`.

    It goes to the nodes by value, so that one without Suri can say so.
    """
    try:
        os.chdir(folder)
        work, given = pickle.loads(packed)
    except (OSError, ImportError, AttributeError) as error:
        return False, f"node {socket.gethostname()}: {error}"
    return True, pickle.dumps(work(given))


def main(descriptor: int) -> None:
    """Serve the process at the other end of the pipe until it closes it."""
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # without end, as Ray has it
    import ray

    with Connection(descriptor) as parent:
        address, workers = parent.recv()
        try:
            cores = _connected(address, workers)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            place = f"--address {address}" if address else "Ray on this machine"
            parent.send(RemoteError(f"{place}: {str(error).splitlines()[0]}"))
            return
        try:
            parent.send(cores)
            _serve(parent)
        except (EOFError, OSError):
            pass  # the pipe was closed
        finally:
            ray.shutdown(wait_for_processes=True)


def _connected(address: str | None, workers: int | None) -> int:
    """Connect to the cluster at `address`, or start one; its cores."""
    import ray

    if address not in (None, "auto"):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise ValueError("must be auto, or HOST:PORT of a cluster that this machine is a node of")
        try:
            socket.create_connection((host, int(port)), TOUCHED).close()  # Ray would try for minutes
        except OSError as error:
            raise ValueError(f"{error.strerror or error}; ray start prints the address of a cluster") from None
    here = {} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(address or "local", runtime_env={"env_vars": environment(1)}, log_to_driver=False, **here)
    cores = _cores()
    if not cores:
        raise RuntimeError("its nodes have no cores to work on")
    return cores


def _cores() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def _serve(parent: "Connection[Any, Any]") -> None:
    """Answer until `parent` closes the pipe, which is told by `EOFError` or `OSError`."""
    import ray

    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(piece)
    folder = str(Path.cwd())
    under_way: dict[int, Any] = {}
    while True:
        match parent.recv():
            case "submit", number, packed:
                under_way[number] = remote.remote(folder, packed)
            case "cancel", number:
                ray.cancel(under_way.pop(number), force=True)
            case "result", number:
                parent.send(_result(under_way.pop(number), parent))


def _result(task: Any, parent: "Connection[Any, Any]") -> Any:
    """What a task gave, or the exception to raise for it."""
    import ray

    try:
        _await(task, parent)
        done, given = ray.get(task)
    except ray.exceptions.RayTaskError as error:  # first, for it is an instance of its cause's class as well
        if not isinstance(error.cause, SuriError):
            error.cause.add_note(str(error))  # where it was raised
        return error.cause
    except SuriError as error:
        return error
    except ray.exceptions.LocalRayletDiedError:
        raise EOFError from None
    except ray.exceptions.RayError as error:
        return SuriError(
            f"a piece of work was lost {RETRIES + 1} times on the Ray cluster ({type(error).__name__}), "
            "most likely for want of memory; try again with fewer --workers"
        )
    if done:
        return given
    return RemoteError(f"{given}; every node needs the same installation of Suri and the same folders as this machine")


def _await(task: Any, parent: "Connection[Any, Any]") -> None:
    """Wait until a task has ended; `EOFError` when the pipe is closed, `RemoteError` when nobody can work on it."""
    import ray

    seen = time.monotonic()
    while not ray.wait([task], timeout=LOOK)[0]:
        if parent.poll():
            raise EOFError  # nothing else is sent by one who waits for an answer
        if _cores():
            seen = time.monotonic()
        elif time.monotonic() > seen + PATIENCE:
            raise RemoteError(f"the Ray cluster has had no core to work on for {PATIENCE:.0f} s; add a node to it")


if __name__ == "__main__":
    main(int(sys.argv[1]))
