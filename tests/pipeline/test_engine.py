"""The engine: results in order, mistakes as they were raised, and no worker that outlives the one it works for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.errors import SourceError, SuriError
from pipeline.engine import Engine

SECONDS = 30.0
"""The longest a test waits for a process; it is there so that a defect fails and does not hang."""


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    if number == 3:
        raise SourceError(f"file {number}: is broken")
    return number


def full(number: int) -> int:
    raise OSError(28, "No space left on device", f"/disk/{number}")


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_the_order_of_their_pieces(workers: int, count: int) -> None:
    with Engine(workers) as engine:
        assert list(engine.map(square, range(count))) == [number * number for number in range(count)]
        assert list(engine.map(square, range(3))) == [0, 1, 4]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_is_raised_as_it_was_and_the_engine_goes_on(workers: int) -> None:
    with Engine(workers) as engine:
        results = engine.map(refuse, range(9))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(SourceError, match=r"^file 3: is broken$"):
            next(results)
        assert list(engine.map(square, range(4))) == [0, 1, 4, 9]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_a_systems_error_arrives(workers: int) -> None:
    with Engine(workers) as engine, pytest.raises(OSError, match="No space left") as caught:
        list(engine.map(full, range(4)))
    assert caught.value.errno == 28


def test_pieces_are_drawn_only_as_they_are_needed() -> None:
    drawn: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    with Engine(2) as engine:
        results = engine.map(square, pieces())
        for done in range(1, 60):
            next(results)
            assert len(drawn) <= done + 4
        results.close()  # type: ignore[attr-defined]  # a generator


def test_a_mistake_of_the_pieces_is_raised_too() -> None:
    def pieces() -> Iterator[int]:
        yield from range(5)
        raise SourceError("file: is cut short")

    with Engine(2) as engine, pytest.raises(SourceError, match="cut short"):
        list(engine.map(square, pieces()))


def test_a_worker_that_dies_is_told() -> None:
    with Engine(2) as engine, pytest.raises(SuriError, match=r"^a worker process died.*--workers$"):
        list(engine.map(die, range(6)))


SLEEPERS = """
import os, sys, time
from pathlib import Path
from pipeline.engine import Engine

def work(place):
    Path(place, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    with Engine(2) as engine:
        list(engine.map(work, [sys.argv[1]] * 2))
"""


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is not yet reaped does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_with_the_process_they_work_for(tmp_path: Path) -> None:
    program = tmp_path / "sleepers.py"
    program.write_text(SLEEPERS, encoding="utf-8")
    place = tmp_path / "pids"
    place.mkdir()
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, str(program), str(place)], cwd=root, env=environment) as running:
        end = time.monotonic() + SECONDS
        while len(workers := [int(path.name) for path in place.iterdir()]) < 2:
            assert running.poll() is None
            assert time.monotonic() < end
        running.kill()
    while time.monotonic() < end and any(map(alive, workers)):
        pass
    assert not [worker for worker in workers if alive(worker)]


def _process(_: int) -> int:
    return os.getpid()


def test_other_workers_do_what_comes_after_a_renewal() -> None:
    with Engine(2) as engine:
        first = set(engine.map(_process, range(4)))
        engine.renew()
        second = set(engine.map(_process, range(4)))
    assert not first & second
