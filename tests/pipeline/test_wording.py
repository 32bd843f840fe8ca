"""How chosen records are worded: their part's system prompt, and examples drawn from its other rows."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import TemplateError
from collectors.mixture import Part
from collectors.record import HISTORY, SCHEMA, ids
from pipeline import exemplars, shards
from pipeline.engine import Engine
from pipeline.gathering import read
from pipeline.wording import Wording, pools, template_marks, word
from templates.template import load

Row = dict[str, Any]

PLAIN: Row = {
    "subset": "data.json",
    "row": 0,
    "part": 0,
    "lang": "EN",
    "task": "MT",
    "gen": "SI",
    "language": None,
    "license": "MIT",
    "system": None,
    "history": [],
    "instruction": "Say hello.",
    "input": "",
    "rationale": None,
    "output": "Hello.",
    "rejected": None,
    "extra": None,
}
TURN = {"user": "Hi.", "assistant": "Hi!"}


def numbered(count: int, **rest: Any) -> list[Row]:
    return [{"instruction": f"Ask {number}.", "output": f"Told {number}.", **rest} for number in range(count)]


def frame(rows: list[Row]) -> pl.DataFrame:
    """Records of one source: each of `rows` says where it differs from `PLAIN`."""
    types: dict[str, Any] = {"row": pl.UInt64, "part": pl.UInt16, "history": HISTORY}
    full = [{**PLAIN, "row": number, **row} for number, row in enumerate(rows)]
    plain = pl.DataFrame(full, schema={name: types.get(name, pl.String) for name in PLAIN})
    return plain.with_columns(ids(plain), source=pl.lit("a")).select(SCHEMA.names)


def worded(place: Path, records: pl.DataFrame, *, cuts: int = 1, held: tuple[int, ...] = (), **rest: Any) -> list[Row]:
    """Every record once, in its place, worded from `cuts` shards; `held` are the records that are held out."""
    place.mkdir(parents=True, exist_ok=True)
    template = rest.pop("template", "plain")
    step, jobs = -(-len(records) // cuts), []
    for number, start in enumerate(range(0, len(records), step)):
        some = records[start : start + step]
        shard = place / f"shard-{number}.arrow"
        shards.write(shard, some.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMA))
        position = np.arange(start, start + len(some), dtype=np.uint32)
        jobs.append(
            Wording(
                shards=((shard, np.arange(len(some), dtype=np.uint32)),),
                fragment=place / f"fragment-{number}.arrow",
                part=0,
                repeat=np.zeros(len(some), np.uint32),
                position=np.where(np.isin(position, held), position + np.uint32(shards.ROWS), position),
                template=template,
                fingerprint=load(template).fingerprint,
                suffix=rest.get("suffix"),
                seed=rest.get("seed", 0),
                train=shards.ROWS,
                pool=place / "pool.arrow",
                **{name: value for name, value in rest.items() if name not in ("suffix", "seed")},
            )
        )
    with Engine(1) as engine:
        pools(jobs, engine)
    fragments = [word(job).fragment for job in jobs]
    batches = [batch for one in fragments for number in one.shards if (batch := one.batch(number)) is not None]
    found = pl.DataFrame(pa.Table.from_batches(read(batches))).sort("position")
    return list(found.iter_rows(named=True))


def shown(row: Row) -> list[str]:
    """The requests of the examples before a plain row's own."""
    return [part.split("\n")[0] for part in row["prompt"].split("\n\n")[:-1]]


def test_examples_are_other_rows_with_their_answers(tmp_path: Path) -> None:
    rows = worded(tmp_path, frame(numbered(3)), few_shot=2)
    for row in rows:
        examples = row["prompt"].split("\n\n")
        assert examples[-1] == row["instruction"]
        others = [one for one in rows if one["id"] != row["id"]]
        assert sorted(examples[:-1]) == [f"{one['instruction']}\n{row_target(one)}" for one in others]
        assert row["template"] == "plain+2"
        assert row["target"] == row_target(row)


def row_target(row: Row) -> str:
    return str(row["instruction"]).replace("Ask", "Told")


def test_a_lone_row_has_no_examples(tmp_path: Path) -> None:
    (row,) = worded(tmp_path, frame(numbered(1)), few_shot=5)
    assert (row["prompt"], row["template"]) == ("Ask 0.", "plain")


def test_rows_of_one_id_are_no_examples_of_each_other(tmp_path: Path) -> None:
    rows = worded(tmp_path, frame([*numbered(1), *numbered(2)]), few_shot=3)
    assert [shown(row) for row in rows] == [["Ask 1."], ["Ask 1."], ["Ask 0."]]


def test_examples_are_of_the_same_task_and_language_and_no_dialogue(tmp_path: Path) -> None:
    kinds: list[Row] = [
        {"instruction": "en MT"},
        {"instruction": "en MT too"},
        {"instruction": "zh", "lang": "CN"},
        {"instruction": "TS", "task": "TS"},
        {"instruction": "gsm8k", "subset": "gsm8k_train.tsv"},
        {"instruction": "with rationale", "rationale": "So."},
        {"instruction": "dialogue", "history": [TURN]},
        {"instruction": "long", "output": "x" * 2000},
    ]
    rows = worded(tmp_path, frame(kinds), few_shot=5)
    found = {row["instruction"]: shown(row) for row in rows}
    assert found == {
        "en MT": ["en MT too"],
        "en MT too": ["en MT"],
        "zh": [],
        "TS": [],
        "gsm8k": [],
        "with rationale": [],
        "dialogue": [],
        "long": ["en MT", "en MT too"] if found["long"][0] == "en MT" else ["en MT too", "en MT"],
    }


def test_a_held_out_row_is_shown_in_no_training_row_nor_the_other_way_round(tmp_path: Path) -> None:
    held = (1, 4, 7, 11)
    for number, row in enumerate(worded(tmp_path, frame(numbered(30)), held=held, few_shot=3)):
        position = int(row["instruction"].split()[1][:-1])
        assert row["position"] == position + (shards.ROWS if position in held else 0), number
        assert len(shown(row)) == 3
        assert {int(one.split()[1][:-1]) in held for one in shown(row)} == {position in held}


def test_a_pool_is_bounded_and_serves_evenly(tmp_path: Path) -> None:
    rows = worded(tmp_path, frame(numbered(2500)), cuts=3, few_shot=4)
    served = Counter(one for row in rows for one in shown(row))
    assert all(len(set(shown(row))) == 4 and row["instruction"] not in shown(row) for row in rows)
    assert len(served) == exemplars.POOL
    assert max(served.values()) < 30  # 10,000 examples over 1,024 rows: about 10 each
    assert len({tuple(shown(row)) for row in rows}) > 2400


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 5), st.integers(2, 40), st.integers(1, 4), st.integers(0, 2**31))
def test_examples_do_not_depend_on_shards(tmp_path: Path, count: int, size: int, cuts: int, seed: int) -> None:
    records = frame(numbered(size))
    once = worded(tmp_path / "once", records, few_shot=count, seed=seed)
    assert once == worded(tmp_path / "cut", records, cuts=cuts, few_shot=count, seed=seed)
    for row in once:
        assert len(set(shown(row))) == len(shown(row)) == min(count, size - 1)
        assert row["instruction"] not in shown(row)


def test_the_suffix_ends_each_request_of_the_examples(tmp_path: Path) -> None:
    chinese = [{"instruction": f"第{number}题。", "lang": "CN"} for number in range(2)]
    rows = worded(tmp_path, frame(chinese), few_shot=1, suffix="think")
    assert rows[0]["prompt"] == "第1题。先思考，再决定\nHello.\n\n第0题。先思考，再决定"


def test_a_records_own_system_prompt_stands(tmp_path: Path) -> None:
    rows = worded(
        tmp_path, frame([{"instruction": "a"}, {"instruction": "b", "system": "Be brief."}]), system="Be kind."
    )
    assert [row["system"] for row in rows] == ["Be kind.", "Be brief."]


def test_a_share_of_rows_is_inverted(tmp_path: Path) -> None:
    chains = numbered(200, subset="gsm8k_train.tsv", rationale="By counting.")
    rows = worded(tmp_path, frame(chains), template="cot", inversion=0.5, few_shot=1)
    inverted = [row for row in rows if "/inverted-en-" in row["template"]]
    assert 70 < len(inverted) < 130
    assert all(row["target"] == row["instruction"] and row["template"].endswith("+1") for row in inverted)


def test_a_template_that_cannot_invert_is_told_before_anything_is_read() -> None:
    with pytest.raises(TemplateError, match=r"^template 'plain': has no input_inversion, which a asks for; take one"):
        template_marks([Part(source="a", input_inversion=0.3)])
    assert set(template_marks([Part(source="a"), Part(source="b", template="cot", input_inversion=0.3)])) == {
        "plain",
        "cot",
    }


@pytest.mark.parametrize("wrong", [{"few_shot": 6}, {"few_shot": -1}, {"input_inversion": 1.5}, {"system": ""}])
def test_what_a_part_may_not_ask_for(wrong: Row) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Part(source="a", **wrong)
