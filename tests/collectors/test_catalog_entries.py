"""Every entry of the shipped catalog: complete, well-formed, tagged as the table says, with a sample that builds."""

import re
from pathlib import Path
from typing import Final

import pytest
from built import read

from collectors.catalog import Files, Source, load
from collectors.files import claimed
from collectors.globs import first_mark
from collectors.shapes import COLLECTORS
from pipeline.collect import corpus
from templates.template import names as templates

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLES: Final = ROOT / "collectors" / "samples"
CATALOG: Final = load(ROOT / "catalog.yaml")
SOURCES: Final = CATALOG.sources

TAGS: Final[dict[str, tuple[str, str, str]]] = {
    "alpaca": ("EN", "MT", "SI"),
    "alpaca_gpt4": ("CN EN", "MT", "SI"),
    "alpaca_zh": ("CN", "MT", "SI"),
    "auto_cot": ("EN", "MT", "COL"),
    "baize": ("EN", "MT", "COL"),
    "belle": ("CN", "MT TS", "SI"),
    "camel": ("EN", "MT", "SI"),
    "chinese_medical": ("CN", "TS", "COL"),
    "codealpaca": ("EN", "TS", "SI"),
    "coig": ("CN", "MT", "COL"),
    "cot": ("CN EN", "MT", "HG"),
    "csl": ("CN", "MT", "COL"),
    "dolly": ("EN", "TS", "HG"),
    "finance_en": ("EN", "TS", "COL"),
    "firefly": ("CN", "MT", "COL"),
    "flan_muffin": ("EN", "MT", "COL"),
    "gaokao": ("CN", "MT", "COL"),
    "gpt4all": ("EN", "MT", "COL"),
    "gpt4tools": ("EN", "MT", "SI"),
    "gpteacher": ("EN", "MT", "SI"),
    "guanaco": ("ML", "MT", "SI"),
    "hc3": ("CN EN", "TS", "MIX"),
    "hh_rlhf": ("EN", "TS", "MIX"),
    "instinwild": ("CN EN", "MT", "SI"),
    "instruct": ("EN", "MT", "COL"),
    "moss": ("CN EN", "TS", "SI"),
    "natural_instructions": ("ML", "MT", "COL"),
    "news_commentary": ("CN", "TS", "COL"),
    "oig": ("EN", "MT", "COL"),
    "pclue": ("CN", "MT", "COL"),
    "prosocial": ("EN", "TS", "MIX"),
    "sharegpt": ("EN", "MT", "MIX"),
    "stackllama": ("EN", "MT", "COL"),
    "tables": ("CN EN", "MT", "COL"),
    "ultrachat": ("EN", "TS", "SI"),
    "webgpt": ("EN", "TS", "MIX"),
    "xp3": ("ML", "MT", "COL"),
}
"""lang, task and gen of each source, as Alpaca-CoT tags it; two values where its parts differ."""

MIXED_ROWS: Final = {"moss", "tables"}
"""Sources whose files hold both languages: there the tag goes by the row."""

ANCESTOR_ROWS: Final = {
    "alpaca": 52002,
    "alpaca_gpt4": 52002,
    "auto_cot": 5816,
    "baize": 653699,
    "belle": 1079517,
    "camel": 760620,
    "chinese_medical": 792099,
    "codealpaca": 20022,
    "coig": 298428,
    "cot": 74771,
    "csl": 396206,
    "dolly": 15015,
    "finance_en": 68912,
    "firefly": 1649398,
    "flan_muffin": 1764800,
    "gaokao": 2785,
    "gpt4all": 806199,
    "gpt4tools": 71446,
    "gpteacher": 29013,
    "guanaco": 534610,
    "hc3": 37175,
    "hh_rlhf": 284517,
    "instinwild": 52191,
    "instruct": 888969,
    "moss": 1583595,
    "natural_instructions": 5040134,
    "news_commentary": 252776,
    "oig": 49237,
    "pclue": 1200705,
    "prosocial": 165681,
    "sharegpt": 1663241,
    "ultrachat": 28247446,
    "webgpt": 18994,
    "xp3": 78883588,
}
"""Rows of the table in Alpaca-CoT's README, where it gives a number that is read as one."""

LICENCES: Final = {
    "Apache-2.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "MIT",
    "unknown",
}
"""The SPDX ids in use; `unknown` is where upstream states none, or two that disagree."""

TERMS: Final = {"non-commercial", "research-only", "openai-output", "contested", "parts-differ", "share-alike"}

UNVERIFIED: Final = {"alpaca_gpt4", "belle", "coig", "flan_muffin", "instinwild", "news_commentary"}
"""Among others: sources of which the layout, a file's name or the licence could not be confirmed."""

AT_HOME: Final = {"cot", "tables"}
"""Sources of which the ancestor's data set is the home, not a copy."""

UNPINNED: Final = {"natural_instructions"}
"""Sources on GitHub of which no commit could be looked at."""

EVALUATION: Final = {"auto_cot", "gaokao"}

EACH = pytest.mark.parametrize(("name", "source"), SOURCES.items(), ids=SOURCES.keys())


def test_all_37_sources_are_there() -> None:
    assert set(SOURCES) == set(TAGS)
    assert len(TAGS) == 37


@EACH
def test_it_is_told_what_it_is(name: str, source: Source) -> None:
    assert source.title
    assert source.title == source.title.strip()
    assert re.fullmatch(r"[A-Z0-9][^\n]{20,140}\.", source.about), source.about
    assert source.homepage.startswith("https://")
    assert source.template in templates()


@EACH
def test_the_tags_are_those_of_the_table(name: str, source: Source) -> None:
    found = {
        key: {getattr(one, key) or getattr(source, key) for one in source.files} for key in ("lang", "task", "gen")
    }
    lang, task, gen = (set(values.split()) for values in TAGS[name])
    assert found["lang"] <= lang if name in MIXED_ROWS else found["lang"] == lang
    assert (found["task"], found["gen"]) == (task, gen)


@EACH
def test_the_licence_is_one_that_is_known(name: str, source: Source) -> None:
    assert source.license in LICENCES
    assert set(source.terms) <= TERMS
    assert len(source.terms) == len(set(source.terms))
    assert "-NC-" not in source.license or "non-commercial" in source.terms
    assert "-SA-" not in source.license or "share-alike" in source.terms


def test_no_licence_is_listed_in_vain() -> None:
    assert {source.license for source in SOURCES.values()} == LICENCES
    assert {term for source in SOURCES.values() for term in source.terms} == TERMS


@EACH
def test_every_origin_names_paths_below_it(name: str, source: Source) -> None:
    assert source.origins
    for origin in source.origins:
        assert [origin.hub, origin.github, origin.url].count(None) == 2
        assert origin.paths
        assert len(origin.paths) == len(set(origin.paths))
        for path in origin.paths:
            assert not path.startswith("/")
            assert ".." not in path.split("/")
            assert "\\" not in path
        pinned = origin.github is None or re.fullmatch(r"[0-9a-f]{7,40}", origin.revision)
        assert pinned or name in UNPINNED, origin.revision
        assert origin.hub != "QingyiSi/Alpaca-CoT" or origin.converted or name in AT_HOME


@EACH
def test_every_glob_is_relative_and_parses(name: str, source: Source, tmp_path: Path) -> None:
    globs = [files.glob for files in source.files]
    assert len(globs) == len(set(globs))
    for glob in globs:
        assert not glob.startswith("/")
        assert ".." not in glob.split("/")
        assert list(tmp_path.glob(glob)) == []


@EACH
def test_what_an_origin_gives_is_claimed(name: str, source: Source, tmp_path: Path) -> None:
    """Every path of an origin, a copy's in another format as well, is a file that the globs name."""
    for origin in source.origins:
        for path in origin.paths:
            file = tmp_path / name / origin.laid(path).replace("*", "1")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    if (tmp_path / name).is_dir():
        assert claimed(name, source, tmp_path / name)[1] == []


def test_every_collector_is_used() -> None:
    named = {files.collector or source.collector for source in SOURCES.values() for files in source.files}
    assert named - {None} >= set(COLLECTORS)


@EACH
def test_every_file_has_a_collector_that_exists(name: str, source: Source) -> None:
    for files in source.files:
        if not files.columns and (files.collector or not source.columns):
            assert (files.collector or source.collector) in COLLECTORS, files.glob


@EACH
def test_the_expected_rows(name: str, source: Source) -> None:
    assert source.ancestor_rows == ANCESTOR_ROWS.get(name)
    assert source.rows is None or source.rows > 0
    assert source.tolerance == Source.model_fields["tolerance"].default or source.rows is not None


def test_what_could_not_be_confirmed_is_marked() -> None:
    assert {name for name, source in SOURCES.items() if not source.verified} >= UNVERIFIED
    assert {name for name, source in SOURCES.items() if source.evaluation} == EVALUATION & set(SOURCES)


def test_the_files_of_benchmarks_in_other_sources_are_marked() -> None:
    names = {
        "coig": ["exam_instructions.jsonl", "a/exam_instructions.rows0-9.jsonl", "leetcode_instructions.jsonl"],
        "tables": ["TQA_test_data.json", "Tabular-LLM-Data/all-data/TFV_test_data.json", "TQA_train_data.json"],
    }
    assert {name for name, source in SOURCES.items() if source.marked} == names.keys()
    for name, (one, two, other) in names.items():
        marks = SOURCES[name].marked
        assert [first_mark(path, marks) for path in (one, two, other)] == [True, True, False]


LANGUAGES: Final[dict[str, dict[str, str]]] = {
    "alpaca_gpt4": {
        "data/alpaca_gpt4_data.json": "EN",
        "data/alpaca_gpt4_data_zh.json": "CN",
        "data/comparison_data_v2.json": "EN",
        "data/unnatural_instruction_gpt4_data.json": "EN",
    },
    "cot": {"gsm8k_train.tsv": "EN", "CoT_Chinese_data.json": "CN"},
    "hc3": {"HC3/finance.jsonl": "EN", "HC3/medicine.jsonl": "EN", "HC3-Chinese/finance.jsonl": "CN"},
    "instinwild": {
        "instinwild_ch.json": "CN",
        "instinwild_en.json": "EN",
        "data/seed_prompts_ch.jsonl": "CN",
        "data/seed_prompts_en.jsonl": "EN",
        "data_v2/user_4.jsonl": "EN",
    },
}


@pytest.mark.parametrize(("name", "languages"), LANGUAGES.items(), ids=LANGUAGES.keys())
def test_files_of_two_languages_are_tagged_each(name: str, languages: dict[str, str], tmp_path: Path) -> None:
    for path in languages:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found, others = claimed(name, SOURCES[name], tmp_path)
    assert {file.subset: file.lang for file in found} == languages
    assert others == []


def test_school_mathematics_is_one_task(tmp_path: Path) -> None:
    files = [files for files in SOURCES["belle"].files if files.task]
    assert [(one.glob, one.task) for one in files] == [("**/school_math_*.json", "TS"), ("**/dev1K*.json", "TS")]
    assert all(isinstance(one, Files) for one in files)


TABLE_5: Final = (
    "alpaca-gpt4", "belle", "sharegpt-zh", "moss-sft-data", "instinwild", "firefly", "hc3", "xp3-zh", "coig-ccmc",
    "coig-trans", "coig-exam", "pclue",
)  # fmt: skip
FURTHER: Final = {
    "alpaca-gpt4+cot": "Table 8's Alpaca-GPT4+CoT:",
    "alpaca-gpt4+cot-think": "Table 8's Alpaca-GPT4+CoT*",
    "alpaca-gpt4-en+cot": "Table 8's mixture in English",
    "alpaca-gpt4+values": "Figure 5 with human-value alignment",
    "chinese-alpaca": "The data of Chinese-LLaMA-Alpaca's tuning",
}
PROMPTS: Final = {path.stem for path in (ROOT / "templates" / "prompts").glob("[a-z]*.jinja")}


@pytest.mark.parametrize("name", CATALOG.mixtures)
def test_a_mixture_says_in_a_line_what_it_is_its_prompt_and_what_is_unverified(name: str) -> None:
    mixture = CATALOG.mixture(name)[1]
    found = re.fullmatch(r"(.+); prompt: ([a-z-]+)(?:, [^;]+)?; unverified: ([a-z0-9_, ]+)\.", mixture.about)
    assert found is not None, mixture.about
    assert found[2] in PROMPTS
    unsure = {part.source for part in mixture.parts if not SOURCES[part.source].verified}
    assert set(found[3].split(", ")) == (unsure or {"none"})


def test_the_papers_mixtures_name_what_they_reproduce() -> None:
    assert all(re.match(r"Table 5's \S+ \([\d.]+[KM]\)", CATALOG.mixtures[name].about) for name in TABLE_5)
    assert all(CATALOG.mixtures[name].about.startswith(words) for name, words in FURTHER.items())
    assert "alpaca-zh for figure 4's Chinese prompt" in CATALOG.mixtures["alpaca-gpt4"].about
    assert "prompt: chinese-llama-alpaca" in CATALOG.mixtures["chinese-alpaca"].about
    assert {"alpaca", "alpaca-zh", "chinese-llama-alpaca"} <= PROMPTS


@EACH
def test_its_sample_builds(name: str, source: Source, tmp_path: Path) -> None:
    lying = [path for path in (SAMPLES / name).rglob("*") if path.is_file()]
    assert lying, f"no sample in collectors/samples/{name}"
    assert sum(path.stat().st_size for path in lying) < 60_000
    assert claimed(name, source, SAMPLES / name)[1] == []
    corpus(CATALOG, [name], SAMPLES, tmp_path, workers=1, limit=None)
    built = read(tmp_path / "records" / name)
    assert built.records
    assert built.manifest["raw_rows"] >= 10
    with_records = {(one["subset"], one["row"]) for one in built.records}
    assert built.manifest["raw_rows"] == len(with_records) + sum(built.manifest["rejected"].values())
    assert {one["lang"] for one in built.records} == set(TAGS[name][0].split())
