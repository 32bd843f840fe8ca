"""csl: four questions about a paper, worded here; the benchmark's lines, one question each; rows worded upstream."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import Build, Built, kept, lines, read

from collectors.catalog import load
from pipeline.collect import SAMPLES, corpus
from templates import tasks

REAL = Path(__file__).resolve().parents[3] / "shared" / "raw"

ASKED = {
    "title": "请阅读下面的论文摘要，为这篇论文拟一个标题。",
    "keywords": "请从下面的论文内容中提取关键词，词与词之间用顿号隔开。",
    "category": "请根据下面的论文标题，判断这篇论文属于哪个学科门类。",
    "discipline": "请根据下面的论文摘要，判断这篇论文属于哪个一级学科。",
}
"""The wordings are part of the records, so with another one csl is built again and its ids are others."""


def said(task: str, text: str, answer: str) -> dict[str, Any]:
    return {"instruction": ASKED[task], "input": text, "output": answer, "extra": {"task": task}}


def paper(*fields: str) -> dict[str, str]:
    return {"csl_camera_readly.tsv": "\t".join(fields) + "\n"}


def benchmark(*rows: tuple[str, ...], name: str = "ts") -> dict[str, str]:
    return {f"benchmark/{name}/dev.tsv": "".join("\t".join(row) + "\n" for row in rows)}


def test_a_paper_is_four_records(build: Build) -> None:
    built = build("csl", paper("直齿轮轮齿变形", "对公式进行了推导.", "变形_数值计算_Weber能量法", "机械工程", "工学"))
    assert built.said == [
        said("title", "对公式进行了推导.", "直齿轮轮齿变形"),
        said("keywords", "对公式进行了推导.", "变形、数值计算、Weber能量法"),
        said("category", "直齿轮轮齿变形", "工学"),
        said("discipline", "对公式进行了推导.", "机械工程"),
    ]
    assert [(one["row"], one["part"]) for one in built.records] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [one["id"] for one in built.records] == [
        "9b572ace7b024d75bbb5a32ee92add4e",
        "b581914affc0680358743447e9537745",
        "272044bd24a3d124873b94b46cf10239",
        "16ee58f93fe0816ea64a281d4d0fe240",
    ]


BENCHMARK = {
    "title": (("to title", "对公式进行了推导.", "直齿轮"), said("title", "对公式进行了推导.", "直齿轮")),
    "keywords": (
        ("to keywords", "对公式进行了推导. 直齿轮", "变形_数值计算"),
        said("keywords", "对公式进行了推导. 直齿轮", "变形、数值计算"),
    ),
    "category": (("to category", "直齿轮", "工学"), said("category", "直齿轮", "工学")),
    "discipline": (
        ("to discipline", "对公式进行了推导.", "机械工程"),
        said("discipline", "对公式进行了推导.", "机械工程"),
    ),
    "an underscore that joins no keywords": (("to title", "摘要", "a_b"), said("title", "摘要", "a_b")),
}


@pytest.mark.parametrize(("row", "record"), BENCHMARK.values(), ids=BENCHMARK.keys())
def test_a_line_of_the_benchmark_is_a_record(build: Build, row: tuple[str, ...], record: dict[str, Any]) -> None:
    built = build("csl", benchmark(row))
    assert built.said == [record]
    assert built.records[0]["part"] == 0


def test_a_worded_row_stays_as_it_stands(build: Build) -> None:
    row = {"instruction": "根据标题生成摘要\n", "input": "直齿轮\n", "output": "变形,数值计算"}
    built = build("csl", {"CSL/csl.json": lines(row)})
    assert built.said == [{"instruction": "根据标题生成摘要", "input": "直齿轮", "output": "变形,数值计算"}]


def test_quotes_are_data(build: Build) -> None:
    built = build("csl", paper('"互联网+"背景', '"一馆多用"的思路', '"互联网+"', "图书情报", "管理学"))
    assert [(one["input"], one["output"]) for one in built.said] == [
        ('"一馆多用"的思路', '"互联网+"背景'),
        ('"一馆多用"的思路', '"互联网+"'),
        ('"互联网+"背景', "管理学"),
        ('"一馆多用"的思路', "图书情报"),
    ]


def test_other_numbers_of_columns_and_unknown_prompts_are_refused(build: Build) -> None:
    full = build(
        "csl", {"csl_camera_readly.tsv": "题\t摘要\t词\t数学\n题\t摘要\t词\t数学\t理学\t多\n题\t摘要\t词\t数学\t理学\n"}
    )
    assert full.refused == [(0, "missing field"), (1, "missing field")]
    assert len(full.records) == 4
    rows = [("to title", "摘要"), ("to summary", "摘要", "题"), ("title", "摘要", "题"), ("to title", "摘要", "题")]
    assert build("csl", benchmark(*rows)).refused == [(0, "missing field"), (1, "missing field"), (2, "missing field")]


def test_an_empty_answer_costs_its_part_only(build: Build) -> None:
    built = build("csl", paper("题", "摘要", "__", "", "理学"))
    assert [(one["part"], one["output"]) for one in built.records] == [(0, "题"), (2, "理学")]
    assert built.manifest["dropped_parts"] == {"empty output": 2}
    assert built.refused == []


def test_a_paper_without_any_answer_is_refused(build: Build) -> None:
    built = build("csl", paper("", "摘要", "", "", " "))
    assert built.records == []
    assert built.refused == [(0, "empty output")]


@pytest.mark.parametrize(
    ("keywords", "listed"),
    [("变形", "变形"), ("_变形__计算_", "变形、计算"), ("NF_κB_小鼠", "NF、κB、小鼠"), ("变形_ _计算", "变形、计算")],
)
def test_keywords_are_listed(build: Build, keywords: str, listed: str) -> None:
    assert build("csl", benchmark(("to keywords", "摘要 题", keywords), name="kg")).said[0]["output"] == listed


def test_the_same_paper_stays_in_every_set(build: Build) -> None:
    files = paper("题", "摘要", "词", "数学", "理学") | benchmark(("to title", "摘要", "题"))
    built = build("csl", files)
    assert [one["id"] for one in built.records].count(built.records[0]["id"]) == 2


def asked(subset: str, cells: list[str]) -> Iterator[tuple[str, str, str]]:
    """Task, text and answer of each question a real line gives."""
    if subset.startswith("benchmark/"):
        prompt, text, answer = cells
        yield prompt.removeprefix("to "), text, answer
    else:
        title, abstract, keywords, discipline, category = cells
        yield from (("title", abstract, title), ("keywords", abstract, keywords))
        yield from (("category", title, category), ("discipline", abstract, discipline))


@pytest.fixture
def sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the folder of task wordings, which the program reads in its place."""
    copy = shutil.copytree(tasks.HOME, tmp_path / "tasks")
    monkeypatch.setattr(tasks, "HOME", copy)
    tasks.wordings.cache_clear()
    yield copy
    tasks.wordings.cache_clear()


def test_a_change_of_the_wording_builds_csl_again_and_no_other(sheets: Path, tmp_path: Path) -> None:
    def fresh() -> dict[str, bool]:
        done = corpus(load(), ["csl", "dolly"], SAMPLES, tmp_path / "data", workers=1)
        return {one.manifest["source"]: one.fresh for one in done}

    assert fresh() == {"csl": True, "dolly": True}
    assert fresh() == {"csl": False, "dolly": False}
    sheet = sheets / "csl.yaml"
    sheet.write_text(sheet.read_text(encoding="utf-8").replace(ASKED["title"], "拟一个标题。"), encoding="utf-8")
    tasks.wordings.cache_clear()
    assert fresh() == {"csl": True, "dolly": False}
    asked = {one["instruction"] for one in read(tmp_path / "data" / "records" / "csl").records}
    assert "拟一个标题。" in asked
    assert ASKED["title"] not in asked
    assert fresh() == {"csl": False, "dolly": False}


def reading() -> Iterator[tuple[tuple[str, int, int], tuple[str, ...]]]:
    """The real lines as plain Python reads them: place, then instruction, input, output and extra."""
    for path in sorted((REAL / "csl").rglob("*.tsv")):
        subset = path.relative_to(REAL / "csl").as_posix()
        for row, line in enumerate(path.read_bytes().decode().removesuffix("\n").split("\n")):
            for part, (task, text, answer) in enumerate(asked(subset, line.split("\t"))):
                if task == "keywords":
                    answer = "、".join(word for word in answer.split("_") if word.strip())
                yield (subset, row, part), (ASKED[task], kept(text), kept(answer), json.dumps({"task": task}))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if not (REAL / "csl").is_dir():
        pytest.skip("the real rows are not at hand")
    data = tmp_path_factory.mktemp("data")
    corpus(load(), ["csl"], REAL, data, workers=1, limit=None)
    return read(data / "records" / "csl")


def test_every_real_line_reads_as_plain_python_reads_it(real: Built) -> None:
    found = {
        (one["subset"], one["row"], one["part"]): (
            one["instruction"],
            one["input"],
            one["output"],
            json.dumps(json.loads(one["extra"])),
        )
        for one in real.records
    }
    assert found == dict(reading())
    assert (real.manifest["raw_rows"], real.manifest["records"], real.manifest["rejected"]) == (5386, 9544, {})
    assert real.manifest["dropped_parts"] == {}
    assert sorted(one["rows"] for one in real.manifest["files"]) == [1000, 1000, 1000, 1000, 1386]


def test_thirteen_categories_and_67_disciplines(real: Built) -> None:
    answers = {(json.loads(one["extra"])["task"], one["output"]) for one in real.records}
    assert sum(task == "category" for task, _ in answers) == 13
    assert sum(task == "discipline" for task, _ in answers) == 67
