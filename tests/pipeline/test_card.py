"""The dataset card: metadata the Hub understands, tables a person can read."""

from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from published import CREDITS, mixture, row

from pipeline import folder
from pipeline.card import card, front_matter, hub_licence, table

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
    assert "benchmark" not in text
    parts = [
        {"source": name, "candidates": 9, "taken": 9, "rows": 9, "left_out": {}, "evaluation": count}
        for name, count in (("belle", 0), ("coig", 1234), ("gaokao", 5))
    ]
    manifest = folder.manifest(mixture(tmp_path / "tests", [row(1)], parts=parts)) or {}
    told = card(manifest, credits=CREDITS, licences=LICENCES, columns=COLUMNS)
    assert "**Records of benchmarks are in this set: 1,234 of `coig`, 5 of `gaokao`.** A model" in told


def test_rebuilding_is_two_commands_and_the_fingerprints_to_compare(text: str) -> None:
    assert '```sh\nmake corpus SOURCES="alpaca belle" FROM=hub\nmake mix MIX=two\n```' in text
    assert f"| records of `belle`  | `{'ab' * 32}` |" in text
    assert "```yaml\ntwo:\n  about: Two sources for a test.\n" in text


def test_a_column_no_one_described_is_listed_all_the_same(text: str) -> None:
    assert "| `surprise` | `string`       |" in text


def test_a_source_the_catalog_has_dropped_is_named_by_its_key(tmp_path: Path) -> None:
    manifest = folder.manifest(mixture(tmp_path, [row(1)])) or {}
    assert "| `alpaca` |    1 | 100.0 % |" in card(manifest, credits={}, licences={"MIT": {"alpaca": 1}}, columns={})


def test_tables_keep_their_shape_whatever_the_cells_hold() -> None:
    assert table(("a", "b"), [("x|y\nz", 1000), ("", 7)]) == (
        "| a      |     b |\n| ------ | ----: |\n| x\\|y z | 1,000 |\n|        |     7 |"
    )
