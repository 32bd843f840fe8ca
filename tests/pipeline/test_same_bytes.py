"""The bytes of a mixture that asks for everything: the same for any number of workers and any order of shards.

The same on Ray is in `test_engine_ray`.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
from mixing import Row, contents, frame, rows, store, tokenizer_of_words
from mixing import catalog as plain_catalog

from collectors.catalog import Catalog
from pipeline import shards
from pipeline.engine import Engine
from pipeline.judge.run import judging
from pipeline.mix import Mixed, mix

SIZES = {"a": 240, "b": 150, "c": 90, "d": 60}
CUTS = 4
"""Shards of each source; verdicts know how many there are."""

WORDS = ("river", "stone", "lantern", "copper", "orchard", "velvet", "thunder", "harbour", "saddle")


def listed(source: str) -> list[Row]:
    """Records of a source: every seventh is one before it with a word more, every ninth one of the source before."""
    found: list[Row] = []
    for at in range(SIZES[source]):
        text = " ".join(f"{WORDS[(at + step) % len(WORDS)]}{(at + 1) * (step + ord(source))}" for step in range(11))
        row: Row = {"instruction": f"{source} {at}: tell of {text}", "output": f"It is {text}."}
        if at % 7 == 6:
            row = found[at - 3] | {"output": found[at - 3]["output"] + " Indeed."}
        if at % 9 == 8 and source > "a":
            row = {**listed(chr(ord(source) - 1))[at % 30]}
        if at % 11 == 10:
            row |= {"history": [{"user": f"Hello {at}.", "assistant": "Hello."}]}
        found.append(row | {"row": at, "rationale": "Look closely." if at % 4 else None})
    return found


def asking(place: Path) -> Catalog:
    """A catalog whose mixture asks for everything at once; it names a tokenizer, which is written to `place`."""
    tokenizer_of_words(place)
    known = plain_catalog(*({"source": source} for source in SIZES)).model_dump(by_alias=True)
    inner: Row = {"about": "Two.", "parts": [{"source": "c", "weight": 2}, {"source": "d", "weight": 1}]}
    outer: Row = {
        "about": "Everything.",
        "seed": 7,
        "tokenizer": str(place),
        "dedup": "near",
        "flags": ["refusal"],
        "holdout": {"share": 0.1},
        "parts": [
            {
                "source": "a",
                "tokens": 2500,
                "few_shot": 2,
                "system": "Be kind.",
                "where": {"answer_chars": {"max": 145}},
            },
            {"tags": ["b"], "rows": 160, "max_repeat": 2, "template": "cot", "suffix": "steps", "input_inversion": 0.2},
            {"mixture": "inner", "rows": 50},
        ],
    }
    return Catalog.model_validate(known | {"mixtures": {"inner": inner, "outer": outer}})


def store_all(out: Path, known: Catalog, *, shuffled: int | None = None) -> None:
    """Write the records and have them judged; `shuffled` is the seed of another order of the rows and the shards."""
    shutil.rmtree(out, ignore_errors=True)
    for source in SIZES:
        records = frame(source, listed(source))
        if shuffled is not None:
            records = records.sample(fraction=1, shuffle=True, seed=shuffled)
        store(out, source, records, cuts=CUTS)
    with Engine(1) as engine:
        assert len(list(judging(known, [], out, engine, []))) == len(SIZES)


def made(out: Path, known: Catalog, engine: Engine) -> Mixed:
    """The mixture built from nothing but records and verdicts."""
    for name in ("mixes", "counts"):
        shutil.rmtree(out / name, ignore_errors=True)
    return mix(known, "outer", out, engine)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return asking(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory, known: Catalog) -> tuple[Path, dict[str, bytes]]:
    """The data folder, and the bytes of the mixture as one worker makes it."""
    out = tmp_path_factory.mktemp("data")
    store_all(out, known)
    with Engine(1) as engine:
        mixed = made(out, known, engine)
    assert mixed.manifest["not_applied"] == []
    assert {"where", "duplicate", "near", "tokens", "weight"} <= mixed.manifest["left_out"].keys()
    assert mixed.manifest["rows"]["holdout"] > 20
    assert max(row["repeat"] for row in rows(mixed)) == 1
    assert {message["role"] for row in rows(mixed) for message in row["messages"]} == {"system", "user", "assistant"}
    return out, contents(mixed.folder)


@pytest.mark.parametrize("workers", [2, 8])
def test_for_any_number_of_workers(workers: int, laid: tuple[Path, dict[str, bytes]], known: Catalog) -> None:
    out, before = laid
    with Engine(workers) as engine:
        assert contents(made(out, known, engine).folder) == before


def test_for_any_order_of_rows_and_shards(laid: tuple[Path, dict[str, bytes]], known: Catalog, tmp_path: Path) -> None:
    store_all(tmp_path / "data", known, shuffled=1)
    with Engine(1) as engine:
        assert contents(made(tmp_path / "data", known, engine).folder) == laid[1]
        # The shards of a source under each other's names, their verdicts with them.
        for below in ("records", "verdicts"):
            for source in SIZES:
                turned(tmp_path / "data" / below / source)
        assert contents(made(tmp_path / "data", known, engine).folder) == laid[1]


def turned(place: Path) -> None:
    """Give each shard of a folder the name of the next."""
    names: list[Any] = [path.name for path in shards.paths(place)]
    for name in names:
        (place / name).rename(place / f"{name}.aside")
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        (place / f"{name}.aside").rename(place / other)
