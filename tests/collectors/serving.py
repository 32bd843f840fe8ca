"""A small server of plain files on the loopback, which can be made to answer badly, and a clock without waiting."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One bad answer: a status with headers, or the file, of which only `cut` bytes are sent, or other bytes."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    instead: bytes | None = None


@dataclass
class Served:
    """What the server holds, by path; `faults` are met first, in their order. `asked` are the requests with headers."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    etags: bool = True
    ranges: bool = True
    lengths: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.asked]


@dataclass
class Clock:
    """Keeps the pauses it is asked for, and does not wait."""

    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def now(self) -> float:
        return 1_000_000.0


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            faults = served.faults.get(self.path)
            fault = faults.pop(0) if faults else Fault()
            if fault.status is not None:
                return self._send(fault.status, b"words", fault.headers)
            data = served.files.get(self.path)
            if data is None:
                return self._send(404, b"404: Not Found", {})
            data = data if fault.instead is None else fault.instead
            etag = f'"{len(data)}-{sum(data)}"'
            headers = ({"ETag": etag} if served.etags else {}) | fault.headers
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if served.ranges and asked and self.headers.get("If-Range", etag) == etag:
                first = int(asked[1])
                if first >= len(data):
                    return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
                return self._send(206, data[first:], headers, fault.cut)
            return self._send(200, data, headers, fault.cut)

        def _send(self, status: int, data: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if served.lengths:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving() -> Iterator[Served]:
    """A running server."""
    served = Served()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
