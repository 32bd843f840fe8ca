"""A plan: equal to what is built where it says so, honest about the rest, quick, and as strict as `mix`."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from collecting import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixing import Row, built, catalog, frame, numbered, store, tokenizer_of_words
from mixing import rows as listed
from test_policies import judge, pair

from collectors.catalog import Catalog, load
from collectors.errors import SuriError
from pipeline import folder
from pipeline.collect import SAMPLES, corpus
from pipeline.engine import Engine
from pipeline.judge.run import judging
from pipeline.mix import mix
from pipeline.plan.answer import plan
from pipeline.plan.cells import TAGS, keep
from pipeline.plan.shares import LINED_UP, Stack, shares
from pipeline.plan.steps import USUAL, recipe
from pipeline.plan.told import show


def planned(known: Catalog, name: str, out: Path, **options: Any) -> Row:
    said: list[str] = []
    return plan(known, name, out, lambda: Engine(1), say=said.append, **options)


def both(out: Path, *parts: Mapping[str, Any], counts: bool = False, **rest: Any) -> Row:
    """The plan of a mixture of these parts, by records, or by `counts`."""
    return planned(catalog(*parts, **rest), "both", out, exact=not counts)


def rows(plan: Row) -> dict[str, int]:
    return {part["source"]: part["rows"] for part in plan["parts"]}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded samples of every source, judged."""
    out = tmp_path_factory.mktemp("samples")
    corpus(load(), list(load().sources), SAMPLES, out, workers=1)
    with Engine(1) as engine:
        assert len(list(judging(load(), [], out, engine, []))) == 37
    return out


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of which every word is one token."""
    return tokenizer_of_words(tmp_path_factory.mktemp("model"))


def same(found: Row, made: Row) -> None:
    """A plan by records tells what the manifest of the built mixture does."""
    assert found["basis"] == "exact"
    assert (found["rows"], found["candidates"], found["taken"]) == (made["rows"], made["candidates"], made["taken"])
    assert (found["left_out"], found["shortfalls"]) == (made["left_out"], made["shortfalls"])
    assert found["not_applied"] == made["not_applied"]
    for mine, its in zip(found["parts"], made["parts"], strict=True):
        names = ("source", "template", "candidates", "taken", "rows", "left_out", "evaluation")
        assert [mine[name] for name in names] == [its[name] for name in names]
    for tag, values in found["by"].items():
        assert {value: one["rows"] for value, one in sorted(values.items())} == made["counts"][tag]


def test_a_plan_by_records_is_what_is_built_for_every_mixture_of_the_catalog(samples: Path) -> None:
    with Engine(1) as engine:
        for name in load().mixtures:
            found = planned(load(), name, samples)
            made = mix(load(), name, samples, engine).manifest
            same(found, made)
            near = planned(load(), name, samples, exact=False)
            assert near["basis"] == "estimated"
            assert abs(sum(near["rows"].values()) - sum(made["rows"].values())) <= 1
            assert near["left_out"].get("where") == made["left_out"].get("where")
            # Only what repeats others goes by rates.
            assert {reason for part in near["parts"] for reason in part["estimated"]} <= {"duplicate"}


QUOTAS = st.one_of(
    st.fixed_dictionaries({"weight": st.integers(1, 5)}, optional={"max_repeat": st.integers(1, 3)}),
    st.fixed_dictionaries({"rows": st.integers(1, 60)}, optional={"max_repeat": st.integers(1, 3)}),
    st.fixed_dictionaries({"max_rows": st.integers(1, 20)}),
    st.just({}),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(QUOTAS, st.integers(1, 30)), min_size=1, max_size=3), st.data())
def test_by_counts_too_rows_are_those_of_the_mixture_where_nothing_is_estimated(
    tmp_path: Path, parts: list[tuple[Row, int]], data: st.DataObject
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    named = [{"source": f"s{at}", **quota} for at, (quota, _) in enumerate(parts)]
    for at, (_, size) in enumerate(parts):
        store(tmp_path, f"s{at}", frame(f"s{at}", [{"output": f"{at} {row}"} for row in range(size)]))
    rest: Row = {"dedup": "none"}
    fixed = sum(quota.get("rows", 0) for quota, _ in parts)
    if len({"weight" in quota for quota, _ in parts}) == 1 and data.draw(st.booleans()):
        rest["total"] = {"rows": data.draw(st.integers(max(1, fixed), max(90, fixed)))}
    made = built(tmp_path, *named, **rest).manifest
    for found in (both(tmp_path, *named, counts=True, **rest), both(tmp_path, *named, **rest)):
        same(found, made)


def test_a_part_tells_how_often_its_rows_stand_and_what_they_come_to(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(4, lang="CN", license="CC0-1.0")))
    store(tmp_path, "second", frame("second", numbered(40)))
    parts: list[Row] = [{"source": "first", "rows": 10, "max_repeat": 3}, {"source": "second", "rows": 30}]
    found = both(tmp_path, *parts, seed=3)
    first, second = found["parts"]
    assert (first["accepted"], first["rows"], first["epochs"], first["repeats"]) == (4, 10, 2.5, 3)
    assert (second["accepted"], second["rows"], second["epochs"], second["repeats"]) == (36, 30, 0.8333, 1)
    assert second["left_out"] == {"duplicate": 4, "rows": 6}
    assert first["characters"] == 10 * len("Count to 0.Hello.")
    assert {value: one["share"] for value, one in found["by"]["lang"].items()} == {"EN": 0.75, "CN": 0.25}
    assert {value: one["rows"] for value, one in found["by"]["license"].items()} == {"MIT": 30, "CC0-1.0": 10}


def test_policies_on_single_records_are_counted_and_duplicates_go_by_rates(tmp_path: Path) -> None:
    told: list[Row] = [{"flags": ["refusal"]}, {"leaks": ["exam/a:1"]}, {"language": "fr"}, *[{}] * 17]
    store(tmp_path, "first", frame("first", numbered(20)), cuts=3)
    judge(tmp_path, "first", told, suites=["exam"])
    pair(tmp_path, ["first"], [])
    place = tmp_path / "verdicts" / "first"
    folder.write_manifest(
        place, (folder.manifest(place) or {}) | {"records": 20, "clustered": {"row": 8, "request": 8}}
    )
    # Of a hundred clustered records everywhere 25 are copies, and all of them make 40 clusters.
    books = {"copies": 25, "clustered": 100, "clusters": 40}
    notions = {name: {"row": count, "request": count} for name, count in books.items()}
    folder.write_manifest(tmp_path / "verdicts" / "_pairs", {"sources": {"first": ""}, "fingerprint": "0"} | notions)
    part: Row = {"source": "first", "where": {"language": "en"}}
    policies: Row = {"flags": ["refusal"], "leaks": "drop", "dedup": "near"}
    found = both(tmp_path, part, counts=True, **policies)
    # 17 are let in: a tenth of them are copies (8 of 20, 25 of 100), 14 hundredths more are near them.
    assert found["left_out"] == {"where": 1, "leak": 1, "flag": 1, "duplicate": 2, "near": 2}
    assert found["parts"][0]["estimated"] == ["duplicate", "near"]
    assert (found["basis"], rows(found)) == ("estimated", {"first": 13})
    exact = both(tmp_path, part, counts=True, **policies | {"dedup": "none"})
    assert (exact["basis"], rows(exact)) == ("exact", {"first": 17})
    # What no cell tells of is named, and its part is bounded.
    ranged = both(tmp_path, part | {"where": {"answer_chars": {"min": 5}}}, counts=True, **policies)
    assert ranged["parts"][0]["unreckoned"] == ["where answer_chars"]
    assert (ranged["basis"], rows(ranged)) == ("at most", {"first": 13})


def test_by_counts_too_an_earlier_part_of_a_source_has_its_records(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", [{"output": str(at), "lang": "CN" if at < 3 else "EN"} for at in range(8)]))
    judge(tmp_path, "first", [{}] * 8)
    pair(tmp_path, ["first"], [])
    books = folder.manifest(tmp_path / "verdicts" / "first") or {}
    books |= {"records": 8, "clustered": {"row": 0, "request": 0}}
    folder.write_manifest(tmp_path / "verdicts" / "first", books)
    notions = {name: {"row": 0, "request": 0} for name in ("copies", "clustered", "clusters")}
    folder.write_manifest(tmp_path / "verdicts" / "_pairs", {"sources": {"first": ""}, "fingerprint": "0"} | notions)
    known = catalog({"source": "first"})

    def planned_twice(where: Row, *, counts: bool, **rest: Any) -> list[Row]:
        parts: list[Row] = [{"source": "first", "where": where}, {"source": "first"}]
        path = _file(tmp_path, parts=parts, **rest)
        found: list[Row] = planned(known, str(path), tmp_path, exact=not counts)["parts"]
        return found

    for counts in (False, True):
        first, second = planned_twice({"lang": "CN"}, counts=counts)
        assert (first["rows"], second["rows"], second["left_out"]) == (3, 5, {"duplicate": 3})
        assert [part["rows"] for part in planned_twice({"lang": "CN"}, counts=counts, dedup="none")] == [3, 8]
    # What a cell does not tell, it does not tell of the earlier part either.
    first, second = planned_twice({"row": {"max": 2}}, counts=True)
    assert (second["unreckoned"], second["basis"], second["rows"]) == (["what earlier parts have"], "at most", 8)
    again: list[Row] = [{"source": "belle"}, {"mixture": "belle-cot"}]
    unbuilt = planned(load(), str(_file(tmp_path, parts=again)), tmp_path)
    assert [(part["source"], part["rows"]) for part in unbuilt["parts"]] == [
        ("belle", 2_550_000),
        ("belle", 0),
        ("cot", 149_542),
    ]


def test_counts_are_kept_until_the_records_or_their_verdicts_change(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    part: Row = {"source": "first", "where": {"flags": "refusal"}}

    def found() -> tuple[dict[str, int], int]:
        answer = both(tmp_path, part, counts=True, dedup="none")
        return rows(answer), (place / "manifest.json").stat().st_mtime_ns

    place = tmp_path / "counts" / "characters" / "_cells" / "first"
    asked, moment = found()
    assert asked == {"first": 3}  # as mix has it where nothing is judged
    assert found() == (asked, moment)
    judge(tmp_path, "first", [{"flags": ["refusal"]}, {}, {}])
    asked, moment = found()
    assert asked == {"first": 1}
    assert found()[1] == moment
    store(tmp_path, "first", frame("first", numbered(5)))
    assert found()[0] == {"first": 5}
    (place / "cells.arrow").write_bytes(b"ARROW1")
    with pytest.raises(SuriError, match=r"is no whole shard of counts .*; delete .* and try again$"):
        found()


def test_without_records_the_catalog_says_what_is_expected_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "data"
    found = planned(load(), "all", out)
    known = {part["source"]: (part["known"], part["rows"]) for part in found["parts"]}
    assert known["alpaca"] == ("expected by upstream", 52_002)
    assert known["camel"] == ("expected by Alpaca-CoT", 760_620)
    assert found["basis"] == "estimated"
    assert found["tokens"]["all"] is None
    assert set(found["unknown"]["tokens"]) == set(known)
    part = next(part for part in found["parts"] if part["source"] == "coig")
    assert (part["unreckoned"], part["basis"]) == (["evaluation", "dedup exact"], "at most")
    half = planned(load(), "alpaca-gpt4", out)
    assert half["parts"][0]["unreckoned"] == ["where lang", "dedup exact"]
    assert half["by"]["lang"] == {"CN or EN": {"rows": 52_002, "share": 1.0}}
    assert not out.exists()


def test_rows_that_nobody_knows_are_unknown_and_so_is_what_depends_on_them(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(9)))
    one, other = {"source": "first"}, {"source": "second"}
    alone = both(tmp_path, one, other, counts=True)
    assert (rows(alone), alone["basis"]) == ({"first": 9, "second": None}, "unknown")
    assert alone["parts"][1]["known"] == "unknown"
    shared = both(tmp_path, one | {"weight": 1}, other | {"weight": 2}, counts=True)
    assert rows(shared) == {"first": None, "second": None}
    assert shared["unknown"]["rows"] == ["first", "second"]


def test_tokens_are_counted_once_and_give_the_steps_of_a_recipe(tmp_path: Path, words: Path) -> None:
    out, mine = tmp_path / "data", tmp_path / "mine.yaml"
    store(out, "first", frame("first", [{"instruction": "a b c", "output": f"{at}"} for at in range(100)]), cuts=2)
    mine.write_text("about: Short.\ncutoff: 16\nbatch: 2\naccumulation: 3\nepochs: 2\n")
    known = catalog({"source": "first"})

    def told(**options: Any) -> Row:
        return planned(known, "both", out, tokenizer=str(words), recipe=str(mine), **options)

    found = told()
    assert (found["parts"][0]["tokens"], found["tokens"]) == (400, {"all": 400, "train": 400})
    # 400 tokens are 25 packed rows of 16, 5 steps of 6 an epoch.
    assert found["recipe"]["training"] == {"fed": 25, "an_epoch": 5, "steps": 10, "epochs": 2}
    counted = {path: path.stat().st_mtime_ns for path in (out / "counts").rglob("*")}
    assert told()["tokens"] == told(exact=False)["tokens"] == found["tokens"]
    assert {path: path.stat().st_mtime_ns for path in counted if path.is_file()}.items() <= counted.items()
    mine.write_text("packing: false\nbatch: 10\naccumulation: 1\nsteps: 12\n")
    assert told()["recipe"]["training"] == {"fed": 100, "an_epoch": 10, "steps": 12, "epochs": 1.2}
    mine.write_text("cutoff: 16\n")
    assert planned(known, "both", out, recipe=str(mine))["recipe"]["training"] is None
    quota = catalog({"source": "first", "tokens": 41}, tokenizer=str(words))
    assert [rows(planned(quota, "both", out, exact=exact)) for exact in (True, False)] == [{"first": 10}] * 2
    absent = catalog({"source": "absent", "tokens": 4096}, tokenizer=str(words))
    asked = planned(absent, "both", out, recipe=str(mine))
    assert (rows(asked), asked["parts"][0]["tokens"]) == ({"absent": None}, 4096)


def test_what_training_has_of_the_lengths_is_that_of_its_rows(tmp_path: Path, words: Path) -> None:
    """Held-out rows stand once, whatever quotas draw, and are as long as they are."""
    store(tmp_path, "first", frame("first", [{"instruction": "a " * at, "output": f"{at}"} for at in range(1, 10)]))
    known = catalog({"source": "first", "rows": 18, "max_repeat": 2}, holdout={"rows": 4}, tokenizer=str(words))
    found = planned(known, "both", tmp_path)
    made = mix(known, "both", tmp_path, Engine(1))
    lengths = {
        split: sum(len(message["content"].split()) for row in listed(made, split) for message in row["messages"])
        for split in ("train", "holdout")
    }
    assert made.manifest["rows"] == found["rows"] == {"train": 10, "holdout": 4}
    assert found["tokens"] == {"all": lengths["train"] + lengths["holdout"], "train": lengths["train"]}
    # By counts it is in proportion to the rows.
    near = planned(known, "both", tmp_path, exact=False)["tokens"]
    assert near["train"] == round(near["all"] * 10 / 14)


def test_what_a_licence_policy_forbids_is_told_with_the_reasons(tmp_path: Path, capsys: Any) -> None:
    free = {"license": "MIT"}
    listed = [free | {"output": "1"}, *({"license": "CC-BY-NC-4.0", "output": f"{at}"} for at in range(2, 5))]
    store(tmp_path, "first", frame("first", listed))
    reason = "CC-BY-NC-4.0 (attribution, no commercial use)"
    barred: Row = {"source": "first", "licence": "CC-BY-NC-4.0", "terms": [], "rows": 3, "because": [reason]}
    for counts in (False, True):
        found = both(tmp_path, {"source": "first"}, counts=counts, licence="permissive", dedup="none")
        assert found["licence"] == {"policy": "permissive", "forbidden": [barred]}
        assert (rows(found), found["left_out"]) == ({"first": 1}, {"licence": 3})
    show(found)
    printed = capsys.readouterr().out
    assert f"licence policy permissive: forbids these rows\n  first, 3 rows under CC-BY-NC-4.0: {reason}\n" in printed
    # Where it lets nothing in there is nothing to build, but all the more to tell.
    none = both(tmp_path, {"source": "first", "where": {"license": "CC-BY-NC-4.0"}}, licence="permissive")
    assert (rows(none), none["licence"]["forbidden"]) == ({"first": 0}, [barred])
    unbuilt = planned(load(), str(_file(tmp_path, licence="permissive", parts=[{"source": "belle"}])), tmp_path)
    show(unbuilt)
    assert "\n  belle, ~2,550,000 rows under unknown: unknown (no licence is stated" in capsys.readouterr().out
    said = unbuilt["licence"]["forbidden"][0]
    assert (said["source"], said["licence"], said["rows"]) == ("belle", "unknown", 2_550_000)
    assert said["because"][0] == "unknown (no licence is stated, or several that disagree)"


def _file(place: Path, **mixture: Any) -> Path:
    path = place / "mine.yaml"
    path.write_text(json.dumps({"about": "A test.", **mixture}))
    return path


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"parts": [{"source": "alpaca", "weight": 0}]}, r"parts.0.weight: Input should be greater than 0 \(found 0\)"),
        ({"parts": [{"mixture": "MINE"}]}, "its mixtures hold each other, MINE -> MINE; take one of them out"),
        ({"parts": [{"source": "alpacca"}]}, "unknown source alpacca; did you mean alpaca"),
        (
            {"parts": [{"source": "alpaca", "template": "cott"}]},
            "template 'cott': neither a template nor a file; did you mean cot",
        ),
        ({"parts": [{"source": "alpaca", "suffix": "thinks"}]}, "did you mean think"),
        ({"parts": [{"source": "alpaca"}], "flags": ["refusel"]}, "unknown flag refusel; did you mean refusal"),
        (
            {"parts": [{"source": "alpaca", "tokens": 5}], "tokenizer": "./none"},
            "tokenizer ./none: there is no none/tokenizer.json",
        ),
        ({"parts": [{"source": "alpaca", "tokens": 5}]}, "tokens are counted by a tokenizer; name one"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused_in_the_line_of_mix(
    mixture: Row, said: str, samples: Path, tmp_path: Path
) -> None:
    path = _file(tmp_path)
    path.write_text(json.dumps({"about": "A test.", **mixture}).replace("MINE", str(path)))
    with pytest.raises(SuriError) as planning:
        planned(load(), str(path), samples)
    with pytest.raises(SuriError, match=said.replace("MINE", str(path))), Engine(1) as engine:
        mix(load(), str(path), samples, engine)
    with pytest.raises(SuriError) as mixing, Engine(1) as engine:
        mix(load(), str(path), samples, engine)
    assert str(planning.value) == str(mixing.value)
    assert "\n" not in str(planning.value)


def test_a_quota_over_what_exists_is_told_as_mix_tells_it(tmp_path: Path, capsys: Any) -> None:
    store(tmp_path, "first", frame("first", numbered(5)))
    part: Row = {"source": "first", "rows": 9}
    warned = built(tmp_path, part).warnings
    assert warned == ["mixture both: first gives 5 rows of the 9 asked for; there are no more"]
    for counts in (False, True):
        show(both(tmp_path, part, counts=counts))
        assert capsys.readouterr().out.splitlines()[-1] == f"warning: {warned[0]}"
    with pytest.raises(SuriError, match="its holdout takes 5 rows of the 5 there are"):
        both(tmp_path, {"source": "first"}, holdout={"rows": 5})
    with pytest.raises(SuriError, match="its holdout takes all of the 5 rows there are"):
        both(tmp_path, {"source": "first"}, counts=True, holdout={"rows": 5})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cutoff: 0", r"recipe .*: cutoff: must be a whole number over 0 \(found 0\)"),
        ("packing: 1", r"packing: must be true or false \(found 1\)"),
        ("epochs: many", "epochs: must be a number over 0"),
        ("[]", "is no mapping of keys to values"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SuriError, match=said):
        recipe(str(tmp_path / "mine.yaml"))
    with pytest.raises(SuriError, match=r"recipe lorra: unknown; did you mean lora.* \(or give the path"):
        recipe("lorra")


def test_a_recipe_has_the_keys_and_defaults_of_training() -> None:
    fields = pytest.importorskip("train.recipe").Recipe.model_fields
    assert {key: fields[key].default for key in USUAL} == USUAL
    assert recipe("demo")["steps"] == 60


def test_a_hundred_million_records_are_shared_in_bundles_nearly_as_one_by_one() -> None:
    known = catalog({"source": "a", "weight": 3}, {"source": "b", "weight": 1}, total={"rows": 40_000_000})
    _, mixture = known.mixture("both")
    found = shares(mixture, [Stack(records=90_000_000), Stack(records=8_000_000)])
    assert found.bundled
    assert found.rows == [pytest.approx(32_000_000, abs=100), pytest.approx(8_000_000, abs=100)]
    small = mixture.model_copy(update={"total": mixture.total.model_copy(update={"rows": LINED_UP})})  # type: ignore[union-attr]  # it has one
    exact = shares(small, [Stack(records=90_000_000), Stack(records=8_000_000)])
    assert (exact.bundled, exact.rows) == (False, [LINED_UP * 3 // 4, LINED_UP // 4])
    lacking = shares(mixture, [Stack(records=3_000_000), Stack(records=8_000_000)]).shortfalls
    assert [(one.part, one.asked, one.given) for one in lacking] == [
        ("the mixture", 40_000_000, pytest.approx(11_000_000, abs=100))
    ]


def test_the_command_tells_it_in_tables_and_as_json(samples: Path, tmp_path: Path) -> None:
    def command(*words: str) -> str:
        asked = [sys.executable, "-m", "pipeline", "plan", *words]
        return subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    lines = command("alpaca-belle-cot", "--out", str(samples)).splitlines()
    assert lines[0].startswith("alpaca-belle-cot: 107 candidates, 106 rows (101 train, 5 holdout), ")
    assert lines[4].split() == ["cot", "counted", "68", "1", "duplicate", "67", "1.00", "1", "12,113", "?", "63.2%"]
    told = json.loads(command("alpaca-belle-cot", "--out", str(samples), "--recipe", "lora", "--json"))
    assert told["rows"] == {"train": 101, "holdout": 5}
    empty = command("alpaca-gpt4", "--out", str(tmp_path)).splitlines()
    assert empty[0] == "alpaca-gpt4: ~52,002 candidates, ≤52,002 rows"
    assert "≤ at most, for what is not reckoned leaves out more" in empty


def test_from_kept_counts_a_plan_of_the_whole_catalog_is_a_moment(tmp_path: Path) -> None:
    out, known, files = tmp_path / "data", load(), 2000
    for name, source in known.sources.items():
        size = source.rows or source.ancestor_rows or 0
        records = {"source": name, "records": size, "fingerprint": name}
        (out / "records" / name).mkdir(parents=True)
        folder.write_manifest(out / "records" / name, records)
        each = [size // files + (at < size % files) for at in range(files)]
        tags = {tag: [str(getattr(source, tag))] * files for tag in TAGS}
        lineage = {"source": [name] * files, "subset": [f"{at}.json" for at in range(files)]}
        sizes = {"characters": [600 * count for count in each], "rows": each}
        cells = pl.DataFrame({**lineage, **tags, "language": ["en"] * files, **sizes})
        keep(cells, name, records, None, None, out)
    parts = [{"source": name} for name in known.sources]
    total = _file(tmp_path, parts=parts, total={"characters": 10**9}, temperature=2, licence="no-noncommercial")
    start = time.process_time()
    whole, shared = planned(known, "all", out), planned(known, str(total), out)
    assert time.process_time() - start < 5
    assert whole["candidates"] == sum(part["rows"] for part in whole["parts"]) > 130_000_000
    assert {part["known"] for part in whole["parts"]} == {"counted"}
    assert shared["characters"]["all"] == pytest.approx(10**9, rel=1e-4)
