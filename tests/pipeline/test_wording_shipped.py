"""Every mixture of the catalog, built on the embedded samples; and what its line says of itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.catalog import load
from pipeline import shards
from pipeline.collect import SAMPLES, corpus
from pipeline.engine import Engine
from pipeline.judge.run import judging
from pipeline.mix import mix

CATALOG = load(Path(__file__).resolve().parents[2] / "catalog.yaml")
TOLD = {name: mixture for name, mixture in CATALOG.mixtures.items() if "unverified:" in mixture.about}
TWELVE = [
    *("alpaca-gpt4", "belle", "sharegpt-zh", "moss-sft-data", "instinwild", "firefly"),
    *("hc3", "xp3-zh", "coig-ccmc", "coig-trans", "coig-exam", "pclue"),
]
STUDIES = ["alpaca-gpt4+cot", "alpaca-gpt4+cot-think", "alpaca-gpt4+values", "alpaca-gpt4-en+cot", "chinese-alpaca"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Engine]]:
    """The samples of every source as records; sharegpt is judged, for its Chinese is told by the verdict alone."""
    out = tmp_path_factory.mktemp("shipped") / "data"
    corpus(CATALOG, CATALOG.sources, SAMPLES, out, workers=1)
    with Engine(1) as engine:
        assert len(list(judging(CATALOG, ["sharegpt"], out, engine, []))) == 1
        yield out, engine


def rows(built: tuple[Path, Engine], name: str) -> list[dict[str, Any]]:
    out, engine = built
    return list(shards.scan(mix(CATALOG, name, out, engine).folder, "train-*.arrow").collect().iter_rows(named=True))


@pytest.mark.parametrize("name", CATALOG.mixtures)
def test_every_mixture_gives_rows_of_every_part(name: str, built: tuple[Path, Engine]) -> None:
    out, engine = built
    mixed = mix(CATALOG, name, out, engine)
    assert {part["source"]: part["rows"] > 0 for part in mixed.manifest["parts"]} == {
        part.source: True for part in CATALOG.mixture(name)[1].parts
    }


def test_the_papers_mixtures_are_there() -> None:
    assert [name for name in TOLD if name in {*TWELVE, *STUDIES}] == [*TWELVE, *STUDIES]


@pytest.mark.parametrize("name", TOLD)
def test_a_mixture_names_its_unverified_sources(name: str) -> None:
    told = TOLD[name].about.partition("unverified: ")[2].rstrip(".")
    parts = [part.source for part in TOLD[name].parts]
    assert told == (", ".join(source for source in parts if not CATALOG.sources[source].verified) or "none")


@pytest.mark.parametrize(
    "name", sorted({*TWELVE, *STUDIES} - {"alpaca-gpt4-en+cot", "chinese-alpaca", "moss-sft-data", "firefly"})
)
def test_the_papers_mixtures_are_chinese(name: str, built: tuple[Path, Engine]) -> None:
    for row in rows(built, name):
        assert re.search(r"[\u4e00-\u9fff]", "".join(message["content"] for message in row["messages"])), row["id"]


def test_the_suffix_ends_each_request_for_a_chain_and_no_other(built: tuple[Path, Engine]) -> None:
    ends = {
        (row["source"], row["messages"][-2]["content"].endswith("先思考，再决定"))
        for row in rows(built, "alpaca-gpt4+cot-think")
    }
    assert ends == {("alpaca_gpt4", False), ("cot", True)}
    assert len(rows(built, "alpaca-gpt4+cot-think")) == len(rows(built, "alpaca-gpt4+cot"))


def test_a_capped_part_gives_no_more(built: tuple[Path, Engine]) -> None:
    sources = {row["source"] for row in rows(built, "chinese-alpaca")}
    assert sources == {"news_commentary", "pclue", "alpaca", "alpaca_zh", "belle"}
