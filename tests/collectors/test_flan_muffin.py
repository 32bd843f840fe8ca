"""flan_muffin: benchmark examples under templates, one small file a task."""

from typing import Any

import pytest
from built import Build, array, lines

FILE = "train/sst2_10templates_train.jsonl"

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a task in the row": (
        {"inputs": "Is this sentiment positive? I loved it.", "targets": "yes", "task": "sst2_10templates"},
        {
            "instruction": "Is this sentiment positive? I loved it.",
            "output": "yes",
            "extra": {"task": "sst2_10templates"},
        },
    ),
    "another task than the file's": (
        {"inputs": "Is it?", "targets": "no", "task": "cola_10templates"},
        {"instruction": "Is it?", "output": "no", "extra": {"task": "cola_10templates"}},
    ),
    "no task": (
        {"inputs": "Is it?", "targets": "no"},
        {"instruction": "Is it?", "output": "no", "extra": {"task": "sst2_10templates"}},
    ),
    "a null task": (
        {"inputs": "Is it?", "targets": "no", "task": None},
        {"instruction": "Is it?", "output": "no", "extra": {"task": "sst2_10templates"}},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_a_line_is_a_record(build: Build, raw: dict[str, Any], said: dict[str, Any], written: Any) -> None:
    assert build("flan_muffin", {FILE: written(raw)}).said == [said]


def test_many_small_files_each_with_its_task(build: Build) -> None:
    tasks = ["aeslc", "ag_news_subset", "wmt16_translate_deen", "story_cloze"]
    files = {f"train/{task}_10templates_train.jsonl": lines({"inputs": task, "targets": "x"}) for task in tasks}
    built = build("flan_muffin", files | {"train/rte_10templates.jsonl": lines({"inputs": "rte", "targets": "x"})})
    assert {one["instruction"]: one["extra"]["task"] for one in built.said} == {
        task: f"{task}_10templates" for task in [*tasks, "rte"]
    }


def test_one_example_under_several_templates_stays_several_records(build: Build) -> None:
    rows = [{"inputs": f"{words}: I loved it.", "targets": "positive"} for words in ("Review", "Sentiment of this")]
    built = build("flan_muffin", {FILE: lines(*rows)})
    assert [one["output"] for one in built.said] == ["positive", "positive"]
    assert len({one["id"] for one in built.records}) == 2


def test_the_benchmarks_own_splits_are_not_collected(build: Build) -> None:
    row = lines({"inputs": "Is it?", "targets": "no"})
    others = {f"{split}/sst2_10templates_{split}.jsonl": row for split in ("validation", "test")}
    built = build("flan_muffin", {FILE: row} | others)
    assert built.places == [(FILE, 0)]


def test_the_old_fields_are_refused(build: Build) -> None:
    rows = [{"text": "Is it? no", "dataset": "sst2"}, {"inputs": "Is it?"}, {"inputs": "Is it?", "targets": " "}]
    built = build("flan_muffin", {FILE: lines(*rows)})
    assert built.refused == [(0, "missing field"), (1, "missing field"), (2, "empty output")]
