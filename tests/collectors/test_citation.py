"""Citations: BibTeX of what the catalog knows, and of nothing more."""

from pathlib import Path

import pytest

from collectors.catalog import load
from collectors.citation import Citation, bibtex
from collectors.errors import CatalogError
from collectors.nodes import parsed

ROOT = Path(__file__).parents[2]
HOME = "https://example.org/set"


def test_a_paper() -> None:
    paper = Citation(title="Sets & 100 % of them", authors=["Ada L. One", "others"], year=2023, arxiv="2304.03277")
    assert bibtex("one", paper, "One", HOME) == (
        "@misc{one,\n"
        "  title = {{Sets \\& 100 \\% of them}},\n"
        "  author = {Ada L. One and others},\n"
        "  year = {2023},\n"
        "  eprint = {2304.03277},\n"
        "  archivePrefix = {arXiv},\n"
        "  url = {https://arxiv.org/abs/2304.03277}\n"
        "}"
    )


@pytest.mark.parametrize(
    ("place", "kind"),
    [({"booktitle": "Proceedings"}, "inproceedings"), ({"journal": "Letters"}, "article"), ({}, "misc")],
)
def test_where_it_appeared_makes_the_kind_of_entry(place: dict[str, str], kind: str) -> None:
    entry = bibtex("one", Citation(title="A", authors=["B"], year=2020, **place), "One", HOME)
    assert entry.startswith(f"@{kind}{{one,")
    assert f"url = {{{HOME}}}" in entry
    assert all(f"{name} = {{{value}}}" in entry for name, value in place.items())


def test_a_source_without_a_citation_is_cited_by_its_homepage_alone() -> None:
    assert bibtex("one", None, "Set_1 {x}", HOME) == (
        "@misc{one,\n  title = {{Set\\_1 \\{x\\}}},\n  howpublished = {\\url{https://example.org/set}}\n}"
    )


def test_an_entry_that_is_not_its_authors_own_says_so() -> None:
    found = bibtex("one", Citation(title="A", authors=["B"], year=2020, verified=False), "One", HOME)
    assert "  note = {unverified: its authors publish no entry to cite}\n" in found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"authors": []}, "authors: List should have at least 1 item"),
        ({"arxiv": "arXiv:2304.03277"}, "arxiv: String should match pattern"),
        ({"booktitle": "A", "journal": "B"}, "give booktitle or journal, not both"),
        ({"jear": 2023}, "jear: unknown key; did you mean year?"),
    ],
)
def test_what_is_no_citation_is_told(more: dict[str, object], said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        parsed(Citation, {"title": "A", "authors": ["B"], "year": 2023} | more, "catalog.yaml")


def test_the_catalog_cites_its_sources_and_a_citation_makes_no_other_records() -> None:
    sources = load(ROOT / "catalog.yaml").sources
    assert [name for name, source in sources.items() if source.citation is None] == []
    assert {name for name, source in sources.items() if source.citation and not source.citation.verified} == {
        "chinese_medical", "gpteacher", "guanaco", "instruct", "news_commentary", "pclue", "sharegpt",
    }  # fmt: skip
    assert all("citation" not in source.model_dump() for source in sources.values())
    entries = [bibtex(name, source.citation, source.title, source.homepage) for name, source in sources.items()]
    assert all(f"  {field} = {{" in entry for entry in entries for field in ("title", "author", "year", "url"))
    assert all(entry.count("{") - entry.count("\\{") == entry.count("}") - entry.count("\\}") for entry in entries)
