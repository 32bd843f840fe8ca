"""Ids and masks: what is trained, and that it stands where the model will stand when it is served."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import CHAT, EMOJI, PLAIN, WORDED, ZH, assistant, row, user
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from collectors.errors import TemplateError, TrainingError
from templates.prompt import Prompt, load
from train.encoding.encode import CUT_SHORT, IGNORED, MENDED, TOO_LONG, UNTRAINED, Encoder, conversation

FORMATS = ["alpaca", "chatml"]
END = {"alpaca": "</s>", "chatml": "<|im_end|>"}


def encoder(words: PreTrainedTokenizerBase, name: str = "alpaca", **more: Any) -> Encoder:
    return Encoder(words, load(name), **({"cutoff": 4096} | more))


def one(
    words: PreTrainedTokenizerBase, messages: Any, name: str = "alpaca", **more: Any
) -> tuple[list[int], list[int]]:
    """Ids and labels of one conversation that is kept."""
    encoded = encoder(words, name, **more).encode([messages])
    assert list(encoded.rows) == [0]
    return [encoded.ids.tolist(), encoded.labels.tolist()]


def trained(words: PreTrainedTokenizerBase, labels: list[int]) -> list[str]:
    """The texts of the trained spans."""
    spans: list[list[int]] = [[]]
    for label in labels:
        if label == IGNORED:
            spans.append([])
        else:
            spans[-1].append(label)
    return [words.decode(span) for span in spans if span]


def served(words: PreTrainedTokenizerBase, name: str, messages: Any) -> list[int]:
    """The ids a model sees when it is to answer."""
    ids = words.apply_chat_template(
        messages, chat_template=load(name).text, add_generation_prompt=True, return_dict=False
    )
    return list(ids)


def whole(words: PreTrainedTokenizerBase, name: str, messages: Any) -> list[int]:
    return list(words.apply_chat_template(messages, chat_template=load(name).text, return_dict=False))


@pytest.mark.parametrize(
    ("given", "spans"),
    [
        (PLAIN, ["Bonjour.</s>"]),
        (ZH, ["Good morning, teacher.</s>"]),
        (EMOJI, ["A fox 🦊, I think.</s>"]),
        (CHAT, ["Sunny ☀️.</s>", "晴天。</s>", "明天下雨。</s>"]),
    ],
)
def test_answers_and_their_end_token_are_trained(
    words: PreTrainedTokenizerBase, given: dict[str, Any], spans: list[str]
) -> None:
    ids, labels = one(words, given["messages"])
    assert trained(words, labels) == spans
    assert ids[0] == words.bos_token_id
    assert ids.count(words.bos_token_id) == 1
    assert all(label in (IGNORED, id) for id, label in zip(ids, labels, strict=True))


def test_only_the_last_answer_is_trained_where_asked(words: PreTrainedTokenizerBase) -> None:
    _, labels = one(words, CHAT["messages"], loss_on="last")
    assert trained(words, labels) == ["明天下雨。</s>"]


def test_chatml_ends_an_answer_with_its_own_token(words: PreTrainedTokenizerBase) -> None:
    ids, labels = one(words, CHAT["messages"], "chatml")
    assert trained(words, labels) == ["Sunny ☀️.<|im_end|>", "晴天。<|im_end|>", "明天下雨。<|im_end|>"]
    assert words.decode(ids[-1:]) == "\n"


TEXTS = st.text(st.sampled_from("a b.\n你好，🦊é<|>#:\t"), min_size=1, max_size=12)
RUNS = st.tuples(TEXTS, st.sampled_from("\n #=a你"), st.integers(20, 90), TEXTS)
"""Longer than what is looked at on either side of a cut, and all of one character there."""
SAID = TEXTS | RUNS.map(lambda parts: parts[0][:1] + parts[1] * parts[2] + parts[3])
TURNS = st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(turns=TURNS)
def test_before_every_trained_span_stands_what_is_served(
    words: PreTrainedTokenizerBase, name: str, turns: list[tuple[str, str]]
) -> None:
    messages = [message for asked, said in turns for message in (user(asked), assistant(said))]
    ids, labels = one(words, messages, name)
    end = words.convert_tokens_to_ids(END[name])
    starts = [
        place for place, label in enumerate(labels) if label != IGNORED and (place == 0 or labels[place - 1] == IGNORED)
    ]
    asked = {
        len(before): turn for turn in range(len(turns)) for before in [served(words, name, messages[: 2 * turn + 1])]
    }
    assert asked[starts[-1]] == len(turns) - 1
    for start in starts:
        turn = asked[start]
        assert ids[:start] == served(words, name, messages[: 2 * turn + 1])
        stop = labels.index(end, start)
        assert words.decode(ids[start : stop + 1]) == turns[turn][1] + END[name]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("given", [PLAIN, ZH, EMOJI, CHAT], ids=["plain", "zh", "emoji", "chat"])
def test_ids_are_those_of_the_whole_conversation(
    words: PreTrainedTokenizerBase, name: str, given: dict[str, Any]
) -> None:
    messages = conversation(given, load(name))
    assert one(words, messages, name)[0] == whole(words, name, messages)


def test_an_answer_that_would_change_the_ids_before_it_is_not_trained_and_all_others_are() -> None:
    joined = merging(["<s>", "</s>", "<|im_start|>", "<|im_end|>"], [("Ċ", "Ċ")])
    messages = [user("a"), assistant("b"), user("c"), assistant("\nd"), user("e"), assistant("f")]
    encoded = Encoder(joined, load("chatml"), cutoff=4096).encode([messages])
    assert encoded.noted == {MENDED: 1}
    assert trained(joined, encoded.labels.tolist()) == ["b<|im_end|>", "f<|im_end|>"]
    assert encoded.ids.tolist() == whole(joined, "chatml", messages)
    start = encoded.labels.tolist().index(joined.convert_tokens_to_ids("f"))
    assert encoded.ids[:start].tolist() == served(joined, "chatml", messages[:5])


def merging(special: list[str], merges: list[tuple[str, str]]) -> PreTrainedTokenizerBase:
    """A byte-level BPE of single bytes and a few merges, which knows no borders between words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet, *map("".join, merges)])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=special[0], eos_token=special[1])


def test_a_tokenizer_that_starts_texts_with_a_blank_does_not_put_one_into_the_answer() -> None:
    vocabulary = {
        token: place for place, token in enumerate(["<unk>", "<s>", "</s>", "▁", *"abcdefghijklmnopqrstuvwxyz"])
    }
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    backend.add_special_tokens(["<s>", "</s>"])
    blank = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    text = "{{ messages[0]['content'] }}{% generation %}{{ messages[1]['content'] + eos_token }}{% endgeneration %}"
    encoded = Encoder(blank, Prompt("bare", text), cutoff=64).encode([[user("ab"), assistant("cd")]])
    assert blank.convert_ids_to_tokens(encoded.ids.tolist()) == ["▁", "a", "b", "c", "d", "</s>"]


def test_what_is_longer_than_the_cutoff_is_left_out_and_counted(words: PreTrainedTokenizerBase) -> None:
    size = len(one(words, PLAIN["messages"])[0])
    long = row("Count.", "one two three " * 60)
    encoded = encoder(words, cutoff=size).encode([long["messages"], PLAIN["messages"]])
    assert encoded.rows.tolist() == [1]
    assert encoded.lengths.tolist() == [size]
    assert encoded.dropped == {TOO_LONG: 1}


def test_cut_short_a_row_gets_no_end_token_it_did_not_have(words: PreTrainedTokenizerBase) -> None:
    prompt = len(served(words, "alpaca", PLAIN["messages"][:1]))
    long = row("Translate to French.", "un deux trois " * 60, input="Good morning.")
    late = row("Count. " * 60, "One.")
    encoded = encoder(words, cutoff=prompt + 8, beyond_cutoff="truncate").encode(
        [long["messages"], late["messages"], PLAIN["messages"][:1]]
    )
    assert encoded.rows.tolist() == [0]
    assert encoded.lengths.tolist() == [prompt + 8]
    assert words.eos_token_id not in encoded.labels.tolist()
    assert encoded.dropped == {UNTRAINED: 2}
    assert encoded.noted == {CUT_SHORT: 1}


def test_a_plain_row_is_given_its_input_apart() -> None:
    alpaca = load("alpaca")
    assert conversation(PLAIN, alpaca)[0] == user("Translate to French.", input="Good morning.")
    assert conversation(WORDED, alpaca) == WORDED["messages"]
    assert conversation(PLAIN, Prompt("other", "{{ messages }}")) == PLAIN["messages"]
    suffixed = PLAIN | {
        "messages": [user("Translate to French.\nGood morning.\n先思考，再决定"), assistant("Bonjour.")]
    }
    assert conversation(suffixed, alpaca) == suffixed["messages"]


def test_the_published_prompt_is_met_byte_for_byte(words: PreTrainedTokenizerBase) -> None:
    ids, _ = one(words, conversation(PLAIN, load("alpaca")))
    assert words.decode(ids) == (
        "<s>Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n### Instruction:\nTranslate to French."
        "\n\n### Input:\nGood morning.\n\n### Response:Bonjour.</s>"
    )


def test_a_batch_may_be_empty(words: PreTrainedTokenizerBase) -> None:
    assert encoder(words).encode([]).rows.tolist() == []


def test_chatml_needs_its_tokens() -> None:
    with pytest.raises(TrainingError, match=r"needs <\|im_end\|> and <\|im_start\|>, which the tokenizer of"):
        encoder(merging(["<s>", "</s>"], []), "chatml")


def test_alpaca_needs_an_end_token(words: PreTrainedTokenizerBase) -> None:
    words.eos_token = None
    with pytest.raises(TrainingError, match="has none; set eos_token"):
        encoder(words)


def test_a_format_that_never_ends_an_answer_is_refused(words: PreTrainedTokenizerBase) -> None:
    endless = Prompt("endless", "{% generation %}{{ messages[1]['content'] }}{% endgeneration %}")
    with pytest.raises(TrainingError, match="would never learn to stop"):
        Encoder(words, endless, cutoff=64)


def test_a_conversation_the_format_refuses_is_told(words: PreTrainedTokenizerBase) -> None:
    with pytest.raises(TemplateError, match=r"prompt format alpaca: .*got tool"):
        encoder(words).encode([[{"role": "tool", "content": "x"}]])
