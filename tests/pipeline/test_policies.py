"""What a mixture does by verdicts and licences: where, duplicates, leaks, flags, and a holdout of clusters."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixing import Row, built, catalog, contents, frame, numbered, rows, store

from collectors.errors import ArtefactError, CatalogError
from collectors.record import ids
from pipeline import folder, shards
from pipeline.engine import Engine
from pipeline.judge.pairs import SCHEMA as PAIRS
from pipeline.judge.verdict import SCHEMA
from pipeline.mix import Mixed, mix

PLAIN: Row = {"language": "en", "confidence": 1.0, "flags": [], "leaks": [], "request_chars": 20, "answer_chars": 6}


def judge(out: Path, source: str, told: list[Row], *, suites: list[str] | None = None, base: int = 0) -> None:
    """Write verdicts on a source's records as they lie: each of `told` says where it differs from `PLAIN`.

    A row's keys are its number and `base`, where it does not say otherwise, and its prompt_id that of its request.
    """
    records = folder.manifest(out / "records" / source)
    assert records is not None
    place, start = out / "verdicts" / source, 0
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for path in shards.paths(out / "records" / source):
        frame = pl.DataFrame(pa.Table.from_batches(list(shards.batches(path))))
        prompts = ids(frame, ("system", "history", "instruction", "input")).to_list()
        listed = []
        for at, (ident, prompt) in enumerate(zip(frame["id"], prompts, strict=True), start):
            key = {"row_key": base + at + 1, "request_key": base + at + 1, "id": ident, "prompt_id": prompt}
            listed.append({"request_cluster": None, "cluster": None, **PLAIN, **key, **told[at]})
        start += frame.height
        shards.write(place / path.name, pa.Table.from_pylist(listed, SCHEMA))
    assert start == len(told)
    books = {"source": source, "records_fingerprint": records["fingerprint"], "suites": suites or []}
    folder.write_manifest(place, books | {"fingerprint": folder.fingerprint(told=told, suites=suites, base=base)})


def pair(out: Path, sources: list[str], keys: list[tuple[int, int]], notion: str = "row") -> None:
    """Write near-duplicates, given by the keys of both."""
    place = out / "verdicts" / "_pairs"
    place.mkdir(parents=True, exist_ok=True)
    listed = [{"a": "", "b": "", "notion": notion, "jaccard": 0.9, "a_key": a, "b_key": b} for a, b in keys]
    shards.write(place / f"{notion}-00000.arrow", pa.Table.from_pylist(listed, PAIRS))
    folder.write_manifest(place, {"sources": dict.fromkeys(sources, ""), "fingerprint": "0"})


def taken(mixed: Mixed, source: str = "first", split: str = "train") -> list[int]:
    return sorted(row["row"] for row in rows(mixed, split) if row["source"] == source)


def closes(mixed: Mixed) -> None:
    for one in [mixed.manifest, *mixed.manifest["parts"]]:
        assert one["candidates"] == one["taken"] + sum(one["left_out"].values())


def test_where_asks_every_column_and_verdict(tmp_path: Path) -> None:
    licensed = [{"subset": "a/x.json"}, {"subset": "b/y.json", "license": "CC0-1.0"}, {"part": 3}]
    store(tmp_path, "first", frame("first", [one | {"output": str(at)} for at, one in enumerate(licensed)]))
    told: list[Row] = [
        {"language": "fr", "confidence": 0.4, "flags": ["refusal", "truncated"], "answer_chars": 10},
        {"language": "zh-Hans", "leaks": ["exam/a.json:1"], "request_chars": 4000},
        {"answer_chars": 11},
    ]

    def let_in(**where: Any) -> list[int]:
        mixed = built(tmp_path, {"source": "first", "where": where})
        closes(mixed)
        return taken(mixed)

    assert let_in(license="CC0-1.0") == [1]
    assert let_in(subset="a/*.json") == [0]
    assert let_in(subset=["**/y.json", "data.*"]) == [1, 2]
    assert let_in(source="f*", row={"max": 1}) == [0, 1]
    assert let_in(part={"min": 1}) == [2]
    judge(tmp_path, "first", told, suites=["exam"])
    pair(tmp_path, ["first"], [])
    assert let_in(language=["fr", "zh-Hans"]) == [0, 1]
    assert let_in(confidence={"min": 0.5}) == [1, 2]
    assert let_in(flags=["truncated"]) == [0]
    assert let_in(flags=[]) == [1, 2]
    assert let_in(leaks="exam") == [1]
    assert let_in(leaks=[]) == [0, 2]
    assert let_in(request_chars={"min": 20, "max": 4000}) == [0, 1, 2]
    assert let_in(request_chars={"min": 21, "max": 4000}) == [1]
    assert let_in(answer_chars={"min": 7, "max": 10}) == [0]
    assert let_in(language="fr", flags="refusal", answer_chars={"min": 10}) == [0]


def test_where_asks_what_texts_a_record_has_and_what_stands_in_them(tmp_path: Path) -> None:
    turn = {"user": "Hi.", "assistant": "Hello."}
    listed: list[Row] = [
        {"rationale": "I know.", "input": "x", "extra": '{"author": "human"}'},
        {"history": [turn, turn], "system": "Be kind.", "extra": '{"author": "chatgpt"}'},
        {"rejected": "No.", "history": [turn], "instruction": "写一首诗。"},
    ]
    store(tmp_path, "first", frame("first", [{"output": f"Say {at}.", **row} for at, row in enumerate(listed)]), cuts=2)

    def let_in(**where: Any) -> list[int]:
        mixed = built(tmp_path, {"source": "first", "where": where})
        closes(mixed)
        return taken(mixed)

    assert (let_in(rationale=True), let_in(rationale=False)) == ([0], [1, 2])
    assert (let_in(input=True), let_in(input=False)) == ([0], [1, 2])
    assert (let_in(system=True), let_in(rejected=True)) == ([1], [2])
    assert (let_in(history={"min": 1}), let_in(history={"max": 0}), let_in(history={"min": 2})) == ([1, 2], [0], [1])
    assert (let_in(extra='"author": "human"'), let_in(extra=False)) == ([0], [2])
    assert (let_in(output="[02]"), let_in(instruction=r"\p{Han}"), let_in(rationale="^I know")) == ([0, 2], [2], [0])
    assert let_in(output="(?i)SAY", history={"max": 1}) == [0, 2]
    judge(tmp_path, "first", [{"cluster": "a" * 32}, {}, {"cluster": "a" * 32, "request_cluster": "a" * 32}])
    pair(tmp_path, ["first"], [(1, 3)])
    assert (let_in(cluster=True), let_in(cluster=False)) == ([0, 2], [1])
    assert (let_in(request_cluster=False), let_in(request_cluster=True, rejected=True)) == ([0, 1], [2])


def test_flags_leaks_and_licences_are_refused_by_reason(tmp_path: Path) -> None:
    listed = [{"output": str(at), "license": "CC-BY-NC-4.0" if at == 4 else "MIT"} for at in range(5)]
    store(tmp_path, "first", frame("first", listed))
    told: list[Row] = [
        {"flags": ["refusal"], "leaks": ["exam/a:1"]},
        {"leaks": ["quiz/b:1", "quiz/b:2"]},
        {"flags": ["truncated"]},
        {},
        {"flags": ["refusal"]},
    ]
    judge(tmp_path, "first", told, suites=["exam", "quiz"])

    def left_out(**policies: Any) -> dict[str, int]:
        mixed = built(tmp_path, {"source": "first"}, **policies)
        closes(mixed)
        assert mixed.warnings == []
        found: dict[str, int] = mixed.manifest["left_out"]
        return found

    assert left_out() == {}
    assert left_out(flags=["refusal"]) == {"flag": 2}
    assert left_out(leaks="drop") == {"leak": 2}
    assert left_out(leaks={"quiz": "drop", "exam": "keep"}) == {"leak": 1}
    assert left_out(licence="permissive") == {"licence": 1}
    assert left_out(licence=["MIT"], leaks="drop", flags=["refusal"]) == {"leak": 2, "licence": 1}
    assert left_out(leaks={"exam": "drop"}, flags=["refusal", "truncated"]) == {"flag": 2, "leak": 1}
    mixed = built(tmp_path, {"source": "first"}, licence=["MIT", "CC-BY-NC-4.0"])
    assert mixed.manifest["licence"] == ["MIT", "CC-BY-NC-4.0"]
    assert mixed.manifest["licences"]["rows"] == [
        {"licence": "CC-BY-NC-4.0", "terms": [], "source": "first", "rows": 1},
        {"licence": "MIT", "terms": [], "source": "first", "rows": 4},
    ]


def test_duplicates_by_id_by_request_and_nearly(tmp_path: Path) -> None:
    ask = [{"instruction": text, "output": answer} for text, answer in (("a", "1"), ("a", "2"), ("b", "1"), ("c", "1"))]
    store(tmp_path, "first", frame("first", [*ask, ask[0]]))
    store(tmp_path, "second", frame("second", [{"instruction": "c", "output": "9"}, ask[2]]))
    judge(tmp_path, "first", [{}, {}, {}, {}, {"row_key": 1, "request_key": 1}])
    judge(tmp_path, "second", [{}, {"row_key": 3}], base=10)
    # b of first is near 1's answer 2, and so is c of second; c of second is not near b.
    pair(tmp_path, ["first", "second"], [(2, 3), (2, 11)])
    parts = ({"source": "first"}, {"source": "second"})

    def found(**policies: Any) -> tuple[list[int], list[int], dict[str, int]]:
        mixed = built(tmp_path, *parts, **policies)
        closes(mixed)
        return taken(mixed), taken(mixed, "second"), mixed.manifest["left_out"]

    assert found(dedup="none") == ([0, 1, 2, 3, 4], [0, 1], {})
    assert found() == ([0, 1, 2, 3], [0], {"duplicate": 2})
    assert found(dedup="prompt") == ([0, 2, 3], [], {"duplicate": 2, "prompt": 2})
    near = found(dedup="near")
    # Which of 1 and 2 is first is a hash of their ids; c of second is near 1 alone.
    assert near in [([0, 1, 3], [], {"duplicate": 2, "near": 2}), ([0, 2, 3], [0], {"duplicate": 2, "near": 1})]
    assert found(dedup="near", notion="request") == ([0, 1, 2, 3], [0], {"duplicate": 2})
    # A row that a part does not let in represents nothing.
    mixed = built(tmp_path, {"source": "first", "where": {"row": {"max": 0}}}, {"source": "second"}, dedup="near")
    assert (taken(mixed), taken(mixed, "second")) == ([0], [0, 1])


def test_near_duplicates_of_an_earlier_part_go(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(4)))
    store(tmp_path, "second", frame("second", numbered(4, output="No.")))
    judge(tmp_path, "first", [{}] * 4)
    judge(tmp_path, "second", [{}] * 4, base=100)
    pair(tmp_path, ["first", "second"], [(1, 101), (102, 2), (3, 4)])
    one, other = {"source": "first"}, {"source": "second"}
    mixed = built(tmp_path, one, other, dedup="near")
    assert (len(taken(mixed)), taken(mixed, "second")) == (3, [2, 3])
    mixed = built(tmp_path, other, one, dedup="near")
    assert taken(mixed, "second") == [0, 1, 2, 3]
    assert taken(mixed) in ([2], [3])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=12), st.integers(1, 8), st.integers(0, 3))
def test_a_holdout_never_parts_a_cluster(tmp_path: Path, near: list[tuple[int, int]], wanted: int, seed: int) -> None:
    store(tmp_path, "first", frame("first", [{"output": str(at)} for at in range(40)]))
    # Every third of the last rows has the words of the first.
    keys: list[Row] = [{"row_key": 1} if at >= 20 and at % 3 == 0 else {} for at in range(40)]
    judge(tmp_path, "first", keys)
    pair(tmp_path, ["first"], sorted({(min(a, b), max(a, b)) for a, b in near if a != b}))
    mixed = built(tmp_path, {"source": "first"}, holdout={"rows": wanted}, seed=seed)
    train, held = taken(mixed), taken(mixed, split="holdout")
    assert sorted(train + held) == list(range(40))
    assert len(held) == wanted  # there are rows enough that are near nothing
    crowd = {0, *range(21, 40, 3)}
    assert not crowd & set(held) or crowd <= set(held)
    # Nor a pair, though a cluster is a star, and a chain may be two of them.
    assert all((a - 1 in held) == (b - 1 in held) for a, b in near if a != b)


def test_a_holdout_of_pairs_takes_both_and_never_more_than_asked(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(6)))
    judge(tmp_path, "first", [{}] * 6)
    pair(tmp_path, ["first"], [(1, 2), (3, 4), (5, 6)])
    for wanted, given_rows in ((2, 2), (3, 2), (4, 4), (5, 4)):
        mixed = built(tmp_path, {"source": "first"}, holdout={"rows": wanted})
        held = taken(mixed, split="holdout")
        assert len(held) == given_rows
        assert all(row ^ 1 in held for row in held)
        short = (
            []
            if wanted == given_rows
            else [
                f"mixture both: the holdout gives {given_rows} rows of the {wanted} asked for; "
                "near-duplicates stay together"
            ]
        )
        assert mixed.warnings == short
    with pytest.raises(CatalogError, match="clusters of 2 rows and more; raise the holdout"):
        built(tmp_path, {"source": "first"}, holdout={"rows": 1})
    # Without near-duplicates left, the holdout is of single rows.
    mixed = built(tmp_path, {"source": "first"}, holdout={"rows": 1}, dedup="near")
    assert mixed.manifest["rows"] == {"train": 2, "holdout": 1}


def test_equal_rows_stay_on_one_side_without_verdicts(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(6)))
    store(tmp_path, "second", frame("second", numbered(6)))
    mixed = built(tmp_path, {"source": "first"}, {"source": "second"}, dedup="none", holdout={"rows": 5})
    held = [row["id"] for row in rows(mixed, "holdout")]
    assert sorted(held) == sorted([*set(held)] * 2)
    assert not {row["id"] for row in rows(mixed)} & set(held)


def test_what_cannot_be_applied_is_told_in_one_line_and_refused_when_strict(tmp_path: Path) -> None:
    for source in ("first", "second", "third", "fourth"):
        store(tmp_path, source, frame(source, numbered(3, input=source)))
    for base, source in ((10, "second"), (20, "third"), (30, "fourth")):
        told: list[Row] = [{"flags": ["refusal"]}, {}, {}]
        judge(tmp_path, source, told, suites=["exam"] if source == "fourth" else [], base=base)
    store(tmp_path, "third", frame("third", numbered(4, input="newer")))
    pair(tmp_path, ["second", "third"], [])
    first: Row = {"source": "first", "where": {"language": "en", "confidence": {"min": 0.5}}}
    parts = [first, *({"source": source} for source in ("second", "third", "fourth"))]
    policies: dict[str, Any] = {"dedup": "near", "leaks": "drop", "flags": ["refusal"]}
    mixed = built(tmp_path, *parts, **policies)
    assert mixed.warnings == [
        "mixture both: could not apply where language, where confidence, leaks, flags, dedup near (first: not judged); "
        "leaks (second: no evaluation set was looked for); leaks, flags, dedup near (third: judged as other records); "
        "dedup near (fourth: near-duplicates not looked for); run make judge",
        "mixture both: first gives no rows: 3 records, 3 left out as where",
    ]
    assert mixed.manifest["not_applied"][1] == {
        "policies": ["leaks"],
        "sources": ["second"],
        "because": "no evaluation set was looked for",
    }
    closes(mixed)
    assert mixed.manifest["left_out"] == {"where": 3, "flag": 2}
    with pytest.raises(ArtefactError, match=r"could not apply where language.*run make judge, or leave out --strict"):
        mix(catalog(*parts, **policies), "both", tmp_path, Engine(1), strict=True)
    judge(tmp_path, "first", [{}, {}, {}], suites=["exam"])
    pair(tmp_path, ["first"], [])
    known = catalog({"source": "first"}, **policies)
    assert mix(known, "both", tmp_path, Engine(1), strict=True).manifest["not_applied"] == []


def test_names_of_flags_and_evaluation_sets_are_checked(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    judge(tmp_path, "first", [{}] * 3, suites=["exam"])

    def said(part: Mapping[str, Any] | None = None, **policies: Any) -> str:
        with pytest.raises(CatalogError) as caught:
            built(tmp_path, {"source": "first", **(part or {})}, **policies)
        return str(caught.value)

    assert said(flags=["refusel"]) == "mixture both: unknown flag refusel; did you mean refusal?"
    assert "did you mean refusal?" in said({"where": {"flags": "refusals"}})
    assert said(leaks={"exams": "drop"}) == "mixture both: unknown evaluation set exams; did you mean exam?"
    assert "did you mean exam?" in said({"where": {"leaks": ["xam"]}})


def test_other_verdicts_make_another_mixture(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    judge(tmp_path, "first", [{}] * 3)
    assert not built(tmp_path, {"source": "first"}, flags=["refusal"]).up_to_date
    assert built(tmp_path, {"source": "first"}, flags=["refusal"]).up_to_date
    judge(tmp_path, "first", [{"flags": ["refusal"]}, {}, {}])
    assert built(tmp_path, {"source": "first"}, flags=["refusal"]).manifest["left_out"] == {"flag": 1}
    # One that asks nothing of verdicts does not care.
    plain = built(tmp_path, {"source": "first"})
    judge(tmp_path, "first", [{}] * 3)
    assert (plain.up_to_date, built(tmp_path, {"source": "first"}).up_to_date) == (False, True)


def test_the_same_bytes_by_verdicts_for_any_cut_and_workers(tmp_path: Path) -> None:
    listed = [{"output": str(at)} for at in range(60)]
    told: list[Row] = [
        {"flags": ["refusal"] * (at % 7 == 0), "leaks": ["exam/a:1"] * (at % 11 == 0), "answer_chars": at}
        for at in range(60)
    ]
    rng = np.random.default_rng(0)
    pairs = sorted({(int(min(a, b)), int(max(a, b))) for a, b in rng.integers(1, 61, (20, 2)) if a != b})
    policies: dict[str, Any] = {
        "flags": ["refusal"],
        "leaks": "drop",
        "dedup": "exact",
        "holdout": {"share": 0.2},
        "total": {"characters": 500},
    }
    found = []
    with Engine(2) as two:
        for cuts, engine in ((1, Engine(1)), (4, two)):
            store(tmp_path, "first", frame("first", listed), cuts=cuts)
            judge(tmp_path, "first", told, suites=["exam"])
            pair(tmp_path, ["first"], pairs)
            shutil.rmtree(tmp_path / "mixes", ignore_errors=True)
            part = {"source": "first", "where": {"answer_chars": {"max": 55}}, "max_repeat": 2}
            found.append(contents(built(tmp_path, part, engine=engine, **policies).folder))
    assert found[0] == found[1]


def test_quotas_of_rows_and_characters_are_in_the_books(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(10)))
    store(tmp_path, "second", frame("second", numbered(10, output="No.")))
    # "Count to 3." and "No." are 14 characters.
    parts = ({"source": "first", "rows": 12}, {"source": "second", "characters": 60})
    mixed = built(tmp_path, *parts)
    closes(mixed)
    assert [part["rows"] for part in mixed.manifest["parts"]] == [10, 4]
    assert [part["left_out"] for part in mixed.manifest["parts"]] == [{}, {"characters": 6}]
    assert mixed.manifest["shortfalls"] == [{"part": "first", "unit": "rows", "asked": 12, "given": 10}]
    assert mixed.warnings == ["mixture both: first gives 10 rows of the 12 asked for; there are no more"]
    mixed = built(tmp_path, {"source": "first"}, {"source": "second"}, total={"rows": 6})
    assert [part["rows"] for part in mixed.manifest["parts"]] == [3, 3]
    assert mixed.manifest["left_out"] == {"total": 14}
