"""What a user means by a name, a glob and a tag, and what is said when nothing is meant."""

from pathlib import Path

import pytest

from collectors.catalog import load
from collectors.choice import chosen, words
from collectors.errors import CatalogError


def tags(lang: str, gen: str, license: str = "MIT", *terms: str) -> dict[str, frozenset[str]]:
    return {
        "lang": frozenset(lang.split()),
        "task": frozenset({"MT"}),
        "gen": frozenset({gen}),
        "license": frozenset({license}),
        "terms": frozenset(terms),
    }


SOURCES = {
    "alpaca": tags("EN", "SI", "CC-BY-NC-4.0", "openai-output"),
    "alpaca_zh": tags("CN", "SI"),
    "belle": tags("CN", "SI", "unknown", "contested"),
    "cot": tags("EN CN", "HG"),
}

MEANT = [
    ([], ["alpaca", "alpaca_zh", "belle", "cot"]),
    (["cot", "belle"], ["belle", "cot"]),
    (["alpaca*"], ["alpaca", "alpaca_zh"]),
    (["alpaca*", "cot"], ["alpaca", "alpaca_zh", "cot"]),
    (["?o?"], ["cot"]),
    (["lang=CN"], ["alpaca_zh", "belle", "cot"]),
    (["lang=CN gen=SI"], ["alpaca_zh", "belle"]),
    (["lang=CN,gen=SI"], ["alpaca_zh", "belle"]),
    (["lang=CN", "lang=EN"], ["cot"]),
    (["alpaca* lang=cn"], ["alpaca_zh"]),
    (["license=MIT"], ["alpaca_zh", "cot"]),
    (["license=cc-by-*"], ["alpaca"]),
    (["terms=contested"], ["belle"]),
    ([" belle , ,cot "], ["belle", "cot"]),
]


@pytest.mark.parametrize(("asked", "meant"), MEANT)
def test_what_is_meant(asked: list[str], meant: list[str]) -> None:
    assert chosen(asked, SOURCES) == meant


REFUSED = [
    (["alpacca"], "unknown source alpacca; did you mean alpaca or alpaca_zh?"),
    (["zzz"], "unknown source zzz; known: alpaca, alpaca_zh, belle, cot"),
    (["bele*"], "no source is named like bele*; did you mean belle?"),
    (["lnag=CN"], "unknown tag lnag in lnag=CN; did you mean lang?"),
    (["lang=DE"], "no source has lang=DE; known: CN, EN"),
    (["license=mti"], "no source has license=mti; known: CC-BY-NC-4.0, MIT, unknown"),
    (["lang="], "no source has lang=; known: CN, EN"),
    (["belle", "gen=HG"], "no source meets all of belle gen=HG; leave one out"),
]


@pytest.mark.parametrize(("asked", "told"), REFUSED)
def test_what_is_not_there_is_told(asked: list[str], told: str) -> None:
    with pytest.raises(CatalogError) as caught:
        chosen(asked, SOURCES)
    assert str(caught.value) == told


def test_words() -> None:
    assert words(["a b,c", "", "d"]) == ["a", "b", "c", "d"]


def test_a_source_has_the_tags_of_its_files_too() -> None:
    shipped = load(Path(__file__).resolve().parents[2] / "catalog.yaml")
    assert shipped.sources["cot"].tags["lang"] == {"EN", "CN"}
    assert {"alpaca", "alpaca_gpt4", "alpaca_zh"} <= set(shipped.chosen(["alpaca*"]))
    assert "cot" in shipped.chosen(["lang=CN", "gen=HG"])
