"""hh_rlhf: pairs of transcripts, gzipped; `chosen` gives the dialogue, `rejected` the worse last answer."""

import gzip
import re
from typing import Any

import pytest
from built import Build, kept, lines, turn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import SourceError

PATH = "harmless-base/train.jsonl.gz"
HUMAN, ASSISTANT = "\n\nHuman: ", "\n\nAssistant: "


def talk(*turns: str) -> str:
    """A transcript of turns by Human and Assistant in alternation."""
    return "".join((ASSISTANT if place % 2 else HUMAN) + text for place, text in enumerate(turns))


def pair(chosen: str, rejected: str = talk("Hi", "Go away.")) -> dict[str, str]:
    return {"chosen": chosen, "rejected": rejected}


def packed(*rows: object) -> bytes:
    return gzip.compress(lines(*rows).encode(), mtime=0)


ROWS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "one exchange": (
        pair(talk("Hi", "Hello!"), talk("Hi", "What?")),
        {"instruction": "Hi", "output": "Hello!", "rejected": "What?"},
    ),
    "three exchanges": (
        pair(
            talk("Hi", "Hello!", "Tea?", "Yes.", "Sugar?", "No."),
            talk("Hi", "Hello!", "Tea?", "Yes.", "Sugar?", "Two."),
        ),
        {
            "history": [turn("Hi", "Hello!"), turn("Tea?", "Yes.")],
            "instruction": "Sugar?",
            "output": "No.",
            "rejected": "Two.",
        },
    ),
    "a marker after one line break is text": (
        pair(talk("Read:\nHuman: a\nAssistant: b", "Assistant: is a label.\nHuman: too.")),
        {
            "instruction": "Read:\nHuman: a\nAssistant: b",
            "output": "Assistant: is a label.\nHuman: too.",
            "rejected": "Go away.",
        },
    ),
    "a marker inside a line is text": (
        pair(talk("What is Human: for?", "In Human: it names a speaker.")),
        {"instruction": "What is Human: for?", "output": "In Human: it names a speaker.", "rejected": "Go away."},
    ),
    "paragraphs inside turns": (
        pair(talk("One.\n\nTwo.", " First.\n\n\nSecond. ")),
        {"instruction": "One.\n\nTwo.", "output": "First.\n\n\nSecond.", "rejected": "Go away."},
    ),
    "two human turns in a row": (
        pair(HUMAN + "My dog hides." + HUMAN + "He shakes." + ASSISTANT + "Stay near him."),
        {"instruction": "My dog hides.\n\nHe shakes.", "output": "Stay near him.", "rejected": "Go away."},
    ),
    "two answers in a row": (
        pair(talk("Hi", "Hello!") + ASSISTANT + "How are you?", talk("Hi", "No.") + ASSISTANT + "Go."),
        {"instruction": "Hi", "output": "Hello!\n\nHow are you?", "rejected": "No.\n\nGo."},
    ),
    "a history that differs is chosen's": (
        pair(talk("Hi", "Hello!", "Tea?", "Yes."), talk("Hi", "Hm.", "Coffee?", "No.")),
        {"history": [turn("Hi", "Hello!")], "instruction": "Tea?", "output": "Yes.", "rejected": "No."},
    ),
    "an empty worse answer": (pair(talk("Hi", "Hello!"), talk("Hi", "")), {"instruction": "Hi", "output": "Hello!"}),
    "an exchange without an answer is left out of history": (
        pair(talk("Hi", "", "Tea?", "Yes.")),
        {"instruction": "Tea?", "output": "Yes.", "rejected": "Go away."},
    ),
    "an answer before the first question is dropped": (
        pair(ASSISTANT + "Welcome." + talk("Hi", "Hello!")),
        {"instruction": "Hi", "output": "Hello!", "rejected": "Go away."},
    ),
    "a worse transcript without turns": (pair(talk("Hi", "Hello!"), "Go."), {"instruction": "Hi", "output": "Hello!"}),
    "no blank after the marker": (
        pair("\n\nHuman:Hi\n\nAssistant:Hello!"),
        {"instruction": "Hi", "output": "Hello!", "rejected": "Go away."},
    ),
}


@pytest.mark.parametrize(("raw", "said"), ROWS.values(), ids=ROWS.keys())
def test_a_line_is_a_record(build: Build, raw: dict[str, str], said: dict[str, Any]) -> None:
    assert build("hh_rlhf", {PATH: packed(raw)}).said == [said]


def test_eighteen_turns(build: Build) -> None:
    turns = [f"{who}{place}" for place in range(18) for who in "qa"]
    (said,) = build("hh_rlhf", {PATH: packed(pair(talk(*turns)))}).said
    assert said["history"] == [turn(f"q{place}", f"a{place}") for place in range(17)]
    assert (said["instruction"], said["output"]) == ("q17", "a17")


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "an empty last answer, though an earlier exchange has one": (
        dict(pair(talk("Hi", "Hello!", "Tea?", ""))),
        "empty output",
    ),
    "no chosen": ({"rejected": talk("Hi", "No.")}, "missing field"),
    "chosen is a list": ({"chosen": [talk("Hi", "Hello!")], "rejected": talk("Hi", "No.")}, "missing field"),
    "no marker at all": (dict(pair("Hi. Hello!")), "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, raw: dict[str, object], reason: str) -> None:
    good = pair(talk("Hi", "Hello!"))
    built = build("hh_rlhf", {PATH: packed(good, raw, good)})
    assert built.places == [(PATH, 0), (PATH, 2)]
    assert built.refused == [(1, reason)]


def test_a_file_that_is_not_packed_reads_the_same(build: Build) -> None:
    rows = [raw for raw, _ in ROWS.values()]
    plain = build("hh_rlhf", {"harmless-base/train.jsonl": lines(*rows)})
    assert plain.said == build("hh_rlhf", {PATH: packed(*rows)}).said == [said for _, said in ROWS.values()]


def test_red_team_attempts_are_left(build: Build) -> None:
    content = packed(pair(talk("Hi", "Hello!")))
    built = build("hh_rlhf", {PATH: content, "red-team-attempts/red_team_attempts.jsonl.gz": content})
    assert built.places == [(PATH, 0)]


def test_a_git_lfs_pointer_is_an_error_that_says_so(build: Build) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 13196274\n"
    with pytest.raises(SourceError, match=r"(?i)lfs") as caught:
        build("hh_rlhf", {"helpful-base/train.jsonl.gz": pointer})
    assert "helpful-base/train.jsonl.gz" in str(caught.value)


def test_a_gzip_that_is_cut_short_is_an_error(build: Build) -> None:
    rows = [pair(talk(f"Hi {place}", "Hello!" * place)) for place in range(200)]
    content = packed(*rows)
    with pytest.raises(SourceError, match=r"train\.jsonl\.gz"):
        build("hh_rlhf", {PATH: content[: len(content) // 2]})


MARKER = re.compile(r"\n\n(Human|Assistant):")
PIECES = ["Human:", "Assistant:", "Human", "\n", "\n\n", " ", "a", "字", "\u3000", ":"]
TEXTS = (
    st.lists(st.sampled_from(PIECES), max_size=6)
    .map("".join)
    .filter(lambda text: kept(text) and not MARKER.search(text))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5).map(lambda pairs: sum(pairs, ())), last=TEXTS)
def test_a_dialogue_comes_apart_as_it_was_put_together(build: Build, said: tuple[str, ...], last: str) -> None:
    (ours,) = build("hh_rlhf", {PATH: packed(pair(talk(*said, last, "Bye.")))}).records
    assert ours["instruction"] == kept(last)
    assert ours["history"] == [turn(*map(kept, both)) for both in zip(said[::2], said[1::2], strict=True)]
