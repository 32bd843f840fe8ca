"""The table of sources: what stands in the catalog and in the data folder, for a reader and for a script."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from collecting import ROOT, lay, lines, row, run

from collectors.catalog import Catalog, load
from collectors.nodes import parsed
from pipeline.collect import corpus
from pipeline.report import sources_table
from pipeline.sources import listed

COMMAND = [sys.executable, "-m", "pipeline", "sources"]


def build(tmp_path: Path) -> Path:
    raw = lay(tmp_path / "raw", "alpaca", {"alpaca_data.json": lines([row(1), row(2), {"instruction": "No answer."}])})
    corpus(load(ROOT / "catalog.yaml"), ["alpaca"], raw, tmp_path / "data", workers=1)
    return tmp_path / "data"


def test_an_entry(tmp_path: Path) -> None:
    out = build(tmp_path)
    size = sum(path.stat().st_size for path in (out / "records" / "alpaca").iterdir())
    assert listed(load(ROOT / "catalog.yaml"), ["alpaca"], out) == [
        {
            "name": "alpaca",
            "title": "Stanford Alpaca",
            "homepage": "https://github.com/tatsu-lab/stanford_alpaca",
            "lang": ["EN"],
            "task": ["MT"],
            "gen": ["SI"],
            "license": "CC-BY-NC-4.0",
            "terms": ["non-commercial", "openai-output"],
            "origins": ["github:tatsu-lab/stanford_alpaca@761dc5bfbdeeffa89b8bff5d038781a4055f796a"],
            "rows": 52002,
            "ancestor_rows": 52002,
            "built": {"raw_rows": 3, "records": 2, "rejected": {"missing field": 1}, "limit": None},
            "bytes": size,
            "verified": False,
            "evaluation": False,
            "evaluation_files": [],
        }
    ]


def test_the_command_prints_a_table_a_script_can_have_as_json(tmp_path: Path) -> None:
    out = build(tmp_path)
    table = run([*COMMAND, "--out", str(out)]).stdout.splitlines()
    assert table[0].split()[:4] == ["source", "lang", "task", "gen"]
    [line] = [line for line in table if line.startswith("alpaca ")]
    assert all(part in line for part in ("CC-BY-NC-4.0", "tatsu-lab/stanford_alpaca@761dc5b ", "52,002", "  3 ", " no"))
    names = list(load(ROOT / "catalog.yaml").sources)
    assert [line.split()[0] for line in table[1:] if line[:1].strip()] == names
    entries: list[dict[str, Any]] = json.loads(run([*COMMAND, "--json", "--out", str(out)]).stdout)
    assert [entry["name"] for entry in entries] == names


def test_tags_narrow_it(tmp_path: Path) -> None:
    asked = [*COMMAND, "--out", str(tmp_path), "--tags", "alpaca* lang=CN"]
    names = {entry["name"] for entry in json.loads(run([*asked, "--json"]).stdout)}
    assert "alpaca_zh" in names
    assert "alpaca" not in names
    assert run([*asked, "--markdown"]).stdout.count("\n| `") == len(names)
    done = run([*COMMAND, "--tags", "lang=DE"])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("suri: error: no source has lang=DE; known: ")


def test_the_readmes_table_is_what_markdown_prints() -> None:
    assert run([*COMMAND, "--markdown"]).stdout == sources_table(load(ROOT / "catalog.yaml")) + "\n"


def test_of_globs_and_tags_the_sources_that_are_there_are_built(tmp_path: Path) -> None:
    raw = lay(tmp_path / "raw", "alpaca", {"alpaca_data.json": lines([row(1)])})
    command = [sys.executable, "-m", "pipeline", "corpus", "--from", str(raw), "--out", str(tmp_path / "d")]
    assert run([*command, "--source", "alpaca* gen=SI"]).stdout == "alpaca: 1 raw rows, 1 records\n"
    missing = run([*command, "--source", "alpaca_zh", "--source", "alpaca*"])
    assert missing.returncode == 2
    assert missing.stderr.startswith(f"suri: error: alpaca_zh: no folder {raw / 'alpaca_zh'}")
    none = run([*command, "--source", "belle*"])
    assert none.stderr == f"suri: error: {raw}: holds no folder of a source; it should hold some of belle\n"


def test_the_source_that_docs_show_is_the_catalogs_and_gives_what_they_say(tmp_path: Path) -> None:
    shipped = load(ROOT / "catalog.yaml")
    diff = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8").split("```diff\n")[1].split("```")[0]
    entry, sample = (
        "\n".join(line[1:] for line in part.split("\n") if line[:1] == "+" and line[:3] != "+++")
        for part in diff.split("--- /dev/null\n")
    )
    shown = parsed(Catalog, {"sources": yaml.safe_load(entry)}, "docs/sources.md")
    assert shown.sources == {"dolly": shipped.sources["dolly"]}
    raw = lay(tmp_path / "raw", "dolly", {"databricks-dolly-15k.jsonl": sample.encode()})
    [done] = corpus(shown, ["dolly"], raw, tmp_path / "data", workers=1)
    found = done.manifest
    assert (found["raw_rows"], found["records"], found["rejected"]) == (3, 2, {"empty output": 1})
