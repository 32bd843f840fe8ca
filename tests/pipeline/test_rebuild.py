"""The commands that a card prints build the very mixture again, in a folder where nothing was."""

import json
import re
import shlex
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from mixing import tokenizer_of_words
from typer.testing import CliRunner

from pipeline import folder
from pipeline.__main__ import app

RECIPE = """
about: Everything that decides on a row.
seed: 3
holdout: {share: 0.2}
leaks: drop
flags: [refusal]
tokenizer: model
parts:
  - {source: alpaca, tokens: 90}
  - {tags: "cot gpteacher", template: cot, max_rows: 20}
  - {mixture: belle, rows: 4}
"""

ASKED = {
    "question": "Name three primary colours that painters start from, and say why they are called so.",
    "answer": "x",
}


def run(*command: str) -> None:
    done = CliRunner().invoke(app, list(command))
    assert done.exit_code == 0, (command, done.output, done.exception)


def beside(place: Path) -> Path:
    """A folder to work in, with what the commands take for granted: evaluation sets and a tokenizer."""
    (place / "EVAL" / "gsm8k").mkdir(parents=True)
    (place / "EVAL" / "gsm8k" / "test.jsonl").write_text(json.dumps(ASKED) + "\n")
    (place / "EVAL" / "my own.jsonl").write_text(json.dumps(ASKED) + "\n")
    (place / "model").mkdir()
    tokenizer_of_words(place / "model")
    return place


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.glob("*.arrow")}


def block(card: str, kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", card, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the mixture `mine` was built and published, with one source more than it takes."""
    first = beside(tmp_path_factory.mktemp("first"))
    with chdir(first):
        Path("mine.yaml").write_text(RECIPE)
        run("corpus", "--from", "sample", "--source", "alpaca", "--source", "cot", "--source", "alpaca_zh")
        run("corpus", "--from", "sample", "--source", "belle", "--source", "gpteacher", "--limit", "9")
        run("judge", "--suites", "EVAL", "--suite", "mine=EVAL/my own.jsonl")
        run("mix", "mine.yaml")
        run("push", "mine", "--to", "published")
    return first


def test_the_commands_of_a_card_give_the_same_fingerprints_and_bytes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (built / "published" / "README.md").read_text()
    fresh = beside(tmp_path / "fresh")
    monkeypatch.chdir(fresh)
    (fresh / "mine.yaml").write_text(block(card, "yaml"))
    commands = [shlex.split(line) for line in block(card, "sh").splitlines()]
    assert [command[3] for command in commands] == ["corpus", "corpus", "judge", "mix"]
    for command in commands:
        assert command[:3] == ["python", "-m", "pipeline"]
        run(*command[3:])
    one, other = (folder.manifest(place / "data" / "mixes" / "mine") or {} for place in (built, fresh))
    assert one["rows"]["train"] > 10
    assert one["left_out"].keys() >= {"tokens"}
    assert one == other
    assert contents(built / "data" / "mixes" / "mine") == contents(fresh / "data" / "mixes" / "mine")
    run("push", "mine", "--to", "published")
    trees = [
        {path.name: path.read_bytes() for path in (place / "published").rglob("*") if path.is_file()}
        for place in (built, fresh)
    ]
    assert trees[0] == trees[1]
    prints = dict(re.findall(r"\| (\S.*?) +\| `([0-9a-f]{64})` \|", card))
    assert prints["this mixture"] == other["fingerprint"]
    assert prints["verdicts on `belle`"] == told(fresh, "verdicts", "belle")
    assert prints["records of `alpaca_zh`, judged with them"] == told(fresh, "records", "alpaca_zh")
    assert "`tokenizer.json` of `model`, sha256" in prints
    assert "template `cot`" in prints


def told(place: Path, stage: str, source: str) -> Any:
    return (folder.manifest(place / "data" / stage / source) or {})["fingerprint"]


def test_parts_of_the_card_are_those_of_the_recipe(built: Path) -> None:
    card = (built / "published" / "README.md").read_text()
    assert re.findall(r"^\| (`.*?`) +\| `(?:plain|cot)`", card, re.MULTILINE) == [
        "`alpaca`", "`cot gpteacher`: `cot`", "`cot gpteacher`: `gpteacher`", "`belle`: `belle`",
    ]  # fmt: skip
