"""Publishing: what arrives is what was built, in one commit or not at all, and only what changed is sent."""

import functools
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hub import READER, TOKEN, Hub
from huggingface_hub import constants
from published import CREDITS, content, digest, mixture, row

from collectors.errors import RemoteError
from pipeline import push as pushing
from pipeline.push import listing, write
from pipeline.upload import Published

# huggingface_hub 2.4 hands httpx2 the files it uploads by an argument that httpx2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TRAIN = "data/train-00000-of-00001.parquet"
HOLDOUT = "data/holdout-00000-of-00001.parquet"
FIGURE = "figures/composition.png"
ROWS = [row(1), row(2, "belle", "说出一种颜色。", "蓝色。"), row(3, answer="Red.")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data folder that holds the mixture `two`."""
    mixture(tmp_path / "data", ROWS, [row(4)])
    return tmp_path / "data"


push = functools.partial(pushing.push, wait=lambda seconds: None)


def published(hub: Hub, name: str = "me/two") -> dict[str, bytes]:
    """The files of a repository, without the one the Hub adds."""
    return {path: data for path, data in hub.files(name).items() if path != ".gitattributes"}


# ---- the Hub


def test_what_arrives_is_what_a_local_tree_holds(hub: Hub, out: Path, tmp_path: Path) -> None:
    done = push("two", "me/two", out, CREDITS)
    write("two", tmp_path / "tree", out, CREDITS)
    assert published(hub) == content(tmp_path / "tree") == content(out / "hub" / "two")
    assert done == Published(
        where=f"{hub.url}/datasets/me/two",
        files=("README.md", HOLDOUT, TRAIN, FIGURE, "manifest.json"),
        uploaded=("README.md", HOLDOUT, TRAIN, FIGURE, "manifest.json"),
        private=True,
    )
    assert hub.repos["datasets/me/two"].private


def test_a_push_is_these_calls(hub: Hub, out: Path) -> None:
    push("two", "me/two", out, CREDITS)
    head = hub.repos["datasets/me/two"].commits[0][0]
    sent = sorted(digest(data) for path, data in published(hub).items() if path.endswith((".parquet", ".png")))
    calls = [call.replace(f"/lfs/datasets/me/two/{oid}", "/lfs") for call in hub.calls() for oid in [call[-64:]]]
    assert calls[:5] == [
        "POST /api/repos/create",
        "GET /api/datasets/me/two/revision/main",
        f"GET /api/datasets/me/two/tree/{head}",
        "POST /api/datasets/me/two/preupload/main",
        "POST /datasets/me/two.git/info/lfs/objects/batch",
    ]
    assert sorted(call[-64:] for call in hub.calls("PUT")) == sent
    assert calls[-2:] == ["POST /api/validate-yaml", "POST /api/datasets/me/two/commit/main"]
    assert len(hub.repos["datasets/me/two"].commits) == 2


def test_a_second_push_uploads_nothing(hub: Hub, out: Path) -> None:
    push("two", "me/two", out, CREDITS)
    hub.requests.clear()
    done = push("two", "me/two", out, CREDITS)
    assert (done.uploaded, done.deleted, done.changed) == ((), (), False)
    assert done.skipped == done.files
    assert [call.split("/")[-1] for call in hub.calls("POST")] == ["create"]
    assert hub.calls("PUT") == []
    assert len(hub.repos["datasets/me/two"].commits) == 2


def test_a_changed_mixture_uploads_what_changed(hub: Hub, out: Path) -> None:
    push("two", "me/two", out, CREDITS)
    mixture(out, ROWS, [row(5)])
    hub.requests.clear()
    done = push("two", "me/two", out, CREDITS)
    assert done.uploaded == ("README.md", HOLDOUT, "manifest.json")
    assert done.skipped == (TRAIN, FIGURE)
    assert [call[-64:] for call in hub.calls("PUT")] == [digest(hub.files("me/two")[HOLDOUT])]
    assert published(hub) == content(out / "hub" / "two")


def test_shards_of_an_earlier_push_go_in_the_same_commit_and_other_files_stay(hub: Hub, out: Path) -> None:
    stale = "data/train-00001-of-00002.parquet"
    theirs = {"LICENSE": b"all mine", "data/extra.parquet": b"PAR1", "figures/loss.png": b"\x89PNG"}
    hub.add("me/two", {stale: b"PAR1 of old", **theirs}, private=True)
    done = push("two", "me/two", out, CREDITS)
    assert done.deleted == (stale,)
    assert published(hub) == content(out / "hub" / "two") | theirs
    assert len(hub.repos["datasets/me/two"].commits) == 2


def test_a_failed_commit_leaves_the_repository_as_it_was_and_the_next_push_sends_no_object_again(
    hub: Hub, out: Path
) -> None:
    hub.add("me/two", {"README.md": b"mine"}, private=True)
    hub.fail("POST", "/commit/", status=500, times=6, message="out of disk")
    with pytest.raises(RemoteError) as told:
        push("two", "me/two", out, CREDITS)
    assert str(told.value) == (f"me/two on {hub.url}: the server fails; push again later (HTTP 500: out of disk)")
    assert published(hub) == {"README.md": b"mine"}
    assert len(hub.calls("PUT")) == 3

    hub.requests.clear()
    done = push("two", "me/two", out, CREDITS)
    assert len(done.uploaded) == 5
    assert hub.calls("PUT") == []
    assert published(hub) == content(out / "hub" / "two")


def test_a_commit_whose_answer_was_lost_is_found_done(hub: Hub, out: Path) -> None:
    hub.fail("POST", "/commit/", cut=True, late=True)
    done = push("two", "me/two", out, CREDITS)
    assert done.uploaded == done.files
    assert published(hub) == content(out / "hub" / "two")
    assert len(hub.repos["datasets/me/two"].commits) == 2


CALLS = [
    ("POST", "/api/repos/create"),
    ("GET", "/revision/main"),
    ("GET", "/tree/"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "/lfs/"),
    ("POST", "/verify"),
    ("POST", "/validate-yaml"),
    ("POST", "/commit/main"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("how", [{"cut": True}, {"cut": True, "late": True}, {"status": 503}, {"status": 429}])
def test_what_goes_wrong_in_passing_is_tried_again(
    hub: Hub, out: Path, method: str, path: str, how: dict[str, int]
) -> None:
    hub.fail(method, path, times=2, **how)  # type: ignore[arg-type]  # the keywords have several types
    waits: list[float] = []
    push("two", "me/two", out, CREDITS, wait=waits.append)
    assert published(hub) == content(out / "hub" / "two")
    assert len(hub.repos["datasets/me/two"].commits) == 2
    assert hub.again == []
    assert 1 <= len(waits) <= 2


class KilledError(Exception):
    """The end of a push in the midst of a request."""


@pytest.mark.parametrize("late", [False, True], ids=["before it arrives", "before it is answered"])
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_push_that_ends_at_any_request_is_taken_up_where_it_was(
    hub: Hub, out: Path, method: str, path: str, late: bool
) -> None:
    def killed(_: float) -> None:
        raise KilledError

    hub.fail(method, path, cut=True, late=late)
    with pytest.raises(KilledError):
        push("two", "me/two", out, CREDITS, wait=killed)
    if hub.repos:
        assert published(hub) in ({}, content(out / "hub" / "two"))
    staged = (out / "hub" / "two" / TRAIN).stat().st_ino
    done = push("two", "me/two", out, CREDITS)
    assert published(hub) == content(out / "hub" / "two")
    assert len(hub.repos["datasets/me/two"].commits) == 2
    assert hub.again == []  # no object was sent twice
    assert done.changed == (path != "/commit/main" or not late)
    assert (out / "hub" / "two" / TRAIN).stat().st_ino == staged


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({}, [1.0, 2.0, 4.0]),
        ({"Retry-After": "7"}, [7.0, 7.0, 7.0]),
        ({"Retry-After": "Fri, 21 Nov 2031 10:00:00 GMT"}, [1.0, 2.0, 4.0]),
        ({"RateLimit": '"api";r=0;t=55', "Retry-After": "7"}, [55.0, 55.0, 55.0]),
    ],
)
def test_a_server_is_waited_for_as_long_as_it_asks(
    hub: Hub, out: Path, headers: dict[str, str], waited: list[float]
) -> None:
    hub.fail("POST", "/repos/create", status=429, times=3, headers=headers)
    waits: list[float] = []
    push("two", "me/two", out, CREDITS, wait=waits.append)
    assert waits == waited


def test_a_server_that_asks_for_an_hour_is_not_waited_for(hub: Hub, out: Path) -> None:
    hub.fail("POST", "/preupload/", status=429, headers={"Retry-After": "3600"}, message="slow down")
    waits: list[float] = []
    with pytest.raises(RemoteError, match=r"too many requests; wait 3,600 s and push again \(HTTP 429: slow down\)"):
        push("two", "me/two", out, CREDITS, wait=waits.append)
    assert waits == []


def test_patience_has_an_end(hub: Hub, out: Path) -> None:
    hub.fail("GET", "/tree/", times=1000, cut=True)
    waits: list[float] = []
    with pytest.raises(RemoteError, match="out of reach"):
        push("two", "me/two", out, CREDITS, wait=waits.append)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_a_storage_that_keeps_failing_is_told_of_and_its_signed_address_is_not(
    hub: Hub, out: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hub.fail("PUT", "/lfs/", times=100, status=500)
    with pytest.raises(RemoteError, match="HTTP 500: it went wrong") as told:
        push("two", "me/two", out, CREDITS)
    shown = "".join([str(told.value), *capfd.readouterr(), caplog.text])
    assert "Signature" not in shown
    assert published(hub) == {}


def test_a_storage_that_refuses(hub: Hub, out: Path) -> None:
    hub.fail("PUT", "/lfs/", status=400, times=2, message="sha256 does not fit")
    with pytest.raises(RemoteError, match=r"the server refuses \(HTTP 400: sha256 does not fit\)"):
        push("two", "me/two", out, CREDITS)
    assert published(hub) == {}


def test_an_interrupted_push_does_not_encode_again(hub: Hub, out: Path) -> None:
    hub.fail("POST", "/commit/", times=6)
    with pytest.raises(RemoteError):
        push("two", "me/two", out, CREDITS)
    staged = (out / "hub" / "two" / TRAIN).stat().st_ino
    push("two", "me/two", out, CREDITS)
    assert (out / "hub" / "two" / TRAIN).stat().st_ino == staged


def test_a_stage_that_lost_its_manifest_or_a_file_is_made_again(hub: Hub, out: Path) -> None:
    stage = out / "hub" / "two"
    push("two", "me/two", out, CREDITS)
    before = content(stage)
    (stage / "manifest.json").unlink()
    (stage / "left.txt").write_text("of an older program")
    push("two", "me/two", out, CREDITS)
    assert content(stage) == before
    (stage / TRAIN).write_bytes(b"PAR1")
    push("two", "me/two", out, CREDITS)
    assert content(stage) == before


# ---- who may publish what, where


def test_the_owner_of_a_public_repository_is_asked_first(hub: Hub, out: Path) -> None:
    hub.add("me/two", {"README.md": b"mine"}, private=False)
    with pytest.raises(RemoteError, match=r"me/two on .* is public; say --public to publish there, or make it private"):
        push("two", "me/two", out, CREDITS)
    assert published(hub) == {"README.md": b"mine"}
    assert not push("two", "me/two", out, CREDITS, private=False).private


def test_what_is_private_is_not_said_to_be_public(hub: Hub, out: Path) -> None:
    hub.add("me/two", {}, private=True)
    with pytest.raises(RemoteError, match=r"is private; leave out --public to publish there, or make it public"):
        push("two", "me/two", out, CREDITS, private=False)
    assert published(hub) == {}


def test_public_on_request(hub: Hub, out: Path) -> None:
    assert not push("two", "team/two", out, CREDITS, private=False).private
    assert not hub.repos["datasets/team/two"].private


def test_a_listing_asks_no_server(hub: Hub, out: Path) -> None:
    told = listing("two", out, CREDITS, repo="me/two")
    assert hub.requests == []
    assert not (out / "hub").exists()
    push("two", "me/two", out, CREDITS)
    assert [(file.path, file.sha256) for file in told] == [(n, digest(d)) for n, d in sorted(published(hub).items())]
    assert listing("two", out, CREDITS, repo="me/two") == told
    with pytest.raises(RemoteError, match="must be owner/name"):
        listing("two", out, CREDITS, repo="two")


def test_a_token_that_may_write_to_a_repository_but_make_none(
    hub: Hub, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)  # as in a process that was started with HF_ENDPOINT
    hub.add("me/two", {}, private=True)
    hub.fail("POST", "/repos/create", status=403)
    assert push("two", "me/two", out, CREDITS).uploaded


@pytest.mark.parametrize(
    "repo", ["two", "me/", "/two", "a/b/c", "me/two words", "me/a--b", "me/-a", "我/two", "me/x.git"]
)
def test_a_repository_is_owner_and_name(hub: Hub, out: Path, repo: str) -> None:
    with pytest.raises(RemoteError, match=r"must be owner/name, .* as in me/alpaca-belle-cot"):
        push("two", repo, out, CREDITS)
    assert hub.requests == []


def test_not_logged_in(hub: Hub, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RemoteError, match="not logged in to the Hub: run `hf auth login`, or set HF_TOKEN"):
        push("two", "me/two", out, CREDITS)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "repo", "said"),
    [
        ("hf_nobody_knows_me", "me/two", "the token is not accepted; log in with `hf auth login`, or set HF_TOKEN"),
        (READER, "me/two", "this token may not write there; use one with write access to me, or"),
        (TOKEN, "stranger/two", "this token may not write there; use one with write access to stranger, or"),
    ],
)
def test_a_token_that_may_not(hub: Hub, out: Path, token: str, repo: str, said: str) -> None:
    with pytest.raises(RemoteError, match=f"{repo} on {hub.url}: {said}"):
        push("two", repo, out, CREDITS, token=token)
    assert hub.repos == {}


def test_a_repository_someone_else_changed_meanwhile(hub: Hub, out: Path) -> None:
    hub.fail("POST", "/commit/", status=412, message="A commit has happened since.")
    with pytest.raises(RemoteError, match=r"changed meanwhile; push again \(HTTP 412"):
        push("two", "me/two", out, CREDITS)


def test_a_server_that_is_no_hub(hub: Hub, out: Path) -> None:
    hub.fail("GET", "/revision/main", status=200, message="welcome")
    with pytest.raises(RemoteError, match="the server answers what the Hub would not"):
        push("two", "me/two", out, CREDITS)


def test_no_server_at_all(out: Path) -> None:
    with pytest.raises(
        RemoteError, match=r"me/two on http://127\.0\.0\.1:9: out of reach \(.*\); check the connection"
    ):
        push("two", "me/two", out, CREDITS, token=TOKEN, endpoint="http://127.0.0.1:9")


# ---- secrets


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500])
def test_a_server_that_prints_the_token_back_does_not_get_it_shown(
    hub: Hub, out: Path, status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hub.fail(
        "POST", "/commit/", status=status, times=6, message=f"Bearer {TOKEN} and\nhf_someOtherToken1 are not welcome"
    )
    with pytest.raises(RemoteError) as told:
        push("two", "me/two", out, CREDITS)
    shown = "".join([str(told.value), *capfd.readouterr(), caplog.text])
    assert "hf_" not in shown
    assert "Bearer *** and *** are not welcome" in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


@pytest.mark.parametrize("token", ["hf_two lines\n", "hf_ü", "hf_a b"])
def test_a_token_that_is_none_is_not_shown_either(hub: Hub, out: Path, token: str) -> None:
    with pytest.raises(RemoteError, match="the Hub token holds characters no token has") as told:
        push("two", "me/two", out, CREDITS, token=token)
    assert token not in str(told.value)


def test_the_token_is_in_no_file_and_goes_to_the_hub_alone(hub: Hub, out: Path, tmp_path: Path) -> None:
    push("two", "me/two", out, CREDITS)
    assert [path for path, data in content(tmp_path).items() if TOKEN.encode() in data] == []
    for request in hub.requests:
        assert ("authorization" in request.headers) == (request.method != "PUT"), request


# ---- as a process, and read back


def test_a_process_obeys_the_environment_and_datasets_reads_the_repository(hub: Hub, out: Path, tmp_path: Path) -> None:
    program = """
import json, sys
from pathlib import Path
import datasets
from pipeline.push import push
print(push("two", "me/two", Path(sys.argv[1]), {}, shard_bytes=1).where)
found = datasets.load_dataset("me/two")
print(json.dumps({split: rows.to_list() for split, rows in found.items()}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)],
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, rows = done.stdout.splitlines()
    assert where == f"{hub.url}/datasets/me/two"
    assert json.loads(rows) == {"train": ROWS, "holdout": [row(4)]}
    assert TOKEN not in done.stdout + done.stderr


# ---- the double keeps its own promises


def test_the_double_refuses_bytes_of_another_hash_or_size(hub: Hub) -> None:
    hub.add("me/two", {})
    place = f"{hub.url}/lfs/datasets/me/two/{digest(b'right')}"
    for announced, sent in ((5, b"wrong"), (6, b"right")):
        request = urllib.request.Request(f"{place}?size={announced}", data=sent, method="PUT")
        with pytest.raises(urllib.error.HTTPError) as told, urllib.request.urlopen(request):
            pass
        assert told.value.code == 400
        told.value.close()
    assert hub.repos["datasets/me/two"].objects == {}


def test_the_double_serves_ranges(hub: Hub) -> None:
    hub.add("me/two", {"a.txt": b"0123456789"})
    place = f"{hub.url}/datasets/me/two/resolve/main/a.txt"
    for asked, found in (("bytes=0-3", b"0123"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=3-99", b"3456789")):
        with urllib.request.urlopen(urllib.request.Request(place, headers={"Range": asked})) as answer:
            assert (answer.status, answer.read()) == (206, found)
