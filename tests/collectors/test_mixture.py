"""A mixture file: what its parts may be, how tags and nested mixtures are written out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.catalog import Catalog
from collectors.errors import CatalogError
from collectors.mixture import Mixture, schema
from collectors.nodes import parsed


def source(lang: str) -> dict[str, Any]:
    return {
        "title": "Toy",
        "about": "Two rows.",
        "homepage": "https://example.org/toy",
        "origins": [],
        "files": ["*.json"],
        "lang": lang,
        "task": "MT",
        "gen": "HG",
        "license": "MIT",
        "columns": {"instruction": "i", "output": "o"},
    }


SOURCES = {"apple": source("EN"), "birne": source("CN"), "cherry": source("EN"), "dattel": source("CN")}


def catalog(**mixtures: dict[str, Any]) -> Catalog:
    named = {name: {"about": name, **mixture} for name, mixture in mixtures.items()}
    return parsed(Catalog, {"sources": SOURCES, "mixtures": named}, "catalog.yaml")


def written(mixture: Mixture) -> dict[str, Any]:
    """What is not left at its default, of parts and groups."""
    found = json.loads(mixture.model_dump_json(exclude_defaults=True))
    return {name: found[name] for name in ("parts", "groups") if name in found}


def test_sources_alone_are_left_as_they_are() -> None:
    parts = [{"source": "apple", "weight": 2, "max_repeat": 3}, {"source": "birne", "where": {"lang": "CN"}}]
    known = catalog(mine={"parts": parts})
    assert known.mixture("mine")[1] == known.mixtures["mine"]


def test_tags_become_the_sources_they_mean_that_no_part_names() -> None:
    found = catalog(mine={"parts": [{"source": "cherry"}, {"tags": "lang=EN", "template": "cot", "seed": 3}]})
    assert written(found.mixture("mine")[1]) == {
        "parts": [{"source": "cherry"}, {"source": "apple", "template": "cot", "seed": 3, "meant_by": "lang=EN"}]
    }
    # A quota is of all of them together.
    found = catalog(mine={"parts": [{"tags": ["lang=CN", "task=MT"], "rows": 9, "max_repeat": 2, "max_rows": 5}]})
    assert written(found.mixture("mine")[1]) == {
        "parts": [
            {"source": "birne", "within": "lang=CN task=MT"},
            {"source": "dattel", "within": "lang=CN task=MT"},
        ],
        "groups": {"lang=CN task=MT": {"rows": 9, "max_repeat": 2, "max_rows": 5, "pooled": True}},
    }


def test_tags_mean_no_benchmarks_unless_asked_for() -> None:
    exam = SOURCES["birne"] | {"evaluation": True}

    def found(part: dict[str, Any]) -> list[str]:
        mixtures = {"mine": {"about": "a test", "parts": [part]}}
        known = parsed(Catalog, {"sources": SOURCES | {"birne": exam}, "mixtures": mixtures}, "catalog.yaml")
        return [one.source for one in known.mixture("mine")[1].parts]

    assert found({"tags": "lang=CN"}) == ["dattel"]
    assert found({"tags": "lang=CN", "evaluation": True}) == ["birne", "dattel"]
    assert found({"tags": ["birne", "dattel"]}) == ["birne", "dattel"]
    assert found({"source": "birne"}) == ["birne"]


def test_a_nested_mixture_becomes_a_group(tmp_path: Path) -> None:
    file = tmp_path / "third.yaml"
    file.write_text("{about: a file, parts: [{source: dattel}], total: {rows: 4}}")
    known = catalog(
        outer={"parts": [{"source": "apple", "weight": 1}, {"mixture": "inner", "weight": 2}], "seed": 1},
        inner={
            "parts": [{"source": "birne", "rows": 7}, {"source": "cherry", "seed": 9}, {"mixture": str(file)}],
            "seed": 5,
            "temperature": 2,
            "holdout": {"rows": 1},
        },
    )
    name, found = known.mixture("outer")
    assert written(found) == {
        "parts": [
            {"source": "apple", "weight": 1},
            {"source": "birne", "rows": 7, "seed": 5, "within": "inner"},
            {"source": "cherry", "seed": 9, "within": "inner"},
            {"source": "dattel", "within": str(file)},
        ],
        "groups": {
            "inner": {"weight": 2, "temperature": {"value": 2}},
            str(file): {"within": "inner", "total": {"rows": 4}},
        },
    }
    assert (name, found.seed, found.holdout) == ("outer", 1, None)
    assert Mixture.model_validate(found.model_dump(mode="json", exclude_none=True)) == found


def test_a_mixture_called_after_its_source_can_be_nested_and_read_back() -> None:
    known = catalog(outer={"parts": [{"mixture": "apple", "rows": 1}]}, apple={"parts": [{"source": "apple"}]})
    found = known.mixture("outer")[1]
    assert Mixture.model_validate(found.model_dump(mode="json", exclude_none=True)) == found


def test_tags_that_mean_one_source_twice_can_be_read_back() -> None:
    known = catalog(outer={"parts": [{"tags": "lang=EN"}, {"tags": "app*"}], "dedup": "none"})
    found = known.mixture("outer")[1]
    assert [(part.source, part.meant_by) for part in found.parts] == [
        ("apple", "lang=EN"),
        ("cherry", "lang=EN"),
        ("apple", "app*"),
    ]
    assert Mixture.model_validate(found.model_dump(mode="json", exclude_none=True)) == found


def test_one_mixture_twice_is_two_groups() -> None:
    known = catalog(
        outer={"parts": [{"mixture": "left", "rows": 3}, {"mixture": "right"}]},
        left={"parts": [{"mixture": "leaf"}]},
        right={"parts": [{"mixture": "leaf"}]},
        leaf={"parts": [{"source": "apple"}]},
    )
    found = known.mixture("outer")[1]
    assert [part.within for part in found.parts] == ["leaf", "leaf (2)"]
    assert {name: group.within for name, group in (found.groups or {}).items()} == {
        "left": None,
        "leaf": "left",
        "right": None,
        "leaf (2)": "right",
    }


def test_the_schema_that_is_shipped_is_current() -> None:
    shipped = Path(__file__).resolve().parents[2] / "docs" / "mixture.schema.json"
    assert shipped.read_text(encoding="utf-8") == schema() + "\n", (
        "python -m pipeline schema > docs/mixture.schema.json"
    )
    part = json.loads(schema())["$defs"]["Part"]
    assert {"source", "tags", "mixture", "weight", "rows", "where"} <= part["properties"].keys()


WRONG: list[tuple[dict[str, dict[str, Any]], str]] = [
    (
        {"a": {"parts": [{"mixture": "b"}]}, "b": {"parts": [{"mixture": "c"}]}, "c": {"parts": [{"mixture": "b"}]}},
        "mixtures.a: its mixtures hold each other, b -> c -> b; take one of them out",
    ),
    ({"a": {"parts": [{"mixture": "a"}]}}, "mixtures.a: its mixtures hold each other, a -> a"),
    ({"a": {"parts": [{"mixture": "bee"}]}, "beet": {"parts": [{"source": "apple"}]}}, "did you mean beet?"),
    ({"a": {"parts": [{"source": "aple"}]}}, "mixtures.a: unknown source aple; did you mean apple?"),
    ({"a": {"parts": [{"tags": "lang=ENN"}]}}, "mixtures.a: tags lang=ENN: no source has lang=ENN; did you mean EN?"),
    ({"a": {"parts": [{"tags": "long=EN"}]}}, "unknown tag long in long=EN; did you mean lang?"),
    ({"a": {"parts": [{"tags": "app*"}, {"source": "apple"}]}}, "every source they mean is a part by its name"),
    ({"a": {"parts": [{"source": "apple", "tags": "birne"}]}}, "has source and tags; give one of source, tags and"),
    ({"a": {"parts": [{"weight": 1}]}}, "has neither; give one of source, tags and mixture"),
    (
        {"a": {"parts": [{"mixture": "b", "template": "cot"}]}, "b": {"parts": [{"source": "apple"}]}},
        "template: is for the parts of mixture b to say; leave it out here",
    ),
    (
        {"a": {"parts": [{"mixture": "b"}]}, "b": {"parts": [{"source": "apple"}], "leaks": "drop"}},
        "a: b declares leaks: drop, and a has keep; declare it there too",
    ),
    (
        {"a": {"parts": [{"source": "apple", "where": {"langauge": "en"}}]}},
        "unknown key; did you mean language or lang?",
    ),
    ({"a": {"parts": [{"source": "apple", "where": {"row": {"min": 3, "max": 2}}}]}}, "min 3 is over max 2"),
    ({"a": {"parts": [{"source": "apple", "where": {"row": {}}}]}}, "give min, max or both"),
    (
        {"a": {"parts": [{"source": "apple", "where": {"lang": "ENN"}}]}},
        "where.lang: no record has ENN; did you mean EN?",
    ),
    (
        {"a": {"parts": [{"source": "apple", "where": {"gen": ["SI", "x"]}}]}},
        "where.gen: no record has x; known: COL, HG",
    ),
    (
        {"a": {"parts": [{"source": "apple", "where": {"output": "[a"}}]}},
        "where.output: is no regular expression: unclosed character class",
    ),
    (
        {"a": {"parts": [{"source": "apple", "where": {"cluster": "mine"}}]}},
        "where.cluster: Input should be a valid bool",
    ),
    ({"a": {"parts": [{"source": "apple"}], "leaks": "dorp"}}, "a.leaks: Input should be 'keep' or 'drop'"),
    ({"a": {"parts": [{"source": "apple"}], "licence": "permisive"}}, "no-noncommercial, permissive"),
    ({"a": {"parts": [{"source": "apple"}], "licence": ["MTI"]}}, "did you mean MIT"),
    ({"a": {"parts": [{"source": "apple"}], "dedup": "nearly"}}, "'none', 'exact', 'prompt' or 'near'"),
]


@pytest.mark.parametrize(("mixtures", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_is_one_line_that_names_it(mixtures: dict[str, dict[str, Any]], said: str) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog(**mixtures)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{{about: a file, parts: [{{mixture: '{file}'}}]}}")
    with pytest.raises(CatalogError, match="its mixtures hold each other"):
        catalog(a={"parts": [{"source": "apple"}]}).mixture(str(file))
