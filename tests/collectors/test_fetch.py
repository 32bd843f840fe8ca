"""fetch: upstream's files, each once, from the double of the Hub and a small GitHub, both on the loopback."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hub import Hub
from huggingface_hub import constants

from collectors.catalog import Source
from collectors.errors import ArtefactError, RemoteError
from collectors.fetch import fetch


def source(*origins: dict[str, object]) -> Source:
    return Source.model_validate(
        {
            "title": "T",
            "about": "a",
            "homepage": "https://example.org/t",
            "origins": list(origins),
            "files": ["**/*.json"],
            "lang": "EN",
            "task": "MT",
            "gen": "HG",
            "license": "MIT",
            "columns": {"instruction": "i", "output": "o"},
        }
    )


@dataclass
class GitHub:
    """What a server of raw files holds: by address the status and the bytes, of which it may send too few."""

    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    short: int = 0
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    held = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.asked.append(self.path)
            status, data = held.files.get(self.path, (404, b"404: Not Found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) - held.short])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of the loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def near_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The double, for a huggingface_hub that was imported before it was there."""
    point(monkeypatch, hub.url)
    return hub


def point(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


PINNED = "761dc5bf"
ROWS = [{"github": "owner/name", "revision": PINNED, "paths": ["data/rows.json", "Data_数据/内 科#1.json"]}]


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, hidden ones aside."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder): path.read_bytes() for path in paths}
    return {name.as_posix(): data for name, data in names.items() if not any(step[0] == "." for step in name.parts)}


def test_github_once_and_not_again(tmp_path: Path, github: GitHub) -> None:
    github.files = {
        f"/owner/name/{PINNED}/data/rows.json": (200, b"[]" * 2_000_000),
        f"/owner/name/{PINNED}/Data_%E6%95%B0%E6%8D%AE/%E5%86%85%20%E7%A7%91%231.json": (200, b"{}"),
    }
    for _ in range(2):
        found = fetch("s", source(*ROWS), tmp_path / "s", github=github.url)
        assert found == [tmp_path / "s" / "data/rows.json", tmp_path / "s" / "Data_数据/内 科#1.json"]
        assert files(tmp_path / "s") == {"data/rows.json": b"[]" * 2_000_000, "Data_数据/内 科#1.json": b"{}"}
    assert github.asked == list(github.files)


ANSWERS = [
    (404, "is not there; mend the origin in catalog.yaml"),
    (401, "needs a login"),
    (403, "is gated"),
    (500, "the server refuses; try again later"),
    (429, "the server refuses; try again later"),
]


@pytest.mark.parametrize(("status", "said"), ANSWERS)
def test_what_github_answers_is_told_and_nothing_is_left(
    tmp_path: Path, github: GitHub, status: int, said: str
) -> None:
    github.files = {f"/owner/name/{PINNED}/data/rows.json": (status, b"words")}
    with pytest.raises(RemoteError) as caught:
        fetch("s", source(*ROWS), tmp_path / "s", github=github.url)
    assert str(caught.value).startswith(f"s: owner/name@{PINNED}/data/rows.json: {said}")
    assert str(caught.value).endswith(f"(HTTP {status})")
    assert files(tmp_path) == {}


def test_an_answer_that_is_cut_is_told_and_not_put_in_place(tmp_path: Path, github: GitHub) -> None:
    github.files = {f"/owner/name/{PINNED}/data/rows.json": (200, b"[]" * 100)}
    github.short = 3
    with pytest.raises(RemoteError, match=r"^s: owner/name@761dc5bf/data/rows\.json: out of reach .*--from DIR$"):
        fetch("s", source(*ROWS), tmp_path / "s", github=github.url)
    assert not (tmp_path / "s" / "data" / "rows.json").exists()
    github.files[f"/owner/name/{PINNED}/Data_%E6%95%B0%E6%8D%AE/%E5%86%85%20%E7%A7%91%231.json"] = (200, b"{}")
    github.short = 0
    fetch("s", source(*ROWS), tmp_path / "s", github=github.url)
    assert files(tmp_path / "s") == {"data/rows.json": b"[]" * 100, "Data_数据/内 科#1.json": b"{}"}


def test_github_out_of_reach(tmp_path: Path, nobody: str) -> None:
    with pytest.raises(RemoteError, match=r"^s: owner/name@761dc5bf/data/rows\.json: out of reach .*--from DIR$"):
        fetch("s", source(*ROWS), tmp_path / "s", github=nobody)
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written(tmp_path: Path, github: GitHub) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"file/s/data/rows\.json: cannot be written: Not a directory"):
        fetch("s", source(*ROWS), tmp_path / "file" / "s", github=github.url)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


HUB = {"hub": "them/rows", "paths": ["deep/rows.json", "rows.jsonl.gz"]}
HELD = {"deep/rows.json": b'{"i":"1"}\n', "rows.jsonl.gz": b"\x1f\x8b"}


def test_the_hub_once_and_not_again(tmp_path: Path, near_hub: Hub) -> None:
    near_hub.add("them/rows", HELD)
    found = fetch("s", source(HUB), tmp_path / "s")
    assert found == [tmp_path / "s" / name for name in HELD]
    assert files(tmp_path / "s") == HELD
    near_hub.requests.clear()
    fetch("s", source(HUB), tmp_path / "s")
    assert near_hub.calls() == []


def test_a_revision_of_the_hub_is_asked_for(tmp_path: Path, near_hub: Hub) -> None:
    repo = near_hub.add("them/rows", HELD)
    old = repo.head
    near_hub.add("them/rows", {"deep/rows.json": b"new"})
    near_hub.repos["datasets/them/rows"].commits.insert(0, repo.commits[0])
    fetch("s", source({"hub": "them/rows", "revision": old, "paths": ["deep/rows.json"]}), tmp_path / "s")
    assert files(tmp_path / "s") == {"deep/rows.json": HELD["deep/rows.json"]}


def test_a_file_the_hub_does_not_have(tmp_path: Path, near_hub: Hub) -> None:
    near_hub.add("them/rows", HELD)
    for origin in ({"hub": "them/rows", "paths": ["none.json"]}, {"hub": "them/none", "paths": ["none.json"]}):
        with pytest.raises(RemoteError, match=r"^s: them/\w+@main/none\.json: .*catalog\.yaml.*HTTP 404") as caught:
            fetch("s", source(origin), tmp_path / "s")
        assert "\n" not in str(caught.value)
    assert files(tmp_path) == {}


def test_the_hub_out_of_reach(tmp_path: Path, near_hub: Hub, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point(monkeypatch, nobody)
    with pytest.raises(RemoteError, match=r"^s: them/rows@main/deep/rows\.json: out of reach .*--from DIR$") as caught:
        fetch("s", source(HUB), tmp_path / "s")
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == {}
