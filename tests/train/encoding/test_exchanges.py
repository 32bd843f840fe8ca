"""Conversations longer than the cutoff, split between exchanges: every answer once, in a part that fits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import assistant, user
from transformers import PreTrainedTokenizerBase

from templates.prompt import load
from train.encoding.encode import BEFORE, IGNORED, SPLIT, TOO_LONG, UNTRAINED, Encoded, Encoder

FEW = 5
"""Tokens that an exchange may be longer than another for its number, far fewer than an exchange has."""
SYSTEM = {"role": "system", "content": "Be brief."}
HEAD = "<s><|im_start|>system\nBe brief.<|im_end|>\n"


def exchange(number: int, length: int = 10) -> list[dict[str, str]]:
    return [user(f"ask {number}"), assistant("z" * length)]


def said(number: int, length: int = 10) -> str:
    return f"<|im_start|>user\nask {number}<|im_end|>\n<|im_start|>assistant\n{'z' * length}<|im_end|>\n"


def split(words: PreTrainedTokenizerBase, *talks: Any, cutoff: int, **more: Any) -> Encoded:
    return Encoder(words, load("chatml"), cutoff=cutoff, beyond_cutoff="split", **more).encode(talks)


def sequences(words: PreTrainedTokenizerBase, found: Encoded) -> list[str]:
    ends = np.cumsum(found.lengths)[:-1]
    return [words.decode(ids.tolist()) for ids in np.split(found.ids, ends)]


@pytest.fixture
def sizes(words: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Tokens of the system message and of one exchange."""
    one, two = (
        len(Encoder(words, load("chatml"), cutoff=4096).encode([[SYSTEM, *exchange(1), *more]]).ids)
        for more in ([], exchange(2))
    )
    return one - (two - one), two - one


def test_each_part_begins_with_the_system_message_and_takes_what_fits(
    words: PreTrainedTokenizerBase, sizes: tuple[int, int]
) -> None:
    head, one = sizes
    talk = [SYSTEM, *(message for number in range(1, 6) for message in exchange(number))]
    found = split(words, [*exchange(7)], talk, [*exchange(8)], cutoff=head + 2 * one + FEW)
    assert found.rows.tolist() == [0, 1, 1, 1, 2]
    assert sequences(words, found)[1:4] == [
        HEAD + said(1) + said(2),
        HEAD + said(3) + said(4),
        HEAD + said(5),
    ]
    assert (found.kept, found.dropped, found.noted, found.dropped_turns) == (3, {}, {SPLIT: 1}, {})


def test_an_exchange_too_long_by_itself_is_left_out_and_parts_what_is_around_it(
    words: PreTrainedTokenizerBase, sizes: tuple[int, int]
) -> None:
    head, one = sizes
    talk = [SYSTEM, *exchange(1), *exchange(2, 900), *exchange(3), *exchange(4)]
    found = split(words, talk, cutoff=head + 3 * one + FEW)
    assert sequences(words, found) == [HEAD + said(1), HEAD + said(3) + said(4)]
    assert (found.dropped, found.noted, found.dropped_turns) == ({}, {SPLIT: 1}, {TOO_LONG: 1})


def test_a_request_at_the_end_without_answer_is_left_out(
    words: PreTrainedTokenizerBase, sizes: tuple[int, int]
) -> None:
    head, one = sizes
    talk = [SYSTEM, *exchange(1), *exchange(2), user("ask 3")]
    found = split(words, talk, cutoff=head + one + FEW)
    assert sequences(words, found) == [HEAD + said(1), HEAD + said(2)]
    assert found.dropped_turns == {UNTRAINED: 1}


def test_where_the_last_answer_is_trained_the_last_exchanges_that_fit_are_kept(
    words: PreTrainedTokenizerBase, sizes: tuple[int, int]
) -> None:
    head, one = sizes
    talk = [SYSTEM, *(message for number in range(1, 6) for message in exchange(number))]
    found = split(words, talk, cutoff=head + 2 * one + FEW, loss_on="last")
    assert sequences(words, found) == [HEAD + said(4) + said(5)]
    assert words.decode([label for label in found.labels.tolist() if label != IGNORED]) == "z" * 10 + "<|im_end|>"
    assert (found.noted, found.dropped_turns) == ({SPLIT: 1}, {BEFORE: 3})


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_a_row_of_which_nothing_fits_is_dropped(words: PreTrainedTokenizerBase, loss_on: str) -> None:
    found = split(words, exchange(1, 900), [*exchange(1, 900), *exchange(2, 900)], cutoff=64, loss_on=loss_on)
    assert (found.rows.tolist(), found.dropped, found.noted) == ([], {TOO_LONG: 2}, {})


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    talks=st.lists(st.tuples(st.booleans(), LENGTHS), max_size=4),
    cutoff=st.integers(20, 120),
    name=st.sampled_from(["chatml", "alpaca", "vicuna"]),
)
def test_every_answer_is_trained_once_or_counted(
    words: PreTrainedTokenizerBase, talks: list[tuple[bool, list[int]]], cutoff: int, name: str
) -> None:
    conversations = [
        [
            *([SYSTEM] if system else []),
            *(message for number, one in enumerate(lengths) for message in exchange(number, one)),
        ]
        for system, lengths in talks
    ]
    found = Encoder(words, load(name), cutoff=cutoff, beyond_cutoff="split").encode(conversations)
    assert (found.lengths <= cutoff).all()
    assert found.kept + found.dropped.total() == len(talks)
    mask = np.concatenate([[False], found.labels != IGNORED])
    answers = int((mask[1:] & ~mask[:-1]).sum())
    kept = set(found.rows.tolist())
    assert answers + found.dropped_turns.total() == sum(
        len(lengths) for row, (_, lengths) in enumerate(talks) if row in kept
    )
    assert found.rows.tolist() == sorted(found.rows.tolist())
