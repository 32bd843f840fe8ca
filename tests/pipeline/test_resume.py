"""A push that is disturbed at any request: the next one completes it, and sends nothing that has arrived again."""

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hub import TOKEN, Hub
from published import CREDITS, content, mixture, row

from collectors.errors import RemoteError
from pipeline.push import push, write

# huggingface_hub 2.4 hands httpx2 the files it uploads by an argument that httpx2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

STALE = {"data/train-00000-of-00001.parquet": b"PAR1 of an earlier push", "README.md": b"---\npretty_name: old\n---\n"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data folder with a mixture of three shards, staged."""
    mixture(tmp_path / "data", [row(place, answer=f"{place} " * 40) for place in range(2)], [row(9)], per_file=1)
    write("two", tmp_path / "data" / "hub" / "two", tmp_path / "data", CREDITS, shard_bytes=1)
    return tmp_path / "data"


def pushed(hub: Hub, out: Path, **how: Any) -> None:
    waits: list[float] = []
    push("two", "me/two", out, CREDITS, token=TOKEN, endpoint=hub.url, shard_bytes=1, wait=waits.append, **how)


def fresh(hub: Hub) -> None:
    """A repository that holds an older push, and nothing noted or planned."""
    hub.requests.clear()
    hub.failures.clear()
    hub.again.clear()
    hub.add("me/two", STALE, private=True)


def requests_of_a_push(hub: Hub, out: Path) -> int:
    fresh(hub)
    pushed(hub, out)
    return len(hub.requests)


def complete(hub: Hub, out: Path) -> None:
    """What holds after an undisturbed push as after any other: the tree and no more, by one commit, all sent once."""
    files = {path: data for path, data in hub.files("me/two").items() if path != ".gitattributes"}
    assert files == content(out / "hub" / "two")
    assert len(hub.repos["datasets/me/two"].commits) == 2
    assert hub.again == []


@pytest.mark.parametrize("late", [False, True], ids=["unheard", "unanswered"])
def test_a_connection_that_drops_at_any_request_is_taken_up_again(hub: Hub, out: Path, late: bool) -> None:
    for number in range(requests_of_a_push(hub, out)):
        fresh(hub)
        hub.fail(after=number, cut=True, late=late)
        pushed(hub, out)
        complete(hub, out)


@pytest.mark.parametrize("late", [False, True], ids=["unheard", "unanswered"])
def test_a_hub_that_goes_away_at_any_request(hub: Hub, out: Path, late: bool) -> None:
    for number in range(requests_of_a_push(hub, out)):
        fresh(hub)
        hub.fail(after=number, cut=True, late=late)
        hub.fail(after=number, cut=True, times=10_000)
        with pytest.raises(RemoteError, match="out of reach"):
            pushed(hub, out)
        assert late or {path: hub.files("me/two")[path] for path in STALE} == STALE
        hub.failures.clear()
        pushed(hub, out)
        complete(hub, out)


PROGRAM = """
import json, os, sys
from pathlib import Path
from published import CREDITS
from pipeline.push import push
for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        print(os.getpid(), flush=True)
        push("two", "me/two", Path(asked["out"]), CREDITS, token=asked["token"], endpoint=asked["endpoint"],
             shard_bytes=1, wait=lambda seconds: None)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass
class Pusher:
    """A process that pushes in children of its own, which may be killed; so the libraries are imported once."""

    process: subprocess.Popen[str]
    asked: dict[str, str]
    child: "queue.Queue[int]" = field(default_factory=queue.Queue)

    def run(self) -> int:
        """Push in a child: its exit status, or minus the signal that ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(self.asked) + "\n")
        self.process.stdin.flush()
        self.child.put(int(self.process.stdout.readline()))
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        """End the child at once, as the system does that is out of memory."""
        os.kill(self.child.get(), signal.SIGKILL)


@pytest.fixture
def pusher(hub: Hub, out: Path) -> Iterator[Pusher]:
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{here.parents[1]}{os.pathsep}{here}"},
    )
    with process:
        yield Pusher(process, {"out": str(out), "token": TOKEN, "endpoint": hub.url})
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.parametrize("late", [False, True], ids=["unheard", "unanswered"])
def test_a_push_that_is_killed_at_any_request(hub: Hub, out: Path, pusher: Pusher, late: bool) -> None:
    for number in range(requests_of_a_push(hub, out)):
        fresh(hub)
        pusher.child = queue.Queue()
        hub.fail(after=number, cut=True, late=late, also=pusher.kill)
        assert pusher.run() == -signal.SIGKILL
        pushed(hub, out)
        complete(hub, out)
