"""The licences of a built mixture: counted over its rows, told on cards, and held to the policy that it declares."""

from pathlib import Path
from typing import Any

import pytest
from published import CREDITS, mixture, row

from collectors.errors import ArtefactError, CatalogError
from collectors.licences import summary
from pipeline import folder
from pipeline.licences import check, counted, licensed, section, with_terms
from pipeline.push import listing, push, write
from train.mixture import find

SOURCES = {name: credit.stated for name, credit in CREDITS.items()}

BROKEN = (
    "mixture two: breaks the licence policy it declares, permissive: "
    "alpaca, 2 rows: CC-BY-NC-4.0 (attribution, no commercial use), non-commercial (no commercial use), "
    "openai-output (written by a model whose terms forbid using it to build competing models); "
    "belle, 1 row: unknown (no licence is stated, or several that disagree); "
    "leave these parts out or declare another policy, then run make mix again"
)


def built(out: Path, **more: Any) -> Path:
    return mixture(out, [row(1), row(2, "belle")], [row(3)], **more)


def test_licences_are_counted_over_the_rows_of_both_splits(tmp_path: Path) -> None:
    place = built(tmp_path)
    assert counted(sorted(place.glob("*.arrow"))) == {"CC-BY-NC-4.0": {"alpaca": 2}, "unknown": {"belle": 1}}
    assert licensed(folder.manifest(place) or {}, place, SOURCES) == {
        ("CC-BY-NC-4.0", ("non-commercial", "openai-output")): {"alpaca": 2},
        ("unknown", ()): {"belle": 1},
    }


def test_what_the_manifest_has_counted_is_not_counted_again(tmp_path: Path) -> None:
    told = summary({("MIT", ("openai-output",)): {"mine": 3}})
    assert licensed({"licences": told}, tmp_path / "nowhere", {}) == {("MIT", ("openai-output",)): {"mine": 3}}


def test_a_policy_that_is_broken_is_told_with_the_parts_before_anything_is_written(tmp_path: Path) -> None:
    built(tmp_path, licence="permissive")
    for attempt in (
        lambda: write("two", tmp_path / "tree", tmp_path, CREDITS),
        lambda: push("two", "me/two", tmp_path, CREDITS),
        lambda: listing("two", tmp_path, CREDITS),
        lambda: find(tmp_path, "two", SOURCES),
    ):
        with pytest.raises(CatalogError) as error:
            attempt()
        assert str(error.value) == BROKEN
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("asked", [None, "any", ["CC-BY-NC-4.0", "openai-output", "unknown"]])
def test_a_policy_that_is_kept_is_no_hindrance(asked: str | list[str] | None, tmp_path: Path) -> None:
    built(tmp_path, licence=asked)
    write("two", tmp_path / "tree", tmp_path, CREDITS)
    found = find(tmp_path, "two", SOURCES)
    assert found.policy == asked
    assert found.licensed[("unknown", ())] == {"belle": 1}


def test_a_source_that_the_catalog_has_dropped_keeps_to_no_policy(tmp_path: Path) -> None:
    place = mixture(tmp_path, [row(1) | {"license": "MIT"}], licence="no-noncommercial")
    manifest = folder.manifest(place) or {}
    check("two", manifest, place, {"alpaca": ("MIT", ())})
    with pytest.raises(CatalogError, match=r"alpaca, 1 row: terms-unknown .its terms are not known, for the catalog"):
        check("two", manifest, place, {})


def test_terms_that_the_catalog_has_come_to_state_count_as_well(tmp_path: Path) -> None:
    told = summary({("MIT", ()): {"alpaca": 1, "mine": 2}})
    place = mixture(tmp_path, [row(1) | {"license": "MIT"}], licence="no-noncommercial", licences=told)
    manifest = folder.manifest(place) or {}
    check("two", manifest, place, {"alpaca": ("MIT", ())})
    with pytest.raises(CatalogError, match="alpaca, 1 row: non-commercial") as error:
        check("two", manifest, place, SOURCES)
    assert "mine" not in str(error.value)
    with pytest.raises(CatalogError, match="alpaca, 1 row: non-commercial"):
        write("two", tmp_path / "tree", tmp_path, CREDITS)
    # What was stated when the mixture was built is not forgotten.
    barred = manifest | {"licences": summary({("MIT", ("research-only",)): {"alpaca": 1}})}
    with pytest.raises(CatalogError, match="alpaca, 1 row: research-only"):
        check("two", barred, place, {"alpaca": ("MIT", ())})


def test_a_policy_that_no_one_knows_is_an_error(tmp_path: Path) -> None:
    place = built(tmp_path, licence="strict")
    with pytest.raises(CatalogError, match=r"^mixture two: licence: give any, no-noncommercial, permissive, or a list"):
        check("two", folder.manifest(place) or {}, place, SOURCES)


def test_a_shard_that_is_cut_short_is_told(tmp_path: Path) -> None:
    place = built(tmp_path, licence="permissive")
    path = place / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(
        ArtefactError, match=r"train-00000.arrow: is no whole shard of a mixture .*; run make mix MIX=two"
    ):
        find(tmp_path, "two", SOURCES)


def test_the_card_tells_each_licence_and_what_they_ask_together() -> None:
    rows = with_terms(
        {"MIT": {"gpteacher": 1200}, "CC-BY-SA-3.0": {"dolly": 15000}},
        {"gpteacher": ("MIT", ("openai-output",)), "dolly": ("CC-BY-SA-3.0", ("share-alike",))},
    )
    lines = section("The rows of a test.", rows, ["MIT", "CC-BY-SA-3.0", "openai-output"]).splitlines()
    assert lines[0] == "## Licences"
    assert lines[2].startswith("The rows of a test. `unknown` means that upstream states no licence")
    assert lines[2].endswith("not legal advice.")
    assert lines[4:] == [
        "| licence      | source      |   rows | terms         |",
        "| ------------ | ----------- | -----: | ------------- |",
        "| CC-BY-SA-3.0 | `dolly`     | 15,000 | share-alike   |",
        "| MIT          | `gpteacher` |  1,200 | openai-output |",
        "",
        "Together the rows permit what all of them permit, and ask what any of them asks. The mixture keeps to the"
        " licence policy `[MIT, CC-BY-SA-3.0, openai-output]`.",
        "",
        "- **commercial use**: granted",
        "- **redistribution**: granted",
        "- **adaptation**: granted",
        "- **attribution**: asked by `dolly` (CC-BY-SA-3.0, share-alike), `gpteacher` (MIT)",
        "- **share-alike**: asked by `dolly` (CC-BY-SA-3.0, share-alike)",
        "- **terms of the model that wrote it**: asked by `gpteacher` (openai-output)",
    ]


def test_the_card_of_what_is_not_free_says_who_is_the_cause(tmp_path: Path) -> None:
    built(tmp_path)
    write("two", tmp_path / "tree", tmp_path, CREDITS)
    card = (tmp_path / "tree" / "README.md").read_text(encoding="utf-8")
    assert "- **commercial use**: forbidden by `alpaca` (CC-BY-NC-4.0, non-commercial)\n" in card
    assert "- **redistribution**: not granted by `belle` (unknown)\n" in card
