"""The nine sources with real rows at hand, compared column by column with a plain-Python reading of all rows."""

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from built import EXCHANGE, Built, kept, read, turn

from collectors.catalog import load
from pipeline.collect import corpus

RAW = Path(__file__).resolve().parents[3] / "shared" / "raw"
pytestmark = pytest.mark.skipif(not RAW.is_dir(), reason="the real rows are not at hand")

ROWS = {
    "alpaca": 2000,
    "alpaca_zh": 759,
    "belle": 1000,
    "chinese_medical": 2000,
    "codealpaca": 2508,
    "cot": 21255,
    "gpteacher": 4950,
    "hh_rlhf": 1156,
    "pclue": 353,
}

BLANK = r"[<>\[\](){}\\\s]*"
SPELLINGS = r"(noinput|no input( required| needed| necessary| provided| given)?|none|n/a|nan|not applicable)"
NO_INPUT = re.compile(BLANK + SPELLINGS + r"[.!]?" + BLANK, re.IGNORECASE)

Row = dict[str, Any]
Reading = Iterator[tuple[str, int, Row | str]]  # subset, row, and the expected exchange or the reason of the reject


def exchange(instruction: str, given: str, output: str, **others: object) -> Row | str:
    if not kept(instruction):
        return "empty instruction"
    if not kept(output):
        return "empty output"
    row: Row = dict.fromkeys(EXCHANGE) | {"history": []} | others
    spelled = NO_INPUT.fullmatch(kept(given))
    return row | {"instruction": kept(instruction), "input": "" if spelled else kept(given), "output": kept(output)}


def elements(source: str) -> Iterator[tuple[str, int, Row]]:
    """Every element of the source's JSON arrays and JSON Lines."""
    for path in sorted(RAW.joinpath(source).rglob("*.json")):
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        for number, row in enumerate(rows):
            yield path.relative_to(RAW / source).as_posix(), number, row


def instructions(source: str) -> Reading:
    for subset, number, row in elements(source):
        fields = {"指示": "instruction", "输入": "input", "输出": "output"}
        row = {fields.get(name, name): value for name, value in row.items()}
        answer = row["output"] if "output" in row else row["response"]
        extra = json.dumps({"example_input": row["example_input"]}) if row.get("example_input") else None
        yield subset, number, exchange(row["instruction"], row["input"], answer, extra=extra)


def pclue(source: str) -> Reading:
    for subset, number, row in elements(source):
        extra = {name: row[name] for name in ("type", "answer_choices") if row.get(name)}
        yield subset, number, exchange(row["input"], "", row["target"], extra=json.dumps(extra))


def cot(source: str) -> Reading:
    for path in sorted(RAW.joinpath(source).glob("*.tsv")):
        for number, line in enumerate(path.read_bytes().decode().removesuffix("\n").split("\n")):
            question, answer, thought = line.split("\t")
            question, thought = (text.replace("\\n", "\n") for text in (question, thought))
            yield path.name, number, exchange(question, "", answer, rationale=kept(thought) or None)


def chinese_medical(source: str) -> Reading:
    for path in sorted(RAW.joinpath(source).glob("*.csv")):
        with path.open(encoding="gb18030", newline="") as opened:
            for number, row in enumerate(csv.DictReader(opened)):
                ask = row["title"] if kept(row["ask"]) in ("", "无") else row["ask"]
                extra = json.dumps({"department": row["department"], "title": row["title"]})
                yield path.name, number, exchange(ask, "", row["answer"], extra=extra)


def turns(transcript: str) -> list[tuple[str, str]]:
    """The turns of a transcript; two of one speaker in a row are one."""
    pieces = re.split(r"\n\n(Human|Assistant):", transcript)[1:]
    joined: list[tuple[str, str]] = []
    for who, text in zip(pieces[::2], map(kept, pieces[1::2]), strict=True):
        if joined and joined[-1][0] == who:
            joined[-1] = (who, "\n\n".join(part for part in (joined[-1][1], text) if part))
        else:
            joined.append((who, text))
    return joined


def hh_rlhf(source: str) -> Reading:
    for path in sorted(RAW.joinpath(source).rglob("*.jsonl.gz")):
        for number, line in enumerate(gzip.decompress(path.read_bytes()).splitlines()):
            chosen, rejected = (turns(json.loads(line)[name]) for name in ("chosen", "rejected"))
            spoken = [text for _, text in chosen]
            history = [turn(*both) for both in zip(spoken[:-2:2], spoken[1:-2:2], strict=True) if all(both)]
            worse = rejected[-1][1] or None
            row = exchange(spoken[-2], "", spoken[-1], history=history, rejected=worse)
            yield path.relative_to(RAW / source).as_posix(), number, row


READINGS: dict[str, Callable[[str], Reading]] = {
    "alpaca": instructions,
    "alpaca_zh": instructions,
    "belle": instructions,
    "chinese_medical": chinese_medical,
    "codealpaca": instructions,
    "cot": cot,
    "gpteacher": instructions,
    "hh_rlhf": hh_rlhf,
    "pclue": pclue,
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """The nine sources as built from the real rows."""
    data = tmp_path_factory.mktemp("data")
    corpus(load(), list(ROWS), RAW, data, workers=1, limit=None)
    return {source: read(data / "records" / source) for source in ROWS}


@pytest.mark.parametrize("source", ROWS)
def test_every_row_reads_as_plain_python_reads_it(real: dict[str, Built], source: str) -> None:
    built = real[source]
    reading = list(READINGS[source](source))
    assert len(reading) == ROWS[source] == built.manifest["raw_rows"]
    expected = {(subset, row, 0): want for subset, row, want in reading if not isinstance(want, str)}
    refused = {(subset, row): want for subset, row, want in reading if isinstance(want, str)}
    assert {(one["file"], one["row"]): one["reason"] for one in built.rejects} == refused
    assert len(built.records) == built.manifest["records"] == len(expected)
    found = {(row["subset"], row["row"], row["part"]): row for row in built.records}
    assert found.keys() == expected.keys()
    for column in EXCHANGE:
        as_value = json.loads if column == "extra" else (lambda value: value)
        wrong = {
            key: (row[column], expected[key][column])
            for key, row in found.items()
            if (row[column] and as_value(row[column])) != (expected[key][column] and as_value(expected[key][column]))
        }
        assert wrong == {}, column


@pytest.mark.parametrize("source", ROWS)
def test_the_books_close(real: dict[str, Built], source: str) -> None:
    manifest = real[source].manifest
    assert manifest["raw_rows"] == manifest["records"] + sum(manifest["rejected"].values())
    assert sum(one["rows"] for one in manifest["files"]) == manifest["raw_rows"]
    assert len(real[source].rejects) == sum(manifest["rejected"].values())


def test_the_few_rows_that_are_refused(real: dict[str, Built]) -> None:
    assert {source: built.manifest["rejected"] for source, built in real.items() if built.manifest["rejected"]} == {
        "codealpaca": {"empty output": 1},
        "hh_rlhf": {"empty output": 4},
    }


def test_alpaca_has_26_spellings_of_no_input(real: dict[str, Built]) -> None:
    raw = {(subset, row): element["input"] for subset, row, element in elements("alpaca")}
    spelled = [text for row in real["alpaca"].records if (text := raw[row["subset"], row["row"]]) and not row["input"]]
    assert len(spelled) == 26
    assert {"No input needed.", "No input.", "No input required", "\\<noinput\\>"} <= set(spelled)


def test_noinput_in_a_longer_input_is_kept(real: dict[str, Built]) -> None:
    longer = {source: sum("<noinput>" in row["input"] for row in built.records) for source, built in real.items()}
    assert {source: rows for source, rows in longer.items() if rows} == {
        "alpaca_zh": 3,  # in quotes, or a stop behind the brackets
        "codealpaca": 1,
        "gpteacher": 1,
    }


def test_the_element_with_chinese_keys(real: dict[str, Built]) -> None:
    ((subset, row, element),) = [one for one in elements("alpaca_zh") if "指示" in one[2]]
    (record,) = [one for one in real["alpaca_zh"].records if (one["subset"], one["row"]) == (subset, row)]
    assert record["instruction"] == element["指示"].strip()
    assert record["output"] == element["输出"].strip()


def test_belle_outputs_begin_with_text_and_its_mathematics_is_one_task(real: dict[str, Built]) -> None:
    tasks = {(row["subset"].split("/")[0], row["task"]) for row in real["belle"].records}
    assert tasks == {("dev1K", "TS"), ("train_0.5M_CN", "MT")}
    stripped = [row["row"] for row in real["belle"].records if not row["output"][0].isspace()]
    assert len(stripped) == 1000


def test_creaks_quotes_survive(real: dict[str, Built]) -> None:
    claims = [row["instruction"] for row in real["cot"].records if row["subset"] == "creak_train.tsv"]
    assert len(claims) == 6915
    assert sum(text.startswith('"') for text in claims) >= 975
    assert all("\n" in text and "\\n" not in text for text in claims)


def test_the_seven_aqua_rows_with_two_backslashes(real: dict[str, Built]) -> None:
    rows = [row for row in real["cot"].records if row["subset"].startswith("aqua")]
    texts = [row["instruction"] + row["rationale"] + row["output"] for row in rows]
    assert sum("\\\n" in text for text in texts) == 7


def test_ecqas_no_break_spaces_survive(real: dict[str, Built]) -> None:
    rows = [row for row in real["cot"].records if row["subset"] == "ecqa_train.tsv"]
    assert sum("\u00a0" in row["instruction"] + row["rationale"] + row["output"] for row in rows) == 10


def test_one_toolformer_row_has_an_example(real: dict[str, Built]) -> None:
    raw = sum("example_input" in element for _, _, element in elements("gpteacher"))
    assert sum(row["extra"] is not None for row in real["gpteacher"].records) == raw


def test_dialogues_come_out_as_histories(real: dict[str, Built]) -> None:
    rows = real["hh_rlhf"].records
    assert sum(bool(row["history"]) for row in rows) > len(rows) / 2
    assert all(exchange["user"] and exchange["assistant"] for row in rows for exchange in row["history"])
    markers = re.compile(r"\n\n(Human|Assistant):")
    assert not [row for row in rows if markers.search(row["instruction"] + row["output"] + (row["rejected"] or ""))]


def test_pclue_rows_without_choices(real: dict[str, Built]) -> None:
    assert sum("answer_choices" not in json.loads(row["extra"]) for row in real["pclue"].records) == 24


def test_chinese_medical_keeps_94_repeated_records(real: dict[str, Built]) -> None:
    rows = real["chinese_medical"].records
    texts = [(row["instruction"], row["output"], row["extra"]) for row in rows]
    assert len(texts) - len(set(texts)) == 94
    assert not [text for row in rows for text in (row["instruction"], row["output"]) if "\ufffd" in text]
