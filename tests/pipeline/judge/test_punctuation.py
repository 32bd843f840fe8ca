"""Collect changes no mark: every text of 100,000 rows full of full-width punctuation is the raw one, stripped."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from collectors.catalog import load
from pipeline.collect import corpus

ROOT = Path(__file__).resolve().parents[3]
ROWS = 100_000
MARKS = (
    [chr(code) for code in (*range(0x3000, 0x3020), *range(0xFF01, 0xFF66), *range(0xFFE0, 0xFFE7))]
    + [chr(code) for code in (*range(0xFE30, 0xFE50), *range(0x2010, 0x2028), *range(0x2030, 0x205F))]
    + list("、。〃〈〉《》「」『』【】〔〕〖〗…—·‘’“”￥ﬁﬂ①㈱㎏％＆＜＞")
)
"""Full-width and other wide marks, and letters that a normal form would replace."""
WORDS = [
    "中文",
    "你好",
    "Ａ１",
    "word",
    "12",
    "é",
    "e\u0301",
    "&amp;",
    "<br>",
    '"',
    "\\",
    "\n",
    " ",
    "\t",
    "\u200b",
    "\ufeff",
    "Ã©",
]
BLANKS = ["", " ", "\n", "\u3000", "\u00a0 ", "\t"]


def drawn(seed: int) -> list[str]:
    """Texts of marks and words, a keyed draw: a letter somewhere, so that none is empty; blanks at the ends of some."""
    generator = np.random.Generator(np.random.PCG64(seed))
    pieces = np.array(MARKS * 2 + WORDS, dtype=object)
    body = pieces[generator.integers(0, len(pieces), (ROWS, 10))]
    ends = np.array(BLANKS, dtype=object)[generator.integers(0, len(BLANKS), (ROWS, 2))]
    return [f"{head}{''.join(said)}文{tail}" for said, (head, tail) in zip(body.tolist(), ends.tolist(), strict=True)]


@pytest.mark.parametrize(("source", "name"), [("belle", "train_2M_CN.json"), ("alpaca", "alpaca_data.json")])
def test_no_mark_is_altered(source: str, name: str, tmp_path: Path) -> None:
    raw = dict(zip(("instruction", "input", "output"), (drawn(seed) for seed in (1, 2, 3)), strict=True))
    (tmp_path / "raw" / source).mkdir(parents=True)
    rows = [dict(zip(raw, values, strict=True)) for values in zip(*raw.values(), strict=True)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    array = "[" + ",\n".join(lines.split("\n")[:-1]) + "]" if source == "alpaca" else lines
    (tmp_path / "raw" / source / name).write_text(array, encoding="utf-8")
    (built,) = corpus(load(ROOT / "catalog.yaml"), [source], tmp_path / "raw", tmp_path / "data", workers=1)
    assert built.manifest["records"] == ROWS
    found = pl.concat([pl.read_ipc(shard) for shard in sorted(built.folder.glob("*.arrow"))]).sort("row")
    for column, texts in raw.items():
        # Unicode's White_Space, which is what Python strips but for U+001C to U+001F; none of those stands here.
        assert found[column].to_list() == [text.strip() for text in texts]
