"""judge as a whole: books, order, incremental runs, kills, and folders that are not what they should be."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from collecting import BELLE, ROOT, arguments, lay, lines, run, tree

from collectors.catalog import load
from collectors.errors import ArtefactError, SourceError
from collectors.record import ids
from pipeline import shards
from pipeline.collect import collecting
from pipeline.engine import Engine
from pipeline.folder import manifest
from pipeline.judge import read
from pipeline.judge.run import Judged, judging
from pipeline.judge.suites import SuiteItems, suites
from pipeline.judge.verdict import SCHEMA

CATALOG = load(ROOT / "catalog.yaml")

LONG = "Explain in simple terms why the sky looks blue at noon and red in the evening, and name the effect behind it"
QUESTION = (
    "A baker sells forty seven loaves before lunch and twice as many after it; how many loaves were sold on that day?"
)


def judged(out: Path, *names: str, workers: int = 1, items: list[SuiteItems] | None = None) -> list[Judged]:
    with Engine(workers) as engine:
        return list(judging(CATALOG, list(names), out, engine, items))


def of(out: Path, source: str) -> pl.DataFrame:
    """Records beside their verdicts."""
    records = pl.DataFrame(pl.read_ipc(out / "records" / source / "00000.arrow"))
    verdicts = read.verdicts(out, source, "00000.arrow")
    assert verdicts["id"].to_list() == records["id"].to_list()
    return records.with_columns(verdicts.drop("id", "language"), found=verdicts["language"])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two sources: copies within and between them, a leak, two languages, a flag."""
    out = tmp_path_factory.mktemp("judge") / "data"
    alpaca = [
        {"instruction": LONG + ".", "input": "", "output": "Blue light is scattered more than red light is."},
        {"instruction": LONG.upper() + "!", "input": "", "output": "Something else altogether stands here, at length."},
        {"instruction": "Write to me.", "input": "", "output": "You reach me at jane.doe@mail-of-jane.org any day."},
        {"instruction": "Solve this: " + QUESTION, "input": "", "output": "They sold one hundred and forty one."},
    ]
    belle = [
        {"instruction": LONG + "?", "input": "", "output": "Blue light is scattered more than red light is"},
        {"instruction": "请用简单的话解释一下为什么天空是蓝色的。", "input": "", "output": "因为蓝光散射得更厉害。"},
    ]
    raw = lay(out.parent / "raw", "belle", {BELLE: lines(belle)})
    lay(raw, "alpaca", {"alpaca_data.json": json.dumps(alpaca).encode()})
    with Engine(1) as engine:
        list(collecting(CATALOG, ["alpaca", "belle"], raw, out, engine))
    return out


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[SuiteItems]:
    path = tmp_path_factory.mktemp("suite") / "bakery.jsonl"
    path.write_bytes(lines([{"question": "What is one and one, and two?"}, {"question": QUESTION}]))
    return suites(CATALOG, None, [("bakery", path)])


@pytest.fixture
def out(corpus: Path, tmp_path: Path) -> Path:
    shutil.copytree(corpus, tmp_path / "data")
    return tmp_path / "data"


def test_every_record_is_judged_beside_it(out: Path, items: list[SuiteItems]) -> None:
    alpaca, belle = judged(out, items=items)
    found = of(out, "alpaca")
    assert pl.Schema(read.verdicts(out, "alpaca", "00000.arrow").schema).names() == SCHEMA.names
    assert found["found"].to_list() == ["en", "en", "en", "en"]
    assert found["flags"].to_list() == [[], [], ["personal-email"], []]
    assert found["leaks"].to_list() == [[], [], [], ["bakery/bakery.jsonl:1"]]
    assert found["request_chars"].to_list() == found["instruction"].str.len_chars().to_list()
    assert found["answer_chars"].to_list() == found["output"].str.len_chars().to_list()
    first = found["id"][0]
    assert found["request_cluster"].to_list()[2:] == [None, None]
    assert len({*found["request_cluster"][:2], *of(out, "belle")["request_cluster"][:1]}) == 1
    assert found["cluster"].to_list() == [first, None, None, None]
    assert of(out, "belle")["cluster"].to_list() == [first, None]
    assert found["request_key"].n_unique() == 3
    assert found["prompt_id"].to_list() == ids(found, ("system", "history", "instruction", "input")).to_list()
    assert alpaca.manifest["languages"] == {"EN": {"en": 4}}
    assert belle.manifest["languages"] == {"CN": {"en": 1, "zh-Hans": 1}}
    assert (alpaca.manifest["disagree"], belle.manifest["disagree"]) == (0, 1)
    assert alpaca.manifest["flags"] == {"personal-email": 1}
    assert alpaca.manifest["leaks"] == {"bakery": 1}
    assert alpaca.manifest["clustered"] == {"request": 2, "row": 1}


def test_the_bytes_do_not_depend_on_workers_or_on_what_was_judged_first(
    out: Path, corpus: Path, tmp_path: Path, items: list[SuiteItems]
) -> None:
    judged(out, items=items)
    shutil.copytree(corpus, tmp_path / "other")
    judged(tmp_path / "other", "belle", items=items)
    judged(tmp_path / "other", workers=2)
    assert tree(tmp_path / "other" / "verdicts") == tree(out / "verdicts")


def test_a_second_run_writes_nothing(out: Path, items: list[SuiteItems]) -> None:
    judged(out, items=items)
    before = {path: path.stat().st_mtime_ns for path in (out / "verdicts").rglob("*")}
    assert not any(one.fresh for one in judged(out))
    assert {path: path.stat().st_mtime_ns for path in (out / "verdicts").rglob("*")} == before


def test_a_new_source_costs_its_own_rows(out: Path) -> None:
    judged(out, "alpaca")
    before = (out / "verdicts" / "_rows" / "alpaca" / "00000.arrow").stat().st_mtime_ns
    assert [one.fresh for one in judged(out, "belle")] == [True, True]
    assert (out / "verdicts" / "_rows" / "alpaca" / "00000.arrow").stat().st_mtime_ns == before
    assert of(out, "belle")["cluster"][0] is not None


def test_other_evaluation_sets_are_looked_for_anew(out: Path, items: list[SuiteItems]) -> None:
    assert judged(out)[0].manifest["suites"] == []
    assert judged(out, items=items)[0].manifest["leaks"] == {"bakery": 1}
    assert judged(out)[0].manifest["leaks"] == {"bakery": 1}
    assert judged(out, items=[])[0].manifest["leaks"] == {}


def test_verdicts_of_other_records_are_refused(out: Path) -> None:
    judged(out)
    place = out / "records" / "alpaca" / "manifest.json"
    place.write_text(json.dumps((manifest(place.parent) or {}) | {"fingerprint": "other"}), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"verdicts/alpaca: judges other records than .*; run make judge$"):
        read.judged(out, "alpaca")


def test_what_is_half_written_missing_or_no_shard_is_told(out: Path) -> None:
    assert read.judged(out, "alpaca") is None
    judged(out)
    whole = out / "verdicts" / "belle" / "00000.arrow"
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(ArtefactError, match=r"belle/00000.arrow: is no whole shard of verdicts .*run make judge$"):
        read.verdicts(out, "belle", "00000.arrow")
    whole.unlink()
    with pytest.raises(ArtefactError, match=r"belle: shard 00000.arrow has no counterpart .*run make judge$"):
        read.judged(out, "belle")
    shutil.rmtree(out / "verdicts" / "_pairs")
    with pytest.raises(ArtefactError, match=r"_pairs: holds no finished pairs .*run make judge$"):
        read.pairs(out)


@pytest.mark.parametrize("lost", ["_pairs", "_pairs/manifest.json", "belle", "belle/manifest.json", "_rows/belle"])
def test_what_was_lost_is_made_again(lost: str, out: Path) -> None:
    judged(out)
    before = tree(out / "verdicts")
    place = out / "verdicts" / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    judged(out)
    assert tree(out / "verdicts") == before


def test_a_shard_of_records_that_is_cut_is_one_line(out: Path) -> None:
    place = shards.paths(out / "records" / "alpaca")[0]
    place.write_bytes(place.read_bytes()[:-50])
    with pytest.raises(ArtefactError, match=r"alpaca/00000.arrow: is no whole shard of records"):
        judged(out)
    assert not (out / "verdicts" / "alpaca").exists()


def test_no_records(tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no records of .*; run make corpus$"):
        judged(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"cot: has no records in .*; run make corpus SOURCES=cot$"):
        judged(out, "cot")


def test_the_command(out: Path, tmp_path: Path) -> None:
    questions = tmp_path / "bakery.jsonl"
    questions.write_bytes(lines([{"question": QUESTION}]))
    command = [*arguments("", out)[:3], "judge", "--out", str(out), "--suite", f"bakery={questions}"]
    said = run(command)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines() == [
        "alpaca: 4 records in 4 en, flags 1 personal-email, 1 with near-duplicates, leaks 1 bakery",
        "belle: 2 records in 1 en, 1 zh-Hans, 1 not in the language declared, 1 with near-duplicates",
    ]
    again = run([*command[:3], "judge", "--out", str(out)])
    assert again.stdout.splitlines() == [f"{line} (up to date)" for line in said.stdout.splitlines()]
    questions.write_bytes(lines([{"word": "x"}]))
    wrong: Any = run(command)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(
        f"suri: error: bakery: {questions}: has no column of questions, its columns are word;"
    )
    assert len(wrong.stderr.splitlines()) == 1
