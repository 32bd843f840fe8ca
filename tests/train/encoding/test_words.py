"""A text parted at its blanks has the ids that it has whole, for the tokenizers of which that is said."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from train.encoding import words
from train.encoding.words import PATTERNS, Words, encoded, parted, parts_at_blanks

CORPUS: Final = [
    "It's a fox: the red one, isn't it? We'd seen 12 or 345 of them (at least).",
    "def add(a, b):\n    return a + b  # = 12\n\n\tprint('x')",
    "你好，今天 天气怎么样？明天下雨。 é 🦊 ☀️",
]
SPECIAL: Final = ["<s>", "</s>", "<|im_end|>"]


def byte_level(pattern: str | None = None, **more: bool) -> Tokenizer:
    """A BPE of bytes, with the words of GPT-2 or those of a pattern."""
    backend = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(**({"add_prefix_space": False, "use_regex": pattern is None} | more))
    split = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*split, whole])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(CORPUS * 4, trainer)
    return backend


KNOWN: Final = {"GPT-2": byte_level(), **{name: byte_level(pattern) for name, pattern in PATTERNS.items()}}

PIECES: Final = [
    *" \n\t\r\u00a0\u3000\u2028\x1c",
    *"aÉx'.,:(_0९你，。é🦊\u0301\u200b",
    "  ",
    " \n",
    "'s",
    "12",
    "<s>",
    *SPECIAL,
]
TEXTS: Final = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def found(backend: Tokenizer, text: str) -> list[str]:
    """The words in which a tokenizer looks for tokens."""
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def test_a_text_is_parted_before_the_first_blank_behind_anything_else() -> None:
    assert parted(" one  two\n three 四 ") == [" one", "  two\n three", " 四", " "]
    assert parted("") == [""]


@pytest.mark.parametrize("name", KNOWN)
@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS | st.text(max_size=12), min_size=1, max_size=4))
def test_the_words_and_ids_of_a_text_are_those_of_its_parts(name: str, texts: list[str]) -> None:
    backend = KNOWN[name]
    assert parts_at_blanks(backend)
    for text in texts:
        assert [word for part in parted(text) for word in found(backend, part)] == found(backend, text)
    known = Words(backend)
    for _ in range(2):  # learnt, and then looked up
        assert known.ids(texts) == encoded(backend, texts)


@pytest.mark.parametrize("name", KNOWN)
def test_whatever_stands_before_a_blank_does_not_reach_across(name: str) -> None:
    backend = KNOWN[name]
    characters = [chr(code) for code in range(0x3100)]
    text = "\n".join(f"{one} b{one} 1 {one}. {one}" for one in characters)
    assert [word for part in parted(text) for word in found(backend, part)] == found(backend, text)


def test_what_is_composed_stands_on_one_side_of_a_blank() -> None:
    backend = byte_level(PATTERNS["Qwen 2 and 3"])
    backend.normalizer = normalizers.NFC()
    assert parts_at_blanks(backend)
    texts = ["e\u0301 \u0301e\u0301 a", "a \u0301", "\u2000 \u0301 b"]
    assert Words(backend).ids(texts) == encoded(backend, texts)


def test_no_more_words_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "WORDS", 2)
    backend = KNOWN["GPT-2"]
    few = Words(backend)
    for texts in (["the fox"], ["a b c d", "the fox"], ["d c", "0" * 100]):
        assert few.ids(texts) == encoded(backend, texts)


BLOOM: Final = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def changed(change: Callable[[Tokenizer], object]) -> Tokenizer:
    backend = byte_level()
    change(backend)
    return backend


@pytest.mark.parametrize(
    "other",
    [
        byte_level(BLOOM),
        byte_level(PATTERNS["Mistral"], use_regex=True),
        byte_level(add_prefix_space=True),
        byte_level(use_regex=False),
        changed(lambda one: setattr(one, "pre_tokenizer", None)),
        changed(lambda one: setattr(one, "pre_tokenizer", pre_tokenizers.Metaspace())),
        changed(lambda one: setattr(one, "normalizer", normalizers.Prepend("▁"))),
        changed(lambda one: setattr(one.model, "dropout", 0.1)),
        changed(lambda one: one.add_tokens(["a fox"])),
        changed(lambda one: one.add_tokens([AddedToken("<mask>", lstrip=True)])),
        changed(lambda one: one.add_tokens([AddedToken("fox", single_word=True)])),
    ],
    ids=[
        *("bloom", "two patterns", "blank first", "no words", "nothing", "metaspace", "prepended", "at random"),
        *("token with a blank", "token that takes blanks", "token that looks around"),
    ],
)
def test_of_others_it_is_not_said(other: Tokenizer) -> None:
    assert not parts_at_blanks(other)
