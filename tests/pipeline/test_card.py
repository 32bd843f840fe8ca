"""The dataset card: metadata the Hub understands, tables a person can read, a picture drawn from the counts."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from PIL import Image
from published import CREDITS, collected, judged, mixture, row

from pipeline import folder
from pipeline.card import DRAWN, card
from pipeline.collect import SAMPLES
from pipeline.composition import drawn
from pipeline.findings import found
from pipeline.front_matter import front_matter, hub_licence
from pipeline.markdown import table
from pipeline.rebuild import provenance
from pipeline.shards import digest

LICENCES = {"CC-BY-NC-4.0": {"alpaca": 2}, "unknown": {"belle": 1}}
COLUMNS = {"messages": "list<struct>", "row": "uint64", "surprise": "string"}


@pytest.fixture
def text(tmp_path: Path) -> str:
    place = mixture(tmp_path, [row(1), row(2, "belle")], [row(3)])
    return card(folder.manifest(place) or {}, credits=CREDITS, licences=LICENCES, columns=COLUMNS)


def test_front_matter_is_read_back_by_the_hubs_own_parser(text: str) -> None:
    data = DatasetCard(text).data.to_dict()
    assert data == {
        "pretty_name": "two",
        "license": "other",
        "license_name": "mixed",
        "license_details": "CC-BY-NC-4.0, unknown; by source in the section Licences of this card",
        "language": ["en", "zh"],
        "multilinguality": ["multilingual"],
        "size_categories": ["n<1K"],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "chat", "suri"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "data/train-*.parquet"},
                    {"split": "holdout", "path": "data/holdout-*.parquet"},
                ],
            }
        ],
    }


def test_a_mixture_without_holdout_names_no_such_split(tmp_path: Path) -> None:
    manifest = folder.manifest(mixture(tmp_path, [row(1)])) or {}
    front = front_matter(manifest, {"CC-BY-NC-4.0": {"alpaca": 1}})
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert (front["license"], front["language"], front["multilinguality"]) == ("cc-by-nc-4.0", ["en"], ["monolingual"])


@pytest.mark.parametrize(
    ("spdx", "expected"),
    [
        (["Apache-2.0"], {"license": "apache-2.0"}),
        (["GPL-3.0-or-later"], {"license": "gpl-3.0"}),
        (["ODC-By-1.0"], {"license": "odc-by"}),
        (["unknown"], {"license": "unknown"}),
        ([], {"license": "unknown"}),
        (
            ["LicenseRef-Some Thing"],
            {
                "license": "other",
                "license_name": "licenseref-some-thing",
                "license_details": "LicenseRef-Some Thing; by source in the section Licences of this card",
            },
        ),
    ],
)
def test_licences_in_the_words_of_the_hub(spdx: list[str], expected: dict[str, str]) -> None:
    assert hub_licence(spdx) == expected


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (2_000_000, "1M<n<10M"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories(rows: int, category: str) -> None:
    front = front_matter({"mixture": "m", "rows": {"train": rows}}, {})
    assert front["size_categories"] == [category]


def test_declared_languages_stand_beside_the_tagged(tmp_path: Path) -> None:
    manifest = {"mixture": "m", "rows": {"train": 1}, "counts": {"lang": {"ML": 2}, "language": {"pt-BR": 1, "sw": 1}}}
    assert front_matter(manifest, {})["language"] == ["multilingual", "pt", "sw"]


def test_sources_with_their_rows_shares_and_homes(text: str) -> None:
    alpaca = "| `alpaca` |    2 | 66.7 % | [Stanford Alpaca](https://example.org/alpaca) | 52 thousand English"
    belle = "| `belle`  |    1 | 33.3 % | [BELLE](https://example.org/belle)            | Chinese instructions \\|"
    assert alpaca in text
    assert belle in text


def test_licences_name_the_sources_that_cause_them_and_the_terms(text: str) -> None:
    expected = (
        "| licence      | source   | rows | terms                         |\n"
        "| ------------ | -------- | ---: | ----------------------------- |\n"
        "| CC-BY-NC-4.0 | `alpaca` |    2 | non-commercial; openai-output |\n"
        "| unknown      | `belle`  |    1 |                               |\n"
    )
    assert expected in text


def test_the_ledger_closes_in_front_of_the_reader(text: str) -> None:
    expected = (
        "|                               | records |\n"
        "| ----------------------------- | ------: |\n"
        "| candidates                    |   1,203 |\n"
        "| left out: duplicate           |   1,000 |\n"
        "| left out: max_rows            |     200 |\n"
        "| taken                         |       3 |\n"
        "| rows written, repeats counted |       3 |\n"
    )
    assert expected in text
    assert "1,234 rows hold a rationale that their template does not use." in text


def test_records_of_benchmarks_are_told_and_without_them_nothing_is(text: str, tmp_path: Path) -> None:
    assert "Records of benchmarks" not in text
    parts = [
        {"source": name, "candidates": 9, "taken": 9, "rows": 9, "left_out": {}, "evaluation": count}
        for name, count in (("belle", 0), ("coig", 1234), ("gaokao", 5))
    ]
    manifest = folder.manifest(mixture(tmp_path / "tests", [row(1)], parts=parts)) or {}
    told = card(manifest, credits=CREDITS, licences=LICENCES, columns=COLUMNS)
    assert "**Records of benchmarks are in this set: 1,234 of `coig`, 5 of `gaokao`.** A model" in told


def told(out: Path, **more: Any) -> str:
    """The card of a mixture in the data folder `out`, with all that lies there beside it."""
    manifest = folder.manifest(mixture(out, [row(1), row(2, "belle")], [row(3)], **more)) or {}
    return card(
        manifest,
        credits=CREDITS,
        licences=LICENCES,
        columns=COLUMNS,
        findings=found(out, manifest),
        origins=provenance(out, manifest),
    )


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n\n")[1].split("\n\n## ")[0]


def test_leaks_that_were_found_and_where_nobody_looked(tmp_path: Path) -> None:
    judged(tmp_path, "alpaca", records=52002, suites=["ceval", "gsm8k"], leaks={"gsm8k": 1200})
    suites = {"gsm8k": {"items": 1319, "files": {"test.jsonl": "0a"}}, "mmcu": {"items": 1, "files": {}}}
    (tmp_path / "verdicts" / "_suites").mkdir()
    folder.write_manifest(tmp_path / "verdicts" / "_suites", {"suites": suites})
    assert section(told(tmp_path, left_out={"leak:gsm8k": 1100, "duplicate": 100}), "Leakage") == (
        "As judged over all records of each source, whether this mixture takes them or not.\n"
        "Not judged, so that nothing is known of leaks in them: `belle`.\n\n"
        "| source   | records | looked for   | records that hold an item of |\n"
        "| -------- | ------: | ------------ | ---------------------------- |\n"
        "| `alpaca` |  52,002 | ceval, gsm8k | gsm8k 1,200                  |\n\n"
        "| evaluation set | items | fingerprint of its files                                           |\n"
        "| -------------- | ----: | ------------------------------------------------------------------ |\n"
        f"| `gsm8k`        | 1,319 | `{folder.fingerprint(files={'test.jsonl': '0a'})}` |\n\n"
        "This mixture leaves out 1,100 records as part of a benchmark or for holding its items: 1,100 as `leak:gsm8k`."
    )


def test_near_duplicates_by_source_and_what_was_left_out_for_them(tmp_path: Path) -> None:
    judged(tmp_path, "alpaca", records=52002, clustered={"request": 1300, "row": 40})
    judged(tmp_path, "belle", records=7, fingerprint="of older records")
    pairs = {"sources": {"alpaca": "0a", "cot": "0b"}, "pairs": {"request": 2000, "row": 30}}
    (tmp_path / "verdicts" / "_pairs").mkdir()
    folder.write_manifest(tmp_path / "verdicts" / "_pairs", pairs)
    assert section(told(tmp_path), "Duplicates") == (
        "As judged over all records of each source, whether this mixture takes them or not.\n"
        "Judged as other records than this mixture has, which tells nothing: `belle`.\n\n"
        "| source   | records | near-duplicate by request | near-duplicate by request and answer |\n"
        "| -------- | ------: | ------------------------: | -----------------------------------: |\n"
        "| `alpaca` |  52,002 |                     1,300 |                                   40 |\n\n"
        "2 sources were compared with each other: 2,000 pairs of near-duplicate requests and 30 of rows were verified."
        "\n\nThis mixture leaves out 1,000 records for repeating others: 1,000 as `duplicate`."
    )


def test_without_verdicts_the_card_says_so(tmp_path: Path) -> None:
    assert section(told(tmp_path), "Leakage") == (
        "Not judged, so that nothing is known of leaks in them: `alpaca`, `belle`.\n\n"
        "This mixture leaves out no records as part of a benchmark or for holding its items."
    )


def test_rebuilding_is_these_commands_and_the_fingerprints_to_compare(text: str) -> None:
    assert '```sh\nmake corpus SOURCES="alpaca belle" FROM=hub\nmake mix MIX=two\n```' in text
    assert (
        "Not known any more is where the raw files of these came from, so upstream is named: `alpaca`, `belle`" in text
    )
    assert f"| records of `belle`                   | `{'ab' * 32}` |" in text
    entries = folder.fingerprint(entries={"alpaca": "cd" * 32})
    assert f"| the catalog's entries of its sources | `{entries}` |" in text
    assert "```yaml\ntwo:\n  about: Two sources for a test.\n" in text


def test_rebuilding_gives_each_source_the_arguments_it_was_built_with(tmp_path: Path) -> None:
    sample = SAMPLES / "alpaca" / "alpaca_data.json"
    collected(tmp_path, "alpaca", files=[{"path": sample.name, "sha256": digest(sample), "rows": 5}])
    collected(tmp_path, "belle", limit=1000, files=[{"path": "x.json", "sha256": "00" * 32, "rows": 5}])
    judged(tmp_path, "alpaca", records=5, suites=["ceval", "gsm8k"])
    judged(tmp_path, "belle", records=5, suites=["ceval", "gsm8k"])
    rebuild = section(told(tmp_path), "Rebuild")
    assert (
        "```sh\n"
        'make corpus SOURCES="alpaca" FROM=sample\n'
        'make corpus SOURCES="belle" FROM=RAW LIMIT=1000\n'
        'make judge SOURCES="alpaca belle" SUITES=EVAL\n'
        "make mix MIX=two\n```"
    ) in rebuild
    assert "`RAW` is the folder that holds the raw files, `RAW/<source>/`." in rebuild
    assert "`EVAL` is the folder that holds the evaluation sets: `EVAL/ceval/`, `EVAL/gsm8k/`." in rebuild
    assert f"| verdicts on `belle`                  | `{'ef' * 32}` |" in rebuild


def test_every_revision_of_a_source_is_named(tmp_path: Path) -> None:
    places = [
        {"hub": "BelleGroup/train_1M_CN", "revision": "main", "commit": "1a2b", "converted": False},
        {"github": "LianjiaTech/BELLE", "revision": "v1", "commit": None, "converted": False},
        {"url": "https://example.org/belle/", "converted": False},
    ]
    collected(tmp_path, "belle", origins=places)
    said = "hub BelleGroup/train_1M_CN at `1a2b`; github LianjiaTech/BELLE at `v1`; https://example.org/belle/"
    assert f"| `belle` | {said} |" in section(told(tmp_path), "Rebuild")


def test_sources_are_cited_where_an_entry_is_known(text: str) -> None:
    assert section(text, "Citation").endswith("```bibtex\n@misc{alpaca,\n  title = {{Stanford Alpaca}}\n}\n```\n")


def test_the_picture_shows_the_counts_and_is_the_same_each_time(text: str) -> None:
    counts = {"source": {"alpaca": 3, "belle": 1}, "lang": {"EN": 3, "CN": 1}, "task": {}, "license": {"MIT": 4}}
    picture = drawn(counts, DRAWN)
    assert picture == drawn(json.loads(json.dumps(counts)), DRAWN)
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.info) == ("PNG", {})
        shades = {colour: pixels for pixels, colour in image.convert("RGB").getcolors(100_000) or []}
    assert shades[0x00, 0x72, 0xB2] > 3 * shades[0xE6, 0x9F, 0x00] > 0
    assert drawn(counts | {"source": {"alpaca": 2, "belle": 1}}, DRAWN) != picture
    assert "the largest sources: alpaca 66.7 %, belle 33.3 %](figures/composition.png)" in text


def test_a_picture_of_many_sources_and_of_none() -> None:
    many = {f"source_{number}": number for number in range(100)}
    with Image.open(io.BytesIO(drawn({"source": many}, DRAWN))) as image:
        assert image.height < 1400
    assert drawn({}, DRAWN).startswith(b"\x89PNG")


def test_a_column_no_one_described_is_listed_all_the_same(text: str) -> None:
    assert "| `surprise` | `string`       |" in text


def test_a_source_the_catalog_has_dropped_is_named_by_its_key(tmp_path: Path) -> None:
    manifest = folder.manifest(mixture(tmp_path, [row(1)])) or {}
    assert "| `alpaca` |    1 | 100.0 % |" in card(manifest, credits={}, licences={"MIT": {"alpaca": 1}}, columns={})


def test_tables_keep_their_shape_whatever_the_cells_hold() -> None:
    assert table(("a", "b"), [("x|y\nz", 1000), ("", 7)]) == (
        "| a      |     b |\n| ------ | ----: |\n| x\\|y z | 1,000 |\n|        |     7 |"
    )
