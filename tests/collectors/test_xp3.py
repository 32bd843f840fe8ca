"""xp3: JSON Lines of inputs and targets, a folder a language."""

from typing import Any

import pytest
from built import Build, array, lines

ROW = {"inputs": "Sentence 1: Llueve.\nSentence 2: Hace sol.\nDo they agree? Yes or No?", "targets": "No"}
SAID = {"instruction": "Sentence 1: Llueve.\nSentence 2: Hace sol.\nDo they agree? Yes or No?", "output": "No"}


@pytest.mark.parametrize("written", [array, lines], ids=["array", "JSON Lines"])
def test_a_line_is_a_record_of_the_folders_language(build: Build, written: Any) -> None:
    built = build("xp3", {"es/merged_es.jsonl": written(ROW, ROW | {"lang": "x"})})
    assert built.said == [SAID, SAID]
    assert [(row["lang"], row["language"]) for row in built.records] == [("ML", "es")] * 2


LANGUAGES = {
    "ar/merged_ar.jsonl": "ar",
    "code/merged_code.jsonl": "und",
    "nso/merged_nso.jsonl": "nso",
    "zh/merged_zh.rows0-9.jsonl": "zh",
    "slices/merged_en.jsonl": None,
}


def test_every_folder_names_its_language_but_code(build: Build) -> None:
    built = build("xp3", {path: lines(ROW) for path in LANGUAGES})
    assert {row["subset"]: row["language"] for row in built.records} == LANGUAGES


def test_only_merged_files_are_collected(build: Build) -> None:
    built = build(
        "xp3",
        {
            "es/merged_es.jsonl": lines(ROW),
            "es/xp3_paws-x_es_train.jsonl": lines(ROW),
            "merged_es.jsonl": lines(ROW),
            "old/es/merged_es.jsonl": lines(ROW),
        },
    )
    assert built.places == [("es/merged_es.jsonl", 0)]


@pytest.mark.parametrize("prompt", ["None", "N/A", "<noinput>"])
def test_a_prompt_that_spells_no_input_is_a_prompt(build: Build, prompt: str) -> None:
    raw = {"inputs": prompt, "targets": "None"}
    assert build("xp3", {"en/merged_en.jsonl": lines(raw)}).said == [{"instruction": prompt, "output": "None"}]


def test_prompts_over_one_example_all_stay(build: Build) -> None:
    rows = [ROW, ROW, ROW | {"inputs": ROW["inputs"].replace("Do they", "Could they")}]
    built = build("xp3", {"es/merged_es.jsonl": lines(*rows)})
    assert len(built.records) == 3
    assert len({row["id"] for row in built.records}) == 2


def test_what_is_refused(build: Build) -> None:
    rows = [ROW | {"targets": " "}, ROW | {"inputs": ""}, {"inputs": "Why?"}, ROW | {"targets": ["No"]}, ROW]
    assert build("xp3", {"en/merged_en.jsonl": lines(*rows)}).refused == [
        (0, "empty output"),
        (1, "empty instruction"),
        (2, "missing field"),
        (3, "missing field"),
    ]
