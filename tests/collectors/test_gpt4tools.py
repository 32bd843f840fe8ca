"""gpt4tools: three fields as they stand; the tool list at the head of every row stays in it."""

import pytest
from built import Build, array, lines

TOOLS = "GPT4Tools can handle various text and visual tasks.\n\nTOOLS:\n> Get Photo Description: what is in a photo.\n"
TALK = "Previous conversation:\nHuman: hello\nAI: Hi!\n\nNew input: what is in image/a1b2.png?"
STEPS = (
    "Thought: Do I need to use a tool? Yes\nAction: Get Photo Description\nAction Input: image/a1b2.png\nObservation: "
)


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_an_element_is_a_record(build: Build, written: object) -> None:
    raw = {"instruction": TOOLS, "input": TALK, "output": STEPS}
    built = build("gpt4tools", {"gpt4tools_71k.json": written(raw, raw)})  # type: ignore[operator]
    assert built.said == 2 * [{"instruction": TOOLS.strip(), "input": TALK, "output": STEPS.strip()}]
    assert built.places == [("gpt4tools_71k.json", 0), ("gpt4tools_71k.json", 1)]


def test_a_row_without_a_call_of_a_tool(build: Build) -> None:
    raw = {"instruction": "Name a river.", "input": "", "output": "The Rhine."}
    built = build("gpt4tools", {"gpt4tools_71k.json": array(raw)})
    assert built.said == [{"instruction": "Name a river.", "output": "The Rhine."}]


REFUSED = {
    "no output": ({"instruction": TOOLS, "input": TALK}, "missing field"),
    "an empty output": ({"instruction": TOOLS, "input": TALK, "output": " "}, "empty output"),
    "an empty instruction": ({"instruction": "", "input": TALK, "output": STEPS}, "empty instruction"),
    "an output that is a list": ({"instruction": TOOLS, "input": TALK, "output": [STEPS]}, "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_an_element_that_is_none(build: Build, raw: object, reason: str) -> None:
    built = build("gpt4tools", {"gpt4tools_71k.json": array({"instruction": "a", "output": "b"}, raw)})
    assert built.refused == [(1, reason)]


def test_the_files_for_evaluation_are_left_alone(build: Build) -> None:
    raw = array({"instruction": "a", "input": "", "output": "b"})
    others = ["gpt4tools_test_unseen.json", "gpt4tools_val_seen.json"]
    built = build("gpt4tools", dict.fromkeys(["gpt4tools_71k.json", *others], raw))
    assert built.manifest["unclaimed"] == others
    assert len(built.records) == 1
