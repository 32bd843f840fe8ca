"""Patterns in the paths of a GitHub origin: its tree is asked for, on a loopback double of the API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from collectors.download import Downloads
from collectors.errors import RemoteError
from collectors.origin import Origin
from collectors.upstream import listing

TREE = ["README.md", "tasks", "tasks/task1_a.json", "tasks/task2_b.json", "tasks/README.md"]


@pytest.fixture
def api() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/repos/o/n/git/trees/v1?recursive=1"
            entries = [{"path": path, "type": "blob" if "." in path else "tree"} for path in TREE]
            body = json.dumps({"sha": "0", "tree": entries, "truncated": False}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def names(paths: list[str], api: str) -> list[str]:
    origin = Origin(github="o/n", revision="v1", paths=paths)
    return [file.path for file in listing("s", origin, Downloads(), "http://127.0.0.1:9", api).files]


def test_a_pattern_names_the_files_of_the_tree(api: str) -> None:
    assert names(["tasks/task*.json"], api) == ["tasks/task1_a.json", "tasks/task2_b.json"]
    assert names(["README.md", "**/*_b.json"], api) == ["README.md", "tasks/task2_b.json"]


def test_a_pattern_that_names_nothing_is_told(api: str) -> None:
    with pytest.raises(RemoteError, match=r"^s: o/n@v1: has no file tasks/\*\.csv; "):
        names(["tasks/*.csv"], api)
