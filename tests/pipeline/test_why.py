"""why: one row and all that is known of it, from the raw bytes to what mixtures made of it."""

import gzip
import json
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collecting import BELLE, ROOT, lay, lines, run
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from collectors.catalog import Catalog, load
from collectors.errors import ArtefactError, CatalogError, SuriError
from collectors.mixture import Mixture
from collectors.record import keyed
from pipeline import decisions, keys, selection, shards
from pipeline.collect import collecting
from pipeline.engine import Engine
from pipeline.folder import manifest, write_manifest
from pipeline.judge.run import judging
from pipeline.judge.suites import suites
from pipeline.mix import mix
from pipeline.why.answer import why
from pipeline.why.chosen import Asked, mixtures
from pipeline.why.difference import changes
from pipeline.why.places import Lineage, Place, Records
from pipeline.why.plain import HIDDEN, cut, escaped, wrapped
from pipeline.why.told import told
from pipeline.why.verdicts import Verdicts

CATALOG = load(ROOT / "catalog.yaml")

SKY = "Explain in simple terms why the sky looks blue at noon and red in the evening, and name the effect behind it"
LOAVES = (
    "The baker sells forty seven loaves before lunch and twice as many after it; how many loaves were sold on that day?"
)
BLUE = "Blue light is scattered more than red light is."
ALPACA = [
    {"instruction": SKY + ".", "input": "", "output": BLUE},
    {"instruction": SKY.replace("noon", "dawn") + ".", "input": "", "output": BLUE},
    {"instruction": "Write to me.", "input": "", "output": "You reach me at jane.doe@mail-of-jane.org any day."},
    {"instruction": "Solve this: " + LOAVES, "input": "", "output": "They sold one hundred and forty one."},
    {"instruction": "", "input": "", "output": "An answer to nothing."},
    {"instruction": "Ring \x1b[31mred\x1b[0m \u202eand [bold]run[/bold]", "input": "", "output": "Done."},
]
TWICE = [
    {"instruction": SKY + "!", "input": "", "output": BLUE},
    {"instruction": "请数到三。", "input": "", "output": "一二三"},
]
DOCTOR = 'department,title,ask,answer\n心血管科,"一,""问""","甲\n乙",答\n内科,二,丙,答\n'
COT = "Is ice cold?\tyes\tIce is frozen water, which is cold.\nIs fire wet?\tno\tFire is hot gas, and dry.\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources, judged, with a leak, and a mixture of two of them."""
    out = tmp_path_factory.mktemp("why") / "data"
    raw = lay(out.parent / "raw", "alpaca", {"alpaca_data.json": json.dumps(ALPACA, ensure_ascii=False).encode()})
    lay(raw, "belle", {BELLE: lines(TWICE) + b"\n" + lines([ALPACA[0]])})
    lay(raw, "cot", {"creak_train.tsv": COT.encode()})
    suite = out.parent / "bakery.jsonl"
    suite.write_bytes(lines([{"question": LOAVES}]))
    recipe = {
        "about": "A test.",
        "seed": 7,
        "parts": [
            {"source": "alpaca", "max_rows": 4},
            {"source": "cot", "template": "cot", "suffix": "think"},
        ],
    }
    (out.parent / "mine.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    with Engine(1) as engine:
        list(collecting(CATALOG, ["alpaca", "belle", "cot"], raw, out, engine))
        list(judging(CATALOG, [], out, engine, suites(CATALOG, None, [("bakery", suite)])))
        mix(CATALOG, str(out.parent / "mine.yaml"), out, engine)
    return out


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(built, tmp_path / "data")
    return tmp_path / "data"


def one(out: Path, asked: str, **options: Any) -> dict[str, Any]:
    found = why(CATALOG, asked, out, **options)["records"]
    assert len(found) == 1
    first: dict[str, Any] = found[0]
    return first


def ident(out: Path, source: str, number: int) -> str:
    return str(keys.columns(out / "records" / source / "00000.arrow", ["id"])["id"][number])


def page(out: Path, asked: str, *, full: bool = False) -> str:
    return "\n".join(told(why(CATALOG, asked, out, full=full), 100, full=full))


def test_a_row_is_told_with_its_raw_bytes_its_record_and_its_verdict(built: Path) -> None:
    found = one(built, "alpaca:alpaca_data.json:2")
    assert found["lineage"] == {"source": "alpaca", "subset": "alpaca_data.json", "row": 2, "part": 0}
    assert json.loads(found["raw"]["text"]) == ALPACA[2]
    assert found["raw"]["file"] == str(built.parent / "raw" / "alpaca" / "alpaca_data.json")
    assert found["record"]["output"] == ALPACA[2]["output"]
    assert found["verdict"]["language"]["found"] == "en"
    assert [(flag["flag"], flag["evidence"]) for flag in found["verdict"]["flags"]] == [
        ("personal-email", "jane.doe@mail-of-jane.org")
    ]
    assert (found["verdict"]["request_chars"], found["verdict"]["answer_chars"]) == (12, 50)
    assert found["leaks"] == []


def test_an_id_finds_every_row_that_has_it(built: Path) -> None:
    found = why(CATALOG, ident(built, "alpaca", 0).upper(), built)
    assert [Lineage(**record["lineage"]) for record in found["records"]] == [
        Lineage("alpaca", "alpaca_data.json", 0, 0),
        Lineage("belle", BELLE, 3, 0),
    ]
    first, second = found["records"]
    assert second["raw"]["text"] == json.dumps(ALPACA[0])
    assert first["duplicates"]["same_id"] == {"count": 1, "rows": [second["lineage"]]}
    assert second["duplicates"]["same_id"] == {"count": 1, "rows": [first["lineage"]]}


def test_duplicates_are_told_with_what_differs(built: Path) -> None:
    near = one(built, "alpaca:alpaca_data.json:1")["duplicates"]["row"]
    assert near["equal"] == {"count": 0, "rows": []}
    [pair] = near["pairs"]["rows"]
    assert (near["pairs"]["count"], pair["rows"], pair["id"]) == (1, 3, ident(built, "alpaca", 0))
    assert 0.8 <= pair["jaccard"] < 1
    assert pair["changes"] == [
        {"before": " the sky looks blue at ", "one": "dawn", "other": "noon", "behind": " and red in the "}
    ] or [(change["one"], change["other"]) for change in pair["changes"]] == [("dawn", "noon")]
    assert near["cluster"]["representative"] in {ident(built, "alpaca", 0), ident(built, "alpaca", 1)}
    assert near["cluster"]["size"] == 4
    [equal] = one(built, f"belle:{BELLE}:0")["duplicates"]["row"]["equal"]["rows"][:1]
    assert [(change["one"], change["other"]) for change in equal["changes"]] == [("!", ".")]


def test_a_leak_is_told_with_its_overlap(built: Path) -> None:
    [leak] = one(built, "alpaca:alpaca_data.json:3")["leaks"]
    assert leak["item"] == "bakery/bakery.jsonl:0"
    [(first, end)] = leak["record_spans"]
    assert leak["record_text"][first:end] == LOAVES[:-1]
    assert f"Solve this: [[{LOAVES[:-1]}]]?" in page(built, "alpaca:alpaca_data.json:3", full=True).replace(
        "\n" + " " * 16, ""
    )


def test_a_rejected_row_is_told_with_its_reason(built: Path) -> None:
    found = why(CATALOG, "alpaca:alpaca_data.json:4", built)
    assert found["records"] == []
    assert found["reject"]["reason"] == "empty instruction"
    assert json.loads(found["reject"]["raw"]["text"]) == ALPACA[4]
    assert "none: empty instruction" in page(built, "alpaca:alpaca_data.json:4")
    assert why(CATALOG, f"belle:{BELLE}:2", built)["reject"]["reason"] == "a blank line, which is no row"


def test_a_mixture_says_what_it_made_of_a_row(built: Path) -> None:
    [found] = one(built, "cot:creak_train.tsv:0")["mixtures"]
    frame = pl.DataFrame(pl.read_ipc(built / "mixes" / "mine" / "train-00000.arrow"))
    [place] = (frame["id"] == ident(built, "cot", 0)).arg_true()
    assert found["taken"]
    assert found["rows"] == [{"split": "train", "position": place, "repeat": 0}]
    assert found["worded"] == frame["messages"][place].to_list()
    template = found["template"]
    assert template["wording"] == frame["template"][place] == f"cot/creak/en-{template['number']:02d}"
    draw = pl.DataFrame({"id": [ident(built, "cot", 0)]}).select(keyed(7, "template", "id")).item()
    assert template["draw"] == draw
    assert template["number"] == draw % template["of"] + 1
    assert frame["instruction"][place] == "Is ice cold?" + found["suffix"]["text"]
    [other] = one(built, f"belle:{BELLE}:1")["mixtures"]
    assert (other["taken"], other["rule"], other["said"]) == (False, "source", "belle is no part of it")


def everything() -> dict[str, Any]:
    """A mixture with every rule that can leave a record out."""
    return {
        "about": "All rules.",
        "seed": 3,
        "holdout": {"share": 0.2},
        "parts": [
            {"source": "alpaca", "max_rows": 12, "weight": 1, "where": {"lang": "EN"}},
            {"source": "belle", "weight": 2, "where": {"task": "TS"}, "seed": 5},
            {"source": "tables", "max_rows": 5},
        ],
    }


def test_for_every_record_the_decision_is_the_one_the_mixture_took(tmp_path: Path) -> None:
    out, raw = tmp_path / "data", tmp_path / "raw"
    rows = [{"instruction": f"Count to {number % 37}.", "input": "", "output": "I do."} for number in range(60)]
    lay(raw, "alpaca", {"alpaca_data.json": json.dumps(rows[:25]).encode()})
    lay(raw, "belle", {"school_math_0.25M.json": lines(rows[15:]), BELLE: lines(rows[:3])})
    marked = CATALOG.model_copy(
        update={"sources": {**CATALOG.sources, "tables": _tables(CATALOG)}},
    )
    lay(raw, "tables", {"train.json": lines(rows[30:] + rows[:9]), "test.json": lines(rows[5:9])})
    recipe = tmp_path / "every.yaml"
    recipe.write_text(json.dumps(everything()), encoding="utf-8")
    with Engine(1) as engine:
        list(collecting(marked, ["alpaca", "belle", "tables"], raw, out, engine))
        mix(marked, str(recipe), out, engine)
        records = Records.of(marked, out)
        parts = Mixture.model_validate(everything())
        sources = [marked.sources[part.source] for part in parts.parts]
        known = keys.read(
            parts.parts,
            [source.marked for source in sources],
            [out / "records" / part.source for part in parts.parts],
            [records.manifests[part.source]["records"] for part in parts.parts],
            engine,
        )
    chosen = selection.select("every", parts, known)
    [built] = mixtures(records, Verdicts.of(records))
    seen = set()
    for number, path, span in known.pieces:
        source = parts.parts[number].source
        for at in range(span.stop - span.start):
            place = Place(source, path.name, at)
            record = records.read([place]).row(0, named=True)
            lineage = Lineage(source, record["subset"], record["row"], record["part"])
            found = built.decision(Asked(place, lineage, record, None, records.by_id({record["id"]})[record["id"]]))
            verdict = chosen.verdict[span.start + at]
            rule = None if verdict == selection.TAKEN else selection.REASONS[verdict]
            assert (found["taken"], found["rule"]) == (rule is None, rule), (lineage, found)
            if rule is None:
                split = "holdout" if chosen.held[span.start + at] else "train"
                assert [row["split"] for row in found["rows"]] == [split] * chosen.repeats[span.start + at]
            if draw := found.get("draw"):
                assert (draw["value"] <= draw["last"]) == found["taken"]
            seen.add(rule)
    assert seen == {None, "where", "evaluation", "duplicate", "max_rows", "weight"}


def _tables(catalog: Catalog) -> Any:
    """A source with the fields of alpaca, of which one file is a benchmark's."""
    files = [{"glob": "test.json", "evaluation": True}, {"glob": "*.json"}]
    alpaca = catalog.sources["alpaca"]
    return type(alpaca).model_validate({**alpaca.model_dump(), "files": files})


def test_a_mixture_of_other_records_does_not_guess(out: Path) -> None:
    path = out / "records" / "alpaca" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"fingerprint": "', '"fingerprint": "0'), encoding="utf-8")
    found = {
        record["mixtures"][0]["taken"]: record["mixtures"][0]
        for number in (0, 1, 2, 3, 5)
        for record in [one(out, f"alpaca:alpaca_data.json:{number}")]
    }
    assert found[None]["rule"] == "stale"
    assert "other records of alpaca" in found[None]["said"]
    assert "draw" not in found[True]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("0" * 32, "no record has this id; 10 records of 3 sources were looked through"),
        ("alpca:x:1", "unknown source alpca; did you mean alpaca"),
        ("dolly:x:1", "dolly has no records; run make corpus SOURCES=dolly"),
        ("alpaca:alpaca_dat.json:1", "alpaca has no file alpaca_dat.json; did you mean alpaca_data.json?"),
        ("alpaca:alpaca_data.json:6", "no record and no reject is of row 6; the records were made of 6 raw rows"),
        ("alpaca:alpaca_data.json:-1", "neither a record's id, 32 hexadecimal digits, nor SOURCE:SUBSET:ROW"),
        ("alpaca:3", "neither a record's id"),
        ("", "neither a record's id"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(built: Path, asked: str, said: str) -> None:
    with pytest.raises(CatalogError if "dolly" not in asked else ArtefactError) as error:
        why(CATALOG, asked, built)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_without_records_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="holds no records; run make corpus"):
        why(CATALOG, "0" * 32, tmp_path)


def test_a_raw_file_that_changed_is_not_shown(out: Path, tmp_path: Path) -> None:
    elsewhere = lay(tmp_path / "raw", "alpaca", {"alpaca_data.json": b"[{}]"})
    found = one(out, "alpaca:alpaca_data.json:0", raw=elsewhere)
    assert found["raw"]["text"] is None
    assert "is another file than the one the records were made of" in found["raw"]["problem"]
    assert found["record"]["output"] == BLUE
    gone = one(out, "alpaca:alpaca_data.json:0", raw=tmp_path / "none")["raw"]
    assert gone["problem"].endswith("name the folder that holds alpaca/ with --from")
    assert "not shown" in "\n".join(told(why(CATALOG, "alpaca:alpaca_data.json:0", out, elsewhere), 100, full=False))


def test_lost_verdicts_cost_their_own_sections(out: Path) -> None:
    verdicts = out / "verdicts"
    shutil.rmtree(verdicts / "_pairs")
    found = one(out, "alpaca:alpaca_data.json:1")
    assert found["duplicates"]["row"]["pairs"]["problem"].endswith("run make judge")
    assert found["duplicates"]["row"]["cluster"]["size"] == 4
    path = verdicts / "belle" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"records_fingerprint": "', '"records_fingerprint": "0'))
    [problem] = one(out, "alpaca:alpaca_data.json:1")["duplicates"]["problems"]
    assert "judges other records than" in problem
    assert "judges other records than" in one(out, f"belle:{BELLE}:0")["verdict"]["problem"]
    (verdicts / "_suites" / "items.arrow").unlink()
    assert "items.arrow: cannot be read" in one(out, "alpaca:alpaca_data.json:3")["leaks"]["problem"]
    shutil.rmtree(verdicts)
    found = one(out, "alpaca:alpaca_data.json:0")
    assert found["verdict"] == found["leaks"] == {"problem": "alpaca was not judged; run make judge"}
    assert found["duplicates"]["same_id"]["count"] == 1
    assert "alpaca was not judged; run make judge" in page(out, "alpaca:alpaca_data.json:0")


def test_a_mixture_without_decisions_is_to_be_built_again(out: Path) -> None:
    place = out / "mixes" / "mine"
    book = manifest(place)
    assert book is not None
    write_manifest(place, {name: value for name, value in book.items() if name != "decisions"})
    found = one(out, "cot:creak_train.tsv:0")["mixtures"][0]
    assert (found["taken"], found["rule"]) == (None, None)
    assert found["said"] == "built before decisions were kept; run make mix again"


def test_a_damaged_shard_is_one_line(out: Path) -> None:
    path = next((out / "mixes" / "mine").glob("train-*.arrow"))
    path.write_bytes(path.read_bytes()[:200])
    found = one(out, "cot:creak_train.tsv:0")["mixtures"][0]
    assert (found["taken"], "lacks the row" in found["said"]) == (None, False)
    assert "train-00000.arrow: cannot be read" in found["said"]
    assert found["said"].endswith(f"delete {path.parent} and run make mix again")
    place = out / "mixes" / "mine" / decisions.FILE
    for spoil in (lambda: place.write_bytes(place.read_bytes()[:200]), place.unlink):
        spoil()
        found = one(out, "alpaca:alpaca_data.json:0")["mixtures"][0]
        assert found["taken"] is None
        assert f"{decisions.FILE}: cannot be read" in found["said"]
    path = out / "verdicts" / "_pairs" / "row-00000.arrow"
    path.write_bytes(path.read_bytes()[:200])
    assert "no whole shard" in one(out, "alpaca:alpaca_data.json:1")["duplicates"]["row"]["pairs"]["problem"]
    path = out / "records" / "alpaca" / "00000.arrow"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtefactError, match="is no whole shard of records"):
        why(CATALOG, "alpaca:alpaca_data.json:0", out)


def test_hostile_text_does_nothing_to_a_terminal(built: Path) -> None:
    for full in (False, True):
        shown = page(built, "alpaca:alpaca_data.json:5", full=full)
        assert r"Ring \x1b[31mred\x1b[0m \u202eand [bold]run[/bold]" in shown
        assert not {unicodedata.category(mark) for mark in shown.replace("\n", "")} & HIDDEN
    assert max(map(cell_len, page(built, "alpaca:alpaca_data.json:1").splitlines())) <= 100


def test_the_command_prints_text_or_json(built: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "why", "alpaca:alpaca_data.json:2", "--out", str(built)]
    said = run(command)
    assert said.returncode == 0
    assert [line for line in said.stdout.splitlines() if not line.startswith(" ")] == [
        "RAW ROW alpaca:alpaca_data.json:2",
        "RECORD",
        "VERDICT",
        "DUPLICATES",
        "LEAKS",
        "MIXTURES",
    ]
    assert json.loads(run([*command, "--json"]).stdout) == json.loads(
        json.dumps(why(CATALOG, "alpaca:alpaca_data.json:2", built))
    )
    wrong = run([*command[:4], "alpca:x:1", "--out", str(built)])
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert (
        wrong.stderr
        == "suri: error: why alpca:x:1: unknown source alpca; did you mean alpaca or alpaca_zh or codealpaca?\n"
    )


def test_a_raw_row_is_found_in_every_kind_of_file(tmp_path: Path) -> None:
    rows = [{"instruction": f"问题{number}", "input": "", "output": "答 案"} for number in range(5)]
    laid = {
        "alpaca": {"alpaca_data.json": json.dumps(rows, ensure_ascii=False).encode()},
        "belle": {BELLE: b"\xef\xbb\xbf" + lines(rows), "school_math_0.25M.json": gzip.compress(lines(rows))},
        "chinese_medical": {
            "IM_内科/内科5000-33000.csv": DOCTOR.encode("gb18030"),
        },
        "cot": {"creak_train.tsv": COT.encode()},
    }
    out, raw = tmp_path / "data", tmp_path / "raw"
    for source, files in laid.items():
        lay(raw, source, files)
    with Engine(1) as engine:
        for source in laid:
            try:
                list(collecting(CATALOG, [source], raw, out, engine))
            except SuriError as error:
                pytest.fail(str(error))
    first = json.dumps(rows[3], ensure_ascii=False)
    assert one(out, "alpaca:alpaca_data.json:3")["raw"]["text"] == first
    assert one(out, f"belle:{BELLE}:3")["raw"]["text"] == first
    assert one(out, f"belle:{BELLE}:0")["raw"]["text"] == json.dumps(rows[0], ensure_ascii=False)
    assert one(out, "belle:school_math_0.25M.json:3")["raw"]["text"] == first
    assert one(out, "cot:creak_train.tsv:1")["raw"]["text"] == "Is fire wet?\tno\tFire is hot gas, and dry."
    [name] = laid["chinese_medical"]
    found = one(out, f"chinese_medical:{name}:0")
    assert found["raw"]["text"] == '心血管科,"一,""问""","甲\n乙",答'


def test_a_row_of_a_parquet_file_has_all_its_columns(tmp_path: Path) -> None:
    place = lay(tmp_path / "raw", "gpt4all", {"data/train-0.parquet": b""}) / "gpt4all" / "data" / "train-0.parquet"
    rows = [{"prompt": f"Count to {number}.", "response": "I do.", "source": "me", "id": number} for number in range(9)]
    pq.write_table(pa.Table.from_pylist(rows), place, row_group_size=4)
    with Engine(1) as engine:
        list(collecting(CATALOG, ["gpt4all"], tmp_path / "raw", tmp_path / "data", engine))
    found = one(tmp_path / "data", "gpt4all:data/train-0.parquet:6")
    assert json.loads(found["raw"]["text"]) == rows[6]


TEXT = st.text(alphabet=st.sampled_from("ab 我们\n.,"), max_size=30)


@given(TEXT, TEXT)
def test_changes_are_empty_only_between_equal_texts(one: str, other: str) -> None:
    found = changes(one, other)
    assert bool(found) == (one != other)
    for change in found:
        assert change.before + change.one + change.behind in one
        assert change.before[-1:] + change.other in other
        assert change.one != change.other


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("the sky is blue", "the sky is red", [("blue", "red")]),
        ("天空是蓝色的", "天空是红色的", [("蓝", "红")]),
        ("a b c d e f", "a b d e f g", [("c ", ""), ("", " g")]),
        ("x" * 9, "", [("x" * 9, "")]),
    ],
)
def test_what_differs_is_told_word_by_word(one: str, other: str, expected: list[tuple[str, str]]) -> None:
    assert [(change.one, change.other) for change in changes(one, other)] == expected


@given(st.text(max_size=60), st.integers(2, 50))
def test_text_for_a_terminal_is_plain_and_fits(text: str, width: int) -> None:
    assert not {unicodedata.category(mark) for mark in escaped(text)} & HIDDEN
    assert cell_len(cut(text, width)) <= width
    lines = wrapped(escaped(text), width)
    assert "".join(lines) == escaped(text)
    assert all(cell_len(line) <= width for line in lines)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5), st.integers(-5, 2**40))
def test_the_fast_draw_is_the_keyed_one(ids: list[bytes], seed: int) -> None:
    names = pl.Series("id", [one.hex() for one in ids])
    assert (
        keys.draws_of(names, seed, "draw").to_list()
        == names.to_frame().select(keyed(seed, "draw", "id")).to_series().to_list()
    )


REAL = ROOT.parent / "shared" / "raw"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real rows are not here")
@pytest.mark.parametrize("source", ["gaokao", "hh_rlhf", "auto_cot", "chinese_medical", "stackllama"])
def test_real_rows_are_found_again(source: str, tmp_path: Path) -> None:
    with Engine(1) as engine:
        list(collecting(CATALOG, [source], REAL, tmp_path, engine))
    book = manifest(tmp_path / "records" / source)
    assert book is not None
    last = shards.paths(tmp_path / "records" / source)[-1]
    lineage = keys.columns(last, ["subset", "row", "output"]).row(-1)
    found = why(CATALOG, f"{source}:{lineage[0]}:{lineage[1]}", tmp_path)["records"]
    assert lineage[2] in [record["record"]["output"] for record in found]
    assert found[0]["raw"]["text"]
