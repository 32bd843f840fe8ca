"""A mixture of older records or verdicts is neither published nor trained on, and says what to run."""

import shutil
from pathlib import Path

import pytest
from mixing import Row, built, catalog, frame, numbered, store
from test_policies import judge

from collectors.errors import ArtefactError
from pipeline import folder
from pipeline.card import Credit
from pipeline.push import listing, push, write
from pipeline.staleness import check
from train.mixture import find

STALE = (
    "mixture both: built from an older corpus: the records of {} have changed since; run make mix MIX=both again first"
)


def test_a_mixture_of_older_records_is_refused_until_it_is_built_again(tmp_path: Path) -> None:
    out, to = tmp_path / "data", tmp_path / "tree"
    parts = [{"source": "first"}, {"source": "second"}]
    credits = Credit.of(catalog(*parts))
    for source in ("first", "second"):
        store(out, source, frame(source, numbered(4, input=source)))
    built(out, *parts)
    write("both", to, out, credits)
    before = (to / "manifest.json").read_bytes()

    def said() -> set[str]:
        found = set()
        for publish in (
            lambda: write("both", to, out, credits),
            lambda: listing("both", out, credits),
            lambda: find(out, "both"),
            # Before any server is asked.
            lambda: push("both", "me/both", out, credits, endpoint="http://127.0.0.1:9"),
        ):
            with pytest.raises(ArtefactError) as caught:
                publish()
            found.add(str(caught.value))
        return found

    store(out, "second", frame("second", numbered(5)))
    assert said() == {STALE.format("second")}
    store(out, "first", frame("first", numbered(6)))
    assert said() == {STALE.format("first, second")}
    assert (to / "manifest.json").read_bytes() == before
    built(out, *parts)
    assert write("both", to, out, credits).changed


def test_records_that_are_not_there_or_were_built_again_alike_change_nothing(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", numbered(4)))
    manifest = built(tmp_path, {"source": "first"}).manifest
    store(tmp_path, "first", frame("first", numbered(4)), cuts=2)
    check("both", manifest, tmp_path)
    shutil.rmtree(tmp_path / "records")
    check("both", manifest, tmp_path)
    assert folder.manifest(tmp_path / "mixes" / "both") == manifest


def test_a_mixture_that_older_verdicts_decided_on_is_refused_until_it_is_built_again(tmp_path: Path) -> None:
    out, parts = tmp_path / "data", [{"source": "first"}, {"source": "second"}]
    credits = Credit.of(catalog(*parts))
    for source in ("first", "second"):
        store(out, source, frame(source, numbered(4, input=source)))
    told: list[Row] = [{}] * 3
    judge(out, "first", [*told, {}], suites=["exam"])

    def refused(*sources: str) -> None:
        verdicts = f"the verdicts on the records of {', '.join(sources)} have changed since"
        said = f"mixture both: built from older verdicts: {verdicts}; run make mix MIX=both again first"
        for publish in (lambda: write("both", tmp_path / "tree", out, credits), lambda: find(out, "both")):
            with pytest.raises(ArtefactError) as caught:
                publish()
            assert str(caught.value) == said

    plain = built(out, *parts).manifest
    mixed = built(out, *parts, leaks="drop")
    assert mixed.manifest["rows"]["train"] == 8
    write("both", tmp_path / "tree", out, credits)
    # A leak is found, and then the other source is judged for the first time.
    judge(out, "first", [*told, {"leaks": ["exam/a:1"]}], suites=["exam"])
    refused("first")
    judge(out, "second", [*told, {"leaks": ["exam/a:2"]}], suites=["exam"])
    refused("first", "second")
    # Who asks for no verdicts is none the older for them, and without verdicts there is nothing to compare.
    check("both", plain, out)
    assert built(out, *parts, leaks="drop").manifest["rows"]["train"] == 6
    assert write("both", tmp_path / "tree", out, credits).changed
    shutil.rmtree(out / "verdicts")
    check("both", mixed.manifest, out)
    store(out, "second", frame("second", numbered(5)))
    with pytest.raises(
        ArtefactError, match="built from an older corpus: the records of second have changed since; run"
    ):
        check("both", mixed.manifest, out)
