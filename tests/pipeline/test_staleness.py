"""A mixture that was built from an older corpus is neither published nor trained on, and says what to run."""

import shutil
from pathlib import Path

import pytest
from mixing import built, catalog, frame, numbered, store

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
