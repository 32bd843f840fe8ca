"""Shards of a mixture: the rows of many fragments in their order, and what is said in each."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.record import HISTORY, SCHEMA, ids
from pipeline import shards
from pipeline.gathering import Gathering, gather, messages
from pipeline.wording import Wording, word
from templates.template import load

TEXT = st.sampled_from(["", "a", "ü", "two words", "中文"])
ROW = st.fixed_dictionaries(
    {
        "system": st.none() | TEXT,
        "history": st.lists(st.fixed_dictionaries({"user": TEXT, "assistant": TEXT}), max_size=3),
        "prompt": TEXT,
        "target": TEXT,
    }
)


def told(row: dict[str, Any]) -> list[dict[str, str]]:
    """The messages of a row."""
    sides = [("user", row["prompt"]), ("assistant", row["target"])]
    sides = [(role, turn[role]) for turn in row["history"] for role in ("user", "assistant")] + sides
    if row["system"] is not None:
        sides.insert(0, ("system", row["system"]))
    return [{"role": role, "content": text} for role, text in sides]


@given(st.lists(ROW, min_size=1, max_size=8))
def test_messages_are_the_system_prompt_the_turns_and_the_last_exchange(rows: list[dict[str, Any]]) -> None:
    schema = {"system": pl.String, "history": HISTORY, "prompt": pl.String, "target": pl.String}
    table = pl.DataFrame(rows, schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest())
    assert messages(table).to_pylist() == [told(row) for row in rows]


def records(place: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """A shard of records of a source."""
    fixed = {"part": 0, "lang": "EN", "task": "MT", "gen": "SI", "language": None, "license": "MIT", "input": ""}
    rest = {"rationale": None, "rejected": None, "extra": None, "subset": f"{name}.json", "source": name}
    full = [{**fixed, **rest, "row": number, **row} for number, row in enumerate(rows)]
    types: dict[str, Any] = {"row": pl.UInt64, "part": pl.UInt16, "history": HISTORY}
    schema = {column: types.get(column, pl.String) for column in SCHEMA.names if column != "id"}
    frame = pl.DataFrame(full, schema=schema)
    frame = frame.with_columns(ids(frame)).select(SCHEMA.names)
    shards.write(place / f"{name}.arrow", frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMA))
    return place / f"{name}.arrow"


def worded(place: Path, shard: Path, position: list[int]) -> Any:
    """The fragment of every record of a shard, at these positions."""
    known = np.array(position, np.uint32)
    job = Wording(
        shards=((shard, np.arange(len(known), dtype=np.uint32)),),
        fragment=place / f"{shard.stem}.rows",
        part=0,
        repeat=np.zeros(len(known), np.uint32),
        position=known,
        template="plain",
        fingerprint=load("plain").fingerprint,
        suffix=None,
        seed=0,
        train=2**31,
    )
    return word(job).fragment


SAID = st.fixed_dictionaries({"instruction": TEXT, "output": TEXT, "system": st.none() | TEXT, "history": st.just([])})


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(SAID, min_size=1, max_size=6), st.lists(SAID, min_size=1, max_size=6), st.randoms(use_true_random=False)
)
def test_a_shard_has_the_rows_of_all_fragments_in_their_order(
    tmp_path: Path, first: list[dict[str, Any]], second: list[dict[str, Any]], random: Any
) -> None:
    count = len(first) + len(second)
    positions = list(range(count))
    random.shuffle(positions)
    both = [(first, positions[: len(first)], "one"), (second, positions[len(first) :], "two")]
    fragments = [worded(tmp_path, records(tmp_path, name, rows), at) for rows, at, name in both]
    batches = tuple(batch for one in fragments if (batch := one.batch(0)) is not None)
    digest = gather(Gathering(path=tmp_path / "train.arrow", number=0, batches=batches, rows=count))
    assert digest == shards.digest(tmp_path / "train.arrow")
    found = pl.read_ipc(tmp_path / "train.arrow")
    expected = sorted(
        (at, name, number, row["instruction"], row["output"], row["system"])
        for rows, its, name in both
        for number, (row, at) in enumerate(zip(rows, its, strict=True))
    )
    assert found["source"].cast(pl.String).to_list() == [name for _, name, *_ in expected]
    assert found["row"].to_list() == [number for _, _, number, *_ in expected]
    for said, (*_, request, answer, system) in zip(found["messages"].to_list(), expected, strict=True):
        row = {"system": system, "history": [], "prompt": request, "target": answer}
        assert said == told(row)


def test_values_stored_once_are_in_the_order_they_occur_in(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "b", "history": []}]
    fragments = [
        worded(tmp_path, records(tmp_path, name, rows), [position])
        for name, position in (("one", 2), ("two", 0), ("three", 1))
    ]
    batches = tuple(one.batch(0) for one in fragments)
    gather(Gathering(path=tmp_path / "train.arrow", number=0, batches=batches, rows=3))
    with pa.memory_map(str(tmp_path / "train.arrow")) as source:
        column = pa.ipc.open_file(source).read_all()["source"].chunk(0)
    assert column.dictionary.to_pylist() == ["two", "three", "one"]


def test_rows_that_do_not_follow_on_one_another_are_no_shard(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "b", "history": []}] * 2
    fragment = worded(tmp_path, records(tmp_path, "one", rows), [0, 2])
    with pytest.raises(AssertionError, match="its 2 rows do not follow on one another"):
        gather(Gathering(path=tmp_path / "train.arrow", number=0, batches=(fragment.batch(0),), rows=2))


def test_a_fragment_has_a_batch_for_each_shard_it_has_rows_of(tmp_path: Path) -> None:
    rows = [{"instruction": str(number), "output": "b", "history": []} for number in range(3)]
    fragment = worded(tmp_path, records(tmp_path, "one", rows), [3 * shards.ROWS, 1, 3 * shards.ROWS + 1])
    assert fragment.shards.tolist() == [0, 3]
    assert [fragment.batch(number) is None for number in range(5)] == [False, True, True, False, True]
    gather(Gathering(path=tmp_path / "train.arrow", number=3, batches=(fragment.batch(3),), rows=2))
    assert pl.read_ipc(tmp_path / "train.arrow")["instruction"].to_list() == ["0", "2"]
