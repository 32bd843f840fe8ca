"""why of mixtures: for every record the rule that the mixture's own books count it under."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mixing import Row, frame, rows, store, tokenizer_of_words

from collectors.catalog import Catalog
from collectors.mixture import Mixture, Part
from collectors.where import Where
from pipeline import decisions, folder
from pipeline.card import Credit
from pipeline.diff.answer import diff
from pipeline.engine import Engine
from pipeline.judge.run import judging
from pipeline.judge.suites import suites
from pipeline.mix import Mixed, mix
from pipeline.report import inventory
from pipeline.selection import REASONS
from pipeline.tree import finished, tree
from pipeline.why import rules
from pipeline.why.answer import why

SIZES = {"first": 40, "second": 30, "third": 20}
LOAVES = "The baker sells forty seven loaves before lunch and twice as many after it; how many were sold on that day?"
NOUNS = ("river", "stone", "lantern", "copper", "orchard", "velvet", "thunder", "harbour", "saddle", "meadow")


def listed(source: str) -> list[Row]:
    """Records of a source, every fifth one of which is something that a mixture may refuse."""
    words = [f"{noun}{source[0]}{letter}" for letter in "abcde" for noun in NOUNS]
    found: list[Row] = []
    for at in range(SIZES[source]):
        text = " ".join(words[(at * 7 + step * 3) % 50] + str(at) for step in range(24))
        found.append({"row": at, "instruction": f"Tell of {text}", "output": f"It is {text}."})
    found[5]["license"] = "CC-BY-NC-4.0"
    found[7]["output"] = "Write to jane.doe@mail-of-jane.org on any day of the week, and she will answer you."
    found[9]["instruction"] = "Solve this: " + LOAVES
    found[11] |= {"instruction": found[10]["instruction"], "output": found[10]["output"]}
    found[12] |= {"instruction": found[10]["instruction"], "output": found[10]["output"][:-1] + ", and so it stays."}
    found[13] |= {"instruction": found[6]["instruction"]}
    found[14]["output"] *= 4
    found[15]["subset"] = "test.json"
    if source != "first":
        found[16] |= {name: listed("first")[20][name] for name in ("instruction", "output")}
        found[17] |= {
            "instruction": listed("first")[21]["instruction"],
            "output": listed("first")[21]["output"] + f" {source}.",
        }
    return found


def known(place: Path) -> Catalog:
    """A catalog of the sources, in which `test.json` is a benchmark's file, and mixtures with every rule there is."""
    tokenizer_of_words(place)
    source = {
        "title": "A source",
        "about": "Rows of a test.",
        "homepage": "https://example.org/",
        "origins": [],
        "files": [{"glob": "test.json", "evaluation": True}, {"glob": "*.json"}],
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "license": "MIT",
        "columns": {"instruction": "instruction", "output": "output"},
    }
    policies: Row = {"leaks": "drop", "flags": ["personal-email"], "licence": "no-noncommercial", "about": "A test."}
    short = {"answer_chars": {"max": 600}}
    mixtures: dict[str, Row] = {
        "near": {
            **policies,
            "dedup": "near",
            "seed": 3,
            "holdout": {"share": 0.2},
            "parts": [
                {"source": "first", "weight": 1, "where": short, "max_rows": 20},
                {"source": "second", "weight": 1, "where": {"language": "en"} | short, "seed": 5},
                {"source": "third", "rows": 30, "max_repeat": 4},
            ],
        },
        "prompt": {
            **policies,
            "dedup": "prompt",
            "total": {"rows": 31},
            "parts": [{"source": "third"}, {"tags": ["first", "second"], "where": short}],
        },
        "measured": {
            "about": "A test.",
            "tokenizer": str(place),
            "dedup": "none",
            "parts": [
                {"source": "first", "tokens": 400},
                {"source": "second", "characters": 4000, "evaluation": True},
                {"source": "third", "rows": 7},
            ],
        },
    }
    return Catalog.model_validate({"sources": dict.fromkeys(SIZES, source), "mixtures": mixtures})


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Catalog, dict[str, Mixed]]:
    """The sources, judged, and the mixtures of them."""
    place = tmp_path_factory.mktemp("words")
    out, catalog = place / "data", known(place)
    (place / "bakery.jsonl").write_text(json.dumps({"question": LOAVES}), encoding="utf-8")
    for source, size in SIZES.items():
        store(out, source, frame(source, listed(source)).sample(fraction=1, shuffle=True, seed=1), cuts=3)
        book = folder.manifest(out / "records" / source)
        assert book is not None
        files = [{"path": name, "sha256": "", "rows": size} for name in ("data.json", "test.json")]
        folder.write_manifest(out / "records" / source, book | {"files": files, "raw_rows": size, "limit": None})
    with Engine(1) as engine:
        list(judging(catalog, [], out, engine, suites(catalog, None, [("bakery", place / "bakery.jsonl")])))
        return out, catalog, {name: mix(catalog, name, out, engine) for name in catalog.mixtures}


@pytest.fixture(scope="module")
def told(laid: tuple[Path, Catalog, dict[str, Mixed]]) -> dict[str, dict[tuple[str, int], dict[str, Any]]]:
    """What why says of every record: by mixture, and by source and row."""
    out, catalog, mixed = laid
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {name: {} for name in mixed}
    for source in SIZES:
        for row in listed(source):
            asked = f"{source}:{row.get('subset', 'data.json')}:{row['row']}"
            [record] = why(catalog, asked, out)["records"]
            for one in record["mixtures"]:
                found[one["mixture"]][source, row["row"]] = one
    return found


@pytest.mark.parametrize("name", ["near", "prompt", "measured"])
def test_what_why_says_of_every_record_adds_up_to_the_ledger(name: str, laid: Any, told: Any) -> None:
    mixed: Mixed = laid[2][name]
    for part in mixed.manifest["parts"]:
        mine = [one for (source, _), one in told[name].items() if source == part["source"]]
        rules = Counter(one["rule"] for one in mine)
        assert (rules.pop(None), dict(rules)) == (part["taken"], part["left_out"])
        assert [one["taken"] for one in mine] == [one["rule"] is None for one in mine]
        splits = [row["split"] for one in mine if one["taken"] for row in one["rows"]]
        assert (len(splits), splits.count("holdout")) == (part["rows"], part["holdout"])


def test_every_reason_is_met(told: Any) -> None:
    assert {one["rule"] for every in told.values() for one in every.values()} == {None, *REASONS}
    assert tuple(rules.SAID) == REASONS


@pytest.mark.parametrize("name", ["near", "prompt", "measured"])
def test_the_rows_are_where_why_says(name: str, laid: Any, told: Any) -> None:
    there = {
        split: rows(laid[2][name], split) for split in ("train", "holdout") if laid[2][name].manifest["rows"][split]
    }
    named = [
        (source, at, row, one["worded"])
        for (source, at), one in told[name].items()
        if one["taken"]
        for row in one["rows"]
    ]
    assert len(named) == sum(map(len, there.values()))
    for source, at, row, messages in named:
        found = there[row["split"]][row["position"]]
        assert (found["source"], found["row"], found["repeat"]) == (source, at, row["repeat"])
        assert found["messages"] == messages


@pytest.mark.parametrize("name", ["near", "prompt", "measured"])
def test_a_draw_tells_by_its_end_who_is_taken(name: str, told: Any) -> None:
    drawn = [one for one in told[name].values() if "draw" in one]
    assert drawn
    for one in drawn:
        assert (one["draw"]["value"] <= one["draw"]["last"]) == one["taken"]
    assert all("draw" in one for one in told[name].values() if one["rule"] in decisions.DRAWN)


@pytest.mark.parametrize(
    ("mixture", "source", "row", "rule", "said"),
    [
        ("near", "first", 5, "licence", "CC-BY-NC-4.0, the policy is no-noncommercial"),
        ("near", "first", 7, "flag", "it has a flag that the mixture refuses: personal-email"),
        ("near", "first", 9, "leak", "that the mixture drops: bakery/bakery.jsonl:0"),
        ("near", "first", 11, "duplicate", "an earlier record has the same text: first:data.json:10"),
        ("near", "first", 14, "where", r"answer_chars is [\d,]+, the part takes at most 600"),
        ("near", "first", 15, "evaluation", "its file is part of a benchmark"),
        ("near", "second", 16, "duplicate", "an earlier record has the same text: first:data.json:20"),
        ("near", "second", 17, "near", "it is a near-duplicate of first:data.json:21.*, which stands for it"),
        ("prompt", "first", 13, "prompt", "an earlier record has the same request: first:data.json:6"),
        ("prompt", "second", 17, "prompt", "an earlier record has the same request: third:data.json:17"),
    ],
)
def test_what_is_said_names_what_it_was(mixture: str, source: str, row: int, rule: str, said: str, told: Any) -> None:
    found = told[mixture][source, row]
    assert found["rule"] == rule
    assert re.search(said, found["said"]), found["said"]


def test_a_near_duplicate_names_the_one_that_is_a_pair_with_it(laid: Any, told: Any) -> None:
    out, catalog, _ = laid
    near = [key for key, one in told["near"].items() if one["rule"] == "near"]
    assert len(near) >= 4
    for source, row in near:
        said = told["near"][source, row]["said"]
        (where,) = re.findall(r"near-duplicate of (\S+?),? ", said)
        record = why(catalog, f"{source}:data.json:{row}", out)["records"][0]
        pairs = record["duplicates"]["row"]["pairs"]["rows"]
        assert why(catalog, where, out)["records"][0]["record"]["id"] in {one["id"] for one in pairs}


def test_parts_of_one_source_are_told_as_the_one_that_takes_it(laid: Any, tmp_path: Path) -> None:
    out, catalog, _ = laid
    place = tmp_path / "two.yaml"
    halves = [{"source": "first", "where": {"row": {"max": 19}}}, {"source": "first", "where": {"row": {"min": 20}}}]
    halves[1] |= {"template": "cot"}
    recipe = {"about": "Two halves.", "parts": halves, "dedup": "none"}
    place.write_text(json.dumps(recipe), encoding="utf-8")
    with Engine(1) as engine:
        mixed = mix(catalog, str(place), out, engine)
    try:
        for row in (3, 33):
            [record] = why(catalog, f"first:data.json:{row}", out)["records"]
            [found] = [one for one in record["mixtures"] if one["mixture"] == "two"]
            assert (found["taken"], len(found["rows"])) == (True, 1)
            assert found["template"]["name"] == ("plain" if row < 20 else "cot")
    finally:
        for path in mixed.folder.iterdir():
            path.unlink()
        mixed.folder.rmdir()


def test_decisions_stay_where_they_are_and_are_in_nobodys_way(
    laid: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, catalog, _ = laid
    place = tree(finished("near", out), tmp_path / "tree", Credit.of(catalog))
    assert not [path for path in place.rglob("*") if "decisions" in path.name]
    assert "decisions" not in (folder.manifest(place) or {})
    inventory(out)
    assert "near" in capsys.readouterr().out
    with Engine(1) as engine:
        found = diff("near", "near", out, engine)["rows"]
    assert (found["same"] > 0, found["changed"], found["only_a"]) == (True, 0, 0)


def test_decisions_are_one_byte_a_record_in_the_order_of_lineage(laid: Any) -> None:
    mixed: dict[str, Mixed] = laid[2]
    told = mixed["near"].manifest["decisions"]
    frame = pl.read_ipc(mixed["near"].folder / told["path"])
    assert (frame.height, told["rows"]) == (sum(SIZES.values()),) * 2
    assert frame["outcome"][5] == "licence"
    assert decisions.outcomes(mixed["near"].folder, [11, 5, 11]) == ["duplicate", "licence", "duplicate"]
    assert [file["path"] for file in mixed["near"].manifest["files"]] == ["train-00000.arrow", "holdout-00000.arrow"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"rationale": True}, "it has no rationale"),
        ({"output": False}, "it has output"),
        ({"output": "^Bye"}, "its output holds no match of ^Bye"),
        ({"history": {"max": 0}}, "history is 1 long, the part takes at most 0"),
        ({"cluster": False, "input": True}, "it has no input, it has cluster"),
    ],
)
def test_what_is_said_of_texts_is_whether_they_are_there_and_not_their_words(where: Row, said: str) -> None:
    record = {"rationale": None, "output": "Hello.", "input": "", "history": [{"user": "Hi.", "assistant": "Hello."}]}
    part = Part(source="first", where=Where.model_validate(where))
    mixture = Mixture(about="A test.", parts=[part])
    assert rules.said("where", mixture, part, record, {"cluster": "a" * 32}) == said
