"""What two mixtures, or two corpora, do not have in common: rows, wordings, tags, examples, and what goes wrong."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixing import tokenizer_of_words
from published import mixture, row

from collectors.errors import SuriError
from collectors.record import HISTORY, SCHEMA, ids
from pipeline import folder, shards
from pipeline.diff.answer import diff
from pipeline.diff.matching import paired
from pipeline.diff.told import told
from pipeline.engine import Engine
from pipeline.judge.verdict import SCHEMA as VERDICT

Row = dict[str, Any]


def compared(first: str, second: str, out: Path, workers: int = 1, tokenizer: Path | None = None) -> Row:
    with Engine(workers) as engine:
        return diff(first, second, out, engine, tokenizer=None if tokenizer is None else str(tokenizer))


def counts(answer: Row) -> str:
    found = answer["rows"]
    return f"{found['same']} same, {found['changed']} changed, {found['only_a']} only a, {found['only_b']} only b"


def cells(answer: Row, tag: str) -> dict[str, list[int]]:
    """Of each value of a tag the rows of a and b, those only there, and those changed."""
    return {value: [cell["rows"] for cell in found.values()] for value, found in answer["by"][tag].items()}


def record(instruction: str, output: str = "Yes.", **more: Any) -> Row:
    return {"instruction": instruction, "output": output, **more}


def store(out: Path, source: str, rows: list[Row], *, cut: int = 1000) -> Path:
    """Write a source's records, `cut` a shard; rows are numbered where they do not say otherwise."""
    plain: Row = {
        "subset": "data.json",
        "part": 0,
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "language": None,
        "license": "MIT",
        "system": None,
        "history": [],
        "input": "",
        "rationale": None,
        "rejected": None,
        "extra": None,
    }
    types: dict[str, Any] = {"row": pl.UInt64, "part": pl.UInt16, "history": HISTORY}
    full = [{"row": number, **plain, **one} for number, one in enumerate(rows)]
    names = [name for name in SCHEMA.names if name not in {"id", "source"}]
    frame = pl.DataFrame(full, schema={name: types.get(name, pl.String) for name in names})
    frame = frame.with_columns(ids(frame), source=pl.lit(source)).select(SCHEMA.names)
    place = out / "records" / source
    with folder.building(place) as part:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMA)
        for number in range(-(-len(rows) // cut)):
            shards.write(part / f"{number:05d}.arrow", table.slice(number * cut, cut).combine_chunks())
        folder.write_manifest(part, {"source": source, "records": len(rows), "fingerprint": "f"})
    return place


def judge(out: Path, source: str, languages: dict[str, str]) -> None:
    """Write verdicts that tell the languages of these ids."""
    plain = {"confidence": 1.0, "flags": [], "prompt_id": "0" * 32, "request_key": 0, "row_key": 0, "leaks": []}
    rows = [
        {**plain, "id": name, "language": language, "request_chars": 0, "answer_chars": 0}
        for name, language in languages.items()
    ]
    with folder.building(out / "verdicts" / source) as part:
        shards.write(part / "00000.arrow", pa.Table.from_pylist(rows, VERDICT))
        folder.write_manifest(part, {"source": source})


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of which every word is one token, in a folder as a model has it."""
    return tokenizer_of_words(tmp_path_factory.mktemp("model"))


# ---- mixtures


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """`a` and `b` share rows 1 and 2; 3 is worded otherwise; 4 stands twice in a; 5 and 6 are of one side."""
    shared = [row(1), row(2, "belle", "说出一种颜色。", "蓝色。")]
    mixture(tmp_path, [*shared, row(3), row(4), row(4) | {"repeat": 1}, row(5)], name="a", per_file=2)
    mixture(
        tmp_path,
        [row(6, "belle"), row(4), *shared],
        [row(3, instruction="Name a colour, please.")],
        name="b",
        per_file=3,
    )
    return tmp_path


def test_rows_of_one_side_and_other_wordings_are_told(two: Path) -> None:
    answer = compared("a", "b", two)
    assert answer["kind"] == "mixture"
    assert answer["a"] == {"name": "a", "rows": 6, "characters": 5 * len("Name a colour.Blue.") + 10, "judged": 0}
    assert answer["rows"] == {"same": 3, "moved": 0, "changed": 1, "only_a": 2, "only_b": 1}


def test_every_tag_has_its_rows(two: Path) -> None:
    answer = compared("a", "b", two)
    # rows of a, of b, only in a, only in b, changed
    assert cells(answer, "source") == {"alpaca": [5, 3, 2, 0, 1], "belle": [1, 2, 0, 1, 0]}
    assert cells(answer, "lang") == {"CN": [1, 2, 0, 1, 0], "EN": [5, 3, 2, 0, 1]}
    assert cells(answer, "license") == {"CC-BY-NC-4.0": [5, 3, 2, 0, 1], "unknown": [1, 2, 0, 1, 0]}
    assert cells(answer, "split") == {"holdout": [0, 1, 0, 0, 0], "train": [6, 4, 2, 1, 1]}
    assert answer["by"]["source"]["belle"] == {
        "a": {"rows": 1, "characters": 10},
        "b": {"rows": 2, "characters": 29},
        "only_a": {"rows": 0, "characters": 0},
        "only_b": {"rows": 1, "characters": 19},
        "changed": {"rows": 0, "characters": 0},
    }


def test_tokens_are_counted_by_the_tokenizer_that_is_named(two: Path, words: Path) -> None:
    answer = compared("a", "b", two, tokenizer=words)
    assert answer["tokenizer"] == str(words)
    assert (answer["a"]["tokens"], answer["b"]["tokens"]) == (5 * 4 + 2, 4 + 4 + 4 + 2 + 5)
    assert answer["by"]["source"]["alpaca"] == {
        "a": {"rows": 5, "characters": 95, "tokens": 20},
        "b": {"rows": 3, "characters": 65, "tokens": 13},
        "only_a": {"rows": 2, "characters": 38, "tokens": 8},
        "only_b": {"rows": 0, "characters": 0, "tokens": 0},
        "changed": {"rows": 1, "characters": 19, "tokens": 4},
    }
    assert answer == compared("a", "b", two, workers=2, tokenizer=words)
    lines = list(told(answer, 100))
    assert lines[0] == "A: mixture a: 6 rows, 105 characters, 22 tokens, language detected in 0 of them"
    assert lines[4].split()[-4:] == ["tokens", "A", "tokens", "B"]
    with pytest.raises(SuriError, match=r"^tokenizer /none: there is no /none/tokenizer\.json"):
        compared("a", "b", two, tokenizer=Path("/none"))


def test_examples_hold_the_rows_as_they_are(two: Path) -> None:
    found = compared("a", "b", two)["examples"]
    assert {one["row"] for one in found["only_a"]} == {4, 5}
    assert [(one["source"], one["row"], one["messages"][1]["content"]) for one in found["only_b"]] == [
        ("belle", 6, "Blue.")
    ]
    assert [
        (pair["a"]["messages"][0]["content"], pair["b"]["messages"][0]["content"]) for pair in found["changed"]
    ] == [("Name a colour.", "Name a colour, please.")]


def test_what_is_equal_has_no_difference(two: Path) -> None:
    answer = compared("a", "a", two)
    assert counts(answer) == "6 same, 0 changed, 0 only a, 0 only b"
    assert answer["examples"] == {"only_a": [], "only_b": [], "changed": []}
    assert "no row differs" in list(told(answer, 100))


def test_nothing_in_common_is_no_mistake(tmp_path: Path) -> None:
    mixture(tmp_path, [row(1), row(2)], name="a")
    mixture(tmp_path, [row(3)], name="b")
    assert counts(compared("a", "b", tmp_path)) == "0 same, 0 changed, 2 only a, 1 only b"


def test_order_shards_and_workers_make_no_difference(tmp_path: Path) -> None:
    rows = [row(number, instruction=f"Count to {number}.") for number in range(60)]
    others = [*rows[20:], *(row(number, instruction="Count.") for number in range(10))]
    for out, step, workers in ((tmp_path / "x", 1, 1), (tmp_path / "y", -1, 2)):
        mixture(out, rows[::step], name="a", per_file=7 * workers)
        mixture(out, others[::step], name="b", per_file=9 * workers)
    one, other = compared("a", "b", tmp_path / "x"), compared("a", "b", tmp_path / "y", workers=2)
    assert one == other
    assert counts(one) == "40 same, 10 changed, 10 only a, 0 only b"
    assert [len(found) for found in one["examples"].values()] == [10, 0, 10]


def test_ten_examples_of_as_many_ids_whatever_else_there_is(tmp_path: Path) -> None:
    mixture(tmp_path, [row(number) | {"repeat": copy} for number in range(40) for copy in range(3)], name="a")
    mixture(tmp_path, [row(99)], name="b")
    few = [one["id"] for one in compared("a", "b", tmp_path)["examples"]["only_a"]]
    assert len(few) == len(set(few)) == 10
    mixture(tmp_path, [row(number) for number in range(41)], name="a")
    more = [one["id"] for one in compared("a", "b", tmp_path)["examples"]["only_a"]]
    assert len(set(few) - set(more)) <= 1


def test_ids_that_share_a_half_are_told_apart(tmp_path: Path) -> None:
    upper = [row(1) | {"id": f"{7:016x}{number:016x}"} for number in range(5)]
    lower = [row(1) | {"id": f"{number:016x}{7:016x}"} for number in range(5)]
    mixture(tmp_path, [*upper, *lower], name="a")
    mixture(tmp_path, [upper[4], upper[2], lower[3]], name="b")
    assert counts(compared("a", "b", tmp_path)) == "3 same, 0 changed, 7 only a, 0 only b"


def test_mixtures_of_two_data_folders_are_compared_by_their_folders(two: Path, tmp_path: Path) -> None:
    mixture(tmp_path / "other", [row(5)], name="a")
    answer = compared("a", str(tmp_path / "other" / "mixes" / "a"), two)
    assert counts(answer) == "1 same, 0 changed, 5 only a, 0 only b"


def test_languages_are_those_detected_and_else_those_declared(tmp_path: Path) -> None:
    rows = [row(1), row(2) | {"language": "de"}, row(3) | {"language": "de"}, row(4), row(4) | {"repeat": 1}]
    mixture(tmp_path, rows, name="a")
    mixture(tmp_path, rows[:1], name="b")
    judge(tmp_path, "alpaca", {f"{number:032x}": language for number, language in ((9, "ja"), (4, "fr"), (2, "en"))})
    answer = compared("a", "b", tmp_path)
    assert cells(answer, "language") == {
        "": [1, 1, 0, 0, 0],
        "de": [1, 0, 1, 0, 0],
        "en": [1, 0, 1, 0, 0],
        "fr": [2, 0, 2, 0, 0],
    }
    assert (answer["a"]["judged"], answer["b"]["judged"]) == (3, 0)


# ---- corpora


def test_a_raw_row_that_gives_another_record_has_changed(tmp_path: Path) -> None:
    store(tmp_path / "x", "toy", [record("One?"), record("Two?"), record("Three?")])
    store(tmp_path / "y", "toy", [record("One?"), record("Two?", "No."), record("Three?"), record("Four?")])
    answer = compared(str(tmp_path / "x"), str(tmp_path / "y"), tmp_path)
    assert answer["kind"] == "corpus"
    assert answer["rows"] == {"same": 2, "moved": 0, "changed": 1, "only_a": 0, "only_b": 1}
    assert [(pair["a"]["output"], pair["b"]["output"]) for pair in answer["examples"]["changed"]] == [("Yes.", "No.")]
    assert [one["instruction"] for one in answer["examples"]["only_b"]] == ["Four?"]
    assert "split" not in answer["by"]


def test_rows_that_moved_up_in_their_file_are_the_same(tmp_path: Path) -> None:
    rows = [record(f"Number {number}?") for number in range(50)]
    store(tmp_path / "x", "toy", rows, cut=7)
    store(tmp_path / "y", "toy", [record("New?"), *rows], cut=9)
    answer = compared(str(tmp_path / "x"), str(tmp_path / "y"), tmp_path)
    assert answer["rows"] == {"same": 50, "moved": 50, "changed": 0, "only_a": 0, "only_b": 1}


def test_of_equal_records_the_one_of_the_same_row_is_the_partner(tmp_path: Path) -> None:
    store(tmp_path / "x", "toy", [record("One?"), record("One?")])
    store(tmp_path / "y", "toy", [record("Two?"), record("One?")])
    answer = compared(str(tmp_path / "x"), str(tmp_path / "y"), tmp_path)
    assert answer["rows"] == {"same": 1, "moved": 0, "changed": 1, "only_a": 0, "only_b": 0}


def test_a_source_is_found_by_name_and_by_folder(tmp_path: Path) -> None:
    place = store(tmp_path, "toy", [record("One?"), record("Two?")])
    store(tmp_path, "game", [record("Two?", license="CC0-1.0")])
    answer = compared("toy", str(tmp_path / "records" / "game"), tmp_path)
    assert answer["rows"] == {"same": 1, "moved": 1, "changed": 0, "only_a": 1, "only_b": 0}
    assert cells(answer, "license") == {"CC0-1.0": [0, 1, 0, 0, 0], "MIT": [2, 0, 1, 0, 0]}
    assert counts(compared(str(place), str(tmp_path), tmp_path)) == "2 same, 0 changed, 0 only a, 1 only b"


def test_the_characters_of_a_record_are_those_of_all_its_texts(tmp_path: Path) -> None:
    long = record(
        "三个字", "two", system="four", rationale="1", rejected="12", history=[{"user": "a", "assistant": "b"}]
    )
    store(tmp_path, "toy", [long, record("x", "y")])
    assert compared("toy", "toy", tmp_path)["a"]["characters"] == 3 + 3 + 4 + 1 + 2 + 2 + 2


def test_the_tokens_of_a_record_are_those_of_what_is_trained_on(tmp_path: Path, words: Path) -> None:
    long = record("one two", "three", rejected="not counted", history=[{"user": "a b", "assistant": "c"}])
    store(tmp_path, "toy", [long, record("x", "y z")], cut=1)
    store(tmp_path, "game", [record("x", "y z")])
    answer = compared("toy", "game", tmp_path, tokenizer=words)
    assert (answer["a"]["tokens"], answer["b"]["tokens"]) == (2 + 1 + 2 + 1 + 3, 3)
    assert answer["by"]["lang"]["EN"]["only_a"] == {"rows": 1, "characters": 27, "tokens": 6}


def test_a_source_without_records_is_empty(tmp_path: Path) -> None:
    store(tmp_path, "toy", [])
    store(tmp_path, "game", [record("One?")])
    assert counts(compared("toy", "game", tmp_path)) == "0 same, 0 changed, 0 only a, 1 only b"


# ---- the pairing


KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30)


@given(KEYS, KEYS)
def test_rows_are_paired_one_to_one_the_earliest_first(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    def columns(rows: list[tuple[int, int]]) -> list[Any]:
        return list(np.array(rows, np.uint64).reshape(-1, 2).T)

    flags = paired(columns(first), columns(second))
    shared = Counter(first) & Counter(second)
    for rows, chosen in zip((first, second), flags, strict=True):
        left = Counter(shared)
        expected = []
        for one in rows:
            expected.append(left[one] > 0)
            left[one] -= 1
        assert chosen.tolist() == expected


# ---- what is printed


def test_the_lines_of_an_answer(two: Path) -> None:
    lines = list(told(compared("a", "b", two), 100))
    assert lines[:3] == [
        "A: mixture a: 6 rows, 105 characters, language detected in 0 of them",
        "B: mixture b: 5 rows, 94 characters, language detected in 0 of them",
        "in both 3, only in A 2, only in B 1, worded differently 1",
    ]
    assert lines[3] == "tokens are not counted; --tokenizer FOLDER counts them, here are characters"
    assert "source belle" in lines[7]
    assert lines[7].split() == ["source", "belle", "1", "2", "0", "1", "0", "10", "29"]
    at = lines.index("worded differently, 1 of 1:")
    assert lines[at + 1 :] == [
        f"  alpaca:alpaca.json:3 {3:032x}",
        "    user: Name a colour{+, please+}.\\nassistant: Blue.",
    ]


def test_text_from_data_does_not_reach_the_terminal_as_it_is(tmp_path: Path) -> None:
    mixture(tmp_path, [row(1, instruction="\x1b[2J", answer="x" * 500)], name="a")
    mixture(tmp_path, [row(2)], name="b")
    text = "\n".join(told(compared("a", "b", tmp_path), 80))
    assert "\x1b" not in text
    assert "user: \\x1b[2J" in text
    assert max(len(line) for line in text.splitlines() if "xxx" in line) == 80


# ---- mistakes


def command(out: Path, *given: str) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "pipeline", "diff", *given, "--out", str(out)]
    return subprocess.run(asked, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


def test_the_command_prints_text_or_an_object(two: Path) -> None:
    assert "in both 3, only in A 2, only in B 1, worded differently 1\n" in command(two, "a", "b").stdout
    assert json.loads(command(two, "a", "b", "--json").stdout) == compared("a", "b", two)


def test_the_command_counts_tokens_and_knows_the_names_of_papers(two: Path, words: Path) -> None:
    mixture(two, [row(1)], name="alpaca-gpt4+cot-think")
    done = command(two, "a", "alpaca-gpt4+cot*", "--tokenizer", str(words), "--json")
    assert json.loads(done.stdout) == compared("a", "alpaca-gpt4+cot-think", two, tokenizer=words)


def test_a_mistake_is_one_line_and_exit_code_2(two: Path) -> None:
    done = command(two, "a", "c")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "c: neither a mixture nor a source is built under this name" in done.stderr


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "",
            "diff: neither a mixture nor a source is built under this name in {out}, and no folder has it; known: all",
        ),
        ("alle", "alle: neither a mixture nor a source is built under this name in {out}, .* did you mean all?"),
        ("half", "{out}/mixes/half: is unfinished; run make mix MIX=half"),
        ("begun", "{out}/records/begun: is unfinished; run make corpus SOURCES=begun"),
        (
            "{out}/mixes/half.part",
            "{out}/mixes/half.part: holds nothing that is finished; run make mix or make corpus again",
        ),
        ("{out}/mixes", "{out}/mixes: is neither a built mixture, nor a source's records, nor a data folder"),
        ("{out}/tree", "{out}/tree: is a mixture as it is published; name the one it was made of, in DATA/mixes"),
        ("toy", "diff: all is a mixture and toy a corpus; name two mixtures or two corpora"),
        ("{out}", "diff: all is a mixture and {out} a corpus; name two mixtures or two corpora"),
        ("short", "{out}/mixes/short: its shards do not hold the 3 rows it tells of; build it again"),
        ("cut", "{out}/mixes/cut/train-00000.arrow: is no whole shard .*; build {out}/mixes/cut again"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(asked: str, message: str, tmp_path: Path) -> None:
    mixture(tmp_path, [row(1)], name="all")
    mixture(tmp_path, [row(1), row(2)], name="short", rows={"train": 3, "holdout": 0})
    cut = mixture(tmp_path, [row(1)], name="cut") / "train-00000.arrow"
    cut.write_bytes(cut.read_bytes()[:-100])
    store(tmp_path, "toy", [record("One?")])
    for unfinished in ("mixes/half.part", "records/begun.part", "tree"):
        (tmp_path / unfinished).mkdir(parents=True)
    folder.write_manifest(tmp_path / "tree", {"mixture": "all", "tree": {}})
    with pytest.raises(SuriError, match=f"^{message.format(out=tmp_path)}") as error:
        compared("all", asked.format(out=tmp_path), tmp_path)
    assert "\n" not in str(error.value)
