"""Many dialogues at once go by the rules that one goes by, and many transcripts are cut as one is."""

import re

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.conversation import SPOKEN, TALK, Speaker, Turns, dialogue, dialogues, joined, runs
from collectors.transcript import spoken, turns

SPEAKERS: dict[str, Speaker] = {"Human": "user", "Assistant": "assistant"}
MARKER = re.compile(r"\n\n(Human|Assistant):")
MARKERS = ("\n\nHuman:", "\n\nAssistant:")

SAID = st.lists(
    st.tuples(
        st.sampled_from(list(SPEAKERS.values())),
        st.sampled_from(["", " ", "\u3000\n", "Why?", " So. ", "\x1cYes\n\nNo"]),
    ),
    max_size=8,
)


def flat(talks: list[Turns]) -> pl.DataFrame:
    """The turns of many dialogues as one frame."""
    every = [(row, speaker == "user", text) for row, talk in enumerate(talks) for speaker, text in talk]
    return pl.DataFrame(every, schema=SPOKEN, orient="row")


@settings(deadline=None)
@given(st.lists(SAID, max_size=6), st.booleans())
def test_many_dialogues_are_each_what_one_is(talks: list[Turns], last_counts: bool) -> None:
    found = dialogues(flat(talks), len(talks), last_counts=last_counts)
    assert found.schema == TALK.to_schema()
    for talk, record in zip(talks, found.to_dicts(), strict=True):
        alone = dialogue(talk, last_counts=last_counts)
        if alone is None:
            assert record["instruction"] is record["output"] is None
        else:
            assert record == alone


def test_turns_lost_before_are_counted_with_the_others() -> None:
    talks: list[Turns] = [[("user", "a"), ("assistant", "b"), ("user", "c")], [], [("user", "d"), ("assistant", "e")]]
    found = dialogues(flat(talks), 3, lost=[(pl.Series([0, 2, 2], dtype=pl.UInt32), "lost")])
    assert found["dropped"].to_list() == [["lost", "user turn after the last answer"], [], ["lost", "lost"]]
    assert found["output"].to_list() == ["b", None, "e"]


@settings(deadline=None)
@given(st.lists(SAID, max_size=6))
def test_runs_of_one_speaker_are_joined(talks: list[Turns]) -> None:
    assert runs(flat(talks)).rows() == flat([joined(talk) for talk in talks]).rows()


PIECES = st.lists(st.sampled_from([*MARKERS, "\n", "\n\n", "Human:", "Assistant:", " ", "Why?", "So."]), max_size=10)


@settings(deadline=None)
@given(st.lists(st.none() | PIECES.map("".join), max_size=5))
def test_many_transcripts_are_cut_as_one_is(texts: list[str | None]) -> None:
    found = spoken(pl.Series(texts, dtype=pl.String), *MARKERS)
    assert found.rows() == flat([turns(text, MARKER, SPEAKERS) if text else [] for text in texts]).rows()
