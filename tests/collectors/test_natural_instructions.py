"""natural_instructions: a task a file, its definition and licence beside its instances, in a new and an old form."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from built import Build, kept, read

from collectors.catalog import load
from collectors.errors import SourceError
from pipeline.collect import corpus

RAW = Path(__file__).resolve().parents[2] / ".." / "shared" / "raw" / "natural_instructions"
FILE = "tasks/task1425_country_codes.json"


def task(*instances: object, **fields: object) -> str:
    """A task file as upstream writes it, indented, with other keys around those that count."""
    head: dict[str, object] = {
        "Contributors": ["A. Writer"],
        "Categories": ["Misc."],
        "Definition": ["Name the code."],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Positive Examples": [{"input": "Chile", "output": "152", "explanation": "-"}],
        "Instances": list(instances),
        "Instance License": ["MIT"],
    }
    given = {name: value for name, value in (head | fields).items() if value is not None}
    return json.dumps(given, ensure_ascii=False, indent=4)


def one(**fields: object) -> dict[str, object]:
    return {"id": "task1425-0", "input": "Andorra", "output": ["020"]} | fields


SAID = {
    "instruction": "Name the code.",
    "input": "Andorra",
    "output": "020",
    "extra": {"id": "task1425-0", "categories": ["Misc."]},
}

INSTANCES: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "one output": (one(), SAID),
    "several outputs: the first counts, all stand in extra": (
        one(output=["020", "20", "AD"]),
        SAID | {"extra": SAID["extra"] | {"outputs": ["020", "20", "AD"]}},  # type: ignore[operator]
    ),
    "an output that is a text": (one(output="020"), SAID),
    "an output that is a number": (one(output=[20.50]), SAID | {"output": "20.5"}),
    "no id": ({"input": "Andorra", "output": "020"}, SAID | {"extra": {"categories": ["Misc."]}}),
    "no input": (one(input=""), {name: value for name, value in SAID.items() if name != "input"}),
    "letters of all kinds": (one(input="“Ås”\r\n安", output=["é\\n"]), SAID | {"input": "“Ås”\n安", "output": "é\\n"}),
}


@pytest.mark.parametrize(("raw", "said"), INSTANCES.values(), ids=INSTANCES.keys())
def test_an_instance_is_a_record(build: Build, raw: dict[str, object], said: dict[str, Any]) -> None:
    assert build("natural_instructions", {FILE: task(raw)}).said == [said]


def test_the_row_is_the_index_in_instances(build: Build) -> None:
    built = build("natural_instructions", {FILE: task(*(raw for raw, _ in INSTANCES.values()))})
    assert built.said == [said for _, said in INSTANCES.values()]
    assert built.places == [(FILE, index) for index in range(len(INSTANCES))]


REFUSED: dict[str, tuple[object, str]] = {
    "an empty list of outputs": (one(output=[]), "empty output"),
    "an empty output": (one(output=[""]), "empty output"),
    "an empty text": (one(output=" "), "empty output"),
    "no output": ({"id": "1", "input": "Andorra"}, "missing field"),
    "an output of another type": (one(output={"code": "020"}), "missing field"),
    "outputs of another type": (one(output=["020", True]), "missing field"),
    "no object": ("Andorra", "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_an_instance_that_is_none(build: Build, raw: object, reason: str) -> None:
    built = build("natural_instructions", {FILE: task(one(), raw, one())})
    assert built.places == [(FILE, 0), (FILE, 2)]
    assert built.refused == [(1, reason)]


def test_the_older_form_has_texts_for_lists(build: Build) -> None:
    old = {
        "Definition": "Name the code.",
        "Categories": "Misc.",
        "Instances": [{"input": "Andorra", "output": "020"}],
    }
    built = build("natural_instructions", {FILE: json.dumps(old)})
    assert built.said == [SAID | {"extra": {"categories": ["Misc."]}}]
    assert [(row["language"], row["license"]) for row in built.records] == [(None, "unknown")]


def test_a_definition_of_several_parts_is_joined(build: Build) -> None:
    built = build("natural_instructions", {FILE: task(one(), Definition=["Name the code.", "Digits only."])})
    assert built.records[0]["instruction"] == "Name the code.\nDigits only."


def test_without_a_definition_nothing_is_a_record(build: Build) -> None:
    built = build("natural_instructions", {FILE: task(one(), one(), Definition=None)})
    assert built.refused == [(0, "missing field"), (1, "missing field")]


LANGUAGES: list[tuple[object, object, str | None]] = [
    (["English"], ["English"], "en"),
    (["English"], ["Spanish"], "es"),
    (["Spanish"], None, "es"),
    (["Xhosa"], [], "xh"),
    (["English"], [""], "en"),
    (["English"], "Central Khmer", "km"),
    (["English"], ["persian "], "fa"),
    (["English"], ["French", "Italian"], "mul"),
    (["English"], ["French", "French"], "fr"),
    (["English"], ["Emoji"], "und"),
    (None, None, None),
]


@pytest.mark.parametrize(("asked", "answered", "code"), LANGUAGES)
def test_the_language_is_the_output_s(build: Build, asked: object, answered: object, code: str | None) -> None:
    built = build("natural_instructions", {FILE: task(one(), Input_language=asked, Output_language=answered)})
    assert built.records[0]["language"] == code


LICENSES: list[tuple[object, str]] = [
    (["Unknown"], "unknown"),
    (["CC BY 4.0"], "CC-BY-4.0"),
    (["CC BY-SA 4.0"], "CC-BY-SA-4.0"),
    (["CC BY-NC 4.0"], "CC-BY-NC-4.0"),
    (["CC BY-NC-SA 3.0"], "CC-BY-NC-SA-3.0"),
    (["Apache 2.0"], "Apache-2.0"),
    (["MIT"], "MIT"),
    ("MIT", "MIT"),
    (["MIT", "MIT"], "MIT"),
    (["MIT", "Apache 2.0"], "unknown"),
    (["Public Domain"], "unknown"),
    ([], "unknown"),
    (None, "unknown"),
]


@pytest.mark.parametrize(("stated", "known"), LICENSES)
def test_the_licence_is_the_task_s(build: Build, stated: object, known: str) -> None:
    built = build("natural_instructions", {FILE: task(one(), **{"Instance License": stated})})
    assert built.records[0]["license"] == known


def test_tasks_of_many_licences_keep_their_own(build: Build) -> None:
    files = {
        f"tasks/task{number}_x.json": task(one(), **{"Instance License": [stated]})
        for number, stated in enumerate(["MIT", "CC BY 4.0", "Unknown"])
    }
    built = build("natural_instructions", files)
    assert [row["license"] for row in built.records] == ["MIT", "CC-BY-4.0", "unknown"]


def test_stray_files_are_left_alone(build: Build) -> None:
    stray = {"tasks/README.md.orig": "#", "tasks/.task1_x.json.swp": "b0VIM", "doc/categories_map.json": "{}"}
    built = build("natural_instructions", {"tasks/Task2_recased.json": task(one())} | stray)
    assert built.places == [("tasks/Task2_recased.json", 0)]


@pytest.mark.parametrize("content", [task(one(), Instances=None), "[]", '{"Instances": {}}', task(one())[:-40]])
def test_a_file_without_instances_is_an_error(build: Build, content: str) -> None:
    with pytest.raises(SourceError, match=r"task1425_country_codes\.json.*Instances"):
        build("natural_instructions", {FILE: content})


@pytest.mark.skipif(not RAW.is_dir(), reason="no real rows at hand")
def test_real_rows(tmp_path: Path) -> None:
    corpus(load(), ["natural_instructions"], RAW.parent, tmp_path, workers=1, limit=None)
    real = read(tmp_path / "records" / "natural_instructions")
    assert (real.manifest["raw_rows"], real.manifest["records"], real.manifest["rejected"]) == (2316, 2316, {})
    assert len(real.manifest["files"]) == 11
    expected = {}
    for path in RAW.rglob("task*.json"):
        whole = json.loads(path.read_text(encoding="utf-8"))
        for index, raw in enumerate(whole["Instances"]):
            several = {"outputs": raw["output"]} if len(raw["output"]) > 1 else {}
            expected[path.relative_to(RAW).as_posix(), index] = {
                "instruction": kept("\n".join(whole["Definition"])),
                "input": kept(raw["input"]),
                "output": kept(raw["output"][0]),
                "extra": {"id": raw["id"], "categories": whole["Categories"]} | several,
            }
    found = dict(zip(real.places, real.said, strict=True))
    assert found.keys() == expected.keys()
    assert [place for place in expected if found[place] != expected[place]] == []
    assert max(len(row["extra"].get("outputs", [])) for row in real.said) == 25
    assert Counter(row["license"] for row in real.records) == {
        "CC-BY-SA-4.0": 993,
        "unknown": 539,
        "MIT": 347,
        "Apache-2.0": 337,
        "CC-BY-4.0": 100,
    }
    assert {row["language"] for row in real.records} == {"en"}
