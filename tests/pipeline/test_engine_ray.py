"""The engine on Ray: the results and bytes of the local one, whatever is lost on the way, and mistakes in one line."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from collecting import BELLE, ROOT, lay, lines, row, tree
from mixing import contents
from test_engine import die, full, refuse, square
from test_same_bytes import asking, made, store_all

from collectors.catalog import load
from collectors.errors import RemoteError, SourceError, SuriError
from pipeline.cluster import RayCluster
from pipeline.collect import SAMPLES, collecting, corpus
from pipeline.cutter import Piece
from pipeline.engine import Engine, start
from pipeline.folder import placing
from pipeline.judge.rows import Piece as Judged
from pipeline.judge.run import judging
from pipeline.pieces import build

SECONDS = 60.0
"""The longest a test waits for another thread; it is there so that a defect fails and does not hang."""

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of three nodes, one of which is this machine's and works on nothing; it asks for a token."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="suri", ignore_cleanup_errors=True) as place,
    ):
        patch.setenv("RAY_TMPDIR", place)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "t" * 64)
        # A lost head and a lost node are noticed within seconds.
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{ROOT}")  # the work of these tests is there
        pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
        try:
            for _ in range(2):
                cluster.add_node(**NODE)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def engine(nodes: Any) -> Iterator[Engine]:
    with start("ray", nodes.address) as engine:
        yield engine


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_results_come_in_the_order_of_their_pieces(engine: Engine, count: int) -> None:
    assert engine.workers == 2
    assert list(engine.map(square, range(count))) == [number * number for number in range(count)]


@pytest.mark.usefixtures("nodes")  # for their environment
def test_without_an_address_ray_is_started_here() -> None:
    with start("ray", workers=1) as engine:
        assert engine.workers == 1
        assert list(engine.map(square, range(3))) == [0, 1, 4]


def test_a_mistake_is_raised_as_it_was_and_the_engine_goes_on(engine: Engine) -> None:
    results = engine.map(refuse, range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"^file 3: is broken$"):
        next(results)
    with pytest.raises(OSError, match="No space left") as caught:
        list(engine.map(full, range(4)))
    assert caught.value.errno == 28
    assert "in full" in caught.value.__notes__[0]
    assert list(engine.map(square, range(4))) == [0, 1, 4, 9]


def test_pieces_are_drawn_only_as_they_are_needed(engine: Engine) -> None:
    drawn: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    results = engine.map(square, pieces())
    for done in range(1, 20):
        next(results)
        assert len(drawn) <= done + 4
    results.close()  # type: ignore[attr-defined]  # a generator


def test_a_piece_that_ends_every_worker_is_told(engine: Engine) -> None:
    with pytest.raises(SuriError, match=r"^a piece of work was lost 4 times .*--workers$"):
        list(engine.map(die, range(6)))


def held(place: Path, work: Callable[[Any], Any], piece: Any) -> Any:
    """`work`, but the first that is begun stops amid writing its shard, tells its node, and waits for its end."""
    try:
        (place / "held").touch(exist_ok=False)
    except FileExistsError:
        return work(piece)
    with placing(piece.folder / piece.shard.name if isinstance(piece, Judged) else piece.shard) as aside:
        aside.write_bytes(b"half a shard")
        (place / "node").write_text(str(os.getppid()), encoding="ascii")
        signal.pause()


class Held(Engine):
    """An engine on the cluster at `address`, of which one piece is `held`."""

    def __init__(self, address: str, place: Path) -> None:
        super().__init__(cluster=RayCluster(address))
        self.place = place

    def map(self, work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
        return super().map(partial(held, self.place, work), pieces)


def losing_a_node(nodes: Any, place: Path, there: Path, run: Callable[[Engine], object]) -> None:
    """`run` on the cluster, of which a node is killed while it writes a file in `there`; another takes its place."""
    os.mkfifo(place / "node")
    killed: list[str] = []

    def kill() -> None:
        parent = int((place / "node").read_text(encoding="ascii"))
        (doomed,) = (node for node in nodes.worker_nodes if node.all_processes["raylet"][0].process.pid == parent)
        killed.extend(path.name for path in there.rglob("*.aside"))
        nodes.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with Held(nodes.address, place) as engine:
        run(engine)
    killer.join(SECONDS)
    assert len(killed) == 1
    nodes.add_node(**NODE)


def test_a_node_that_is_killed_changes_no_byte(nodes: Any, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines(row(number) for number in range(140_000))})
    for source in ("alpaca", "hc3"):
        shutil.copytree(SAMPLES / source, raw / source)
    names, here, there = ["belle", "alpaca", "hc3"], tmp_path / "here", tmp_path / "there"
    corpus(load(), names, raw, here, workers=1)
    losing_a_node(nodes, tmp_path, there, lambda engine: list(collecting(load(), names, raw, there, engine)))
    assert tree(there) == tree(here)


def test_a_node_that_is_killed_changes_no_verdict(nodes: Any, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines(row(number % 70_000) for number in range(80_000))})
    shutil.copytree(SAMPLES / "cot", raw / "cot")
    here, there = tmp_path / "here", tmp_path / "there"
    corpus(load(), ["belle", "cot"], raw, here, workers=1)
    shutil.copytree(here, there)
    with Engine(1) as engine:
        assert sum(one.manifest["clustered"]["row"] for one in judging(load(), [], here, engine, [])) > 10_000
    losing_a_node(nodes, tmp_path, there, lambda engine: list(judging(load(), [], there, engine, [])))
    assert tree(there) == tree(here)


def test_a_mixture_that_asks_for_everything_has_the_bytes_of_one_worker(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    known, out = asking(tmp_path / "words"), tmp_path / "data"
    store_all(out, known)
    with Engine(1) as here:
        before = contents(made(out, known, here).folder)
    assert contents(made(out, known, engine).folder) == before


def commanded(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipeline` in a folder, as somebody whose data are there would."""
    command = [sys.executable, "-m", "pipeline", *words, "--catalog", str(ROOT / "catalog.yaml")]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


def test_the_commands_give_the_same_on_ray_and_say_no_more(nodes: Any, tmp_path: Path) -> None:
    said = {}
    sources = ("--source", "alpaca", "--source", "belle", "--source", "cot")
    for name, options in {"here": [], "there": ["--engine", "ray", "--address", "auto"]}.items():
        (tmp_path / name).mkdir()
        done = [
            commanded(tmp_path / name, *words, *options)
            for words in (("corpus", *sources), ("judge",), ("mix", "alpaca-belle-cot"))
        ]
        assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
        said[name] = [one.stdout for one in done]
    assert said["there"] == said["here"]
    assert tree(tmp_path / "there", without=(".lock",)) == tree(tmp_path / "here", without=(".lock",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--address", "auto"], "--address auto is that of a Ray cluster and goes with --engine ray; add it"),
        (["--engine", "ray", "--address", "ray://host:1"], "--address ray://host:1: must be auto, or HOST:PORT of .*"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "--address 127.0.0.1:1: Connection refused; ray start .*"),
    ],
)
def test_a_wrong_address_is_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = commanded(tmp_path, "corpus", "--source", "alpaca", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"suri: error: {message}\n", done.stderr)


def test_without_ray_the_engine_says_how_to_get_it(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["ray"] = None
from collectors.commands import run
from pipeline.__main__ import app
run(app, "pipeline", ["corpus", "--engine", "ray"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"suri: error: --engine ray: Ray is not installed; run: .*\[ray\]\"\n", done.stderr)


def test_a_cluster_that_is_lost_is_one_line(nodes: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node")

    def kill() -> None:
        (tmp_path / "node").read_text(encoding="ascii")
        nodes.head_node.kill_gcs_server()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with start("ray", nodes.address) as engine, pytest.raises(RemoteError, match=r"^the Ray cluster .* is lost: .*"):
        list(engine.map(partial(held, tmp_path, build), [Piece(blocks=(), shard=tmp_path / "00000.arrow")]))
    killer.join(SECONDS)
