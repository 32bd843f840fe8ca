"""gpt4all: prompts and responses in Parquet, or in JSON Lines where either may be an object."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built import Build, lines

from collectors.catalog import load

PROMPT = "Write a haiku about rain."
REPLY = "Soft rain on the roof.\n"
SAID = {"instruction": PROMPT, "output": "Soft rain on the roof.", "extra": {"source": "laion/unified_chip2"}}


def row(prompt: object = PROMPT, response: object = REPLY, **fields: object) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, "source": "laion/unified_chip2"} | fields


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_a_parquet_row_is_a_record(build: Build) -> None:
    table = pa.Table.from_pylist([row(), row("Say hello.", "Hello!", source=""), row("Again.", None)])
    built = build("gpt4all", {"data/train-00000-of-00002-de0ae301d048d960.parquet": parquet(table)})
    assert built.said == [SAID, {"instruction": "Say hello.", "output": "Hello!", "extra": {"source": ""}}]
    assert built.places == [("data/train-00000-of-00002-de0ae301d048d960.parquet", number) for number in (0, 1)]
    assert built.refused == [(2, "missing field")]


def test_parquet_without_a_source_and_with_an_object(build: Build) -> None:
    table = pa.Table.from_pylist([{"prompt": {"value": PROMPT, "description": None}, "response": REPLY}])
    built = build("gpt4all", {"data/train-00000-of-00001.parquet": parquet(table)})
    assert built.said == [SAID | {"extra": {"source": "unspecified"}}]


ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two texts": (row(), SAID),
    "a prompt that is an object with a value": (row({"value": PROMPT, "description": "A poem."}), SAID),
    "a response that is an object with a value": (row(response={"value": REPLY}), SAID),
    "an object with a description": (row({"description": PROMPT, "id": 7}), SAID),
    "an object whose value is null": (row({"value": None, "description": PROMPT}), SAID),
    "an object whose value is a number": (row(response={"value": 1.50}), SAID | {"output": "1.5"}),
    "a number": (row(response=12), SAID | {"output": "12"}),
    "no source": ({"prompt": PROMPT, "response": REPLY}, SAID | {"extra": {"source": "unspecified"}}),
    "a source that is null": (row(source=None), SAID | {"extra": {"source": "unspecified"}}),
    "model settings": (row(model_settings={"model": "gpt-3.5-turbo", "temperature": 0.7}), SAID),
    "a refusal is kept": (
        row(response="As an AI language model, I feel no rain."),
        SAID | {"output": "As an AI language model, I feel no rain."},
    ),
    "a prompt that spells no input": (row("None"), SAID | {"instruction": "None"}),
    "escapes": (row('Say "é😀"\\n.\r\nTwice.'), SAID | {"instruction": 'Say "é😀"\\n.\nTwice.'}),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, Any], said: dict[str, Any]) -> None:
    assert build("gpt4all", {"train.jsonl": lines(raw)}).said == [said]


def test_escaped_and_raw_letters_are_the_same_text(build: Build) -> None:
    raw = [row(text) for text in ("a/b 😀é", {"value": "a/b 😀é"})]
    escaped = "".join(json.dumps(one).replace("/", "\\/") + "\n" for one in raw)
    built = build("gpt4all", {"a.jsonl": escaped, "b.jsonl": lines(*raw)})
    assert {one["id"] for one in built.records} == {built.records[0]["id"]}


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("prompt: hello", "unparsable"),
    "a lone surrogate in an object": ('{"prompt": {"value": "\\ud800"}, "response": "a"}', "unparsable"),
    "an object with neither key": (lines(row({"text": PROMPT})), "missing field"),
    "an object whose value is a list": (lines(row({"value": [PROMPT], "description": PROMPT})), "missing field"),
    "a list": (lines(row([PROMPT])), "missing field"),
    "a bool": (lines(row(response=True)), "missing field"),
    "no response": ('{"prompt": "a"}', "missing field"),
    "a prompt that is null": (lines(row(None)), "missing field"),
    "an empty prompt": (lines(row(" ")), "empty instruction"),
    "an empty response": (lines(row(response="\n")), "empty output"),
    "an empty value": (lines(row(response={"value": "", "description": "A poem."})), "empty output"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, line: str, reason: str) -> None:
    built = build("gpt4all", {"train.jsonl": lines(row()) + line.rstrip("\n") + "\n" + lines(row())})
    assert built.refused == [(1, reason)]
    assert built.said == [SAID, SAID]


def test_a_slice_may_be_an_array(build: Build) -> None:
    raw = json.dumps([row(), row({"value": PROMPT})])
    assert build("gpt4all", {"train.rows0-1.jsonl": raw}).said == [SAID, SAID]


def test_of_the_repositories_that_overlap_one_is_fetched() -> None:
    assert [origin.hub for origin in load().sources["gpt4all"].origins] == ["nomic-ai/gpt4all_prompt_generations"]
