"""Rows that spell a special token: the text stays text, and the format's own tokens stay tokens."""

import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import assistant, user
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from templates.prompt import load
from train.encoding.encode import IGNORED, SPELT, UNWRITABLE, Encoded, Encoder

SPELLINGS = ["</s>", "<s>", "<|im_end|>", "<|im_start|>", "<pad>"]


def encoded(words: PreTrainedTokenizerBase, *talks: list[dict[str, str]], name: str = "chatml", **more: Any) -> Encoded:
    return Encoder(words, load(name), **({"cutoff": 4096} | more)).encode(talks)


def one(words: PreTrainedTokenizerBase, asked: str, said: str, name: str = "chatml") -> Encoded:
    return encoded(words, [user(asked), assistant(said)], name=name)


@pytest.mark.parametrize("name", ["alpaca", "chatml"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_is_written_as_text_and_counted(words: PreTrainedTokenizerBase, name: str, spelling: str) -> None:
    plain = one(words, "Strike it out.", "It is gone.", name)
    found = one(words, f"Strike {spelling}it out.", f"It{spelling} is gone.", name)
    assert (found.rows.tolist(), found.dropped, found.noted) == ([0], {}, {SPELT: 1})
    special = set(words.all_special_ids)
    assert [id for id in found.ids.tolist() if id in special] == [id for id in plain.ids.tolist() if id in special]
    text = words.decode(found.ids.tolist())
    assert f"Strike {spelling}it out." in text
    trained = words.decode([label for label in found.labels.tolist() if label != IGNORED])
    assert trained == f"It{spelling} is gone.{'</s>' if name == 'alpaca' else '<|im_end|>'}"


def test_other_rows_of_the_batch_are_what_they_are_without_it(words: PreTrainedTokenizerBase) -> None:
    talks = [[user(f"Say {number}."), assistant(f"Number {number}.")] for number in range(4)]
    spelt = [[user("Say </s>."), assistant("</s>")], *talks[:2], [user("<s>"), assistant("a")], *talks[2:]]
    both, without = encoded(words, *spelt), encoded(words, *talks)
    assert both.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert both.noted == {SPELT: 2}
    ends = both.lengths.cumsum()
    middle = [both.ids[ends[row - 1] : ends[row]].tolist() for row in (1, 2, 4, 5)]
    assert [id for ids in middle for id in ids] == without.ids.tolist()


TEXTS = st.lists(st.sampled_from([*SPELLINGS, "<", "|", "im_end", "/s>", "a", " ", "\n", "你", "🦊"]), max_size=6).map(
    "".join
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(turns=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_only_the_format_writes_special_tokens(words: PreTrainedTokenizerBase, turns: list[tuple[str, str]]) -> None:
    talk = [message for asked, said in turns for message in (user(asked), assistant(said))]
    found = encoded(words, talk)
    assert found.dropped == {}
    special = set(words.all_special_ids)
    start, begin, end = (words.convert_tokens_to_ids(token) for token in ("<s>", "<|im_start|>", "<|im_end|>"))
    assert [id for id in found.ids.tolist() if id in special] == [start, *([begin, end] * len(talk))]
    assert words.decode(found.ids.tolist()) == "<s>" + "".join(
        f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in talk
    )


def blank_first(scheme: str) -> PreTrainedTokenizerBase:
    """A tokenizer of letters that puts a blank before a text, or behind every special token as well."""
    letters = ["<unk>", "<s>", "</s>", "▁", *"abcdefghijklmnopqrstuvwxyz</>:#IRn\n.,BWA"]
    backend = Tokenizer(
        models.BPE(vocab={one: place for place, one in enumerate(letters)}, merges=[], unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_no_blank_is_put_where_none_is_written(scheme: str) -> None:
    words = blank_first(scheme)
    found = one(words, "a", "b</s>c", "alpaca")
    assert found.noted == {SPELT: 1}
    answer = [label for label in found.labels.tolist() if label != IGNORED]
    assert words.convert_ids_to_tokens(answer) == ["b", "<", "/", "s", ">", "c", "</s>"]


def test_a_spelling_that_can_only_be_the_token_drops_the_row() -> None:
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(["<s>", "</s>"])
    words = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    found = encoded(words, [user("a"), assistant("a </s> a")], [user("a"), assistant("a")], name="alpaca")
    assert (found.rows.tolist(), found.dropped, found.noted) == ([1], {UNWRITABLE: 1}, {})


def test_a_row_that_holds_the_characters_that_stand_for_spellings_is_dropped(words: PreTrainedTokenizerBase) -> None:
    found = encoded(words, [user("</s>"), assistant("\U000f0000")], [user("a"), assistant("\U000f0000")])
    assert (found.rows.tolist(), found.dropped) == ([1], {UNWRITABLE: 1})


class Slow:
    """A tokenizer without a backend, as those written in Python are."""

    backend_tokenizer = None

    def __init__(self, words: PreTrainedTokenizerBase) -> None:
        self.words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self.words, name)

    def __call__(self, texts: Any, **more: Any) -> Any:
        return self.words(texts, **more)


def test_a_tokenizer_without_backend_encodes_the_same_and_drops_spellings(words: PreTrainedTokenizerBase) -> None:
    slow: Any = Slow(words)
    talks = [
        [user("a"), assistant("b"), user("c"), assistant("\nd"), user("e"), assistant("f")],
        [user("</s>"), assistant("b")],
    ]
    found, fast = encoded(slow, *talks), encoded(words, talks[0])
    assert (found.rows.tolist(), found.dropped) == ([0], {UNWRITABLE: 1})
    assert found.ids.tolist() == fast.ids.tolist()


def test_an_encoder_goes_to_another_process_and_writes_the_same(words: PreTrainedTokenizerBase) -> None:
    encoder = Encoder(words, load("chatml"), cutoff=4096)
    talk = [user("a</s>"), assistant("b")]
    before = encoder.encode([talk])
    assert encoder.prompt.tree  # as others leave a format that they have compiled
    again = pickle.loads(pickle.dumps(encoder)).encode([talk])
    assert before.ids.tolist() == again.ids.tolist()
    assert again.noted == {SPELT: 1}
