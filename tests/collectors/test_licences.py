"""Licences: what a row asks, what a set of rows asks, what a policy lets in, and what is said of it."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.catalog import Catalog, load
from collectors.errors import CatalogError
from collectors.licences import (
    POLICIES,
    Key,
    broken,
    forbidden,
    key,
    licence,
    obligations,
    policy,
    rows_of,
    rules,
    summary,
)
from collectors.nodes import parsed
from collectors.spdx import DUTIES, FAMILIES, LICENCES, TERMS, USES, Rule, Use
from pipeline.markdown import table

ROOT = Path(__file__).parents[2]

KEYS = st.tuples(
    st.sampled_from([*sorted(LICENCES), "LicenseRef-mine", "CC-BY-9.9"]),
    st.lists(st.sampled_from([*sorted(TERMS), "terms-unknown"]), unique=True).map(lambda terms: tuple(sorted(terms))),
)
SETS = st.dictionaries(KEYS, st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1), max_size=6)


def joined(one: Mapping[Key, Mapping[str, int]], other: Mapping[Key, Mapping[str, int]]) -> dict[Key, Counter[str]]:
    return {key: Counter(one.get(key, {})) + Counter(other.get(key, {})) for key in one.keys() | other.keys()}


# ---- one row


@pytest.mark.parametrize(
    ("license", "uses", "duties"),
    [
        # commercial use, redistribution, adaptation
        ("MIT", "granted granted granted", {"attribution"}),
        ("Apache-2.0", "granted granted granted", {"attribution"}),
        ("CC0-1.0", "granted granted granted", set()),
        ("ODC-By-1.0", "granted granted granted", {"attribution"}),
        ("CC-BY-4.0", "granted granted granted", {"attribution"}),
        ("CC-BY-SA-3.0", "granted granted granted", {"attribution", "share_alike"}),
        ("CC-BY-NC-4.0", "forbidden granted granted", {"attribution"}),
        ("CC-BY-NC-SA-4.0", "forbidden granted granted", {"attribution", "share_alike"}),
        ("CC-BY-NC-ND-2.0", "forbidden granted forbidden", {"attribution"}),
        ("CC-BY-ND-4.0", "granted granted forbidden", {"attribution"}),
        ("GPL-3.0-only", "granted granted granted", {"attribution", "share_alike"}),
        ("ODbL-1.0", "granted granted granted", {"attribution", "share_alike"}),
        ("unknown", "unstated unstated unstated", set()),
        ("LicenseRef-Some-Thing", "unstated unstated unstated", set()),
        ("CC-BY-1.7", "unstated unstated unstated", set()),
    ],
)
def test_what_a_licence_permits_and_asks(license: str, uses: str, duties: set[str]) -> None:
    rule = rules(license, [])[license]
    assert " ".join(getattr(rule, use).name.lower() for use in USES) == uses
    assert {duty for duty in DUTIES if getattr(rule, duty)} == duties


@pytest.mark.parametrize(
    ("term", "commercial", "duties"),
    [
        ("non-commercial", "forbidden", set()),
        ("research-only", "forbidden", {"research_only"}),
        ("share-alike", "granted", {"attribution", "share_alike"}),
        ("openai-output", "granted", {"model_output"}),
        ("contested", "unstated", set()),
        ("parts-differ", "partly", set()),
        ("terms-unknown", "unstated", set()),
    ],
)
def test_what_a_term_adds(term: str, commercial: str, duties: set[str]) -> None:
    rule = rules("CC0-1.0", [term])[term]
    assert rule.commercial.name.lower() == commercial
    assert {duty for duty in DUTIES if getattr(rule, duty)} == duties


def test_every_word_of_the_catalog_has_a_rule() -> None:
    catalog = load(ROOT / "catalog.yaml")
    entries = [*catalog.sources.values(), *catalog.suites.values()]
    assert {entry.license for entry in entries} <= LICENCES.keys()
    assert {term for entry in entries for term in entry.terms} == TERMS.keys()


def test_a_row_with_a_licence_of_its_own_is_no_part_that_differs() -> None:
    collection = ("Apache-2.0", ("share-alike", "parts-differ"))
    assert key("Apache-2.0", collection) == ("Apache-2.0", ("parts-differ", "share-alike"))
    assert key("MIT", collection) == ("MIT", ("share-alike",))
    assert key("unknown", collection) == ("unknown", ("parts-differ", "share-alike"))
    assert key("MIT", None) == ("MIT", ("terms-unknown",))


# ---- policies


@pytest.mark.parametrize(
    ("license", "terms", "lets_in"),
    [
        ("MIT", [], "any no-noncommercial permissive"),
        ("CC-BY-4.0", [], "any no-noncommercial permissive"),
        ("CC-BY-SA-4.0", ["share-alike"], "any no-noncommercial"),
        ("CC-BY-ND-4.0", [], "any no-noncommercial"),
        ("CC-BY-NC-4.0", [], "any"),
        ("CC-BY-NC-4.0", ["non-commercial", "openai-output"], "any"),
        ("MIT", ["openai-output"], "any no-noncommercial"),
        ("Apache-2.0", ["parts-differ"], "any no-noncommercial"),
        ("MIT", ["contested"], "any"),
        ("MIT", ["research-only"], "any"),
        ("unknown", [], "any"),
        ("LicenseRef-mine", [], "any"),
        ("MIT", ["terms-unknown"], "any"),
    ],
)
def test_what_the_named_policies_let_in(license: str, terms: list[str], lets_in: str) -> None:
    assert " ".join(name for name in POLICIES if not forbidden(name, license, terms)) == lets_in


@pytest.mark.parametrize(
    ("asked", "license", "terms", "reasons"),
    [
        (["MIT"], "MIT", [], []),
        (["MIT"], "MIT", ["openai-output"], ["openai-output is not in the list"]),
        (["MIT", "openai-output"], "MIT", ["openai-output"], []),
        (["CC-BY-SA-3.0"], "CC-BY-SA-3.0", ["share-alike"], []),
        (["CC-BY-NC-4.0"], "CC-BY-NC-4.0", ["non-commercial"], []),
        (["CC-BY-NC-4.0"], "CC-BY-NC-4.0", ["research-only"], ["research-only is not in the list"]),
        (["MIT"], "unknown", [], ["unknown is not in the list"]),
        (["unknown"], "unknown", [], []),
        (["LicenseRef-mine"], "LicenseRef-mine", [], []),
        (["MIT"], "CC-BY-4.0", ["contested"], ["CC-BY-4.0 is not in the list", "contested is not in the list"]),
    ],
)
def test_a_list_names_licences_and_terms(asked: list[str], license: str, terms: list[str], reasons: list[str]) -> None:
    assert forbidden(asked, license, terms) == reasons


def test_what_breaks_a_policy_is_named_with_its_rows_and_reasons() -> None:
    rows = {
        ("CC-BY-NC-4.0", ("non-commercial",)): {"alpaca": 52002},
        ("MIT", ()): {"hh_rlhf": 7},
        ("unknown", ()): {"pclue": 1200705, "alpaca": 1},
    }
    assert broken("any", rows) == []
    assert broken("no-noncommercial", rows) == [
        "alpaca, 52,002 rows: CC-BY-NC-4.0 (attribution, no commercial use), non-commercial (no commercial use)",
        "alpaca, 1 row: unknown (no licence is stated, or several that disagree)",
        "pclue, 1,200,705 rows: unknown (no licence is stated, or several that disagree)",
    ]


@given(KEYS)
def test_a_stricter_policy_lets_in_no_more(one: Key) -> None:
    refused = [bool(forbidden(name, *one)) for name in POLICIES]
    assert refused == sorted(refused)


@given(KEYS)
def test_a_list_of_all_that_a_row_has_lets_it_in(one: Key) -> None:
    assert forbidden([one[0], *one[1]], *one) == []


@given(KEYS)
def test_unknown_is_never_permissive(one: Key) -> None:
    for name in ("permissive", "no-noncommercial"):
        assert forbidden(name, "unknown", one[1])
        assert forbidden(name, one[0], {*one[1], "contested"})


# ---- sets of rows


def test_a_set_asks_what_any_row_asks_and_names_the_cause() -> None:
    found = summary(
        {
            ("CC-BY-NC-4.0", ("non-commercial", "openai-output")): {"alpaca": 3},
            ("CC-BY-SA-3.0", ("share-alike",)): {"dolly": 2},
            ("CC0-1.0", ()): {"mine": 5, "none": 0},
            ("MIT", ("openai-output",)): {"gpteacher": 4},
        }
    )
    assert found == {
        "rows": [
            {"licence": "CC-BY-NC-4.0", "terms": ["non-commercial", "openai-output"], "source": "alpaca", "rows": 3},
            {"licence": "CC-BY-SA-3.0", "terms": ["share-alike"], "source": "dolly", "rows": 2},
            {"licence": "CC0-1.0", "terms": [], "source": "mine", "rows": 5},
            {"licence": "MIT", "terms": ["openai-output"], "source": "gpteacher", "rows": 4},
        ],
        "licences": ["CC-BY-NC-4.0", "CC-BY-SA-3.0", "CC0-1.0", "MIT"],
        "terms": ["non-commercial", "openai-output", "share-alike"],
        "uses": {
            "commercial": {"answer": "forbidden", "because": {"alpaca": 3}},
            "redistribution": {"answer": "granted", "because": {}},
            "adaptation": {"answer": "granted", "because": {}},
        },
        "duties": {
            "attribution": {"alpaca": 3, "dolly": 2, "gpteacher": 4},
            "share_alike": {"dolly": 2},
            "model_output": {"alpaca": 3, "gpteacher": 4},
        },
    }


def test_no_rows_ask_nothing() -> None:
    found = obligations({("unknown", ()): {"pclue": 0}})
    assert (found.licences, found.terms, found.duties) == ({}, {}, {})
    assert found.uses == {use: (Use.GRANTED, {}) for use in USES}


@given(SETS, SETS)
def test_joining_sets_asks_what_either_asks_and_permits_what_both_permit(
    one: dict[Key, dict[str, int]], other: dict[Key, dict[str, int]]
) -> None:
    both, first, second = obligations(joined(one, other)), obligations(one), obligations(other)
    assert obligations(joined(other, one)) == both
    for use in USES:
        assert both.uses[use][0] == max(first.uses[use][0], second.uses[use][0])
    assert both.duties.keys() == first.duties.keys() | second.duties.keys()
    assert both.licences.keys() == first.licences.keys() | second.licences.keys()
    for name in POLICIES:
        assert bool(broken(name, joined(one, other))) == bool(broken(name, one) or broken(name, other))


@given(SETS)
def test_a_summary_tells_of_every_row(rows: dict[Key, dict[str, int]]) -> None:
    assert rows_of(summary(rows)) == rows
    assert summary(rows_of(summary(rows))) == summary(rows)


# ---- mistakes


def source(**more: object) -> dict[str, object]:
    return {
        "title": "A source",
        "about": "Rows of a test.",
        "homepage": "https://example.org/",
        "origins": [],
        "files": ["*.json"],
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "license": "MIT",
        "columns": {"instruction": "instruction", "output": "output"},
        **more,
    }


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"license": "apache-2.0"},
            "c.yaml: sources.toy.license: unknown licence; did you mean Apache-2.0? (or LicenseRef-<name>, or unknown)"
            " (found 'apache-2.0')",
        ),
        (
            {"license": "house rules"},
            "c.yaml: sources.toy.license: unknown licence; give an SPDX id of docs/licences.md (or LicenseRef-<name>,"
            " or unknown) (found 'house rules')",
        ),
        (
            {"terms": ["non-comercial"]},
            "c.yaml: sources.toy.terms.0: unknown term non-comercial; did you mean non-commercial?"
            " (found 'non-comercial')",
        ),
    ],
)
def test_an_unknown_licence_or_term_in_the_catalog_is_one_line(entry: dict[str, object], message: str) -> None:
    with pytest.raises(CatalogError) as error:
        parsed(Catalog, {"sources": {"toy": source(**entry)}}, "c.yaml")
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["MIT", "unknown", "LicenseRef-My-Own.1", "CC-BY-NC-SA-2.5"])
def test_known_licences(name: str) -> None:
    assert licence(name) == name
    assert parsed(Catalog, {"sources": {"toy": source(license=name)}}, "c.yaml").sources["toy"].license == name


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("permisive", "give any, no-noncommercial, permissive, or a list of licences and terms"),
        ("MIT", "give any, no-noncommercial, permissive, or a list of licences and terms; did you mean [MIT]?"),
        (["MIT", "apache-2.0"], "unknown licence or term apache-2.0; did you mean Apache-2.0?"),
        (["house rules"], "unknown licence or term house rules; give an SPDX id of docs/licences.md"),
        ([], "the list is empty, so it lets nothing in; name licences and terms, or give any"),
    ],
)
def test_a_wrong_policy_says_what_would_be_right(asked: str | list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        policy(asked)


# ---- the page


def cells(rule: Rule) -> tuple[str, ...]:
    asked = [duty.replace("_", "-") for duty in DUTIES if getattr(rule, duty)]
    return (*(getattr(rule, use).told for use in USES), ", ".join(asked), rule.where)


def test_the_page_shows_every_rule() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    head = ("commercial use", "redistribution", "adaptation", "duties", "who says so")
    licences = table(
        ("licences", *head), [(", ".join(f"`{name}`" for name in names), *cells(rule)) for names, rule in FAMILIES]
    )
    terms = table(("term", "it is", *head), [(f"`{name}`", rule.says, *cells(rule)) for name, rule in TERMS.items()])
    for name, shown in (("licences", licences), ("terms", terms)):
        told = page.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- /{name} -->")[0]
        assert told == shown, f"paste this table:\n{shown}"
