"""The catalog: the one that is shipped holds, and each way of getting it wrong is told in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from collectors.catalog import Catalog, built_name, load
from collectors.errors import CatalogError
from collectors.nodes import parsed, read_yaml

SOURCE: dict[str, Any] = {
    "title": "Toy",
    "about": "Two rows.",
    "homepage": "https://example.org/toy",
    "origins": [{"hub": "them/toy", "paths": ["toy.json"]}],
    "files": ["**/toy.json"],
    "lang": "EN",
    "task": "MT",
    "gen": "HG",
    "license": "MIT",
    "columns": {"instruction": "i", "output": "o"},
}
MIXTURE: dict[str, Any] = {"about": "All of it.", "parts": [{"source": "toy"}]}


def catalog(source: dict[str, Any] | None = None, mixture: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"sources": {"toy": SOURCE | (source or {})}, "mixtures": {"all": MIXTURE | (mixture or {})}}


def without(*keys: str) -> dict[str, Any]:
    return {"sources": {"toy": {key: value for key, value in SOURCE.items() if key not in keys}}}


def said(data: Any) -> str:
    with pytest.raises(CatalogError) as caught:
        parsed(Catalog, data, "catalog.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_catalog_holds() -> None:
    shipped = load(Path(__file__).resolve().parents[2] / "catalog.yaml")
    assert set(shipped.sources) >= {
        "alpaca", "alpaca_gpt4", "alpaca_zh", "belle", "cot", "codealpaca", "gpteacher", "pclue", "hh_rlhf",
        "chinese_medical",
    }  # fmt: skip
    assert set(shipped.mixtures) >= {"alpaca-belle-cot", "alpaca-cot", "belle-cot", "all"}
    taken = {part.source for part in shipped.mixtures["all"].parts}
    assert taken == {name for name, source in shipped.sources.items() if not source.evaluation}


def test_a_small_one_reads() -> None:
    read = parsed(Catalog, catalog(), "catalog.yaml")
    assert read.sources["toy"].files[0].glob == "**/toy.json"
    assert read.mixture("all") == ("all", read.mixtures["all"])
    assert list(read.chosen([])) == ["toy"]


WRONG: list[tuple[str, Any, str]] = [
    ("a misspelt key", catalog({"licence": "MIT"}), "sources.toy.licence: unknown key; did you mean license"),
    ("a misspelt column", catalog({"columns": {"instructions": "i", "output": "o"}}),
     "sources.toy.columns.instructions: unknown key; did you mean instruction?"),
    ("a misspelt key of a file", catalog({"files": [{"globb": "x"}]}), "globb: unknown key; did you mean glob?"),
    ("a misspelt key of a mixture", catalog(None, {"part": []}), "mixtures.all.part: unknown key; did you mean parts?"),
    ("a misspelt key of a part", catalog(None, {"parts": [{"source": "toy", "max_row": 3}]}), "max_rows"),
    ("a misspelt tag in where", catalog(None, {"parts": [{"source": "toy", "where": {"langs": "EN"}}]}), "lang"),
    ("a misspelt section", catalog() | {"source": {}}, "source: unknown key; did you mean sources?"),
    ("a key left out", without("license"), "sources.toy.license: is needed and missing"),
    ("no sources", {"mixtures": {}}, "sources: is needed and missing"),
    ("an unknown tag", catalog({"lang": "DE"}), "sources.toy.lang: "),
    ("an unknown encoding", catalog({"encoding": "latin-1"}), "sources.toy.encoding: "),
    ("an unknown encoding of a file", catalog({"files": [{"glob": "*.csv", "encoding": "utf-9"}]}), "encoding: "),
    ("an unknown format", catalog({"format": "xml"}), "sources.toy.format: "),
    ("neither a hub nor a github", catalog({"origins": [{"paths": ["x"]}]}), "give one of hub, github and url"),
    ("a hub and a github", catalog({"origins": [{"hub": "a/b", "github": "a/b", "paths": ["x"]}]}), "give one of hub"),
    ("a path for a repository", catalog({"origins": [{"hub": "toy", "paths": ["x"]}]}), "sources.toy.origins"),
    ("a folder outside", catalog({"origins": [{"hub": "a/b", "into": "../x", "paths": ["x"]}]}), "origins.0.into"),
    ("a hidden folder", catalog({"origins": [{"hub": "a/b", "into": ".x", "paths": ["x"]}]}), "origins.0.into"),
    ("a file from two origins", catalog({"origins": [{"hub": "a/b", "paths": ["x"]}, {"hub": "a/c", "paths": ["x"]}]}),
     "sources.toy: origins: x comes from two of them; give one an `into`"),
    ("no files", catalog({"files": []}), "sources.toy.files: "),
    ("neither columns nor a collector", without("columns"), "sources.toy: "),
    ("columns and a collector", catalog({"collector": "belle"}), "sources.toy: "),
    ("a name that is none", {"sources": {"To-y": SOURCE}}, "sources.To-y"),
    ("a mixture of an unknown source", catalog(None, {"parts": [{"source": "toi"}]}),
     "mixtures.all: unknown source toi; did you mean toy?"),
    ("a source in two parts", catalog(None, {"parts": [{"source": "toy"}, {"source": "toy"}]}), "two parts"),
    ("a weight of nothing", catalog(None, {"parts": [{"source": "toy", "weight": 0}]}), "weight: "),
    ("half a row", catalog(None, {"parts": [{"source": "toy", "max_rows": 0.5}]}), "max_rows: "),
    ("a holdout of both kinds", catalog(None, {"holdout": {"rows": 3, "share": 0.1}}), "either rows or share"),
    ("a holdout of all", catalog(None, {"holdout": {"share": 1}}), "holdout.share: "),
    ("an alias of nothing", catalog() | {"aliases": {"al*": "al"}}, "aliases.al*: unknown mixture al; did you mean"),
    ("an alias that is a name", catalog() | {"aliases": {"all": "all"}}, "aliases.all: is a mixture's name or path"),
    ("a list", [], "catalog.yaml: "),
    ("nothing", None, "catalog.yaml: "),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_mistake_names_its_place(data: Any, words: str) -> None:
    line = said(data)
    assert line.startswith("catalog.yaml: ")
    assert words in line


def test_unknown_names_tell_the_near_ones() -> None:
    shipped = load(Path(__file__).resolve().parents[2] / "catalog.yaml")
    with pytest.raises(CatalogError, match=r"^unknown source alpacca; did you mean alpaca"):
        shipped.chosen(["belle", "alpacca"])
    with pytest.raises(CatalogError, match=r"^unknown mixture alpaca-belle; did you mean .*alpaca-belle-cot"):
        shipped.mixture("alpaca-belle")
    with pytest.raises(CatalogError, match=r"^unknown source zzz; known: alpaca, .*xp3$"):
        shipped.chosen(["zzz"])


def test_a_paper_s_name_leads_to_the_mixture_a_folder_can_be_called_after() -> None:
    shipped = load(Path(__file__).resolve().parents[2] / "catalog.yaml")
    assert shipped.mixture("alpaca-gpt4+cot*") == shipped.mixture("alpaca-gpt4+cot-think")
    assert shipped.built_name("alpaca-gpt4+cot*") == "alpaca-gpt4+cot-think"
    with pytest.raises(
        CatalogError, match=r"did you mean alpaca-gpt4\+cot\* or .*alpaca-gpt4\+cot\* being alpaca-gpt4\+cot-think\)$"
    ):
        shipped.mixture("alpaca-gpt4-cot*")


def test_a_mixture_may_hold_another_by_its_alias() -> None:
    data = catalog() | {"aliases": {"the all*": "all"}}
    data["mixtures"]["more"] = {"about": "More.", "parts": [{"mixture": "the all*"}]}
    assert [part.source for part in parsed(Catalog, data, "catalog.yaml").mixture("more")[1].parts] == ["toy"]


def test_a_mixture_file_is_built_under_its_name(tmp_path: Path) -> None:
    read = parsed(Catalog, catalog(), "catalog.yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MIXTURE), encoding="utf-8")
    assert read.mixture(str(path)) == ("mine", read.mixtures["all"])
    assert built_name(str(path)) == "mine"
    path.write_text(yaml.safe_dump(MIXTURE | {"parts": [{"source": "tyo"}]}), encoding="utf-8")
    with pytest.raises(CatalogError, match=rf"^{path}: unknown source tyo; did you mean toy\?$"):
        read.mixture(str(path))
    with pytest.raises(CatalogError, match=r"none\.yaml: cannot be read: No such file"):
        read.mixture(str(tmp_path / "none.yaml"))


YAML = [
    ("a key twice", b"sources:\n  a: 1\n  a: 2\n", "line 3 .*'a' stands twice"),
    ("a tab", b"sources:\n\ta: 1\n", "line 2 "),
    ("a bracket left open", b"sources: [\n", "catalog.yaml: line "),
    ("no UTF-8", b"sources: \xff\n", "is not UTF-8"),
    ("a control character", b"sources: \x01\n", "catalog.yaml:"),
    ("a tag that would run", b"sources: !!python/object/apply:os.getcwd []\n", "catalog.yaml:"),
    ("two documents", b"a: 1\n---\nb: 2\n", "catalog.yaml:"),
    ("a list for a key", b"? [a]\n: 1\n", "catalog.yaml:"),
    ("an alias of nothing", b"a: *b\n", "catalog.yaml:"),
    ("a key of no kind", b"sources: {}\n1: {}\n", "catalog.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in YAML], ids=[case[0] for case in YAML])
def test_yaml_that_is_none_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_catalog_is_looked_for_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "alpaca" in load().sources
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(catalog()), encoding="utf-8")
    assert set(load().sources) == {"toy"}
    with pytest.raises(CatalogError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")
    assert read_yaml(tmp_path / "catalog.yaml") == catalog()
