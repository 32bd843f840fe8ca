"""A small double of the Hugging Face Hub on the loopback: repositories in memory, spoken to over real HTTP.

It keeps the Hub's promises where a client could break them: what is uploaded must have the announced sha256 and size,
a commit is applied whole or not at all and only on the parent it names, and a private repository is hidden from
strangers.
Every request is recorded, and any one of them can be made to fail:

    with Hub() as hub:
        hub.fail("POST", "/commit/", status=500)          # the next commit is refused
        hub.fail("PUT", "/lfs/", cut=True, after=1)       # the second upload is cut on the wire
        hub.fail("GET", "/resolve/", sent=100)            # a download is cut after 100 bytes
        hub.fail(after=7, times=1000, cut=True)           # nobody is there any more after seven requests
        ...
        assert hub.files("me/data")["README.md"].startswith(b"---")

The routes are those that huggingface_hub and datasets call to create, write and read models and data sets.
"""

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_writer_of_this_double"  # known to no server but this one
READER = "hf_reader_of_this_double"  # without write access to anything
LARGE = (".parquet", ".png")  # of those that the Hub's own .gitattributes name
GIT_ATTRIBUTES = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE).encode()
LFS_ABOVE = 10 * 2**20  # bytes from which any file is kept as a large object


@dataclass(frozen=True)
class Blob:
    """A file of a repository: its bytes, and whether they are kept as a large object."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git itself keeps of a large object."""
        head = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n"
        return f"{head}size {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        """Git's id of the file, or of its pointer."""
        kept = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    def info(self, path: str) -> dict[str, Any]:
        """The entry of a tree listing."""
        entry = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        pointer = {"oid": self.sha256, "size": len(self.data), "pointerSize": len(self.pointer)}
        return {**entry, "lfs": pointer} if self.lfs else entry


@dataclass
class Repo:
    """A repository: its commits in order, each the whole of its files, and the large objects that have arrived."""

    kind: str
    name: str
    private: bool
    gated: bool = False
    commits: list[tuple[str, dict[str, Blob]]] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    def commit(self, files: dict[str, Blob]) -> str:
        tree = "".join(f"{path}\0{blob.oid}\n" for path, blob in sorted(files.items()))
        sha = hashlib.sha1(f"{len(self.commits)}\n{tree}".encode()).hexdigest()
        self.commits.append((sha, files))
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, Blob]]:
        if revision in ("main", "refs/heads/main"):
            return self.commits[-1]
        found = [commit for commit in self.commits if commit[0] == revision]
        if not found:
            raise Refusal(404, "no such revision", "RevisionNotFound")
        return found[0]


@dataclass(frozen=True)
class Request:
    """What arrived, for tests to look at."""

    method: str
    path: str
    headers: dict[str, str]
    size: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Failure:
    """A request that is to fail: the first of `method` ("": any) whose path holds `path`, after `after` let through."""

    method: str
    path: str
    status: int
    message: str
    cut: bool
    after: int
    times: int
    late: bool
    headers: dict[str, str]
    sent: int | None
    body: bytes | None
    seen: threading.Event | None
    also: Callable[[], None] | None


class Refusal(Exception):
    """An answer that is an error, as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass
class Answer:
    """A response: JSON when `body` is not bytes."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """The server and what it holds; a context manager that starts it on a free port of the loopback and stops it."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.writes = {TOKEN: {"me", "team"}, READER: set[str]()}
        self.requests: list[Request] = []
        self.failures: list[Failure] = []
        self.again: list[str] = []  # the large objects that were sent though they had arrived
        self.mutex = threading.RLock()

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def fail(
        self,
        method: str = "",
        path: str = "",
        *,
        status: int = 500,
        message: str = "it went wrong",
        cut: bool = False,
        after: int = 0,
        times: int = 1,
        late: bool = False,
        headers: dict[str, str] | None = None,
        sent: int | None = None,
        body: bytes | None = None,
        seen: threading.Event | None = None,
        also: Callable[[], None] | None = None,
    ) -> None:
        """Have requests fail with `status`, or by a cut connection; `late` ones are carried out, then fail.

        With `sent` the right answer is cut after so many bytes of its body; with `body` other bytes stand in it.
        `seen` is set when such a request has arrived, and `also` called before it fails.
        """
        headers, told = headers or {}, (seen, also)
        self.failures.append(
            Failure(method, path, status, message, cut, after, times, late, headers, sent, body, *told)
        )

    def calls(self, method: str | None = None) -> list[str]:
        """The requests so far as `METHOD /path`, without queries."""
        return [str(request) for request in self.requests if method in (None, request.method)]

    def files(self, name: str, kind: str = "dataset") -> dict[str, bytes]:
        """The files of a repository at its head."""
        return {path: blob.data for path, blob in self.repos[f"{kind}s/{name}"].commits[-1][1].items()}

    def add(
        self, name: str, files: dict[str, bytes], *, private: bool = False, gated: bool = False, kind: str = "dataset"
    ) -> Repo:
        """A repository that is there already, with these files; those of a gated one go to whoever may write there."""
        blobs = {path: Blob(data, lfs=_is_large(path, len(data))) for path, data in files.items()}
        repo = Repo(kind, name, private, gated, objects={blob.sha256: blob.data for blob in blobs.values() if blob.lfs})
        repo.commit({".gitattributes": Blob(GIT_ATTRIBUTES)} | blobs)
        self.repos[f"{kind}s/{name}"] = repo
        return repo

    def due(self, method: str, path: str) -> Failure | None:
        """The failure this request is to meet, if any; counts it."""
        for failure in self.failures:
            if failure.method in ("", method) and failure.path in path:
                if failure.after:
                    failure.after -= 1
                elif failure.times:
                    failure.times -= 1
                    if failure.seen:
                        failure.seen.set()
                    return failure
        return None

    def find(self, kinds: str, name: str, token: str | None, *, write: bool = False) -> Repo:
        """The repository, if this token may see it, or write to it."""
        repo = self.repos.get(f"{kinds}/{name}")
        may_write = token is not None and name.split("/")[0] in self.writes[token]
        if repo is None or (repo.private and not may_write):
            raise Refusal(404 if token else 401, "Repository not found", "RepoNotFound")
        if write and not may_write:
            raise Refusal(403 if token else 401, f"you may not write to {name}")
        return repo


def _is_large(path: str, size: int) -> bool:
    return path.endswith(LARGE) or size > LFS_ABOVE


@dataclass(frozen=True)
class Call:
    """One request on its way through a route."""

    hub: Hub
    match: re.Match[str]
    token: str | None
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def __getitem__(self, group: str) -> str:
        return unquote(self.match[group])

    def repo(self, *, write: bool = False) -> Repo:
        return self.hub.find(self["kinds"], self["name"], self.token, write=write)

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, "the body is not JSON") from None


def whoami(call: Call) -> Answer:
    if call.token is None:
        raise Refusal(401, "Invalid credentials in Authorization header")
    return Answer({"name": "me", "type": "user", "orgs": [{"name": "team"}]})


def create(call: Call) -> Answer:
    asked = call.json()
    if call.token is None:
        raise Refusal(401, "Invalid credentials in Authorization header")
    owner, kind = asked["organization"] or "me", asked.get("type") or "model"
    if owner not in call.hub.writes[call.token]:
        raise Refusal(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}")
    name = f"{owner}/{asked['name']}"
    url = f"{call.hub.url}/{'' if kind == 'model' else kind + 's/'}{name}"
    if f"{kind}s/{name}" in call.hub.repos:
        return Answer({"error": "You already created this repo", "url": url}, 409)
    private = asked.get("visibility") == "private" or asked.get("private") is True
    call.hub.add(name, {}, private=private, kind=kind)
    return Answer({"url": url, "name": name, "private": private})


def validate_yaml(call: Call) -> Answer:
    text = call.json()["content"]
    found = re.match(r"---\r?\n(.*?)\r?\n---\s", text, re.DOTALL)
    try:
        data = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        return Answer({"errors": [{"message": str(error)}], "warnings": []}, 400)
    if not isinstance(data, dict):
        return Answer({"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
    errors = [
        {"message": f"{key} must be text"}
        for key in ("license", "pretty_name")
        if not isinstance(data.get(key, ""), str)
    ]
    return Answer({"errors": errors, "warnings": []}, 400 if errors else 200)


def info(call: Call) -> Answer:
    repo = call.repo()
    sha, files = repo.at(call["revision"] if call.match.groupdict().get("revision") else "main")
    siblings = [{"rfilename": path} for path in sorted(files)]
    return Answer({"id": repo.name, "sha": sha, "private": repo.private, "tags": [], "siblings": siblings})


def tree(call: Call) -> Answer:
    _, files = call.repo().at(call["revision"])
    top = call["path"] + "/" if call.match["path"] else ""
    recursive = call.query.get("recursive", ["false"])[0].lower() == "true"
    entries, folders = [], set()
    for path, blob in sorted(files.items()):
        if not path.startswith(top):
            continue
        steps = path[len(top) :].split("/")
        folders |= {
            top + "/".join(steps[:depth]) for depth in range(1, len(steps) if recursive else min(len(steps), 2))
        }
        if recursive or len(steps) == 1:
            entries.append(blob.info(path))
    if top and not entries and not folders:
        raise Refusal(404, f"{call['path']} does not exist", "EntryNotFound")
    return Answer(
        [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)] + entries
    )


def paths_info(call: Call) -> Answer:
    _, files = call.repo().at(call["revision"])
    if "json" in call.headers.get("content-type", ""):
        paths = call.json()["paths"]
    else:
        paths = parse_qs(call.body.decode()).get("paths", [])
    return Answer([files[path].info(path) for path in paths if path in files])


def preupload(call: Call) -> Answer:
    repo = call.repo(write=True)
    _, files = repo.at(call["revision"])
    answers = []
    for asked in call.json()["files"]:
        path, there = asked["path"], files.get(asked["path"])
        mode = "lfs" if _is_large(path, asked["size"]) else "regular"
        oid = there.etag if there else None
        answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return Answer({"files": answers, "commitOid": repo.head})


def lfs_batch(call: Call) -> Answer:
    """Where to send each large object; one that has arrived already needs no sending."""
    repo, objects = call.repo(write=True), []
    for asked in call.json()["objects"]:
        oid, size = asked["oid"], asked["size"]
        answer: dict[str, Any] = {"oid": oid, "size": size}
        if oid not in repo.objects:
            place = f"{call.hub.url}/lfs/{repo.kind}s/{repo.name}/{oid}"
            answer["actions"] = {
                "upload": {"href": f"{place}?size={size}&X-Amz-Signature=5ec2e7"},
                "verify": {"href": f"{place}/verify"},
            }
        objects.append(answer)
    return Answer({"transfer": "basic", "objects": objects})


def lfs_put(call: Call) -> Answer:
    """An upload by its signed address, which needs no token; what arrives must be what was announced."""
    repo = call.hub.repos[f"{call['kinds']}/{call['name']}"]
    size, found = int(call.query["size"][0]), hashlib.sha256(call.body).hexdigest()
    if len(call.body) != size:
        raise Refusal(400, f"{len(call.body)} bytes arrived, {size} were announced")
    if found != call["oid"]:
        raise Refusal(400, f"sha256 {found} arrived, {call['oid']} was announced")
    if found in repo.objects:
        call.hub.again.append(found)
    repo.objects[found] = call.body
    return Answer(headers={"ETag": f'"{found}"'})


def lfs_verify(call: Call) -> Answer:
    repo, asked = call.repo(write=True), call.json()
    if asked["oid"] != call["oid"] or len(repo.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refusal(422, "the object has not arrived")
    return Answer({})


def commit(call: Call) -> Answer:
    """Apply a commit's lines to a copy of the head, and make the copy the head when all of them hold."""
    repo = call.repo(write=True)
    files = dict(repo.commits[-1][1])
    lines = [json.loads(line) for line in call.body.splitlines()]
    if not lines or lines[0]["key"] != "header" or not lines[0]["value"]["summary"]:
        raise Refusal(400, "a commit begins with its header")
    if lines[0]["value"].get("parentCommit", repo.head) != repo.head:
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    for line in lines[1:]:
        _apply(repo, files, line["key"], line["value"])
    sha = repo.commit(files)
    url = f"{call.hub.url}/{repo.kind}s/{repo.name}/commit/{sha}"
    return Answer({"success": True, "commitUrl": url, "commitOid": sha, "hookOutput": ""})


def _apply(repo: Repo, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if key == "file":
        try:
            content = base64.b64decode(value["content"], validate=True)
        except binascii.Error:
            raise Refusal(400, f"{path}: the content is not base64") from None
        if _is_large(path, len(content)):
            raise Refusal(400, f"{path}: is to be sent as a large object")
        files[path] = Blob(content)
    elif key == "lfsFile":
        data = repo.objects.get(value["oid"])
        if data is None or len(data) != value.get("size", len(data)):
            raise Refusal(400, f"{path}: the large object {value['oid']} has not arrived")
        files[path] = Blob(data, lfs=True)
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
    elif key == "deletedFolder":
        for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
            del files[name]
    else:
        raise Refusal(400, f"unknown operation {key}")


def resolve(call: Call) -> Answer:
    """A file's bytes, whole or the range asked for."""
    repo = call.repo()
    if repo.gated and (call.token is None or repo.name.split("/")[0] not in call.hub.writes[call.token]):
        raise Refusal(403 if call.token else 401, f"Access to dataset {repo.name} is restricted", "GatedRepo")
    sha, files = repo.at(call["revision"])
    blob = files.get(call["path"])
    if blob is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    headers = {"ETag": f'"{blob.etag}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
    if blob.lfs:
        headers |= {"X-Linked-Size": str(len(blob.data)), "X-Linked-Etag": f'"{blob.sha256}"'}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
    changed = call.headers.get("if-range", headers["ETag"]) != headers["ETag"]
    if asked is None or asked.groups() == ("", "") or changed:
        return Answer(blob.data, headers=headers)
    size = len(blob.data)
    first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
    if first >= size:
        return Answer(b"", 416, {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Answer(blob.data[first : last + 1], 206, headers)


KINDS = r"(?P<kinds>models|datasets)"
NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
LFS = rf"/lfs/{KINDS}/{NAME}/(?P<oid>[0-9a-f]{{64}})"
ROUTES: list[tuple[str, str, Callable[[Call], Answer]]] = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create),
    ("POST", r"/api/validate-yaml", validate_yaml),
    ("GET", rf"/api/{KINDS}/{NAME}", info),
    ("GET", rf"/api/{KINDS}/{NAME}/revision/(?P<revision>[^/]+)", info),
    ("GET", rf"/api/{KINDS}/{NAME}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?", tree),
    ("POST", rf"/api/{KINDS}/{NAME}/paths-info/(?P<revision>[^/]+)", paths_info),
    ("POST", rf"/api/{KINDS}/{NAME}/preupload/(?P<revision>[^/]+)", preupload),
    ("POST", rf"/api/{KINDS}/{NAME}/commit/(?P<revision>[^/]+)", commit),
    ("POST", rf"/{KINDS}/{NAME}\.git/info/lfs/objects/batch", lfs_batch),
    ("PUT", LFS, lfs_put),
    ("POST", rf"{LFS}/verify", lfs_verify),
    ("GET", rf"/{KINDS}/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for the head before it to be acknowledged

        def handle_any(self) -> None:
            body, path = b"".join(self._body()), urlsplit(self.path).path
            headers = {name.lower(): value for name, value in self.headers.items()}
            with hub.mutex:
                hub.requests.append(Request(self.command, path, headers, len(body)))
                failure = hub.due(self.command, path)
                spoilt = failure is not None and (failure.sent is not None or failure.body is not None)
                if failure and not failure.late and not spoilt:
                    return self._fail(failure)
                answer = self._answered(path, headers, body)
            if failure and spoilt:
                answer.body = answer.body if failure.body is None else failure.body
                return self._send(answer, failure.sent)
            return self._fail(failure) if failure else self._send(answer)

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def _body(self) -> Iterator[bytes]:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                yield self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answered(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
            try:
                return self._routed(path, headers, body)
            except Refusal as error:
                words = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
                return Answer({"error": error.message}, error.status, words)

        def _routed(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
            # The name of a model stands at the top of its address, without its kind.
            if re.match(rf"/{NAME}(\.git/info/lfs/|/resolve/)", path) and not path.startswith("/datasets/"):
                path = "/models" + path
            token = headers.get("authorization", "").removeprefix("Bearer ") or None
            if token is not None and token not in hub.writes:
                raise Refusal(401, "Invalid credentials in Authorization header")
            method = "GET" if self.command == "HEAD" else self.command
            for asked, pattern, route in ROUTES:
                if asked == method and (match := re.fullmatch(pattern, path)):
                    return route(Call(hub, match, token, parse_qs(urlsplit(self.path).query), headers, body))
            raise Refusal(404, f"no such route: {self.command} {path}")

        def _fail(self, failure: Failure) -> None:
            if failure.also:
                failure.also()
            if failure.cut:
                self.close_connection = True
            else:
                self._send(Answer({"error": failure.message}, failure.status, failure.headers))

        def _send(self, answer: Answer, sent: int | None = None) -> None:
            raw = isinstance(answer.body, bytes)
            body = answer.body if raw else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/octet-stream" if raw else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:sent])
            if sent is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the requests are kept for the tests."""

    return Handler
