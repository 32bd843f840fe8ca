"""The dataset card: metadata the Hub understands, tables a person can read, a picture drawn from the counts."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard
from PIL import Image
from published import CREDITS, collected, judged, mixture, row, verdict

from pipeline import folder, shards
from pipeline.card import DRAWN, card
from pipeline.collect import SAMPLES
from pipeline.composition import MARGIN, drawn
from pipeline.findings import found
from pipeline.front_matter import front_matter, hub_licence
from pipeline.held import held
from pipeline.ledger import labels
from pipeline.markdown import table
from pipeline.provenance import provenance
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
    place = mixture(out, [row(1), row(2, "belle"), row(4), row(4) | {"repeat": 1}], [row(3)], **more)
    manifest = folder.manifest(place) or {}
    findings = found(out, manifest)
    taken = held(out, sorted(place.glob("*.arrow")), sorted(findings.sources))
    return card(
        manifest,
        credits=CREDITS,
        licences=LICENCES,
        columns=COLUMNS,
        findings=replace(findings, held=taken),
        origins=provenance(out, manifest, findings),
    )


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n\n")[1].split("\n\n## ")[0]


def parts(**left_out: dict[str, int]) -> list[dict[str, Any]]:
    """Parts of a mixture, one for each source, with what they left out."""
    plain = {"candidates": 9000, "taken": 1, "rows": 1}
    return [{"source": source, **plain, "left_out": told} for source, told in left_out.items()]


def pairs(out: Path, *near: tuple[int, int]) -> None:
    """What `judge` leaves of near-duplicates, by the keys of their requests; of rows there are none."""
    place = out / "verdicts" / "_pairs"
    place.mkdir(parents=True)
    keys = [{"a_key": one, "b_key": other} for one, other in near]
    schema = pa.schema([("a_key", pa.uint64()), ("b_key", pa.uint64())])
    shards.write(place / "request-00000.arrow", pa.Table.from_pylist(keys, schema))
    shards.write(place / "row-00000.arrow", pa.Table.from_pylist([], schema))
    folder.write_manifest(
        place, {"sources": {"alpaca": "0a", "cot": "0b"}, "pairs": {"request": 2000, "row": 30}, "fingerprint": "cc"}
    )


def test_leaks_are_those_of_the_records_taken_and_left_out(tmp_path: Path) -> None:
    judged(
        tmp_path,
        "alpaca",
        verdict(1, leaks=["gsm8k/test.jsonl:0", "gsm8k/test.jsonl:7"]),
        verdict(4, leaks=["gsm8k/test.jsonl:0", "ceval/a.csv:1"]),
        verdict(9, leaks=["gsm8k/test.jsonl:3"]),
        verdict(3),
        records=52002,
        suites=["ceval", "gsm8k"],
        leaks={"gsm8k": 1200},
    )
    suites = {"gsm8k": {"items": 1319, "files": {"test.jsonl": "0a"}}, "mmcu": {"items": 1, "files": {}}}
    (tmp_path / "verdicts" / "_suites").mkdir()
    folder.write_manifest(tmp_path / "verdicts" / "_suites", {"suites": suites})
    losses = parts(alpaca={"leak": 1100, "duplicate": 100}, belle={"evaluation": 7})
    # Of alpaca the rows 1, 3 and 4 were taken; 4 stands twice and counts once, and 9 was left out.
    assert section(told(tmp_path, parts=losses), "Leakage") == (
        "Not judged, so that nothing is known of leaks in them: `belle`.\n\n"
        "| source   | records taken | looked for   | of these hold an item of | left out, by reason |\n"
        "| -------- | ------------: | ------------ | ------------------------ | ------------------- |\n"
        "| `alpaca` |             3 | ceval, gsm8k | gsm8k 2, ceval 1         | leak 1,100          |\n"
        "| `belle`  |             1 | not judged   |                          | evaluation 7        |\n\n"
        "| evaluation set | items | fingerprint of its files                                           |\n"
        "| -------------- | ----: | ------------------------------------------------------------------ |\n"
        f"| `gsm8k`        | 1,319 | `{folder.fingerprint(files={'test.jsonl': '0a'})}` |\n\n"
        "This mixture leaves out 1,107 records as part of a benchmark or for holding its items: 1,100 as `leak`, 7 as"
        " `evaluation`."
    )


def test_flags_are_those_of_the_records_taken_and_left_out(tmp_path: Path) -> None:
    flags = {1: ["refusal"], 4: ["refusal", "too-short"], 9: ["residue"], 3: []}
    judged(tmp_path, "alpaca", *(verdict(number, flags=names) for number, names in flags.items()), records=52002)
    recipe = {"about": "Two.", "parts": [], "flags": ["residue"]}
    assert section(told(tmp_path, parts=parts(alpaca={"flag": 5}), recipe=recipe), "Flags") == (
        "Not judged, so that nothing is known of flags in them: `belle`.\n\n"
        "| source   | records taken | of these have the flag | left out, by reason |\n"
        "| -------- | ------------: | ---------------------- | ------------------- |\n"
        "| `alpaca` |             3 | refusal 2, too-short 1 | flag 5              |\n"
        "| `belle`  |             1 | not judged             |                     |\n\n"
        "This mixture leaves out 5 records for a flag: 5 as `flag`. Its recipe refuses `residue`."
    )


def test_near_duplicates_are_those_among_the_records_taken(tmp_path: Path) -> None:
    # 1 and 4 are near-duplicates by their requests and both taken; 3 is one of 9, which was not.
    judged(tmp_path, "alpaca", *(verdict(number) for number in (1, 3, 4, 9)), records=52002)
    judged(tmp_path, "belle", verdict(2), records=7, fingerprint="of older records")
    pairs(tmp_path, (1, 4), (3, 9))
    assert section(told(tmp_path), "Duplicates") == (
        "Judged as other records than this mixture has, which tells nothing: `belle`.\n\n"
        "| source   | records taken | of these repeat a request | and its answer | left out, by reason |\n"
        "| -------- | ------------: | ------------------------- | -------------- | ------------------- |\n"
        "| `alpaca` |             3 | 1                         | 0              | duplicate 1,000     |\n"
        "| `belle`  |             1 | not judged                | not judged     | duplicate 1,000     |\n\n"
        "A record repeats another where it is a near-duplicate of one of this mixture that stands for it. The verified"
        " pairs are those of 2 sources that were compared with each other: 2,000 of requests and 30 of rows, in all"
        " their records.\n\n"
        "This mixture leaves out 2,000 records for repeating others: 2,000 as `duplicate`."
    )


def test_without_verdicts_the_card_says_so(tmp_path: Path) -> None:
    assert section(told(tmp_path), "Leakage") == (
        "Not judged, so that nothing is known of leaks in them: `alpaca`, `belle`.\n\n"
        "| source   | records taken | looked for | of these hold an item of | left out, by reason |\n"
        "| -------- | ------------: | ---------- | ------------------------ | ------------------- |\n"
        "| `alpaca` |             3 | not judged |                          |                     |\n"
        "| `belle`  |             1 | not judged |                          |                     |\n\n"
        "This mixture leaves out no records as part of a benchmark or for holding its items."
    )


def test_parts_are_called_what_the_recipe_calls_them() -> None:
    recipe = {
        "parts": [
            {"source": "alpaca"},
            {"source": "belle", "within": "inner"},
            {"source": "cot", "within": "lang=EN gen=HG"},
            {"source": "dolly", "meant_by": "gen=HG"},
            {"source": "coig", "where": {"subset": "exam*"}},
            {"source": "coig", "where": {"subset": "chat*"}},
        ],
        "groups": {"outer": {}, "inner": {"within": "outer"}, "lang=EN gen=HG": {"rows": 9, "pooled": True}},
    }
    told = [{"source": part["source"]} for part in recipe["parts"]]
    assert labels({"recipe": recipe, "parts": told}) == [
        "`alpaca`",
        "`outer`: `inner`: `belle`",
        "`lang=EN gen=HG`: `cot`",
        "`gen=HG`: `dolly`",
        '`coig` where `{"subset": "exam*"}`',
        '`coig` where `{"subset": "chat*"}`',
    ]


def test_rebuilding_is_these_commands_and_the_fingerprints_to_compare(text: str) -> None:
    assert (
        "```sh\npython -m pipeline corpus --from hub --source alpaca --source belle\n"
        "python -m pipeline mix two.yaml\n```"
    ) in text
    assert (
        "Not known any more is where the raw files of these came from, so upstream is named: `alpaca`, `belle`" in text
    )
    assert f"| records of `belle`                   | `{'ab' * 32}` |" in text
    entries = folder.fingerprint(entries={"alpaca": "cd" * 32})
    assert f"| the catalog's entries of its sources | `{entries}` |" in text
    assert "`two.yaml`:\n\n```yaml\nabout: Two sources for a test.\n" in text


def test_rebuilding_gives_each_source_the_arguments_it_was_built_with(tmp_path: Path) -> None:
    sample = SAMPLES / "alpaca" / "alpaca_data.json"
    collected(tmp_path, "alpaca", files=[{"path": sample.name, "sha256": digest(sample), "rows": 5}])
    collected(tmp_path, "belle", limit=1000, files=[{"path": "x.json", "sha256": "00" * 32, "rows": 5}])
    # What the near-duplicates were looked for in together has a say in verdicts, so cot is built as well.
    collected(tmp_path, "cot", fingerprint="77" * 32, files=[{"path": "x.tsv", "sha256": "00" * 32, "rows": 5}])
    for source, mark in (("alpaca", "ab"), ("belle", "ab"), ("cot", "77")):
        judged(tmp_path, source, records=5, suites=["ceval", "gsm8k", "mine"], fingerprint=mark * 32)
    pairs(tmp_path)
    sources = {"alpaca": "", "belle": "", "cot": ""}
    folder.write_manifest(tmp_path / "verdicts" / "_pairs", {"sources": sources, "fingerprint": "cc"})
    (tmp_path / "verdicts" / "_suites").mkdir()
    suites = {"mine": {"items": 1, "files": {"my own.jsonl": "0a"}}}
    folder.write_manifest(tmp_path / "verdicts" / "_suites", {"suites": suites, "named": ["mine"]})
    inputs = [{"source": name, "fingerprint": "ab" * 32, "verdicts": "ef" * 32} for name in ("alpaca", "belle")]
    marks = {"templates": [{"template": "cot", "fingerprint": "11" * 32}]}
    marks |= {"counted_by": {"tokenizer": "llama", "sha256": "22" * 32}}
    rebuild = section(told(tmp_path, inputs=inputs, name="t*o", **marks), "Rebuild")
    assert (
        "```sh\n"
        "python -m pipeline corpus --from sample --source alpaca\n"
        "python -m pipeline corpus --from RAW --source belle --limit 1000\n"
        "python -m pipeline corpus --from RAW --source cot\n"
        "python -m pipeline judge --source alpaca --source belle --source cot --suites EVAL"
        " --suite 'mine=EVAL/my own.jsonl'\n"
        "python -m pipeline mix 't*o.yaml'\n```"
    ) in rebuild
    assert "`RAW` is the folder that holds the raw files, `RAW/<source>/`." in rebuild
    assert "these alone: `EVAL/ceval/`, `EVAL/gsm8k/`, `EVAL/my own.jsonl`." in rebuild
    prints = re.sub(" +", " ", rebuild)
    assert f"| verdicts on `belle` | `{'ef' * 32}` |" in prints
    assert f"| records of `cot`, judged with them | `{'77' * 32}` |" in prints
    assert f"| template `cot` | `{'11' * 32}` |" in prints
    assert f"| `tokenizer.json` of `llama`, sha256 | `{'22' * 32}` |" in prints
    assert "the verdicts" not in rebuild.lower()


def test_verdicts_that_decided_and_are_gone_are_told(tmp_path: Path) -> None:
    judged(tmp_path, "alpaca", records=5, fingerprint="ab" * 32)
    inputs = [{"source": "alpaca", "fingerprint": "ab" * 32, "verdicts": "00" * 32}]
    rebuild = section(told(tmp_path, inputs=inputs), "Rebuild")
    assert "The verdicts that decided on the rows of these are not those that are there now" in rebuild


def test_verdicts_that_decided_on_nothing_are_made_for_the_card_alone(tmp_path: Path) -> None:
    judged(tmp_path, "alpaca", records=5)
    assert section(told(tmp_path), "Rebuild").split("```")[1].splitlines()[-2:] == [
        "python -m pipeline mix two.yaml",
        "python -m pipeline judge --source alpaca --suites none  # for the figures of this card alone",
    ]


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


def test_a_legend_that_is_long_takes_more_lines_and_stays_on_the_picture() -> None:
    names = {"license": {f"LicenseRef-of-a-name-that-is-long-{number}": 10 - number for number in range(7)}}
    few = {"license": {"MIT": 3, "CC0-1.0": 1}}
    with (
        Image.open(io.BytesIO(drawn(names, {"license": "Licence"}))) as long,
        Image.open(io.BytesIO(drawn(few, {"license": "Licence"}))) as short,
    ):
        assert long.height > short.height
        margin = long.crop((long.width - MARGIN, 0, long.width, long.height))
        assert margin.getcolors() == [(MARGIN * long.height, (255, 255, 255))]


def test_a_column_no_one_described_is_listed_all_the_same(text: str) -> None:
    assert "| `surprise` | `string`       |" in text


def test_a_source_the_catalog_has_dropped_is_named_by_its_key(tmp_path: Path) -> None:
    manifest = folder.manifest(mixture(tmp_path, [row(1)])) or {}
    assert "| `alpaca` |    1 | 100.0 % |" in card(manifest, credits={}, licences={"MIT": {"alpaca": 1}}, columns={})


def test_tables_keep_their_shape_whatever_the_cells_hold() -> None:
    assert table(("a", "b"), [("x|y\nz", 1000), ("", 7)]) == (
        "| a      |     b |\n| ------ | ----: |\n| x\\|y z | 1,000 |\n|        |     7 |"
    )


def test_ids_that_share_a_half_are_told_apart(tmp_path: Path) -> None:
    taken = [row(1) | {"id": f"{7:016x}{number:016x}"} for number in range(4)]
    place = mixture(tmp_path, [*taken, taken[0] | {"row": 9}])
    flagged = [verdict(1, flags=["echo"]) | {"id": f"{7:016x}{number:016x}"} for number in (0, 3, 3, 5)]
    judged(tmp_path, "alpaca", *flagged, records=9)
    # The first id is that of two records of the source; the last verdict is on none that was taken.
    assert held(tmp_path, sorted(place.glob("*.arrow")), ["alpaca"])["alpaca"].flags == {"echo": 3}
