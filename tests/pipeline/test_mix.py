"""A mixture from record folders to its shards: rows, order, books, bytes, and what goes wrong."""

import json
import resource
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixing import PLAIN, Row, built, catalog, contents, frame, numbered, rows, store

from collectors.catalog import Catalog
from collectors.errors import ArtefactError, CatalogError, SuriError, TemplateError
from collectors.record import HISTORY, SCHEMA, ids, keyed
from pipeline import shards
from pipeline.engine import Engine
from pipeline.mix import Mixed, mix
from pipeline.wording import MIX_SCHEMA


@pytest.fixture(scope="module")
def two() -> Iterator[Engine]:
    with Engine(2) as engine:
        yield engine


def test_a_row_spelled_out(tmp_path: Path) -> None:
    row = {
        "subset": "train/chat.json",
        "row": 12,
        "part": 1,
        "system": "Be brief.",
        "history": [{"user": "Hi!", "assistant": "Hello."}, {"user": "How are you?", "assistant": "Well."}],
        "instruction": "Translate.",
        "input": "chat",
        "rationale": "It is an animal.",
        "output": "cat",
        "rejected": "dog",
        "language": "fr",
        "license": "CC-BY-4.0",
        "extra": '{"score": 3}',
    }
    records = frame("chats", [row])
    store(tmp_path, "chats", records)
    mixed = built(tmp_path, {"source": "chats", "suffix": "think"})
    assert rows(mixed) == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi!"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "How are you?"},
                {"role": "assistant", "content": "Well."},
                {"role": "user", "content": "Translate. Think first, then decide.\nchat"},
                {"role": "assistant", "content": "cat"},
            ],
            "instruction": "Translate. Think first, then decide.",
            "input": "chat",
            "rationale": "It is an animal.",
            "rejected": "dog",
            "lang": "EN",
            "task": "MT",
            "gen": "SI",
            "language": "fr",
            "license": "CC-BY-4.0",
            "template": "plain",
            "id": records["id"].item(),
            "source": "chats",
            "subset": "train/chat.json",
            "row": 12,
            "part": 1,
            "repeat": 0,
        }
    ]
    assert mixed.manifest["unused_rationales"] == 1


def test_messages_of_rows_with_and_without_history_do_not_mix(tmp_path: Path) -> None:
    chat = [{"user": f"u{turn}", "assistant": f"a{turn}"} for turn in range(3)]
    given_rows = [
        {"instruction": f"i{number}", "output": f"o{number}", "history": chat[:turns], "system": system}
        for number, (turns, system) in enumerate([(0, None), (2, "s"), (0, "s"), (3, None), (1, None), (0, None)])
    ]
    store(tmp_path, "chats", frame("chats", given_rows))
    found = {
        row["row"]: [message["content"] for message in row["messages"]]
        for row in rows(built(tmp_path, {"source": "chats"}))
    }
    assert found == {
        0: ["i0", "o0"],
        1: ["s", "u0", "a0", "u1", "a1", "i1", "o1"],
        2: ["s", "i2", "o2"],
        3: ["u0", "a0", "u1", "a1", "u2", "a2", "i3", "o3"],
        4: ["u0", "a0", "i4", "o4"],
        5: ["i5", "o5"],
    }


def test_the_manifest_tells_what_became_of_every_record(tmp_path: Path) -> None:
    store(
        tmp_path,
        "first",
        frame("first", [*numbered(4), {"instruction": "Zähle.", "language": "de", "license": "CC0-1.0"}]),
    )
    store(tmp_path, "second", frame("second", [*numbered(6), {"lang": "CN"}, {"lang": "CN", "instruction": "数数。"}]))
    store(tmp_path, "third", frame("third", numbered(3, input="!", task="TS")))
    mixed = built(
        tmp_path,
        {"source": "first"},
        {"source": "second", "where": {"lang": "EN"}, "weight": 1, "max_repeat": 2},
        {"source": "third", "weight": 1, "max_rows": 2, "max_repeat": 5},
        holdout={"rows": 1},
        seed=3,
    )
    said = mixed.manifest
    first, second, third = said.pop("parts")
    # Four of second are in first; its two others at most twice are four rows, and so third gives its two twice as well.
    counted = ("source", "candidates", "taken", "rows", "holdout", "left_out", "template", "templates")
    assert [[part[name] for name in counted] for part in (first, second, third)] == [
        ["first", 5, 5, 5, 1, {}, "plain", {"plain": 5}],
        ["second", 8, 2, 4, 0, {"where": 2, "duplicate": 4}, "plain", {"plain": 4}],
        ["third", 3, 2, 4, 0, {"max_rows": 1}, "plain", {"plain": 4}],
    ]
    assert (said["candidates"], said["taken"]) == (16, 9)
    assert said["left_out"] == {"duplicate": 4, "max_rows": 1, "where": 2}
    assert said["rows"] == {"train": 12, "holdout": 1}
    assert said["counts"]["license"] == {"CC0-1.0": 1, "MIT": 12}
    assert said["counts"]["language"] == {"de": 1}
    assert said["counts"]["task"] == {"MT": 9, "TS": 4}
    assert said["counts"]["source"] == {"first": 5, "second": 4, "third": 4}
    assert [entry["source"] for entry in said["inputs"]] == ["first", "second", "third"]
    assert said["recipe"]["parts"][2] == {
        "source": "third",
        "weight": 1.0,
        "max_rows": 2,
        "max_repeat": 5,
        "where": {},
        "evaluation": False,
        "template": "plain",
        "few_shot": 0,
        "input_inversion": 0.0,
    }
    assert json.loads((mixed.folder / "manifest.json").read_text())["fingerprint"] == said["fingerprint"]
    assert [file["path"] for file in said["files"]] == ["train-00000.arrow", "holdout-00000.arrow"]


def test_where_admits_by_every_key_and_null_is_no_language(tmp_path: Path) -> None:
    kinds = [("EN", "HG", "fr"), ("EN", "SI", "fr"), ("CN", "HG", "fr"), ("ML", "HG", None), ("ML", "HG", "de")]
    listed = [
        {"lang": lang, "gen": gen, "language": language, "output": str(number)}
        for number, (lang, gen, language) in enumerate(kinds)
    ]
    store(tmp_path, "first", frame("first", listed), constant=True)

    def taken(**where: Any) -> list[int]:
        return sorted(row["row"] for row in rows(built(tmp_path, {"source": "first", "where": where})))

    assert taken(lang="EN") == [0, 1]
    assert taken(lang=["EN", "ML"], gen="HG") == [0, 3, 4]
    assert taken(language=["fr", "de"]) == [0, 1, 2, 4]
    assert taken(language="fr", lang=["CN", "ML"]) == [2]
    assert taken(task="MT") == [0, 1, 2, 3, 4]


def test_of_equal_records_the_first_part_and_the_first_lineage_is_kept(tmp_path: Path) -> None:
    store(
        tmp_path,
        "first",
        frame("first", [{"subset": "b.json", "row": 4}, {"subset": "a.json", "row": 9, "part": 1}]),
        cuts=2,
    )
    store(tmp_path, "second", frame("second", [{"row": 1}, {"row": 0, "output": "Hi."}]))
    found = rows(built(tmp_path, {"source": "first"}, {"source": "second"}))
    assert sorted((row["source"], row["subset"], row["row"]) for row in found) == [
        ("first", "a.json", 9),
        ("second", "data.json", 0),
    ]


def test_the_order_is_the_keyed_hash_of_id_and_repeat(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(30)))
    store(tmp_path, "second", frame("second", numbered(60, output="Done.")))
    parts = ({"source": "first", "weight": 2, "max_repeat": 3}, {"source": "second", "weight": 1})
    mixed = built(tmp_path, *parts, seed=5)
    found = shards.scan(mixed.folder, "train-*.arrow").collect()
    assert mixed.manifest["rows"] == {"train": 135, "holdout": 0}  # 90 and 45
    assert found.select(keyed(5, "order", "id", "repeat")).to_series().is_sorted()
    assert found["repeat"].dtype == pl.UInt32
    assert (
        found.filter(source="first").group_by("id").agg(pl.col("repeat").sort())["repeat"].to_list() == [[0, 1, 2]] * 30
    )


def test_chains_of_thought_are_worded_by_the_part_s_template_and_seed(tmp_path: Path) -> None:
    sums = [
        {
            "subset": "gsm8k_train.tsv",
            "instruction": f"What is {number} + 1?",
            "rationale": "I add one.",
            "output": f"{number + 1}",
        }
        for number in range(40)
    ]
    store(tmp_path, "cot", frame("cot", [*sums, {"subset": "gsm8k_train.tsv", "instruction": "Why?"}]))
    mixed = built(tmp_path, {"source": "cot", "template": "cot"})
    part = mixed.manifest["parts"][0]
    assert part["template"] == "cot"
    assert part["templates"].pop("plain") >= 1  # the one without a rationale
    assert sum(part["templates"].values()) + 1 >= 40
    assert len(part["templates"]) > 3
    assert all(name.startswith("cot/gsm8k/en-") for name in part["templates"])
    worded = {row["id"]: row["template"] for row in rows(mixed)}
    again = built(tmp_path, {"source": "cot", "template": "cot", "seed": 8})
    assert worded != {row["id"]: row["template"] for row in rows(again)}
    assert [row["id"] for row in rows(mixed)] == [row["id"] for row in rows(again)]


def test_unused_rationales_are_counted_in_rows(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", [*numbered(3, rationale="So."), {"output": "No."}]))
    mixed = built(tmp_path, {"source": "first", "weight": 1, "max_repeat": 2})
    assert mixed.manifest["rows"] == {"train": 8, "holdout": 0}
    assert mixed.manifest["unused_rationales"] == 6


def test_a_holdout_is_rows_of_its_own(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(50)))
    mixed = built(tmp_path, {"source": "first", "weight": 1, "max_repeat": 3}, holdout={"share": 0.1})
    train, held = rows(mixed), rows(mixed, "holdout")
    assert mixed.manifest["rows"] == {"train": 135, "holdout": 5}
    assert (len(train), [row["repeat"] for row in held]) == (135, [0] * 5)
    assert not {row["id"] for row in train} & {row["id"] for row in held}


def test_the_same_bytes_however_records_are_cut_and_whoever_works(tmp_path: Path, two: Engine) -> None:
    # More rows than a shard holds, in both splits; every hundredth is a dialogue.
    row = pl.int_range(0, 140_000, eager=True, dtype=pl.UInt64).alias("row")
    chat = pl.lit([{"user": "Hi!", "assistant": "Hello."}], dtype=HISTORY)
    constant = {
        name: pl.lit(value, pl.String) for name, value in PLAIN.items() if name not in {"row", "part", "history"}
    }
    records = row.to_frame().with_columns(
        **constant,
        part=pl.lit(0, pl.UInt16),
        source=pl.lit("first"),
        history=pl.when(pl.col("row") % 100 == 0).then(chat).otherwise(pl.lit([], HISTORY)),
    )
    records = records.with_columns(instruction=pl.format("Count to {}.", "row"))
    records = records.with_columns(ids(records)).select(SCHEMA.names)

    def made(engine: Engine) -> Mixed:
        shutil.rmtree(tmp_path / "mixes", ignore_errors=True)
        return built(tmp_path, {"source": "first"}, {"source": "second"}, holdout={"rows": 66_000}, engine=engine)

    store(tmp_path, "second", frame("second", numbered(10, output="Done.")))
    store(tmp_path, "first", records)
    mixed = made(Engine(1))
    assert [(file["path"], file["rows"]) for file in mixed.manifest["files"]] == [
        ("train-00000.arrow", 65_536),
        ("train-00001.arrow", 8_474),
        ("holdout-00000.arrow", 65_536),
        ("holdout-00001.arrow", 464),
    ]
    for split in ("train", "holdout"):
        found = (
            shards.scan(mixed.folder, f"{split}-*.arrow").select("id", "row", "repeat", "source", "messages").collect()
        )
        assert found.select(keyed(0, "order", "id", "repeat")).to_series().is_sorted()
        turns = found.select(pl.col("messages").list.len(), chat=pl.col("row") % 100 == 0, source="source")
        assert turns.filter(source="first").filter((pl.col("messages") == 4) != pl.col("chat")).is_empty()
    one = contents(mixed.folder)
    store(tmp_path, "first", records, cuts=3, constant=True)
    assert contents(made(two).folder) == one
    for old, new in (("00000", "9"), ("00002", "0")):
        place = tmp_path / "records" / "first"
        (place / f"{old}.arrow").rename(place / f"{new}.arrow")
    assert contents(made(Engine(1)).folder) == one


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.integers(1, 5),
        "max_rows": st.integers(1, 12),
        "max_repeat": st.integers(1, 3),
        "template": st.sampled_from(["plain", "cot"]),
        "suffix": st.just("steps"),
        "seed": st.integers(0, 3),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARTS, min_size=1, max_size=3), st.integers(0, 9), st.data())
def test_any_mixture_is_the_same_for_any_cut_and_its_rows_are_its_books(
    tmp_path: Path, parts: list[Row], seed: int, data: st.DataObject
) -> None:
    named = [{"source": f"s{number}", **part} for number, part in enumerate(parts)]
    numbers = st.lists(st.integers(0, 25), min_size=1, max_size=20)
    held = [
        frame(
            part["source"], [{"instruction": f"Count to {number}.", "rationale": "…"} for number in data.draw(numbers)]
        )
        for part in named
    ]
    found = []
    for cuts in (1, 3):
        shutil.rmtree(tmp_path / "mixes", ignore_errors=True)
        for part, records in zip(named, held, strict=True):
            store(tmp_path, part["source"], records, cuts=cuts)
        mixed = built(tmp_path, *named, seed=seed)
        found.append(contents(mixed.folder))
    assert found[0] == found[1]
    made = rows(mixed)
    for part in mixed.manifest["parts"]:
        mine = [row for row in made if row["source"] == part["source"]]
        assert (len(mine), len({row["id"] for row in mine})) == (part["rows"], part["taken"])


def test_other_readers_read_a_mixture_as_it_is(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(20)), constant=True)
    mixed = built(tmp_path, {"source": "first"}, holdout={"rows": 2})
    files = {split: str(mixed.folder / f"{split}-*.arrow") for split in ("train", "holdout")}
    loaded = datasets.load_dataset("arrow", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {split: list(loaded[split]) for split in files} == {split: rows(mixed, split) for split in files}
    for path in shards.paths(mixed.folder):
        with pa.memory_map(str(path)) as source:
            assert pa.ipc.open_file(source).schema == MIX_SCHEMA


def test_the_same_fingerprint_is_not_built_again(tmp_path: Path) -> None:
    wording = tmp_path / "ask.yaml"
    wording.write_text('wordings: {en: [{prompt: "Q: {{ question }}", target: "{{ answer }}"}]}')
    store(tmp_path, "first", frame("first", numbered(3)))
    part = {"source": "first", "template": str(wording)}
    first = built(tmp_path, part)
    again = built(tmp_path, part)
    assert (first.up_to_date, again.up_to_date) == (False, True)
    assert again.manifest == json.loads((first.folder / "manifest.json").read_text()) == first.manifest
    assert rows(again)[0]["messages"][0]["content"].startswith("Q: Count to ")
    # Another wording, other records, another seed: each is another mixture.
    wording.write_text('wordings: {en: [{prompt: "A: {{ question }}", target: "{{ answer }}"}]}')
    other = built(tmp_path, part)
    assert not other.up_to_date
    assert rows(other)[0]["messages"][0]["content"].startswith("A: Count to ")
    assert not built(tmp_path, part, seed=1).up_to_date
    store(tmp_path, "first", frame("first", numbered(4)))
    assert not built(tmp_path, part, seed=1).up_to_date
    assert [path.name for path in sorted((tmp_path / "mixes").iterdir())] == ["both"]


def test_a_part_without_rows_is_a_warning(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    store(tmp_path, "second", frame("second", numbered(3)))
    store(tmp_path, "third", frame("third", []))
    parts = ({"source": "first"}, {"source": "second", "weight": 2}, {"source": "third"})
    expected = [
        "mixture both: second gives no rows: 3 records, 3 left out as duplicate",
        "mixture both: third gives no rows: 0 records",
    ]
    assert built(tmp_path, *parts).warnings == expected
    assert built(tmp_path, *parts).warnings == expected


EXAMS = {"evaluation": False, "files": ["train.json", {"glob": "**/exam*.json", "evaluation": True}, "*.zip"]}
FILES = ["train.json", "exam_1.json", "old/exam.json", "exams.zip/exam_2.json"]
SAID = "mixture both: {} gives {} records of benchmarks; a model that is trained on them must not be scored on them"


def examined(out: Path, exams: Mapping[str, Any], *parts: Mapping[str, Any]) -> Mixed:
    """A mixture of `parts`, where the catalog says `exams` of the source `exams`."""
    known = catalog(*parts).model_dump(exclude_none=True)
    known["sources"]["exams"] |= exams
    with Engine(1) as engine:
        return mix(Catalog.model_validate(known), "both", out, engine)


def test_records_of_a_benchmarks_file_are_left_out_unless_the_part_asks(tmp_path: Path) -> None:
    """Of an archive's member the archive counts, so exam_2 is not marked."""
    store(tmp_path, "exams", frame("exams", [{"subset": name, "instruction": name} for name in FILES]), cuts=2)
    store(tmp_path, "other", frame("other", [{"instruction": "exam_1.json"}]))
    part, other = {"source": "exams"}, {"source": "other"}
    mixed = examined(tmp_path, EXAMS, part, other)
    # An equal record of another source is no duplicate of one that is left out.
    assert sorted(row["instruction"] for row in rows(mixed)) == ["exam_1.json", "exams.zip/exam_2.json", "train.json"]
    assert mixed.manifest["left_out"] == {"evaluation": 2}
    assert ([one["evaluation"] for one in mixed.manifest["parts"]], mixed.warnings) == ([0, 0], [])
    asked = examined(tmp_path, EXAMS, part | {"evaluation": True}, other)
    assert sorted(row["instruction"] for row in rows(asked)) == sorted(FILES)
    assert asked.manifest["left_out"] == {"duplicate": 1}
    assert asked.warnings[-1] == SAID.format("exams", 2)
    assert examined(tmp_path, EXAMS, part | {"evaluation": True}, other).up_to_date
    # The mark counts, not only the records: without it the same mixture is another.
    free = examined(tmp_path, EXAMS | {"files": ["*.json"]}, part | {"evaluation": True}, other)
    assert (free.up_to_date, SAID.format("exams", 2) in free.warnings) == (False, False)


def test_a_benchmark_that_is_named_is_taken_with_a_warning(tmp_path: Path) -> None:
    store(tmp_path, "exams", frame("exams", numbered(1_234)))
    store(tmp_path, "other", frame("other", numbered(3)))
    mixed = examined(tmp_path, {"evaluation": True}, {"source": "other"}, {"source": "exams", "where": {"lang": "EN"}})
    assert [one["evaluation"] for one in mixed.manifest["parts"]] == [0, 1_231]
    assert mixed.warnings == [SAID.format("exams", "1,231")]


def broken(out: Path, *parts: Mapping[str, Any], **rest: Any) -> str:
    """The one line a mixture that cannot be built ends with; what stood there before is untouched."""
    place = out / "mixes" / "both"
    place.mkdir(parents=True, exist_ok=True)
    (place / "manifest.json").write_text('{"fingerprint": "before"}')
    with pytest.raises(SuriError) as caught:
        built(out, *parts, **rest)
    assert contents(place) == {"manifest.json": b'{"fingerprint": "before"}'}
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_sources_that_are_not_built_are_named_together(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    (tmp_path / "records" / "second").mkdir()
    assert broken(tmp_path, {"source": "first"}, {"source": "second"}, {"source": "third"}) == (
        f'mixture both: {tmp_path / "records"} lacks second, third; run make corpus SOURCES="second third" first'
    )
    assert broken(tmp_path, {"source": "first"}, {"source": "second"}).endswith("run make corpus SOURCES=second first")


def test_a_mixture_without_rows_is_refused(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    assert broken(tmp_path, {"source": "first", "where": {"lang": "CN"}}) == (
        "mixture both: its parts give no rows: first has 3 records, 3 left out as where; see their where"
    )


def test_names_that_do_not_exist_are_refused_with_the_nearest(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    assert "did you mean plain?" in broken(tmp_path, {"source": "first", "template": "plane"})
    assert "did you mean think?" in broken(tmp_path, {"source": "first", "suffix": "thinks"})
    with pytest.raises(TemplateError):
        built(tmp_path, {"source": "first", "template": "plane"})
    with pytest.raises(CatalogError, match="unknown mixture bothe; did you mean both"):
        mix(catalog({"source": "first"}), "bothe", tmp_path, Engine(1))


def test_records_that_are_not_those_of_their_manifest_are_refused(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(30)), cuts=3)
    place = tmp_path / "records" / "first"
    shard = place / "00001.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert broken(tmp_path, {"source": "first"}).startswith(f"{shard}: is no whole shard of records (")
    shard.unlink()
    assert broken(tmp_path, {"source": "first"}) == (
        f"{place}: its shards do not hold the 30 records its manifest tells of; "
        "delete it and run make corpus SOURCES=first"
    )


def test_a_run_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    whole = contents(built(tmp_path, {"source": "first"}).folder)
    place = tmp_path / "mixes" / "both"
    place.rename(place.with_name("both.part"))
    (place.with_name("both.part") / "fragments").mkdir()
    assert contents(built(tmp_path, {"source": "first"}).folder) == whole
    assert [path.name for path in place.parent.iterdir()] == ["both"]


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    (tmp_path / "mixes").write_text("in the way")
    with pytest.raises(ArtefactError, match="cannot be written"):
        built(tmp_path, {"source": "first"})


def test_a_full_disk_is_one_line_and_leaves_what_stood_there(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(3)))
    before = contents(built(tmp_path, {"source": "first"}).folder)
    store(tmp_path, "first", frame("first", numbered(3000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(ArtefactError, match=r"both: cannot be written: .*File too large; nothing finished before"):
            built(tmp_path, {"source": "first"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(tmp_path / "mixes" / "both") == before


def test_examples_and_a_system_prompt_do_not_depend_on_workers_or_shards(tmp_path: Path, two: Engine) -> None:
    out = tmp_path / "data"
    store(out, "a", frame("a", numbered(300)), cuts=3)
    store(out, "c", frame("c", [row | {"instruction": row["instruction"] + " c"} for row in numbered(50)]))
    parts = [{"source": "a", "few_shot": 3, "system": "Be kind.", "weight": 2, "max_repeat": 2}, {"source": "c"}]
    made = built(out, *parts, holdout={"share": 0.1})
    said, before = [row["messages"] for row in rows(made)], contents(made.folder)
    assert sum(turns[0] == {"role": "system", "content": "Be kind."} for turns in said) > 200
    assert any(name.endswith("+3") for name in made.manifest["parts"][0]["templates"])
    shutil.rmtree(made.folder)
    assert contents(built(out, *parts, holdout={"share": 0.1}, engine=two).folder) == before
    store(out, "a", frame("a", numbered(300)), cuts=5)
    assert [row["messages"] for row in rows(built(out, *parts, holdout={"share": 0.1}))] == said
    with pytest.raises(TemplateError):
        built(out, {"source": "a", "input_inversion": 0.3})
