"""Every prompt format, in tokenizers of four kinds: what is trained stands behind the ids that are served.

The tokenizers are made on the spot: byte-level BPE with the word borders of GPT-2 and with those of Llama 3 (and Qwen),
and two that put a blank before a text, as sentencepiece does: Unigram with a blank at the very start, and BPE with one
behind every special token as well, as the tokenizer.json of Llama 1 and 2 has it.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from rows import assistant, user
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from collectors.errors import TemplateError
from templates.prompt import load, names
from train.encoding.encode import IGNORED, Encoder

NAMED: Final = ["<unk>", "<s>", "</s>"]
LLAMA_3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS: Final = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "Yes, it is a fox 🦊: a red one.\n\n### Response: [No] (at least) 12 or 345.\n - one\n - two\n\n\tthree",
    "A chat between a curious user and an artificial assistant. USER: Hello there! ASSISTANT: Hi, how are you?",
    "你好，今天天气怎么样？明天下雨。\n\n问：什么？\n答：好的。\n### 指令：\n写一首诗。 ☀️ “是”",
]


def wrapped(backend: Tokenizer, special: list[str]) -> PreTrainedTokenizerBase:
    """With special tokens, and a start token before every text as Llama's tokenizer has it."""
    backend.add_special_tokens(special)
    start = ("<s>", backend.token_to_id("<s>"))
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[start])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_level(special: list[str], pattern: str | None = None) -> PreTrainedTokenizerBase:
    backend = Tokenizer(models.BPE())
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*split, whole])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 4, trainer)
    return wrapped(backend, special)


BYTES: Final = [f"<0x{byte:02X}>" for byte in range(256)]


def unigram(special: list[str]) -> PreTrainedTokenizerBase:
    """A blank at the start of a text; what it has no piece for is written in bytes."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(CORPUS * 4, trainer)
    pieces = [tuple(piece) for piece in json.loads(backend.to_str())["model"]["vocab"]]
    backend.model = models.Unigram([*pieces, *((byte, -20.0) for byte in BYTES)], unk_id=0, byte_fallback=True)
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    return wrapped(backend, special)


def llama(special: list[str]) -> PreTrainedTokenizerBase:
    """A blank at the start of a text and behind every special token; pieces may hold any border but a blank."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*special, *BYTES], show_progress=False)
    lines = [line for text in CORPUS for line in text.split("\n")]
    backend.train_from_iterator(lines * 4, trainer)
    bare = json.loads(backend.to_str()) | {"pre_tokenizer": None}
    backend = Tokenizer.from_str(json.dumps(bare))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return wrapped(backend, special)


KINDS: Final[dict[str, Callable[[list[str]], PreTrainedTokenizerBase]]] = {
    "gpt-2": byte_level,
    "llama-3": lambda special: byte_level(special, LLAMA_3),
    "unigram": unigram,
    "llama": llama,
}


@cache
def words(kind: str, name: str) -> PreTrainedTokenizerBase:
    """A tokenizer with the special tokens of that format."""
    return KINDS[kind]([*NAMED, *sorted(load(name).special)])


@cache
def encoder(kind: str, name: str) -> Encoder:
    return Encoder(words(kind, name), load(name), cutoff=100_000)


PIECES = st.sampled_from([*"a: ([“-.，好🦊é\n\t", "Yes", " no", "fox", "12", "明天", "\n\n", "<|"])
TEXT = st.lists(PIECES, max_size=6).map("".join)
WORD = st.sampled_from(["Yes", "a", "12", "好", "明天", "é"])
MARK = st.sampled_from(["🦊", "(", "“", "-", "[", "…"])

CUTS: Final = {
    "special": ["baichuan", "baichuan2", "chatglm", "glm4", "mistral-instruct"],
    "line": ["alpaca-zh", "belle", "chatml", "gemma3", "llama3", "qwen"],
    "blank": ["llama2-chat", "moss", "vicuna"],
    "colon": ["alpaca", "chatglm2", "internlm"],
}
"""The formats with safe cuts, by what stands at the cut: a special token, a line break, a blank that goes to the first
word of the answer, a colon."""
SAFE: Final[dict[str, st.SearchStrategy[str]]] = {
    "special": TEXT,
    "line": st.tuples(WORD | MARK, TEXT).map("".join),
    "blank": st.tuples(WORD | MARK, TEXT).map("".join),
    "colon": st.tuples(WORD, TEXT).map("".join),
}
"""The answers behind which a cut of that kind is safe."""
RUNS: Final = {"belle", "llama3"}
"""Formats with two blank characters before an answer: GPT-2's word borders give the last of them to the answer."""


@st.composite
def talks(draw: st.DrawFn, answers: st.SearchStrategy[str] = TEXT, most: int = 3) -> list[dict[str, str]]:
    """Perhaps a system message, then exchanges; requests may carry an `input`."""
    messages: list[dict[str, str]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(TEXT)})
    for _ in range(draw(st.integers(1, most))):
        more = {"input": draw(TEXT)} if draw(st.booleans()) else {}
        messages += [user(draw(TEXT), **more), assistant(draw(answers))]
    return messages


def encoded(kind: str, name: str, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    out = encoder(kind, name).encode([messages])
    assert out.rows.tolist() == [0]
    return out.ids.tolist(), out.labels.tolist()


def rendered_ids(kind: str, name: str, messages: list[dict[str, str]], *, ask: bool) -> list[int]:
    """The ids of a conversation rendered by transformers and encoded in one go."""
    ids = words(kind, name).apply_chat_template(
        messages, chat_template=load(name).text, add_generation_prompt=ask, return_dict=False
    )
    return list(ids)


def borders(labels: list[int]) -> list[tuple[int, int]]:
    """Where trained spans begin and end."""
    trained = [False, *(label != IGNORED for label in labels), False]
    steps = [place for place, (before, now) in enumerate(pairwise(trained)) if before != now]
    return list(zip(steps[::2], steps[1::2], strict=True))


# No shrinking: texts are short as they are, and a law that fails would take a minute to say so.
FEW = settings(max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
MORE = settings(FEW, max_examples=15)
EACH = [pytest.param(kind, name, id=f"{name}-{kind}") for name in names() for kind in KINDS]
CHINESE = [
    {"role": "system", "content": "用中文回答。"},
    user("今天呢？", input="🦊"),
    assistant("晴天。☀️"),
    user("And tomorrow?"),
    assistant("明天下雨 🌧️."),
]
END: Final = {
    **dict.fromkeys(["chatml", "qwen"], "<|im_end|>"),
    "chatglm": "<eop>",
    "gemma3": "<end_of_turn>",
    "glm4": "<|user|>",
    "internlm": "<eoa>",
    "llama3": "<|eot_id|>",
    "moss": "<eom>",
}
"""What ends an answer, where it is not the tokenizer's end token."""
NEVER: Final = {"baichuan", "baichuan2", "chatglm", "chatglm2", "glm4", "moss"}
"""Formats published without a start token; those of the GLMs begin with [gMASK]<sop> or have it before the answer."""
LAST: Final = {"alpaca-cot", "baichuan", "baichuan2", "chatglm", "chatglm2"}
"""Formats whose earlier answers are part of the prompt."""


@pytest.mark.parametrize(("kind", "name"), EACH)
@FEW
@example(messages=CHINESE)
@given(messages=talks())
def test_before_every_trained_span_stands_what_is_served(kind: str, name: str, messages: list[dict[str, str]]) -> None:
    ids, labels = encoded(kind, name, messages)
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    spans = borders(labels)
    # An earlier answer is trained only where that changes none of the ids before it; the last one always is.
    served = {len(ids): ids for ids in (rendered_ids(kind, name, messages[:place], ask=True) for place in answers)}
    assert spans[-1][0] == max(served)
    end = words(kind, name).convert_tokens_to_ids(END.get(name, "</s>"))
    for start, stop in spans:
        assert ids[:start] == served[start]
        assert labels[start:stop] == ids[start:stop]
        assert ids[start:stop].index(end) == stop - start - 1
    starts = [place for place, id in enumerate(ids) if id == words(kind, name).bos_token_id]
    assert len(starts) == (0 if name in NEVER else len(answers) if name == "llama2-chat" else 1)
    assert starts[:1] == ([] if name in NEVER else [0])


def test_every_format_declares_its_cuts() -> None:
    inside = [name for name in names() if load(name).cuts == "inside"]
    assert inside == ["alpaca-cot", "chinese-llama-alpaca"]
    assert sorted([*inside, *(name for kind in CUTS.values() for name in kind)]) == names()


@pytest.mark.parametrize(
    ("kind", "cut", "name"),
    [
        pytest.param(kind, cut, name, id=f"{name}-{kind}")
        for cut, listed in CUTS.items()
        for name in listed
        for kind in KINDS
        if not (kind == "gpt-2" and name in RUNS)
    ],
)
@settings(FEW, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_behind_a_safe_cut_ids_are_those_of_the_whole(kind: str, cut: str, name: str, data: st.DataObject) -> None:
    messages = data.draw(talks(SAFE[cut]))
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    trained = answers[-1:] if name in LAST else answers
    if kind == "unigram":  # splits of equal likelihood, as of three line breaks, go by what stands before them
        assume(not any(re.search(r"(.)\1\1", message["content"], re.DOTALL) for message in messages))
    whole = rendered_ids(kind, name, messages, ask=False)
    if cut == "colon":  # a tokenizer may hold a piece of the colon and a letter, as those of Llama 3's kind do
        prompts = [rendered_ids(kind, name, messages[:answer], ask=True) for answer in trained]
        assume(all(whole[: len(prompt)] == prompt for prompt in prompts))
    ids, labels = encoded(kind, name, messages)
    assert ids == whole
    assert len(borders(labels)) == len(trained)


def begun(kind: str, name: str, text: str) -> list[int]:
    """The ids of a text behind the start token."""
    ids: list[int] = words(kind, name)(f"<s>{text}", add_special_tokens=False)["input_ids"]
    if kind != "unigram":  # which drops the blank before the text where the start token is written, as Llama's now does
        assert ids == words(kind, name)(text)["input_ids"]
    return ids


@pytest.mark.parametrize("kind", KINDS)
@MORE
@given(request=TEXT, given_input=TEXT, output=st.tuples(WORD | MARK, TEXT).map("".join))
def test_alpaca_cot_has_the_ids_of_its_project(kind: str, request: str, given_input: str, output: str) -> None:
    """uniform_finetune.py: all is encoded at once, and the first len(tokens of the prompt) labels are masked."""
    head, block = (
        (", paired with an input that provides further context. ", f"\n\n### Input:\n{given_input}")
        if given_input
        else (". ", "")
    )
    prompt = (
        f"Below is an instruction that describes a task{head}Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{request}{block}\n\n### Response:"
    )
    ids = begun(kind, "alpaca-cot", f"{prompt} {output} </s>")
    masked = len(begun(kind, "alpaca-cot", prompt))
    messages = [user(request, input=given_input), assistant(output)]
    assert encoded(kind, "alpaca-cot", messages) == (ids, [IGNORED] * masked + ids[masked:])


@pytest.mark.parametrize("kind", KINDS)
@MORE
@given(request=TEXT, given_input=TEXT, output=TEXT)
def test_chinese_llama_alpaca_has_the_ids_of_its_project(
    kind: str, request: str, given_input: str, output: str
) -> None:
    """build_dataset.py: source and target are texts of their own, and the target has no start token."""
    instruction = f"{request}\n{given_input}" if given_input else request
    name = "chinese-llama-alpaca"
    source = begun(
        kind,
        name,
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{instruction}\n\n### Response: ",
    )
    target = words(kind, name)(f"{output}</s>", add_special_tokens=False)["input_ids"]
    messages = [user(request, input=given_input), assistant(output)]
    assert encoded(kind, name, messages) == (source + target, [IGNORED] * len(source) + target)


@pytest.mark.parametrize("name", names())
def test_an_unknown_role_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(TemplateError, match=rf"^prompt format {name}: the roles are [^\n]*; got tool$"):
        encoder("gpt-2", name).encode([[user("a"), {"role": "tool", "content": "b"}, assistant("c")]])
