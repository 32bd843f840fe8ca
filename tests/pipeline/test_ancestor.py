r"""The ancestor's form of cot: quoting as csv.reader has it, literal `\n` kept, and rows its formatter can produce."""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from collecting import ROOT, lay, run, tree

from collectors.catalog import Catalog, load
from collectors.errors import ArtefactError, SourceError, TemplateError
from pipeline import shards
from pipeline.ancestor import alpaca_cot
from pipeline.collect import corpus
from templates.flan import STEMS, import_flan
from templates.template import load as load_template

REAL = ROOT.parent / "shared" / "raw"
FEW = {"inputs": "", "targets": "", "inputs_prefix": "", "targets_prefix": "", "x_y_delimiter": "",
       "example_separator": "", "final_suffix": "", "in_template_mix": True}  # fmt: skip

ROWS = [
    r'"Tea" is a drink.\nIs it so?' + "\tyes\tPeople drink it. ",
    r'"Stone is a drink."\nIs it so?' + "\tno\t Nobody drinks it.",
    "\ttoo\tmany\tfields",
    "",
    "{answer} or not?\tno\tA {question} stays as it is.",
    r'"Ice\nis ""water""' + '"' + "\tyes\tIt melts.",
    "No answer?\t\tSo no record.",
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(ROOT / "catalog.yaml")


@pytest.fixture
def flan(tmp_path: Path) -> Path:
    """Patterns of one pair a task; creak has two."""
    pairs = {task: [["Q: {question}", "{chain_of_thought} So {answer}."]] for task in STEMS}
    pairs["creak"].append(["{question}\nThoughts:", "{chain_of_thought}\nThus {answer}."])
    shots = {task: [FEW] for task in STEMS}
    content = {"zero_shot": pairs, "few_shot": shots, "input_inversion": [], "few_shot_input_inversion": shots}
    path = tmp_path / "patterns.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def build(catalog: Catalog, tmp_path: Path, **more: bytes) -> tuple[Path, Path]:
    """Raw rows of creak and their records: the raw folder and the data folder."""
    content = {"creak_train.tsv": "".join(f"{row}\n" for row in ROWS).encode()} | more
    raw = lay(tmp_path / "raw", "cot", content)
    corpus(catalog, ["cot"], raw, tmp_path / "data", workers=1)
    return raw, tmp_path / "data"


def test_rows_are_worded_from_the_raw_files(catalog: Catalog, tmp_path: Path, flan: Path) -> None:
    raw, out = build(catalog, tmp_path)
    done = alpaca_cot(catalog, tmp_path / "x", out, flan=flan, raw=raw)
    text = (tmp_path / "x" / "creak_train.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert text == json.dumps(rows, ensure_ascii=False)  # as the ancestor's json.dump writes them
    plain = [("Q: " + question, f"{thought} So {answer}.") for question, answer, thought in TOLD]
    other = [(question + "\nThoughts:", f"{thought}\nThus {answer}.") for question, answer, thought in TOLD]
    assert [set(row) for row in rows] == [{"instruction", "input", "output"}] * 4
    for row, one, two in zip(rows, plain, other, strict=True):
        assert row["input"] == ""
        assert (row["instruction"], row["output"]) in (one, two)
    assert done.manifest["rows_in"] == 6
    assert done.manifest["rows"] == 4
    assert done.manifest["dropped"] == {"missing field": 1, "no record": 1}


TOLD = [
    (r"Tea is a drink.\nIs it so?", "yes", "People drink it. "),
    (r"Stone is a drink.\nIs it so?", "no", " Nobody drinks it."),
    ("{answer} or not?", "no", "A {question} stays as it is."),
    (r'Ice\nis "water"', "yes", "It melts."),
]
"""The rows as `csv.reader` reads them, those that are no record left out."""


def test_the_bytes_are_the_same_again(catalog: Catalog, tmp_path: Path, flan: Path) -> None:
    raw, out = build(catalog, tmp_path)
    one = alpaca_cot(catalog, tmp_path / "one", out, flan=flan, raw=raw)
    two = alpaca_cot(catalog, tmp_path / "two", out, flan=flan, raw=raw)
    assert tree(one.folder) == tree(two.folder)
    assert alpaca_cot(catalog, tmp_path / "two", out, flan=flan, raw=raw).up_to_date


def test_a_row_wears_the_wording_a_mixture_of_seed_0_gives_its_record(
    catalog: Catalog, tmp_path: Path, flan: Path
) -> None:
    raw, out = build(catalog, tmp_path)
    alpaca_cot(catalog, tmp_path / "x", out, flan=flan, raw=raw)
    import_flan(flan, tmp_path / "flan")
    records = pl.DataFrame(shards.scan(out / "records" / "cot").collect())
    worded = load_template(str(tmp_path / "flan")).word(records, seed=0)["template"].to_list()
    rows = json.loads((tmp_path / "x" / "creak_train.json").read_text(encoding="utf-8"))
    assert [f"flan/creak/en-0{1 if row['instruction'].startswith('Q: ') else 2}" for row in rows] == worded


def test_files_of_a_task_are_one_array_and_others_are_named(catalog: Catalog, tmp_path: Path, flan: Path) -> None:
    translated = b'[{"instruction": "\xe4\xb8\x80", "input": "", "output": "\xe4\xb8\x80"}]'
    more = {"gsm8k_train.a.tsv": b"One?\t1\tOne.\n", "gsm8k_train.b.tsv": b"Two?\t2\tTwo.\n",
            "mine_train.tsv": b"Q\tA\tR\n", "CoT_Chinese_data.json": translated}  # fmt: skip
    raw, out = build(catalog, tmp_path, **more)
    done = alpaca_cot(catalog, tmp_path / "x", out, flan=flan, raw=raw)
    assert json.loads((tmp_path / "x" / "gsm8k_train.json").read_text()) == [
        {"instruction": "Q: One?", "input": "", "output": "One. So 1."},
        {"instruction": "Q: Two?", "input": "", "output": "Two. So 2."},
    ]
    assert [file["path"] for file in done.manifest["files"]] == ["creak_train.json", "gsm8k_train.json"]
    assert done.manifest["not_read"] == ["CoT_Chinese_data.json", "mine_train.tsv"]


def test_raw_files_that_are_not_those_of_the_records_are_told(catalog: Catalog, tmp_path: Path, flan: Path) -> None:
    raw, out = build(catalog, tmp_path)

    def refused(kind: type[Exception], words: str, **more: Any) -> None:
        with pytest.raises(kind, match=words) as caught:
            alpaca_cot(catalog, tmp_path / "x", more.get("out", out), flan=more.get("flan", flan), raw=raw)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "x").exists()

    refused(ArtefactError, "lacks cot; run make corpus SOURCES=cot first", out=tmp_path / "none")
    refused(TemplateError, "No such file", flan=tmp_path / "none.py")
    path = raw / "cot" / "creak_train.tsv"
    path.write_bytes(path.read_bytes() + b"More?\tyes\tMore.\n")
    refused(
        SourceError, r"creak_train\.tsv: is not the file the records were made of; name that one's folder with --from"
    )
    path.rename(raw / "cot" / "aqua_train.tsv")
    refused(SourceError, r"cot: lacks creak_train\.tsv, which the records were made of; name its folder with --from")


def test_a_line_that_csv_reader_refuses_is_told(catalog: Catalog, tmp_path: Path, flan: Path) -> None:
    raw, out = build(catalog, tmp_path, **{"qasc_train.tsv": b"A?\tyes\tSo.\nB\rC?\tyes\tSo.\n"})
    with pytest.raises(SourceError, match=r"qasc_train\.tsv: line 2 is none that csv\.reader reads"):
        alpaca_cot(catalog, tmp_path / "x", out, flan=flan, raw=raw)


@pytest.mark.skipif(not (REAL / "cot").is_dir(), reason="needs ../shared/raw/cot")
def test_every_real_row_is_one_the_ancestors_formatter_can_produce(tmp_path: Path) -> None:
    """Worked out again from the files alone, in plain Python: every row of every file."""
    flan, out, to = REAL / "cot" / "flan_patterns.json", tmp_path / "data", tmp_path / "x"
    start = [sys.executable, "-m", "pipeline"]
    assert (
        run([*start, "corpus", "--from", str(REAL), "--source", "cot", "--out", str(out), "--workers", "1"]).returncode
        == 0
    )
    words = ["--source", "cot", "--format", "alpaca", "--like", "alpaca-cot", "--flan", str(flan)]
    done = run([*start, "export", *words, "--from", str(REAL), "--to", str(to), "--out", str(out)])
    assert done.returncode == 0, done.stderr
    patterns = json.loads(flan.read_text(encoding="utf-8"))["zero_shot"]
    checked, quoted = 0, 0
    for raw in sorted((REAL / "cot").glob("*_train*.tsv")):
        task = re.sub("_train.*", "", raw.name)
        path = to / f"{task}_train.json"
        rows = json.loads(path.read_text(encoding="utf-8"))
        with raw.open(encoding="utf-8") as handle:
            cells = list(csv.reader(handle, delimiter="\t"))
        worn = set()
        for row, (question, answer, thought) in zip(rows, cells, strict=True):
            fitting = [
                number
                for number, (ask, target) in enumerate(patterns[task])
                if row == {
                    "instruction": ask.format(question=question),
                    "input": "",
                    "output": target.format(chain_of_thought=thought, answer=answer),
                }
            ]  # fmt: skip
            assert len(fitting) == 1, (raw.name, row)
            worn.update(fitting)
        assert worn == set(range(len(patterns[task])))
        read = datasets.load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
        assert read.to_list() == rows
        checked += len(rows)
        quoted += sum(line.startswith('"') for line in raw.read_text(encoding="utf-8").split("\n"))
    assert checked == 21_255
    assert quoted > 900
