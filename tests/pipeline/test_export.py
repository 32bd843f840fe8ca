"""Exports: each format's rows spelled out, files that `datasets` reads back, books, and folders that are not ours."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from collecting import ROOT, lay, lines, run, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.catalog import Catalog, load
from collectors.errors import ArtefactError, CatalogError
from collectors.nodes import parsed
from pipeline import formats, shards
from pipeline.collect import corpus
from pipeline.engine import Engine
from pipeline.export import Exported, export
from pipeline.formats import Format, Kind
from pipeline.mix import mix

TOY: dict[str, Any] = {
    "title": "Toy",
    "about": "Rows for a test.",
    "homepage": "https://example.org/toy",
    "origins": [{"hub": "them/toy", "paths": ["toy.json"]}],
    "files": ["toy.json"],
    "lang": "EN",
    "task": "MT",
    "gen": "HG",
    "license": "MIT",
    "columns": {"instruction": "i", "input": "n", "output": "o", "system": "s", "rationale": "r", "rejected": "w"},
}
TALKS: dict[str, Any] = TOY | {
    "files": ["multiturn_chat_*.json"], "columns": None, "collector": "belle", "lang": "CN", "license": "CC-BY-4.0",
}  # fmt: skip
MIXTURE = {"about": "Both.", "holdout": {"rows": 1}, "parts": [{"source": "toy"}, {"source": "talks"}]}

ROWS = [
    {"i": "Name a colour.", "n": "", "o": 'Blue.\n\u2028\x00\x7f"\\', "s": "Be brief."},
    {"i": "Add.", "n": "2 and 3", "o": "5", "r": "2 + 3 = 5", "w": "6"},
    {"i": "说一个字。", "n": "", "o": "𠀀😀"},
]
CHAT = {"instruction": "Human:你好\nAssistant:你好！\nHuman:再见\nAssistant:", "input": "", "output": "再见！"}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parsed(Catalog, {"sources": {"toy": TOY, "talks": TALKS}, "mixtures": {"both": MIXTURE}}, "catalog.yaml")


@pytest.fixture(scope="module")
def out(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with records of both sources and the mixture of them."""
    place = tmp_path_factory.mktemp("data")
    raw = lay(place / "raw", "toy", {"toy.json": lines(ROWS)})
    lay(raw, "talks", {"multiturn_chat_1.json": lines([CHAT])})
    corpus(catalog, ["toy", "talks"], raw, place, workers=1)
    with Engine(1) as engine:
        mix(catalog, "both", place, engine)
    return place


def exported(
    catalog: Catalog,
    out: Path,
    to: Path,
    form: Format,
    kind: Kind = "json",
    *,
    name: str = "toy",
    mixture: bool = False,
) -> Exported:
    return export(catalog, to, out, name=name, mixture=mixture, form=form, kind=kind)


def written(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]] if path.suffix == ".jsonl" else json.loads(text)


def without_lineage(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in {"id", "source"}} for row in rows]


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def said(speaker: str, value: str) -> dict[str, str]:
    return {"from": speaker, "value": value}


def test_alpaca_rows(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    done = exported(catalog, out, tmp_path / "x", "alpaca")
    rows = written(tmp_path / "x" / "toy.json")
    assert without_lineage(rows) == [
        {"instruction": "Name a colour.", "input": "", "output": ROWS[0]["o"], "system": "Be brief.", "history": []},
        {"instruction": "Add.", "input": "2 and 3", "output": "5", "system": "", "history": []},
        {"instruction": "说一个字。", "input": "", "output": "𠀀😀", "system": "", "history": []},
    ]  # fmt: skip
    records = shards.scan(out / "records" / "toy").collect()
    assert [row["id"] for row in rows] == records["id"].to_list()
    assert {row["source"] for row in rows} == {"toy"}
    assert "说一个字" in (tmp_path / "x" / "toy.json").read_text(encoding="utf-8")
    found = done.manifest
    assert (found["rows_in"], found["rows"], found["dropped"]) == (3, 3, {})
    assert found["unused"] == {"rationale": 1, "rejected": 1}
    assert found["licenses"] == {"MIT": 3}
    assert found["files"] == [
        {"path": "toy.json", "rows": 3, "bytes": (done.folder / "toy.json").stat().st_size,
         "sha256": shards.digest(done.folder / "toy.json")}
    ]  # fmt: skip


def test_alpaca_rows_of_dialogues_have_their_history(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    exported(catalog, out, tmp_path / "x", "alpaca", "jsonl", name="talks")
    assert without_lineage(written(tmp_path / "x" / "talks.jsonl")) == [
        {"instruction": "再见", "input": "", "output": "再见！", "system": "", "history": [["你好", "你好！"]]}
    ]


def test_alpaca_rows_have_three_fields_where_no_row_has_more(tmp_path: Path) -> None:
    shipped = load(ROOT / "catalog.yaml")
    rows = [{"instruction": "Hello?", "input": "", "output": "Hello."}]
    corpus(shipped, ["alpaca"], lay(tmp_path, "alpaca", {"alpaca_data.json": lines(rows)}), tmp_path / "d", workers=1)
    exported(shipped, tmp_path / "d", tmp_path / "x", "alpaca", name="alpaca")
    assert without_lineage(written(tmp_path / "x" / "alpaca.json")) == rows


def test_messages_rows(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    exported(catalog, out, tmp_path / "x", "messages", name="t*")
    assert written(tmp_path / "x" / "toy.json")[:2] == [
        {"messages": [message("system", "Be brief."), message("user", "Name a colour."),
                      message("assistant", ROWS[0]["o"])]},
        {"messages": [message("user", "Add.\n2 and 3"), message("assistant", "5")]},
    ]  # fmt: skip
    assert written(tmp_path / "x" / "talks.json") == [
        {"messages": [message("user", "你好"), message("assistant", "你好！"),
                      message("user", "再见"), message("assistant", "再见！")]}
    ]  # fmt: skip


def test_sharegpt_rows(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    exported(catalog, out, tmp_path / "x", "sharegpt", "jsonl", name="talks toy")
    assert without_lineage(written(tmp_path / "x" / "talks.jsonl")) == [
        {"conversations": [said("human", "你好"), said("gpt", "你好！"), said("human", "再见"), said("gpt", "再见！")]}
    ]
    assert written(tmp_path / "x" / "toy.jsonl")[0]["conversations"][0] == said("system", "Be brief.")


def test_prompt_completion_rows(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    exported(catalog, out, tmp_path / "x", "prompt-completion", name="talks")
    assert written(tmp_path / "x" / "talks.json") == [
        {"prompt": [message("user", "你好"), message("assistant", "你好！"), message("user", "再见")],
         "completion": [message("assistant", "再见！")]}
    ]  # fmt: skip


def test_a_mixture_gives_a_file_a_split_in_its_order(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    done = exported(catalog, out, tmp_path / "x", "messages", name="both", mixture=True)
    for split, rows in (("train", 3), ("holdout", 1)):
        mixed = shards.scan(out / "mixes" / "both", f"{split}-*.arrow").collect()
        assert [row["messages"] for row in written(tmp_path / "x" / f"{split}.json")] == mixed["messages"].to_list()
        assert mixed.height == rows
    assert [file["path"] for file in done.manifest["files"]] == ["train.json", "holdout.json"]
    assert done.manifest["unused"] == {"rationale": 1, "rejected": 1}
    assert done.manifest["licenses"] == {"CC-BY-4.0": 1, "MIT": 3}


def test_a_templates_wording_is_one_text_and_a_plain_one_keeps_its_input(tmp_path: Path) -> None:
    recipe = {"about": "Worded.", "parts": [{"source": "cot", "template": "cot"}, {"source": "alpaca"}]}
    shipped = load(ROOT / "catalog.yaml")
    sources = {name: shipped.sources[name].model_dump(exclude_none=True) for name in ("alpaca", "cot")}
    small = parsed(Catalog, {"sources": sources, "mixtures": {"worded": recipe}}, "catalog.yaml")
    rows = [{"instruction": "Add.", "input": "2 and 3", "output": "5"}]
    raw = lay(tmp_path / "raw", "alpaca", {"alpaca_data.json": lines(rows)})
    lay(raw, "cot", {"gsm8k_train.tsv": b"How many?\t4\tTwo and two.\n"})
    corpus(small, ["alpaca", "cot"], raw, tmp_path / "d", workers=1)
    with Engine(1) as engine:
        mix(small, "worded", tmp_path / "d", engine)
    exported(small, tmp_path / "d", tmp_path / "x", "alpaca", name="worded", mixture=True)
    told = {row["source"]: row for row in written(tmp_path / "x" / "train.json")}
    assert without_lineage([told["alpaca"]]) == rows
    worded = {
        row["source"]: row["messages"] for row in shards.scan(tmp_path / "d" / "mixes" / "worded").collect().to_dicts()
    }
    assert told["cot"]["instruction"] == worded["cot"][0]["content"] != "How many?"
    assert told["cot"]["input"] == ""
    assert told["cot"]["output"] == worded["cot"][1]["content"]


@pytest.mark.parametrize("form", ["alpaca", "messages", "sharegpt", "prompt-completion"])
@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
def test_datasets_reads_back_what_was_written(
    catalog: Catalog, out: Path, tmp_path: Path, form: Format, kind: Kind
) -> None:
    exported(catalog, out, tmp_path / "x", form, kind, name="both", mixture=True)
    exported(catalog, out, tmp_path / "y", form, "json", name="both", mixture=True)
    files = {split: str(tmp_path / "x" / f"{split}.{kind}") for split in ("train", "holdout")}
    builder = "parquet" if kind == "parquet" else "json"
    read = datasets.load_dataset(builder, data_files=files, cache_dir=str(tmp_path / "cache"))
    for split in files:
        assert read[split].to_list() == written(tmp_path / "y" / f"{split}.json")


def test_datasets_reads_json_lines_in_which_a_history_comes_late(catalog: Catalog, tmp_path: Path) -> None:
    """More than `datasets` takes the types from (10 MB), and more rows than are written at a time."""
    plain = [{"instruction": f"Say {number}.", "input": "", "output": "x" * 600} for number in range(20_000)]
    raw = lay(tmp_path / "raw", "talks", {"multiturn_chat_1.json": lines([*plain, CHAT, CHAT | {"output": "慢走！"}])})
    corpus(catalog, ["talks"], raw, tmp_path / "d", workers=1)
    done = exported(catalog, tmp_path / "d", tmp_path / "x", "alpaca", "jsonl", name="talks")
    path = done.folder / "talks.jsonl"
    assert path.stat().st_size > 11 << 20
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    ids = shards.scan(tmp_path / "d" / "records" / "talks").collect()["id"].to_list()
    assert rows["id"] == [ids[-2], *ids[:-2], ids[-1]]
    assert [row["history"] for row in (rows[0], rows[1], rows[-1])] == [[["你好", "你好！"]], [], [["你好", "你好！"]]]
    assert rows[0]["output"] == "再见！"
    assert done.manifest["rows"] == 20_002 == len(rows)
    # The other forms keep the order.
    exported(catalog, tmp_path / "d", tmp_path / "y", "alpaca", "json", name="talks")
    assert [row["id"] for row in written(tmp_path / "y" / "talks.json")] == ids


HISTORIES = st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=5)


@given(HISTORIES, st.sampled_from([0, 1_000, 1 << 20]))
def test_a_row_with_a_history_stands_at_the_beginning_and_the_others_keep_their_order(
    frames: list[list[bool]], beginning: int
) -> None:
    flat = [long for frame in frames for long in frame]
    numbers = iter(range(len(flat)))
    schema = {"n": pl.Int64, "history": pl.List(pl.List(pl.String))}
    given = [pl.DataFrame([(next(numbers), [["a", "b"]] if long else []) for long in frame], schema, orient="row")
             for frame in frames]  # fmt: skip
    found = [number for frame in formats.led(given, iter(given), beginning) for number in frame["n"].to_list()]
    late = any(flat) and formats.BESIDE * flat.index(True) > beginning
    first = [flat.index(True)] if late else []
    assert found == first + [number for number in range(len(flat)) if number not in first]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3), max_size=5), st.integers(1, 3))
def test_every_text_comes_back_as_it_was(tmp_path: Path, talks: list[list[tuple[str, str]]], cut: int) -> None:
    rows = [
        {
            "messages": [
                message(role, text) for turn in talk for role, text in zip(("user", "assistant"), turn, strict=True)
            ]
        }
        for talk in talks
    ]
    frame = pl.DataFrame([{**row, "id": "0"} for row in rows], schema={"messages": formats.MESSAGES, "id": pl.String})
    columns = formats.shape("messages", [])

    def frames() -> Iterator[pl.DataFrame]:
        return (part.select(**columns) for part in frame.iter_slices(cut))

    for kind in ("json", "jsonl"):
        assert formats.write(tmp_path / f"x.{kind}", kind, frames(), columns) == len(rows)
        assert written(tmp_path / f"x.{kind}") == rows
    assert formats.write(tmp_path / "x.parquet", "parquet", frames(), columns) == len(rows)
    assert pl.read_parquet(tmp_path / "x.parquet").to_dicts() == rows


def test_the_bytes_are_the_same_again_and_a_second_run_writes_nothing(
    catalog: Catalog, out: Path, tmp_path: Path
) -> None:
    for kind in ("json", "jsonl", "parquet"):
        one = exported(catalog, out, tmp_path / f"one-{kind}", "sharegpt", kind)
        two = exported(catalog, out, tmp_path / f"two-{kind}", "sharegpt", kind)
        assert tree(one.folder) == tree(two.folder)
        again = exported(catalog, out, tmp_path / f"one-{kind}", "sharegpt", kind)
        assert (one.up_to_date, again.up_to_date) == (False, True)
    (tmp_path / "one-json" / "toy.json").unlink()
    assert not exported(catalog, out, tmp_path / "one-json", "sharegpt").up_to_date
    other = exported(catalog, out, tmp_path / "one-json", "alpaca", "jsonl")
    assert sorted(path.name for path in other.folder.iterdir()) == ["manifest.json", "toy.jsonl"]


def test_a_folder_that_holds_something_else_is_left_alone(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(ArtefactError, match=r"mine: holds thesis\.txt, which no export has written; name a new folder"):
        exported(catalog, out, mine, "alpaca")
    with pytest.raises(ArtefactError, match="arrow, which no export has written"):
        exported(catalog, out, out / "records" / "toy", "alpaca")
    with pytest.raises(ArtefactError, match=r"thesis\.txt: is a file; name a folder"):
        exported(catalog, out, mine / "thesis.txt", "alpaca")
    exported(catalog, out, tmp_path / "x", "alpaca")
    (tmp_path / "x" / "notes.md").write_text("x")
    with pytest.raises(ArtefactError, match=r"holds notes\.md"):
        exported(catalog, out, tmp_path / "x", "alpaca")
    (tmp_path / "y.part").mkdir()
    (tmp_path / "y.part" / "notes.md").write_text("x")
    with pytest.raises(ArtefactError, match=r"y\.part: is in the way and holds notes\.md"):
        exported(catalog, out, tmp_path / "y", "alpaca")
    assert (mine / "thesis.txt").read_text() == "x"


def test_what_is_not_built_is_told(catalog: Catalog, out: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"^unknown source toi; did you mean toy"):
        exported(catalog, out, tmp_path / "x", "alpaca", name="toi")
    with pytest.raises(ArtefactError, match="lacks toy; run make corpus SOURCES=toy first"):
        exported(catalog, tmp_path / "none", tmp_path / "x", "alpaca")
    with pytest.raises(ArtefactError, match="run: make mix MIX=bth"):
        exported(catalog, out, tmp_path / "x", "alpaca", name="bth", mixture=True)
    assert not (tmp_path / "x").exists()


def test_a_mixture_that_was_altered_is_told(catalog: Catalog, tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "toy", {"toy.json": lines(ROWS)})
    lay(raw, "talks", {"multiturn_chat_1.json": lines([CHAT])})
    corpus(catalog, ["toy", "talks"], raw, tmp_path / "d", workers=1)
    with Engine(1) as engine:
        place = mix(catalog, "both", tmp_path / "d", engine).folder
    (place / "holdout-00000.arrow").write_bytes(b"x")
    with pytest.raises(ArtefactError, match=r"holdout-00000\.arrow: is not the file .*run make mix MIX=both again"):
        exported(catalog, tmp_path / "d", tmp_path / "x", "messages", name="both", mixture=True)
    next((tmp_path / "d" / "records" / "toy").glob("*.arrow")).unlink()
    with pytest.raises(
        ArtefactError, match=r"toy has 0 rows, its manifest tells of 3; run make corpus SOURCES=toy again"
    ):
        exported(catalog, tmp_path / "d", tmp_path / "x", "messages")
    assert not (tmp_path / "x").exists()


WRONG = [
    ("nothing to export", [], "say what, either --source NAME or --mix NAME"),
    ("both", ["--source", "alpaca", "--mix", "all"], "either --source NAME or --mix NAME"),
    ("flan for nothing", ["--source", "cot", "--flan", "x"], "go with --like alpaca-cot"),
    ("like without flan", ["--source", "cot", "--like", "alpaca-cot"], "wants --source cot --format alpaca"),
    ("like of another", ["--source", "alpaca", "--like", "alpaca-cot", "--flan", "x"], "wants --source cot"),
]


@pytest.mark.parametrize(("words", "told"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_command_that_makes_no_sense_is_one_line(tmp_path: Path, words: list[str], told: str) -> None:
    command = [sys.executable, "-m", "pipeline", "export", "--out", str(tmp_path), "--to", str(tmp_path / "x")]
    done = run([*command, "--format", "alpaca", *words])
    assert done.returncode == 2
    assert done.stderr.startswith("suri: error: export: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
