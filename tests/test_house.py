"""What holds for the project as a whole: the floors, the pins, the make targets, the README."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.catalog import load
from collectors.shapes import COLLECTORS
from pipeline.report import sources_table

ROOT = Path(__file__).parent.parent
FLOORS = ["collectors", "templates", "pipeline", "train", "serve", "eval"]
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("floor", [floor for floor in FLOORS if (ROOT / floor).is_dir()])
def test_a_folder_imports_only_from_the_folders_to_its_left(floor: str) -> None:
    right = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"bench", "tests"}
    heavy = set() if floor in {"train", "serve", "eval"} else HEAVY
    for path in (ROOT / floor).rglob("*.py"):
        assert not set(imports(path)) & (right | heavy), path


def test_the_corpus_half_runs_without_the_training_libraries() -> None:
    code = f"""
import sys
for name in {sorted(HEAVY)}: sys.modules[name] = None
import pipeline.__main__, pipeline.collect, pipeline.mix, pipeline.push, pipeline.report, templates.__main__
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_every_dependency_is_pinned_once_and_named_without_a_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", one) for one in named)
    lines = [one for one in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if one[:1] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", one) for one in lines)
    pinned = [one.split("==")[0].lower().replace("_", "-") for one in lines]
    assert len(pinned) == len(set(pinned))
    assert {one.lower().replace("_", "-") for one in named} <= set(pinned)


def test_the_table_of_sources_in_the_readme_is_current() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- sources -->\n")[1].split("\n<!-- /sources -->")[0]
    assert table == sources_table(load(ROOT / "catalog.yaml")), "paste what sources --markdown prints"


def test_every_collector_is_used_and_every_source_has_a_sample() -> None:
    sources = load(ROOT / "catalog.yaml").sources
    used = {one.collector for source in sources.values() for one in [source, *source.files] if one.collector}
    assert used == set(COLLECTORS)
    assert {path.name for path in (ROOT / "collectors" / "samples").iterdir()} == set(sources)


@pytest.fixture
def dry() -> tuple[str, dict[str, str]]:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    return make, {"PATH": os.environ["PATH"]}


# What a user may well have in the environment, and what of it must not reach a command.
STRAY = ["FROM", "OUT", "LANG", "DATA", "SOURCES", "LIMIT", "MIX", "RECIPE", "BASE", "REPO", "TO", "PUBLIC", "WORKERS"]
STRAY += ["SUITES", "SUITE", "ENGINE", "ADDRESS", "OFFLINE", "STRICT", "ROW", "A", "B", "JSON"]
STRAY += [
    "SOURCE",
    "FORMAT",
    "AS",
    "TAGS",
    "ROW",
    "FULL",
    "TORCH",
    "TORCH_INDEX",
    "RUN",
    "GPUS",
    "SHARDING",
    "DRY",
    "SET",
    "TOKENIZER",
    "PYTHON",
    "PY",
    "TESTS",
]


@pytest.mark.parametrize(
    "target",
    [
        "corpus",
        "judge",
        "report",
        "mix",
        "plan",
        "diff",
        "train",
        "merge",
        "push",
        "export",
        "why",
        "sources",
        "demo",
        "help",
    ],
)
def test_the_environment_does_not_leak_into_a_target(target: str, dry: tuple[str, dict[str, str]]) -> None:
    make, clean = dry

    def commands(environment: dict[str, str]) -> str:
        asked = [make, "-n", target, "VENV=/nowhere"]
        return subprocess.run(asked, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    assert commands(clean | dict.fromkeys(STRAY, "stray")) == commands(clean)


def test_export_takes_a_source_before_a_mixture(dry: tuple[str, dict[str, str]]) -> None:
    make, clean = dry

    def command(*given: str) -> str:
        asked = [make, "-n", "export", "TO=x y", *given]
        said = subprocess.run(asked, cwd=ROOT, env=clean, check=True, capture_output=True, text=True).stdout
        return said.strip().splitlines()[-1].split("-m pipeline ")[1]

    rest = '--format "sharegpt" --as "jsonl" --to "x y" --out "data"'
    assert command("SOURCE=alpaca*", "FORMAT=sharegpt", "AS=jsonl") == f'export --source "alpaca*" {rest}'
    assert command("MIX=all", "FORMAT=sharegpt", "AS=jsonl") == f'export --mix "all" {rest}'


def test_the_variables_of_a_target_reach_its_command(dry: tuple[str, dict[str, str]]) -> None:
    make, clean = dry
    given = ["SOURCES=alpaca belle", "FROM=../raw", "DATA=else where", "LIMIT=5", "WORKERS=2"]
    asked = [make, "-n", "corpus", *given]
    said = subprocess.run(asked, cwd=ROOT, env=clean, check=True, capture_output=True, text=True).stdout
    commands = [" ".join(line.split("-m pipeline ")[1].split()) for line in said.strip().splitlines()[-2:]]
    assert commands == [
        'corpus --from "../raw" --source "alpaca" --source "belle" --limit 5 --workers 2 --out "else where"',
        'judge --source "alpaca" --source "belle" --workers 2 --out "else where"',
    ]
