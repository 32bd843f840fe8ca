"""Tokens of records by a named tokenizer: counted exactly, kept by tokenizer, and mixtures of so many tokens."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mixing import Row, built, contents, frame, rows, store, tokenizer_of_words

from collectors.errors import ArtefactError, CatalogError
from pipeline import folder
from pipeline.counts import counted, counter, tokens
from pipeline.engine import Engine


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of which every word is one token, in a folder as a model has it."""
    return tokenizer_of_words(tmp_path_factory.mktemp("model"), truncated=2)


CHAT: Row = {
    "system": "Be brief.",
    "history": [{"user": "Hi there you!", "assistant": "Hello."}, {"user": "So?", "assistant": "What then?"}],
    "instruction": "Translate this word.",
    "input": "chat",
    "rationale": "It purrs.",
    "output": "cat",
    "rejected": "not counted at all",
}


def test_the_tokens_of_a_record_are_those_of_its_texts(words: Path) -> None:
    plain: Row = {"instruction": "One two three", "input": "", "output": "four"}
    records = frame("first", [CHAT, plain, CHAT | {"history": []}])
    assert tokens(records, counter(str(words))).tolist() == [2 + 3 + 1 + 1 + 2 + 3 + 1 + 2 + 1, 4, 9]


def test_counts_are_kept_by_tokenizer_until_the_records_change(tmp_path: Path, words: Path) -> None:
    store(tmp_path, "first", frame("first", [{"output": "a " * at + "b"} for at in range(5)]), cuts=2)
    by = counter(str(words / "tokenizer.json"))
    with Engine(1) as engine:
        place = counted(by, "first", tmp_path, engine)
        before = contents(place)
        assert place == tmp_path / "counts" / by.digest[:16] / "first"
        assert sorted(before) == ["00000.arrow", "00001.arrow", "manifest.json"]
        found = folder.manifest(place) or {}
        assert (found["tokens"], found["records"]) == (5 * 2 + 1 + 2 + 3 + 4 + 5, 5)
        stamp = (place / "manifest.json").stat().st_mtime_ns
        assert counted(by, "first", tmp_path, engine) == place
        assert (place / "manifest.json").stat().st_mtime_ns == stamp
        store(tmp_path, "first", frame("first", [{"output": "a"}]))
        counted(by, "first", tmp_path, engine)
        assert sorted(contents(place)) == ["00000.arrow", "manifest.json"]


def long(row: Row) -> int:
    return sum(len(message["content"].split()) for message in row["messages"])


def test_a_quota_of_tokens_is_never_exceeded_and_missed_by_less_than_a_row(tmp_path: Path, words: Path) -> None:
    listed = [{"instruction": "w " * (at % 7) + str(at), "output": "yes"} for at in range(60)]
    store(tmp_path, "first", frame("first", listed), cuts=3)
    store(tmp_path, "second", frame("second", [{"instruction": f"Two {at}", "output": "no"} for at in range(30)]))
    built(tmp_path, {"source": "first", "tokens": 9}, {"source": "second"}, tokenizer=str(words))
    # Only what is measured is counted.
    assert [path.name for path in (tmp_path / "counts").glob("*/*")] == ["first"]

    def mixed(*quotas: dict[str, Any], **rest: Any) -> Any:
        parts = [{"source": name, **quota} for name, quota in zip(("first", "second"), quotas, strict=True)]
        return built(tmp_path, *parts, tokenizer=str(words), **rest)

    sizes, ids = [], []
    for amount in (50, 100, 200):
        made = mixed({"tokens": amount}, {"tokens": 9})
        given = [row for row in rows(made) if row["source"] == "first"]
        sizes.append(sum(map(long, given)))
        ids.append({row["id"] for row in given})
        assert amount - 8 < sizes[-1] <= amount
        assert sum(long(row) for row in rows(made) if row["source"] == "second") == 9
        assert made.manifest["left_out"] == {"tokens": 90 - len(rows(made))}
    assert ids[0] < ids[1] < ids[2]
    made = mixed({"weight": 2}, {"weight": 1}, total={"tokens": 90})
    by_source = [sum(long(row) for row in rows(made) if row["source"] == name) for name in ("first", "second")]
    assert 90 - 8 < sum(by_source) <= 90
    assert abs(by_source[0] - 60) < 8
    short = mixed({"tokens": 10_000}, {"tokens": 9}).manifest["shortfalls"]
    assert short == [
        {"part": "first", "unit": "tokens", "asked": 10_000, "given": sum(map(long, rows(mixed({}, {})))) - 90}
    ]


def test_another_tokenizer_makes_another_mixture(tmp_path: Path, words: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(words, model)
    store(tmp_path, "first", frame("first", [{"output": f"{at} a"} for at in range(9)]))
    part = {"source": "first", "tokens": 12}
    assert not built(tmp_path, part, tokenizer=str(model)).up_to_date
    assert built(tmp_path, part, tokenizer=str(model)).up_to_date
    told = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text(json.dumps(told | {"pre_tokenizer": {"type": "Whitespace"}}))
    assert not built(tmp_path, part, tokenizer=str(model)).up_to_date


def test_a_tokenizer_that_is_not_there_is_one_line(tmp_path: Path, words: Path) -> None:
    store(tmp_path, "first", frame("first", [{}]))

    def said(name: str, **part: int) -> str:
        with pytest.raises(CatalogError) as caught:
            built(tmp_path, {"source": "first", **part}, tokenizer=name)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    # Also where nothing is counted by it.
    assert (
        said(str(tmp_path / "none"), tokens=3)
        == said(str(tmp_path / "none"))
        == (
            f"tokenizer {tmp_path / 'none'}: there is no {tmp_path / 'none' / 'tokenizer.json'}; "
            "name a folder that holds one, or a Hub id"
        )
    )
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "cannot be read" in said(str(tmp_path), tokens=3)
    with pytest.raises(ValueError, match="tokens are counted by a tokenizer; name one"):
        built(tmp_path, {"source": "first", "tokens": 3})


def test_counts_that_are_not_whole_are_one_line(tmp_path: Path, words: Path) -> None:
    store(tmp_path, "first", frame("first", [{}, {"output": "b"}]))
    with Engine(1) as engine:
        place = counted(counter(str(words)), "first", tmp_path, engine)
    (place / "00000.arrow").write_bytes(b"ARROW1")
    with pytest.raises(ArtefactError, match="is no whole shard of counts"):
        built(tmp_path, {"source": "first", "tokens": 3}, tokenizer=str(words))
