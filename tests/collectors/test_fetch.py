"""fetch: upstream's files, each once, from the double of the Hub and a small GitHub, both on the loopback."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hub import READER, TOKEN, Hub
from huggingface_hub import constants
from serving import Clock, Fault, Served, serving

from collectors.catalog import Source, load
from collectors.download import Downloads
from collectors.errors import ArtefactError, RemoteError
from collectors.fetch import fetch
from collectors.fetched import NOTES, fetched
from collectors.files import claimed
from collectors.globs import matches
from pipeline.collect import corpus as built

ROOT = Path(__file__).resolve().parents[2]


def source(*origins: dict[str, Any]) -> Source:
    return Source.model_validate(
        {
            "title": "T",
            "about": "a",
            "homepage": "https://example.org/t",
            "origins": list(origins),
            "files": ["**/*.json*"],
            "lang": "EN",
            "task": "MT",
            "gen": "HG",
            "license": "MIT",
            "columns": {"instruction": "i", "output": "o"},
        }
    )


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as served:
        yield served


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address of the loopback where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def near_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """The double, for a huggingface_hub that was imported before it was there."""
    point(monkeypatch, hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return hub


def point(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


Bring = Callable[..., list[str]]


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """Fetch the source `s` to the folder `raw/s` without waiting anywhere; the lines that were said."""

    def call(*origins: dict[str, Any], **options: Any) -> list[str]:
        lines: list[str] = []
        clock = Clock()
        fetch({"s": source(*origins)}, tmp_path / "raw", say=lines.append, net=Downloads(clock.sleep), **options)
        return lines

    return call


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The raw folder of the source `s`."""
    return tmp_path / "raw" / "s"


PINNED = "761dc5bfbdeeffa89b8bff5d038781a4055f796a"
ROWS = {"github": "owner/name", "revision": PINNED, "paths": ["data/rows.json", "Data_数据/内 科#1.json"]}
FIRST = f"/owner/name/{PINNED}/data/rows.json"
SECOND = f"/owner/name/{PINNED}/Data_%E6%95%B0%E6%8D%AE/%E5%86%85%20%E7%A7%91%231.json"
THERE = {FIRST: b"[]" * 2_000_000, SECOND: b"{}"}


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, hidden ones aside."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder): path.read_bytes() for path in paths}
    return {name.as_posix(): data for name, data in names.items() if not any(step[0] == "." for step in name.parts)}


def resolved(hub: Hub) -> list[str]:
    """The files that the Hub was asked for."""
    return [call.split("/resolve/")[1].split("/", 1)[1] for call in hub.calls("GET") if "/resolve/" in call]


# --- GitHub -------------------------------------------------------------------------------------------------------


def test_github_once_and_not_again(github: Served, bring: Bring, place: Path) -> None:
    github.files = dict(THERE)
    lines = bring(ROWS, github=github.url)
    assert lines[0] == "fetching 2 files"
    assert sorted(lines[1:]) == ["s: Data_数据/内 科#1.json: 2 bytes", "s: data/rows.json: 4.0 MB"]
    assert files(place) == {"data/rows.json": b"[]" * 2_000_000, "Data_数据/内 科#1.json": b"{}"}
    assert sorted(github.paths) == sorted(THERE)
    github.asked.clear()
    assert bring(ROWS, github=github.url) == []
    assert github.asked == []


def test_what_came_is_noted_and_no_raw_file(github: Served, bring: Bring, place: Path) -> None:
    github.files = dict(THERE)
    bring(ROWS, github=github.url)
    notes = fetched(place)
    assert [one.summary() for one in notes.origins] == [
        {"github": "owner/name", "revision": PINNED, "commit": PINNED, "converted": False}
    ]
    (brought,) = notes.origins
    assert brought.files["data/rows.json"].sha256 == hashlib.sha256(THERE[FIRST]).hexdigest()
    found, unclaimed = claimed("s", source(ROWS), place)
    assert ([file.subset for file in found], unclaimed) == (["Data_数据/内 科#1.json", "data/rows.json"], [])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "is not there; mend the origin in catalog.yaml"),
        (401, "the server refuses; try again later"),
        (403, "the server refuses; try again later"),
        (500, "the server refuses; try again later"),
        (429, "the server refuses; try again later"),
    ],
)
def test_what_github_answers_is_told_and_the_rest_is_kept(
    github: Served, bring: Bring, place: Path, status: int, said: str
) -> None:
    github.files = dict(THERE)
    github.faults[FIRST] = [Fault(status=status)] * 9
    with pytest.raises(RemoteError) as caught:
        bring(ROWS, github=github.url)
    assert str(caught.value).startswith(f"s: owner/name@{PINNED}/data/rows.json: {said}")
    assert str(caught.value).endswith(f"(HTTP {status})")
    assert files(place) == {"Data_数据/内 科#1.json": b"{}"}
    github.faults.clear()
    github.asked.clear()
    bring(ROWS, github=github.url)
    assert github.paths == [FIRST]


def test_a_cut_answer_is_gone_on_from_by_the_next_run(github: Served, bring: Bring, place: Path) -> None:
    github.files = dict(THERE)
    github.faults[FIRST] = [Fault(cut=3_000_000)] + [Fault(status=500)] * 9
    with pytest.raises(RemoteError, match="HTTP 500"):
        bring(ROWS, github=github.url)
    assert "data/rows.json" not in files(place)
    github.faults.clear()
    github.asked.clear()
    bring(ROWS, github=github.url)
    assert github.ranges_asked() == ["bytes=3000000-"]
    assert files(place)["data/rows.json"] == THERE[FIRST]
    assert not (place / ".part").exists()


def test_github_out_of_reach(bring: Bring, place: Path, nobody: str) -> None:
    with pytest.raises(RemoteError, match=r"^s: owner/name@761\w+/(data/rows|Data_).*: out of reach .*--from DIR$"):
        bring(ROWS, github=nobody)
    assert files(place) == {}


def test_a_folder_that_cannot_be_written(tmp_path: Path, github: Served, bring: Bring) -> None:
    github.files = dict(THERE)
    (tmp_path / "raw").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"raw/s/\S+.*: cannot be written: Not a directory"):
        bring(ROWS, github=github.url)
    assert (tmp_path / "raw").read_text(encoding="utf-8") == "mine"


def test_a_file_that_the_user_has_put_there_is_taken(github: Served, bring: Bring, place: Path) -> None:
    github.files = dict(THERE)
    (place / "data").mkdir(parents=True)
    (place / "data" / "rows.json").write_bytes(b"mine")
    assert "s: data/rows.json is there already and taken as it is" in bring(ROWS, github=github.url)
    assert github.paths == [SECOND]
    assert files(place)["data/rows.json"] == b"mine"


def test_a_file_that_was_cut_on_the_disk_is_fetched_again(github: Served, bring: Bring, place: Path) -> None:
    github.files = dict(THERE)
    bring(ROWS, github=github.url)
    (place / "data" / "rows.json").write_bytes(b"[]")
    github.asked.clear()
    bring(ROWS, github=github.url)
    assert github.paths == [FIRST]
    assert files(place)["data/rows.json"] == THERE[FIRST]


@pytest.mark.parametrize("damage", ["{", "[]", '{"origins": [{}]}', "\udcff"])
def test_damaged_notes_are_none(github: Served, bring: Bring, place: Path, damage: str) -> None:
    github.files = dict(THERE)
    bring(ROWS, github=github.url)
    (place / NOTES).write_bytes(damage.encode("utf-8", "surrogateescape"))
    github.asked.clear()
    bring(ROWS, github=github.url)
    assert github.asked == []
    assert len(fetched(place).origins) == 1


# --- the Hub ------------------------------------------------------------------------------------------------------

HUB = {"hub": "them/rows", "paths": ["deep/rows.json", "rows.jsonl.gz"]}
HELD = {"deep/rows.json": b'{"i":"1"}\n', "rows.jsonl.gz": b"\x1f\x8b"}
LARGE = {"big.json.parquet": bytes(100_000)}  # kept as a large object, so its sha256 is announced


def test_the_hub_once_and_not_again(near_hub: Hub, bring: Bring, place: Path) -> None:
    repo = near_hub.add("them/rows", HELD)
    assert bring(HUB)[0] == "fetching 2 files, 12 bytes"
    assert files(place) == HELD
    assert [one.summary() for one in fetched(place).origins] == [
        {"hub": "them/rows", "revision": "main", "commit": repo.head, "converted": False}
    ]
    near_hub.requests.clear()
    assert bring(HUB) == []
    assert near_hub.calls() == []


def test_a_second_run_needs_no_network(near_hub: Hub, bring: Bring, nobody: str, monkeypatch: Any) -> None:
    near_hub.add("them/rows", HELD)
    bring(HUB)
    point(monkeypatch, nobody)
    assert bring(HUB) == []


def test_only_what_a_pattern_names_is_fetched(near_hub: Hub, bring: Bring, place: Path) -> None:
    held = {"train/a_x.json": b"1", "train/deep/b_x.json": b"2", "test/a_x.json": b"3", "train/c.md": b"4"}
    near_hub.add("them/rows", {**held, ".hidden/d_x.json": b"5"})
    for paths, found in (
        (["train/*_x.json"], {"train/a_x.json"}),
        (["**/*_x.json"], {"train/a_x.json", "train/deep/b_x.json", "test/a_x.json"}),
        (["train/**/*.json", "train/c.md"], {"train/a_x.json", "train/deep/b_x.json", "train/c.md"}),
        (["t[er]*/a_x.json"], {"train/a_x.json", "test/a_x.json"}),
    ):
        bring({"hub": "them/rows", "paths": paths})
        assert files(place) == {path: held[path] for path in sorted(found)}, paths
    near_hub.requests.clear()
    bring({"hub": "them/rows", "paths": ["t[er]*/a_x.json"]})
    assert near_hub.calls() == []


@pytest.mark.parametrize(
    ("pattern", "path", "named"),
    [
        ("**/*.json", "a.json", True),
        ("**/*.json", "a/b/c.json", True),
        ("*.json", "a/b.json", False),
        ("a/**", "a/b/c.json", True),
        ("**/*.json", ".cache/a.json", False),
        (".cache/*.json", ".cache/a.json", True),
        ("a/**/b/*.json", "a/b/c.json", True),
        ("a/**/b/*.json", "a/x/y/b/c.json", True),
        ("a/**/b/*.json", "a/c.json", False),
    ],
)
def test_patterns(pattern: str, path: str, named: bool) -> None:
    assert matches(path, pattern) is named


def test_a_revision_of_the_hub_is_asked_for(near_hub: Hub, bring: Bring, place: Path) -> None:
    repo = near_hub.add("them/rows", HELD)
    old = repo.head
    near_hub.add("them/rows", {"deep/rows.json": b"new"})
    near_hub.repos["datasets/them/rows"].commits.insert(0, repo.commits[0])
    bring({"hub": "them/rows", "revision": old, "paths": ["deep/rows.json"]})
    assert files(place) == {"deep/rows.json": HELD["deep/rows.json"]}


def test_another_revision_in_the_catalog_replaces_the_files(near_hub: Hub, bring: Bring, place: Path) -> None:
    repo = near_hub.add("them/rows", {"a.json": b"old", "b.json": b"same", "c.json": b"gone"})
    old = repo.head
    bring({"hub": "them/rows", "revision": old, "paths": ["*.json"]})
    near_hub.add("them/rows", {"a.json": b"newer", "b.json": b"same"})
    near_hub.requests.clear()
    bring({"hub": "them/rows", "paths": ["*.json"]})
    assert files(place) == {"a.json": b"newer", "b.json": b"same"}
    assert resolved(near_hub) == ["a.json"]


def test_a_file_the_hub_does_not_have(near_hub: Hub, bring: Bring, place: Path) -> None:
    near_hub.add("them/rows", HELD)
    for origin, said in (
        ({"hub": "them/rows", "paths": ["deep/row.json"]}, "has no file deep/row.json; did you mean deep/rows.json"),
        ({"hub": "them/rows", "paths": ["deep/*.csv"]}, "has no file deep/*.csv; it|known"),
        ({"hub": "them/none", "paths": ["none.json"]}, "is not there; mend the origin in catalog.yaml"),
        ({"hub": "them/rows", "revision": "v9", "paths": ["a.json"]}, "is not there; mend the origin"),
    ):
        with pytest.raises(RemoteError, match=r"^s: them/\w+@(main|v9): ") as caught:
            bring(origin)
        assert any(part in str(caught.value) for part in said.split("|"))
        assert "\n" not in str(caught.value)
    assert files(place) == {}


@pytest.mark.parametrize(("token", "status"), [(None, 401), (READER, 403)])
def test_a_gated_set_is_explained(
    near_hub: Hub, bring: Bring, monkeypatch: pytest.MonkeyPatch, token: str | None, status: int
) -> None:
    near_hub.add("them/rows", HELD, gated=True)
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(RemoteError) as caught:
        bring(HUB)
    end = f"accept the data set's terms on the Hub and set HF_TOKEN (HTTP {status})"
    assert str(caught.value).startswith("s: them/rows@main")
    assert str(caught.value).endswith(end)


def test_a_gated_set_with_a_token_that_may(near_hub: Hub, bring: Bring, place: Path) -> None:
    near_hub.add("me/rows", HELD, gated=True)
    bring({"hub": "me/rows", "paths": ["deep/rows.json"]})
    assert files(place) == {"deep/rows.json": HELD["deep/rows.json"]}


def test_the_token_goes_to_the_hub_only(near_hub: Hub, github: Served, bring: Bring, place: Path) -> None:
    near_hub.add("them/rows", HELD)
    github.files = {"/signed": HELD["deep/rows.json"], FIRST: b"[]"}
    near_hub.fail("GET", "/resolve/", status=302, headers={"Location": f"{github.url}/signed"})
    bring({**HUB, "paths": ["deep/rows.json"]}, {**ROWS, "paths": ["data/rows.json"]}, github=github.url)
    assert {request.headers.get("authorization") for request in near_hub.requests} == {f"Bearer {TOKEN}"}
    assert [headers.get("authorization") for _, headers in github.asked] == [None, None]
    assert files(place) == {"deep/rows.json": HELD["deep/rows.json"], "data/rows.json": b"[]"}


def test_a_cut_download_from_the_hub_is_gone_on_from(near_hub: Hub, bring: Bring, place: Path) -> None:
    near_hub.add("them/rows", LARGE)
    near_hub.fail("GET", "/resolve/", sent=60_000)
    near_hub.fail("GET", "/resolve/", status=503)
    near_hub.fail("GET", "/api/datasets/", status=500)
    bring({"hub": "them/rows", "paths": ["*.parquet"]})
    assert files(place) == LARGE
    asked = [request.headers.get("range") for request in near_hub.requests if "/resolve/" in request.path]
    assert asked == [None, "bytes=60000-", "bytes=60000-"]


@pytest.mark.parametrize("held", [HELD, LARGE])
def test_other_bytes_than_the_hub_announces_are_refused(
    near_hub: Hub, bring: Bring, place: Path, held: dict[str, bytes]
) -> None:
    near_hub.add("them/rows", held)
    name, data = next(iter(held.items()))
    near_hub.fail("GET", "/resolve/", body=b"x" * len(data))
    with pytest.raises(RemoteError, match=r"has the (git id|sha256) \w+ instead of \w+; it is not kept"):
        bring({"hub": "them/rows", "paths": [name]})
    assert files(place) == {}
    bring({"hub": "them/rows", "paths": [name]})
    assert files(place) == {name: data}


def test_what_is_in_the_cache_is_not_downloaded(near_hub: Hub, bring: Bring, place: Path, tmp_path: Path) -> None:
    repo = near_hub.add("them/rows", LARGE)
    (name,) = LARGE
    cached = tmp_path / "hf" / "hub" / "datasets--them--rows" / "snapshots" / repo.head / name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(LARGE[name])
    bring({"hub": "them/rows", "paths": [name]})
    assert (files(place), resolved(near_hub)) == (LARGE, [])


def test_another_file_of_that_name_is_not_written_over(near_hub: Hub, bring: Bring, place: Path) -> None:
    near_hub.add("them/rows", HELD)
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "rows.json").write_bytes(b"mine")
    with pytest.raises(ArtefactError, match=r"rows\.json: is there already, but is not them/rows@main's file; move it"):
        bring(HUB)
    assert files(place)["deep/rows.json"] == b"mine"
    (place / "deep" / "rows.json").write_bytes(HELD["deep/rows.json"])
    bring(HUB)
    assert resolved(near_hub) == ["rows.jsonl.gz"]


def test_the_hub_out_of_reach(near_hub: Hub, bring: Bring, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point(monkeypatch, nobody)
    with pytest.raises(RemoteError, match=r"^s: them/rows@main: out of reach .*--from DIR$") as caught:
        bring(HUB)
    assert "\n" not in str(caught.value)


# --- several origins and sources ----------------------------------------------------------------------------------


def test_origins_complement_each_other(near_hub: Hub, github: Served, bring: Bring, place: Path) -> None:
    near_hub.add("them/rows", HELD)
    near_hub.add("them/more", {"more.json": b"[]"})
    github.files = dict(THERE)
    bring(HUB, {"hub": "them/more", "paths": ["more.json"]}, ROWS, github=github.url)
    assert len(files(place)) == 5
    assert [next(iter(one.summary().values())) for one in fetched(place).origins] == [
        "them/rows",
        "them/more",
        "owner/name",
    ]


COPY = {"hub": "them/copy", "converted": True, "paths": ["*.json"]}


def test_the_next_choice_takes_the_place_of_one_that_fails(
    near_hub: Hub, github: Served, bring: Bring, place: Path
) -> None:
    github.files = {SECOND: b"{}"}  # the first file is gone
    near_hub.add("them/copy", {"copy.json": b"[1]"})
    lines = bring(ROWS, COPY, github=github.url)
    assert f"s: owner/name@{PINNED}/data/rows.json: is not there; mend the origin in catalog.yaml" in "\n".join(lines)
    assert "s: fetching them/copy@main instead" in lines
    # What had come from the first choice would stand twice.
    assert files(place) == {"copy.json": b"[1]"}
    assert [one.summary()["converted"] for one in fetched(place).origins] == [True]
    github.asked.clear()
    assert bring(ROWS, COPY, github=github.url) == []
    assert github.asked == []


def test_a_choice_that_can_be_had_is_not_looked_behind(
    near_hub: Hub, github: Served, bring: Bring, place: Path
) -> None:
    github.files = dict(THERE)
    bring(ROWS, COPY, github=github.url)
    assert near_hub.calls() == []


def test_the_error_of_the_last_choice_counts(near_hub: Hub, github: Served, bring: Bring, place: Path) -> None:
    github.files = {SECOND: b"{}"}
    with pytest.raises(RemoteError, match=r"^s: them/copy@main: is not there"):
        bring(ROWS, COPY, github=github.url)
    # What had begun to come from the first choice, if anything, is kept for the next run.
    assert files(place).keys() <= {"Data_数据/内 科#1.json"}


def test_files_of_one_name_lie_in_the_folders_of_their_origins(near_hub: Hub, bring: Bring, place: Path) -> None:
    near_hub.add("them/en", {"law.json": b"[1]"})
    near_hub.add("them/zh", {"law.json": b"[22]"})
    english = {"hub": "them/en", "into": "EN", "paths": ["law.json"]}
    chinese = {"hub": "them/zh", "into": "CN/all", "paths": ["*.json"]}
    assert bring(english, chinese, offline=True) == [
        "s: offline: missing EN/law.json, CN/all/*.json; run again without --offline"
    ]
    assert sorted(bring(english, chinese)[1:]) == ["s: CN/all/law.json: 4 bytes", "s: EN/law.json: 3 bytes"]
    assert files(place) == {"EN/law.json": b"[1]", "CN/all/law.json": b"[22]"}
    near_hub.requests.clear()
    assert bring(english, chinese) == []
    assert near_hub.calls() == []
    (place / "EN" / "law.json").unlink()
    bring(english, chinese)
    assert files(place) == {"EN/law.json": b"[1]", "CN/all/law.json": b"[22]"}
    assert len(resolved(near_hub)) == 1
    # Laid elsewhere, it is another file: the old one would stand twice.
    bring({**english, "into": "English"}, chinese)
    assert files(place) == {"English/law.json": b"[1]", "CN/all/law.json": b"[22]"}


def alike(count: int, **fields: str) -> bytes:
    """Rows as the ancestor formats them."""
    row = {"instruction": "Say it.", "input": "", "output": "It.", **fields}
    return json.dumps([row] * count).encode()


COT = "flan/v2/cot_data"
ANCESTOR = "QingyiSi/Alpaca-CoT"
FALLS: dict[str, tuple[dict[str, dict[str, bytes]], dict[str, bytes], str | None, dict[str, tuple[str, int]]]] = {
    "gpt4tools": (
        {ANCESTOR: {"gpt4tools/gpt4tools.json": alike(3)}},
        {},
        f"gpt4tools: fetching {ANCESTOR}@main instead",
        {"gpt4tools/gpt4tools.json": ("EN", 3)},
    ),
    "csl, from Linly": (
        {"P01son/instructions": {"CSL/csl.json": alike(2)}},
        {},
        "csl: fetching P01son/instructions@main instead",
        {"CSL/csl.json": ("CN", 2)},
    ),
    "csl, from the ancestor": (
        {ANCESTOR: {"CSL/csl.json": alike(2)}},
        {},
        f"csl: fetching {ANCESTOR}@main instead",
        {"CSL/csl.json": ("CN", 2)},
    ),
    "instinwild": (
        {ANCESTOR: {"instinwild/instinwild_en.json": alike(2), "instinwild/instinwild_ch.json": alike(1)}},
        {},
        None,
        {"instinwild/instinwild_ch.json": ("CN", 1), "instinwild/instinwild_en.json": ("EN", 2)},
    ),
    "cot, with the translation": (
        {ANCESTOR: {"Chain-of-Thought/CoT_Chinese_data.json": alike(2)}},
        {COT: b"q\ta\tr\n"},
        None,
        {"Chain-of-Thought/CoT_Chinese_data.json": ("CN", 2), f"{COT}/aqua_train.tsv": ("EN", 1)},
    ),
    "cot, without": (
        {},
        {COT: b"q\ta\tr\n"},
        "cot: fetching google-research/FLAN@e9e4ec6e2701182c7a91af176f705310da541277 instead",
        {f"{COT}/aqua_train.tsv": ("EN", 1)},
    ),
    "hc3": (
        {
            "Hello-SimpleAI/HC3": dict.fromkeys(
                ["finance.jsonl", "medicine.jsonl", "open_qa.jsonl", "reddit_eli5.jsonl", "wiki_csai.jsonl"],
                b'{"question": "Why?", "human_answers": ["So."], "chatgpt_answers": []}\n',
            ),
            "Hello-SimpleAI/HC3-Chinese": {
                f"{name}.jsonl": b'{"question": "?", "human_answers": ["1", "2"], "chatgpt_answers": []}\n'
                for name in ("baike", "finance", "law", "medicine", "nlpcc_dbqa", "open_qa", "psychology")
            },
        },
        {},
        None,
        {"HC3/finance.jsonl": ("EN", 1), "HC3-Chinese/finance.jsonl": ("CN", 2), "HC3-Chinese/law.jsonl": ("CN", 2)},
    ),
}


@pytest.mark.parametrize(("title", "there"), FALLS.items(), ids=FALLS.keys())
def test_a_shipped_source_builds_from_what_can_be_had(
    near_hub: Hub, github: Served, tmp_path: Path, title: str, there: Any
) -> None:
    on_hub, on_github, said, expected = there
    name = title.split(",")[0]
    shipped = load(ROOT / "catalog.yaml")
    for repository, held in on_hub.items():
        near_hub.add(repository, held)
    for origin in shipped.sources[name].origins if on_github else []:
        paths = [path for path in origin.paths if origin.github and path.startswith(tuple(on_github))]
        github.files |= {f"/{origin.github}/{origin.revision}/{path}": on_github[COT] for path in paths}
    lines: list[str] = []
    only = {name: shipped.sources[name]}
    fetch(only, tmp_path / "raw", say=lines.append, net=Downloads(Clock().sleep), github=github.url)
    assert ([line for line in lines if line.endswith(" instead")] or [None])[-1] == said
    (done,) = built(shipped, [name], tmp_path / "raw", tmp_path / "data", workers=1)
    shards = [pl.read_ipc(shard) for shard in sorted(done.folder.glob("*.arrow"))]
    counts = pl.concat(shards).with_columns(pl.col("subset", "lang").cast(pl.String)).group_by("subset", "lang").len()
    found = {subset: (lang, rows) for subset, lang, rows in counts.iter_rows()}
    assert found.items() >= expected.items()
    assert done.manifest["unclaimed"] == []
    assert done.manifest["rejected"] == {}
    assert any(one["converted"] for one in done.manifest["origins"]) is (name in {"gpt4tools", "csl", "instinwild"})
    near_hub.requests.clear()
    github.asked.clear()
    fetch(only, tmp_path / "raw", say=lines.append, github=github.url)
    assert (near_hub.calls(), github.asked) == ([], [])


def test_choices_of_a_source() -> None:
    a, b = {"hub": "a/a", "paths": ["a"]}, {"github": "b/b", "paths": ["b"]}
    choices = source(a, b, {**a, "instead": True}, b, {**a, "converted": True}, {**b, "converted": True}).alternatives
    assert [[origin.hub or origin.github for origin in choice] for choice in choices] == [
        ["a/a", "b/b"],
        ["a/a", "b/b"],
        ["a/a", "b/b"],
    ]


def test_a_source_without_an_origin(bring: Bring) -> None:
    with pytest.raises(RemoteError, match=r"^s: the catalog names no origin; give the files with --from DIR$"):
        bring()


def test_one_source_that_fails_does_not_keep_the_others_from_coming(
    near_hub: Hub, github: Served, tmp_path: Path
) -> None:
    near_hub.add("them/rows", HELD)
    sources = {"a": source({"hub": "no/a", "paths": ["x"]}), "b": source(HUB), "c": source()}
    with pytest.raises(RemoteError, match=r"^a: no/a@main: .* \(and 1 more sources that could not be had\)$"):
        fetch(sources, tmp_path, say=lambda _: None)
    assert files(tmp_path / "b") == HELD


def test_the_disk_is_asked_for_all_of_it_before(
    near_hub: Hub, bring: Bring, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near_hub.add("them/rows", {"a.json": bytes(700_000), "b.json": bytes(700_000)})
    free = 64 * 2**20 + 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - free, free))
    with pytest.raises(ArtefactError, match=r"^fetch: 2 files: needs 1\.4 MB more on the disk of .*; free some space"):
        bring({"hub": "them/rows", "paths": ["*.json"]})
    assert (files(place), resolved(near_hub)) == ({}, [])


# --- offline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", [False, True])
def test_offline_takes_what_is_there_and_says_what_is_not(
    near_hub: Hub, bring: Bring, place: Path, variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    near_hub.add("them/rows", HELD)
    options = {"offline": not variable}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", variable)
    missing = "s: offline: missing deep/rows.json, rows.jsonl.gz; run again without --offline"
    assert bring(HUB, **options) == [missing]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    bring(HUB)
    (place / "deep" / "rows.json").unlink()
    near_hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", variable)
    assert bring(HUB, **options) == ["s: offline: missing deep/rows.json; run again without --offline"]
    (place / "deep" / "rows.json").write_bytes(b"mine")
    (said,) = bring(HUB, **options)
    assert said.endswith("is taken as it is, not compared with upstream")
    assert near_hub.calls() == []
    assert json.loads((place / NOTES).read_text(encoding="utf-8"))["origins"][0]["commit"]


# --- the command --------------------------------------------------------------------------------------------------

LINES = b"".join(b'{"i": "Say %d.", "o": "%d"}\n' % (number, number) for number in range(50))

KILLED = """
import os, signal, sys
from pathlib import Path
from collectors.catalog import load
from collectors.download import Downloads
from collectors.fetch import fetch
dying = Downloads(lambda _: os.kill(os.getpid(), signal.SIGKILL))
fetch(load(Path(sys.argv[1])).sources, Path(sys.argv[2]), net=dying, github=sys.argv[3])
"""


def catalog(path: Path, **changes: Any) -> Path:
    """A catalog file of one source `s`, from the Hub where nothing else is said."""
    entry = source(HUB).model_dump(mode="json", exclude_defaults=True)
    origins = [{"hub": "them/rows", "paths": ["rows.json"]}]
    path.write_text(yaml.safe_dump({"sources": {"s": {**entry, "origins": origins, **changes}}}), encoding="utf-8")
    return path


def corpus(catalog: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, run as a user does; HF_ENDPOINT is in the environment."""
    named = ["--catalog", str(catalog), "--out", str(out), "--workers", "1"]
    command = [sys.executable, "-m", "pipeline", "corpus", "--from", "hub", *named, *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_a_run_that_was_killed_is_gone_on_from(github: Served, tmp_path: Path) -> None:
    github.files = dict(THERE)
    github.faults[FIRST] = [Fault(cut=3_000_000)]
    known = catalog(tmp_path / "catalog.yaml", origins=[ROWS])
    words = [sys.executable, "-c", KILLED, str(known), str(tmp_path / "raw"), github.url]
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    killed = subprocess.run(words, cwd=ROOT, env=online, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "raw" / "s" / ".part" / "data" / "rows.json.part").stat().st_size == 3_000_000
    github.asked.clear()
    fetch({"s": source(ROWS)}, tmp_path / "raw", github=github.url)
    assert [headers["range"] for path, headers in github.asked if path == FIRST] == ["bytes=3000000-"]
    assert files(tmp_path / "raw" / "s")["data/rows.json"] == THERE[FIRST]


def test_the_command_fetches_once_and_notes_where_from(hub: Hub, tmp_path: Path) -> None:
    repo = hub.add("them/rows", {"rows.json": LINES})
    known = catalog(tmp_path / "catalog.yaml")
    for up_to_date in ("", " (up to date)"):
        done = corpus(known, tmp_path / "data")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == f"s: 50 raw rows, 50 records{up_to_date}"
        assert len(resolved(hub)) == 1
    manifest = json.loads((tmp_path / "data" / "records" / "s" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["origins"] == [{"hub": "them/rows", "revision": "main", "commit": repo.head, "converted": False}]
    assert manifest["unclaimed"] == []
    hub.requests.clear()
    assert corpus(known, tmp_path / "data", "--offline", "--strict").returncode == 0
    assert hub.calls() == []


def test_without_a_network_the_command_says_so_in_a_line(
    hub: Hub, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", nobody)
    done = corpus(catalog(tmp_path / "catalog.yaml"), tmp_path / "data")
    assert done.returncode == 2
    assert done.stderr.startswith("suri: error: s: them/rows@main: out of reach (")
    assert len(done.stderr.splitlines()) == 1
    offline = corpus(catalog(tmp_path / "catalog.yaml"), tmp_path / "data", "--offline")
    assert offline.returncode == 2
    assert offline.stdout == "s: offline: missing rows.json; run again without --offline\n"
    assert len(offline.stderr.splitlines()) == 1


DRIFT = [
    ({"rows": 50}, []),
    ({"rows": 49, "tolerance": 0.05}, []),
    ({"rows": 40}, ["warning: s: 50 raw rows, the catalog expects 40 within 1%"]),
    ({"rows": 50, "columns": {"instruction": "i", "output": "answer"}}, ["lack a field that the catalog names"]),
]


@pytest.mark.parametrize(("changes", "said"), DRIFT)
def test_drift_is_a_warning_and_when_strict_an_error(
    hub: Hub, tmp_path: Path, changes: dict[str, Any], said: list[str]
) -> None:
    hub.add("them/rows", {"rows.json": LINES})
    known = catalog(tmp_path / "catalog.yaml", **changes)
    done = corpus(known, tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("the catalog" in done.stdout) is bool(said)
    assert all(line in done.stdout for line in said)
    strict = corpus(known, tmp_path / "data", "--strict")
    assert strict.returncode == (2 if said else 0)
    assert len(strict.stderr.splitlines()) == len(said)


def test_an_interrupt_ends_the_run_while_it_waits_for_a_server(hub: Hub, tmp_path: Path) -> None:
    hub.add("them/rows", {"rows.json": LINES})
    arrived = threading.Event()
    hub.fail("GET", "/resolve/", status=429, headers={"Retry-After": "59"}, seen=arrived)
    words = ["--catalog", str(catalog(tmp_path / "catalog.yaml")), "--out", str(tmp_path / "data"), "--workers", "1"]
    command = [sys.executable, "-m", "pipeline", "corpus", "--from", "hub", *words]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        assert arrived.wait(60)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGINT
    assert said == "suri: interrupted; run the same command again to go on\n"
