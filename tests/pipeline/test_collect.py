"""collect: the same bytes whoever builds them and however often it is cut, honest books, shards that others read."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import xxhash
from collecting import BELLE, ROOT, arguments, lay, lines, moments, row, run, tree

from collectors import record
from collectors.catalog import load
from collectors.errors import SourceError
from pipeline.collect import Collected, corpus

CATALOG = load(ROOT / "catalog.yaml")
MANY = 150_000
SECONDS = 60.0
"""The longest a test waits for a process; it is there so that a defect fails and does not hang."""


def built(raw: Path, out: Path, source: str = "belle", *, workers: int = 1, limit: int | None = None) -> Collected:
    (done,) = corpus(CATALOG, [source], raw, out, workers=workers, limit=limit)
    return done


def records(folder: Path) -> list[dict[str, Any]]:
    return [one for shard in sorted(folder.glob("*.arrow")) for one in pl.read_ipc(shard).to_dicts()]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder with rows for several blocks, of which some are bad, as lines and as an array."""
    raw = tmp_path_factory.mktemp("many") / "raw"
    rows = [row(number) | ({"output": ""} if number % 1000 == 7 else {}) for number in range(MANY)]
    bad = [b'{"instruction": "cut\n', b"\n", b'{"instruction": 5, "output": "\\ud83d"}\n']
    body = lines(rows[: MANY // 2]) + b"".join(bad) + lines(rows[MANY // 2 :])
    array = b"[" + b",\n".join(lines(rows[:MANY]).split(b"\n")[:-1]) + b"]"
    return lay(raw, "belle", {BELLE: body, "train_1M_CN.json": array, "note.txt": b"not a row"})


@pytest.fixture(scope="module")
def undisturbed(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed") / "data"
    built(many, out)
    return out


# --- determinism --------------------------------------------------------------------------------------------------


def test_the_bytes_do_not_depend_on_the_workers(many: Path, undisturbed: Path, tmp_path: Path) -> None:
    built(many, tmp_path / "data", workers=2)
    there = tree(tmp_path / "data" / "records")
    assert there == tree(undisturbed / "records")
    assert len([name for name in there if name.endswith(".arrow")]) > 3


def test_the_bytes_do_not_depend_on_the_place_or_the_time(many: Path, undisturbed: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    for path in (many / "belle").iterdir():
        lay(other, "belle", {path.name: path.read_bytes()})
        os.utime(other / "belle" / path.name, (1, 1))
    built(other, tmp_path / "data")
    assert tree(tmp_path / "data" / "records") == tree(undisturbed / "records")


def test_a_gzip_gives_the_records_of_the_plain_file(many: Path, undisturbed: Path, tmp_path: Path) -> None:
    packed = {path.name: gzip.compress(path.read_bytes(), 1) for path in (many / "belle").glob("*.json")}
    raw = lay(tmp_path / "raw", "belle", packed)
    built(raw, tmp_path / "data", workers=2)
    there, here = (tree(out / "records", without=("manifest.json",)) for out in (undisturbed, tmp_path / "data"))
    assert here == there


def test_books_and_lineage_over_several_blocks(undisturbed: Path) -> None:
    folder = undisturbed / "records" / "belle"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [(one["path"], one["rows"]) for one in manifest["files"]] == [("train_1M_CN.json", MANY), (BELLE, MANY + 2)]
    assert manifest["rejected"] == {"empty output": 2 * MANY // 1000, "unparsable": 2}
    assert manifest["raw_rows"] == 2 * MANY + 2 == manifest["rows_with_records"] + sum(manifest["rejected"].values())
    assert (manifest["dropped_parts"], manifest["dropped_turns"], manifest["limit"]) == ({}, {}, None)
    assert manifest["unclaimed"] == ["note.txt"]
    frame = pl.concat([pl.read_ipc(shard) for shard in sorted(folder.glob("*.arrow"))])
    assert manifest["records"] == frame.height == frame.select("subset", "row", "part").n_unique()
    for subset, gap in (("train_1M_CN.json", MANY), (BELLE, MANY // 2)):
        read = frame.filter(pl.col("subset").cast(pl.String) == subset)
        numbers = read["instruction"].str.extract(r"(\d+)").cast(pl.UInt64)
        shifted = read.select(pl.col("row") - 3 * (pl.col("row") >= gap + 3).cast(pl.UInt64))["row"]
        assert shifted.to_list() == numbers.to_list()
        assert read["row"].is_sorted()
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_bytes().splitlines()]
    assert [(one["file"], one["row"], one["reason"]) for one in rejects if one["reason"] == "unparsable"] == [
        (BELLE, MANY // 2, "unparsable"),
        (BELLE, MANY // 2 + 2, "unparsable"),
    ]


@pytest.mark.parametrize("limit", [1, 7, 70_000, 10**6])
def test_a_limit_is_a_prefix_of_every_file(many: Path, undisturbed: Path, tmp_path: Path, limit: int) -> None:
    found = built(many, tmp_path / "data", limit=limit).manifest
    assert found["limit"] == limit
    assert [one["rows"] for one in found["files"]] == [min(limit, MANY), min(limit, MANY + 2)]
    whole = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (many / "belle").glob("*.json")}
    assert {one["path"]: one["sha256"] for one in found["files"]} == whole
    if limit < 10:
        ids = {(one["subset"], one["row"]): one["id"] for one in records(undisturbed / "records" / "belle")}
        taken = records(tmp_path / "data" / "records" / "belle")
        assert len(taken) == 2 * limit
        assert all(ids[one["subset"], one["row"]] == one["id"] for one in taken)


# --- shards that others read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["belle", "hh_rlhf", "chinese_medical", "cot", "pclue"])
def test_every_shard_has_exactly_the_schema(tmp_path: Path, source: str) -> None:
    folder = built(ROOT / "collectors" / "samples", tmp_path / "data", source).folder
    for shard in folder.glob("*.arrow"):
        with pa.memory_map(str(shard)) as opened:
            reader = pa.ipc.open_file(opened)
            assert reader.schema == record.SCHEMA
            reader.read_all().validate(full=True)


def test_datasets_and_polars_read_the_shards_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import load_dataset

    folder = built(ROOT / "collectors" / "samples", tmp_path / "data", "hh_rlhf").folder
    shards = sorted(map(str, folder.glob("*.arrow")))
    loaded = load_dataset("arrow", data_files=shards, split="train", cache_dir=str(tmp_path / "cache"))
    scanned = pl.scan_ipc(shards).collect()
    assert loaded.column_names == record.SCHEMA.names == scanned.columns
    assert [list(one.values()) for one in loaded] == [list(one.values()) for one in scanned.to_dicts()]
    assert scanned.height == loaded.num_rows > 0


TALK = [("human", "甲"), ("gpt", "乙"), ("human", "丙"), ("gpt", "丁"), ("human", "戊"), ("gpt", "己")]
PACKED = "Human:q\nAssistant:a\nHuman:r\nAssistant:"

# Each row with its id, which `identity` below finds too: framed as the record's contract says, hashed by xxhash alone.
GOLDEN = [
    ({"instruction": "a", "input": "", "output": "b"}, "a0512f8c96de068830b50a9ebbd7bd91"),
    ({"instruction": "a", "input": "b", "output": "c"}, "5b7d8c9201f7708588eac6c10f9235cb"),
    ({"instruction": "ab", "input": "", "output": "c"}, "80adaf30dfa1b46181e8704cb54a93d2"),
    ({"instruction": "你好", "input": "", "output": "早"}, "2821570afc1cd5b4530aa184b7d8663a"),
    ({"instruction": "😀", "input": "e\u0301", "output": "é"}, "b03929ed996a72036afa074ea53dced0"),
    ({"instruction": "1:a,", "input": "-,", "output": "0:,"}, "7d38bad196443d3d460157283d842d26"),
    ({"instruction": "line\nbreak", "input": "tab\there", "output": "nul\u0000"}, "1d6d5dbf64e0a2880595ac2d889ae94f"),
    ({"instruction": PACKED, "input": "", "output": "b"}, "d46649e1915f3faad071fd6fdc973806"),
    ({"conversations": [{"from": who, "value": said} for who, said in TALK]}, "faebf46b3b832ee54959fcaae5adf95a"),
    ({"instruction": "x" * 70_000, "input": "", "output": "y" * 300}, "f23c33778a9a4b3e28dfe427c4ffad6c"),
]  # fmt: skip


def identity(one: dict[str, Any]) -> str:
    """A record's id by plain Python."""

    def frame(text: str | None) -> str:
        return "-," if text is None else f"{len(text.encode())}:{text},"

    turns = "".join(frame(turn["user"]) + frame(turn["assistant"]) for turn in one["history"])
    texts = [one[name] for name in ("instruction", "input", "rationale", "output", "rejected")]
    framed = frame(one["system"]) + frame(turns) + "".join(map(frame, texts))
    return xxhash.xxh3_128_hexdigest(framed.encode(), seed=0)


def test_ten_ids_stay_what_they_are(tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines(one for one, _ in GOLDEN)})
    found = records(built(raw, tmp_path / "data").folder)
    assert [identity(one) for one in found] == [one["id"] for one in found]
    assert [one["id"] for one in found] == [digest for _, digest in GOLDEN]


# --- again, and after a change ------------------------------------------------------------------------------------


def test_a_second_run_rewrites_nothing(tmp_path: Path) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    assert built(raw, out).fresh
    before = moments(out / "records")
    again = built(raw, out, workers=2)
    assert not again.fresh
    assert again.manifest["records"] == 5
    assert moments(out / "records") == before
    (out / ".hashes.json").unlink()
    os.utime(raw / "belle" / BELLE, (5, 5))
    assert not built(raw, out).fresh
    assert moments(out / "records") == before


def test_a_second_run_says_so(tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5))), "note.txt": b"x"})
    said = [run(arguments(raw, tmp_path / "data", "belle")) for _ in range(2)]
    assert [(one.returncode, one.stderr) for one in said] == [(0, ""), (0, "")]
    assert said[0].stdout == "belle: 5 raw rows, 5 records, unclaimed note.txt\n"
    assert said[1].stdout == "belle: 5 raw rows, 5 records, unclaimed note.txt (up to date)\n"


def test_every_change_of_what_goes_in_builds_again(tmp_path: Path) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    prints = {built(raw, out).manifest["fingerprint"]}

    def changed(done: Collected, count: int) -> None:
        assert done.fresh
        assert len(records(done.folder)) == done.manifest["records"] == count
        assert done.manifest["fingerprint"] not in prints
        prints.add(done.manifest["fingerprint"])

    changed(built(raw, out, limit=3), 3)
    lay(raw, "belle", {BELLE: lines(map(row, range(1, 6)))})  # as many bytes, later
    os.utime(raw / "belle" / BELLE, ns=(1, 1))
    changed(built(raw, out), 5)
    lay(raw, "belle", {"train_1M_CN.json": lines(map(row, range(2)))})
    changed(built(raw, out), 7)
    (raw / "belle" / BELLE).rename(raw / "belle" / "train_3M_CN.json")
    changed(built(raw, out), 7)
    source = CATALOG.sources["belle"].model_copy(update={"license": "MIT"})
    other = CATALOG.model_copy(update={"sources": {"belle": source}})
    (done,) = corpus(other, ["belle"], raw, out, workers=1)
    changed(done, 7)
    assert {one["license"] for one in records(done.folder)} == {"MIT"}


def test_a_file_that_no_glob_claims_changes_nothing(tmp_path: Path) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    built(raw, out)
    lay(raw, "belle", {"SOURCE.md": b"words"})
    assert not built(raw, out).fresh


def test_a_folder_without_a_manifest_is_redone(tmp_path: Path) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    folder = built(raw, out).folder
    before = tree(folder)
    (folder / "manifest.json").unlink()
    (folder / "00007.arrow").write_bytes(b"left from another time")
    assert built(raw, out).fresh
    assert tree(folder) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path, workers: int) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    built(raw, out)
    before = tree(out / "records")
    lay(raw, "belle", {BELLE: lines(map(row, range(100_000))) + b'{"instruction": "cut'})
    with pytest.raises(SourceError, match=r"ends in the middle of row 100000; the file is cut short"):
        built(raw, out, workers=workers)
    assert tree(out / "records", without=(".part",)) == before
    lay(raw, "belle", {BELLE: lines(map(row, range(5)))})
    assert not built(raw, out).fresh


# --- interruption -------------------------------------------------------------------------------------------------


def started(command: list[str], part: Path) -> subprocess.Popen[str]:
    """A run that has written its first shards."""
    running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + SECONDS
    while not any(part.glob("*.arrow")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
    return running


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_is_completed_by_the_next(many: Path, undisturbed: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "data"
    command = arguments(many, out, "belle", workers=workers)
    with started(command, out / "records" / "belle.part") as running:
        running.kill()
    assert not (out / "records" / "belle").exists()
    assert (out / "records" / "belle.part").exists()
    done = run(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(out / "records") == tree(undisturbed / "records")
    assert [path.name for path in (out / "records").iterdir()] == ["belle"]


def test_a_killed_rebuild_leaves_the_old_records(many: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    built(many, out, limit=10)
    before = tree(out / "records")
    command = arguments(many, out, "belle", workers=2)
    with started(command, out / "records" / "belle.part") as running:
        running.kill()
    assert tree(out / "records", without=(".part",)) == before
    assert run(command).returncode == 0
    assert tree(out / "records") == tree(undisturbed / "records")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_says_one_line(many: Path, tmp_path: Path, workers: int) -> None:
    command = arguments(many, tmp_path / "data", "belle", workers=workers)
    with started(command, tmp_path / "data" / "records" / "belle.part") as running:
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
        _, said = running.communicate()
    assert running.returncode == 128 + signal.SIGINT
    assert said == "suri: interrupted; run the same command again to go on\n"


def test_a_run_cut_between_its_two_renames_is_mended(tmp_path: Path) -> None:
    raw, out = lay(tmp_path / "raw", "belle", {BELLE: lines(map(row, range(5)))}), tmp_path / "data"
    folder = built(raw, out).folder
    before, place = moments(folder), folder.with_name("belle.old")
    folder.rename(place)
    lay(out / "records", "belle.part", {"manifest.json": b"{}"})
    assert not built(raw, out).fresh
    assert moments(folder) == before
    assert not place.exists()


# --- memory -------------------------------------------------------------------------------------------------------

MEASURE = """
import os, sys, threading
from pathlib import Path
from collectors.catalog import load
from pipeline.collect import corpus

def resident(process):
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)

def descendants(process):
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return [process]
    return [process] + [one for child in children for one in descendants(child)]

if __name__ == "__main__":
    peak, done = 0, threading.Event()
    def watch():
        global peak
        while not done.wait(0.02):
            peak = max(peak, sum(map(resident, descendants(os.getpid()))))
    watching = threading.Thread(target=watch)
    watching.start()
    corpus(load(Path(sys.argv[1])), ["belle"], Path(sys.argv[2]), Path(sys.argv[3]), workers=2)
    done.set()
    watching.join()
    print(peak)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs /proc")
def test_300_megabytes_are_built_in_less_than_one_gigabyte(tmp_path: Path) -> None:
    piece = lines(
        {"instruction": f"{number} " * 20, "input": "", "output": "字" * (number % 500)} for number in range(9000)
    )
    path = tmp_path / "raw" / "belle" / BELLE
    path.parent.mkdir(parents=True)
    with path.open("wb") as handle:
        for _ in range(300_000_000 // len(piece) + 1):
            handle.write(piece)
    program = tmp_path / "measure.py"
    program.write_text(MEASURE, encoding="utf-8")
    command = [sys.executable, str(program), str(ROOT / "catalog.yaml"), str(tmp_path / "raw"), str(tmp_path / "data")]
    done = run(command, {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 1_000_000_000
