"""Publishing: what arrives is what was built, in one commit or not at all, and only what changed is sent."""

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hub import READER, TOKEN, Hub
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from published import CREDITS, mixture, row

from collectors.errors import ArtefactError, RemoteError
from pipeline import folder, tree
from pipeline.push import Published, push, write

# huggingface_hub 2.4 hands httpx2 the files it uploads by an argument that httpx2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TRAIN = "data/train-00000-of-00001.parquet"
HOLDOUT = "data/holdout-00000-of-00001.parquet"
ROWS = [row(1), row(2, "belle", "说出一种颜色。", "蓝色。"), row(3, answer="Red.")]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def content(place: Path) -> dict[str, bytes]:
    """The files of a folder by their paths in it."""
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def rows_of(place: Path, split: str) -> list[dict[str, object]]:
    files = sorted((place / "data").glob(f"{split}-*.parquet"))
    return [found for file in files for found in pq.ParquetFile(file).read().to_pylist()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A data folder that holds the mixture `two`."""
    mixture(tmp_path / "data", ROWS, [row(4)])
    return tmp_path / "data"


def published(hub: Hub, name: str = "me/two") -> dict[str, bytes]:
    """The files of a repository, without the one the Hub adds."""
    return {path: data for path, data in hub.files(name).items() if path != ".gitattributes"}


# ---- the tree


def test_the_tree_holds_the_rows_as_they_were_mixed(out: Path, tmp_path: Path) -> None:
    done = write("two", tmp_path / "tree", out, CREDITS)
    assert done.files == ("README.md", HOLDOUT, TRAIN, "manifest.json")
    assert rows_of(tmp_path / "tree", "train") == ROWS
    assert rows_of(tmp_path / "tree", "holdout") == [row(4)]


def test_every_reader_sees_plain_columns(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    found = pq.read_schema(tmp_path / "tree" / TRAIN)
    kinds = {field.name: str(field.type) for field in found}
    assert kinds["messages"] == "list<element: struct<role: string, content: string>>"
    assert (kinds["source"], kinds["license"], kinds["id"]) == ("string", "string", "string")
    assert (kinds["row"], kinds["part"], kinds["repeat"]) == ("uint64", "uint16", "uint32")


def test_datasets_reads_both_splits_of_a_local_tree(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    write("two", tmp_path / "tree", out, CREDITS)
    found = datasets.load_dataset(str(tmp_path / "tree"), cache_dir=str(tmp_path / "cache"))
    assert {split: rows.to_list() for split, rows in found.items()} == {"train": ROWS, "holdout": [row(4)]}


def test_the_manifest_names_the_files_and_no_machine(tmp_path: Path) -> None:
    recipe = {"about": "a b", "file": "/home/someone/mix.yaml", "parts": [{"raw": "~/raw", "suffix": "/ and so on"}]}
    mixture(tmp_path / "data", ROWS, recipe=recipe)
    write("two", tmp_path / "tree", tmp_path / "data", CREDITS)
    manifest = json.loads((tmp_path / "tree" / "manifest.json").read_text())
    data = (tmp_path / "tree" / TRAIN).read_bytes()
    assert manifest["files"][0] == {
        "path": TRAIN,
        "split": "train",
        "rows": 3,
        "bytes": len(data),
        "sha256": digest(data),
    }
    assert [entry["path"] for entry in manifest["files"]] == [TRAIN, "README.md"]
    assert manifest["recipe"] == {
        "about": "a b",
        "file": "mix.yaml",
        "parts": [{"raw": "raw", "suffix": "/ and so on"}],
    }
    for text in content(tmp_path / "tree").values():
        assert b"/home/" not in text
        assert str(tmp_path).encode() not in text


def test_equal_mixtures_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mixture(tmp_path / name, ROWS, [row(4)])
        write("two", tmp_path / name / "tree", tmp_path / name, CREDITS)
    assert content(tmp_path / "a" / "tree") == content(tmp_path / "b" / "tree")


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    per_file=st.integers(1, 7),
    bound=st.integers(1, 9000),
)
def test_shards_are_cut_by_bytes_and_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], per_file: int, bound: int
) -> None:
    out = tmp_path_factory.mktemp("cut")
    rows = [row(place, answer=digest(b"%d" % place) * (size // 64)) for place, size in enumerate(sizes)]
    mixture(out, rows, per_file=per_file)
    write("two", out / "tree", out, CREDITS, shard_bytes=bound)
    assert rows_of(out / "tree", "train") == rows
    names = sorted(path.name for path in (out / "tree" / "data").iterdir())
    assert names == [f"train-{place:05d}-of-{len(names):05d}.parquet" for place in range(len(names))]
    for name in names[:-1]:
        assert (out / "tree" / "data" / name).stat().st_size >= bound


def test_row_groups_are_bounded_so_that_memory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "GROUP_ROWS", 4)
    mixture(tmp_path, [row(place) for place in range(10)])
    write("two", tmp_path / "tree", tmp_path, CREDITS)
    found = pq.ParquetFile(tmp_path / "tree" / TRAIN).metadata
    assert [found.row_group(place).num_rows for place in range(found.num_row_groups)] == [4, 4, 2]
    assert [found["row"] for found in rows_of(tmp_path / "tree", "train")] == list(range(10))


def test_a_second_writing_leaves_the_folder_as_it_is(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    before = (tmp_path / "tree" / TRAIN).stat().st_ino
    write("two", tmp_path / "tree", out, CREDITS)
    assert (tmp_path / "tree" / TRAIN).stat().st_ino == before


def test_a_changed_mixture_replaces_the_tree(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    mixture(out, ROWS[:1])
    write("two", tmp_path / "tree", out, CREDITS)
    assert sorted(content(tmp_path / "tree")) == ["README.md", TRAIN, "manifest.json"]
    assert [path.name for path in tmp_path.glob("tree*")] == ["tree"]


@pytest.mark.parametrize("stranger", ["notes.txt", "data/mine.parquet", ".git/config"])
def test_a_folder_with_other_files_is_not_replaced(out: Path, tmp_path: Path, stranger: str) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    (tmp_path / "tree" / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / "tree" / stranger).write_text("mine")
    mixture(out, ROWS[:1])
    before = content(tmp_path / "tree")
    with pytest.raises(ArtefactError, match=f"tree: holds {stranger}, which no published mixture has written"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert content(tmp_path / "tree") == before


def test_a_mixture_itself_is_no_place_for_its_tree(out: Path) -> None:
    with pytest.raises(ArtefactError, match="name a new folder"):
        write("two", out / "mixes" / "two", out, CREDITS)
    assert (out / "mixes" / "two" / "train-00000.arrow").exists()


@pytest.mark.parametrize("beside", ["tree.old", "tree.part"])
def test_a_folder_beside_the_tree_that_is_not_ours_stays(out: Path, tmp_path: Path, beside: str) -> None:
    (tmp_path / beside).mkdir()
    (tmp_path / beside / "thesis.tex").write_text("mine")
    with pytest.raises(ArtefactError, match=r"is in the way and holds thesis\.tex; move it or name another folder"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert (tmp_path / beside / "thesis.tex").read_text() == "mine"


def test_a_place_below_a_file_is_told_in_one_line(out: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written: Not a directory"):
        write("two", tmp_path / "file" / "tree", out, CREDITS)


def test_a_full_disk_is_told_of_and_leaves_the_tree_that_was_there(out: Path, tmp_path: Path) -> None:
    write("two", tmp_path / "tree", out, CREDITS)
    before = content(tmp_path / "tree")
    mixture(out, [row(place, answer=digest(b"%d" % place)) for place in range(2000)])
    program = """
import resource, sys
from pathlib import Path
from collectors.errors import ArtefactError
from pipeline.push import write
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write("two", Path(sys.argv[1]), Path(sys.argv[2]), {})
except ArtefactError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "tree"), str(out)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "tree: cannot be written: " in said
    assert "File too large; nothing finished before was touched" in said
    assert said.count("\n") == 1
    assert content(tmp_path / "tree") == before


# ---- mixtures that cannot be published


def test_a_mixture_that_is_not_built(out: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ArtefactError, match=r"twoo is not built in .*; run: make mix MIX=twoo \(built: did you mean two\?\)"
    ):
        write("twoo", tmp_path / "tree", out, CREDITS)


def test_nothing_is_built_at_all(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"run: make mix MIX=two \(built: none is known\)"):
        write("two", tmp_path / "tree", tmp_path / "nowhere", CREDITS)


def test_an_unfinished_mixture(out: Path, tmp_path: Path) -> None:
    (out / "mixes" / "two" / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match="two: is unfinished; run: make mix MIX=two"):
        write("two", tmp_path / "tree", out, CREDITS)


def test_a_mixture_whose_files_were_touched(out: Path, tmp_path: Path) -> None:
    file = out / "mixes" / "two" / "train-00000.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=r"MIX=two again: train-00000\.arrow is not the file its manifest names"):
        write("two", tmp_path / "tree", out, CREDITS)
    file.unlink()
    with pytest.raises(ArtefactError, match=r"train-00000\.arrow is missing"):
        write("two", tmp_path / "tree", out, CREDITS)
    assert not (tmp_path / "tree").exists()


def test_a_manifest_that_tells_of_other_rows(out: Path, tmp_path: Path) -> None:
    place = out / "mixes" / "two"
    folder.write_manifest(place, {**(folder.manifest(place) or {}), "rows": {"train": 4, "holdout": 1}})
    with pytest.raises(ArtefactError, match="train holds 3 rows, its manifest tells of 4; run make mix MIX=two again"):
        write("two", tmp_path / "tree", out, CREDITS)


# ---- the Hub


def test_what_arrives_is_what_a_local_tree_holds(hub: Hub, out: Path, tmp_path: Path) -> None:
    done = push("two", "me/two", out, CREDITS)
    write("two", tmp_path / "tree", out, CREDITS)
    assert published(hub) == content(tmp_path / "tree") == content(out / "hub" / "two")
    assert done == Published(
        where=f"{hub.url}/datasets/me/two",
        files=("README.md", HOLDOUT, TRAIN, "manifest.json"),
        uploaded=("README.md", HOLDOUT, TRAIN, "manifest.json"),
        private=True,
    )
    assert hub.repos["datasets/me/two"].private


def test_a_push_is_these_calls(hub: Hub, out: Path) -> None:
    push("two", "me/two", out, CREDITS)
    head = hub.repos["datasets/me/two"].commits[0][0]
    sent = sorted(digest(data) for path, data in published(hub).items() if path.endswith(".parquet"))
    calls = [call.replace(f"/lfs/datasets/me/two/{oid}", "/lfs") for call in hub.calls() for oid in [call[-64:]]]
    assert calls[:6] == [
        "POST /api/repos/create",
        "GET /api/datasets/me/two/revision/main",
        f"GET /api/datasets/me/two/tree/{head}",
        "POST /api/validate-yaml",
        "POST /api/datasets/me/two/preupload/main",
        "POST /datasets/me/two.git/info/lfs/objects/batch",
    ]
    assert sorted(call[-64:] for call in hub.calls("PUT")) == sent
    assert calls[-1] == "POST /api/datasets/me/two/commit/main"
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
    assert done.skipped == (TRAIN,)
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
    before = {"README.md": b"mine", ".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
    hub.add("me/two", {"README.md": b"mine"}, private=True)
    hub.fail("POST", "/commit/", status=500, message="out of disk")
    with pytest.raises(RemoteError) as told:
        push("two", "me/two", out, CREDITS)
    assert str(told.value) == (f"me/two on {hub.url}: the server fails; push again later (HTTP 500: out of disk)")
    assert hub.files("me/two") == before
    assert len(hub.calls("PUT")) == 2

    hub.requests.clear()
    done = push("two", "me/two", out, CREDITS)
    assert len(done.uploaded) == 4
    assert hub.calls("PUT") == []
    assert published(hub) == content(out / "hub" / "two")


def test_a_commit_whose_answer_was_lost_is_found_done(hub: Hub, out: Path) -> None:
    hub.fail("POST", "/commit/", cut=True, late=True)
    with pytest.raises(RemoteError, match="out of reach"):
        push("two", "me/two", out, CREDITS)
    assert not push("two", "me/two", out, CREDITS).changed
    assert published(hub) == content(out / "hub" / "two")


ONE_PUSH = [
    ("POST", "/api/repos/create"),
    ("GET", "/revision/main"),
    ("POST", "/validate-yaml"),
    ("POST", "/commit/main"),
]


@pytest.mark.parametrize(("method", "path"), ONE_PUSH)
@pytest.mark.parametrize("late", [False, True])
def test_cut_at_any_request_the_next_push_completes(hub: Hub, out: Path, method: str, path: str, late: bool) -> None:
    hub.fail(method, path, cut=True, late=late)
    with pytest.raises(RemoteError, match="out of reach"):
        push("two", "me/two", out, CREDITS)
    push("two", "me/two", out, CREDITS)
    assert published(hub) == content(out / "hub" / "two")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have huggingface_hub try again without waiting first."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/tree/"), ("POST", "/preupload/"), ("POST", "/objects/batch"), ("PUT", "/lfs/")]
)
@pytest.mark.parametrize("how", [{"cut": True}, {"cut": True, "late": True}, {"status": 503}, {"status": 429}])
def test_what_may_be_repeated_is(hub: Hub, out: Path, method: str, path: str, how: dict[str, int]) -> None:
    hub.fail(method, path, **how)  # type: ignore[arg-type]  # the keywords have several types
    push("two", "me/two", out, CREDITS)
    assert published(hub) == content(out / "hub" / "two")


@pytest.mark.usefixtures("impatient")
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
    hub.fail("POST", "/commit/")
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


def test_public_on_request(hub: Hub, out: Path) -> None:
    assert not push("two", "team/two", out, CREDITS, private=False).private
    assert not hub.repos["datasets/team/two"].private


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
    hub.fail("POST", "/commit/", status=status, message=f"Bearer {TOKEN} and\nhf_someOtherToken1 are not welcome")
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
print(push("two", "me/two", Path(sys.argv[1]), {}).where)
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


def test_arrow_files_of_the_example_are_files_and_not_streams(out: Path) -> None:
    assert ipc.open_file(out / "mixes" / "two" / "train-00000.arrow").num_record_batches == 1
