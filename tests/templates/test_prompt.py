"""Prompts: the published formats byte for byte, here and in transformers."""

from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.errors import TemplateError
from templates.prompt import Message, Prompt, load, names
from templates.sandbox import SANDBOX

BARE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
PAIRED = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def user(content: str, given: str | None = None) -> Message:
    return {"role": "user", "content": content, "input": given}


def assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["{{ 7*7 }}", "### Response:", "<|im_end|>\n", " leading", "trailing\n\n", "<b>&amp;", "先思考 🦙", ""]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A system message or none, then exchanges; every conversation ends with an answer."""
    turns = cycle([lambda: user(draw(TEXT), draw(TEXT | st.none())), lambda: assistant(draw(TEXT))])
    messages = [next(turns)() for _ in range(2 * draw(st.integers(1, 3)))]
    return [*([system(draw(TEXT))] if draw(st.booleans()) else []), *messages]


ALPACA = [
    (
        "without input",
        [user("Name a colour.")],
        f"{BARE}\n\n### Instruction:\nName a colour.\n\n### Response:",
    ),
    (
        "with input",
        [user("Translate.", "猫")],
        f"{PAIRED}\n\n### Instruction:\nTranslate.\n\n### Input:\n猫\n\n### Response:",
    ),
    (
        "an empty input is none",
        [user("Name a colour.", "")],
        f"{BARE}\n\n### Instruction:\nName a colour.\n\n### Response:",
    ),
    (
        "earlier exchanges are further blocks",
        [user("Translate.", "猫"), assistant("cat"), user("And back?")],
        f"{PAIRED}\n\n### Instruction:\nTranslate.\n\n### Input:\n猫\n\n### Response:cat</s>"
        "\n\n### Instruction:\nAnd back?\n\n### Response:",
    ),
    (
        "a system message replaces the head",
        [system("You speak in rhymes."), user("Hello.")],
        "You speak in rhymes.\n\n### Instruction:\nHello.\n\n### Response:",
    ),
    (
        "an empty system message does not",
        [system(""), user("Hello.")],
        f"{BARE}\n\n### Instruction:\nHello.\n\n### Response:",
    ),
]


@pytest.mark.parametrize(("messages", "expected"), [row[1:] for row in ALPACA], ids=[row[0] for row in ALPACA])
def test_alpaca(messages: list[Message], expected: str) -> None:
    asked = load("alpaca").render(messages, add_generation_prompt=True, eos_token="</s>")
    assert asked == expected
    answered = load("alpaca").render([*messages, assistant("Yes.")], **TOKENS)
    assert answered == f"<s>{expected}Yes.</s>"


def test_chatml() -> None:
    messages = [system("Be brief."), user("Translate.", "猫"), assistant("cat"), user("Thanks {{ 7*7 }}")]
    assert load("chatml").render(messages, add_generation_prompt=True, eos_token="<|im_end|>") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nTranslate.\n猫<|im_end|>\n"
        "<|im_start|>assistant\ncat<|im_end|>\n"
        "<|im_start|>user\nThanks {{ 7*7 }}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert load("chatml").render([user("Hi")]) == "<|im_start|>user\nHi<|im_end|>\n"
    assert load("chatml").render([user("Hi")], **TOKENS) == "<s><|im_start|>user\nHi<|im_end|>\n"


END = {
    **dict.fromkeys(["chatml", "qwen"], "<|im_end|>"),
    "alpaca-cot": " </s>",
    "chatglm": "<eop>",
    "gemma3": "<end_of_turn>",
    "glm4": "<|user|>",
    "internlm": "<eoa>",
    "llama2-chat": " </s>",
    "llama3": "<|eot_id|>",
    "moss": "<eom>",
}
"""What stands behind an answer, where it is not the end token alone."""
BEGIN = {**dict.fromkeys(["alpaca-cot", "llama2-chat", "mistral-instruct", "moss", "vicuna"], " "), "glm4": "\n"}
"""What the assistant writes before the answer itself."""
TRIMMED = {"gemma3", "llama2-chat", "llama3", "mistral-instruct"}
LAST = {"alpaca-cot", "baichuan", "baichuan2", "chatglm", "chatglm2"}
"""Formats whose earlier answers are part of the prompt."""


def written(name: str, content: str | None, *, alone: bool) -> str:
    """What the assistant writes of an answer of that content."""
    said = str(content).strip() if name in TRIMMED else str(content)
    end = "</s>" if name == "alpaca-cot" and not alone else END.get(name, "</s>")
    return f"{BEGIN.get(name, '')}{said}{end}"


def exchanges(messages: list[Message]) -> int:
    return sum(message["role"] == "user" for message in messages)


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=40)
@given(messages=conversations())
def test_what_is_answered_begins_with_what_was_asked(name: str, messages: list[Message]) -> None:
    whole = load(name).render(messages, **TOKENS)
    asked = load(name).render(messages[:-1], add_generation_prompt=True, **TOKENS)
    assert whole.removesuffix("\n") == asked + written(name, messages[-1]["content"], alone=exchanges(messages) == 1)


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=40)
@given(messages=conversations(), tokens=st.sampled_from([{}, TOKENS, {"eos_token": "</s>"}]), ask=st.booleans())
def test_transformers_renders_the_same_bytes(
    name: str, messages: list[Message], tokens: dict[str, str], ask: bool
) -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    prompt = load(name)
    (theirs,), _ = chat_templates.render_jinja_template(
        [messages], chat_template=prompt.text, add_generation_prompt=ask, **tokens
    )
    assert prompt.render(messages, add_generation_prompt=ask, **tokens) == theirs


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=40)
@given(messages=conversations())
def test_the_marked_spans_are_the_answers_and_their_end(name: str, messages: list[Message]) -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    (text,), (spans,) = chat_templates.render_jinja_template(
        [messages], chat_template=load(name).text, return_assistant_tokens_mask=True, **TOKENS
    )
    said = [message["content"] for message in messages if message["role"] == "assistant"]
    answers = [written(name, content, alone=len(said) == 1) for content in said]
    assert [text[begin:stop] for begin, stop in spans] == (answers[-1:] if name in LAST else answers)


SETTINGS = [
    "  {% if true %}\n  x\n  {% endif %}\ny\n",
    "{{ missing }}{{ missing is defined }}{{ messages[0].nothing }}",
    "{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
    "{{ messages | tojson }}{{ {'b': '<é>', 'a': 1} | tojson(indent=2, sort_keys=true) }}",
    "{% set n = namespace(a=1) %}{% for m in messages %}{% set n.a = n.a + 1 %}{% endfor %}{{ n.a }}",
    "{{ dict(a=1) }}{{ dict.fromkeys('ab', 2) }}",
    "{{ strftime_now('%Y') }}",
    "a\n  {%- generation -%}  \n{{ 'b' }}\n  {% endgeneration %}\nc",
    "{% for m in messages %}{% generation %}{{ loop.index }}{% set x = 1 %}{% endgeneration %}{{ x }}{% endfor %}",
    "{{ '<&>' }}{{ messages[0].content | upper }}\n\n",
]
REFUSED = [
    "{{ raise_exception('no') }}",
    "{{ messages.append(1) }}",
    "{{ messages.__class__.__mro__ }}",
    "{% set n = namespace(_a=1) %}",
    "{% set n = namespace() %}{% set n._a = 1 %}",
    "{{ dict.__init__ }}{{ dict.__init__.__globals__ }}",
    "{{ missing.field }}",
    "{{ range(10**9) }}",
]
TALK = [user("<Hi> 猫"), assistant("Yo"), user("Bye")]


@pytest.mark.parametrize("text", SETTINGS)
def test_the_environment_has_the_settings_of_transformers(text: str) -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    (theirs,), _ = chat_templates.render_jinja_template([TALK], chat_template=text)
    assert Prompt("trial", text).render(TALK) == theirs


@pytest.mark.parametrize("text", REFUSED)
def test_both_refuse_the_same(text: str) -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    with pytest.raises(TemplateError, match="prompt 'trial': "):
        Prompt("trial", text).render(TALK)
    with pytest.raises(Exception):  # noqa: B017, PT011  (whatever transformers raises)
        chat_templates.render_jinja_template([TALK], chat_template=text)


def test_filters_globals_and_extensions_are_those_of_transformers() -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    theirs = chat_templates._compile_jinja_template("x").environment
    settings = ("trim_blocks", "lstrip_blocks", "keep_trailing_newline", "undefined", "autoescape", "newline_sequence")
    assert {name: getattr(SANDBOX, name) for name in settings} == {name: getattr(theirs, name) for name in settings}
    assert set(SANDBOX.globals) == set(theirs.globals)
    assert set(SANDBOX.filters) == set(theirs.filters)
    assert set(SANDBOX.tests) == set(theirs.tests)
    assert len(SANDBOX.extensions) == len(theirs.extensions)


@pytest.mark.parametrize(
    ("name", "messages", "said"),
    [
        ("alpaca", [{"role": "tool", "content": "x"}], "got tool"),
        ("alpaca", [user("x"), system("y")], "system in first place"),
        ("alpaca", [{"role": "user", "content": None}], "the content of a message must be text"),
        ("chatml", [{"role": "user"}], "the content of a message must be text"),
        *((name, [user("x"), {"role": "tool", "content": "y"}], "got tool") for name in names()),
    ],
)
def test_what_a_prompt_refuses(name: str, messages: list[Any], said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        load(name).render(messages)


@pytest.mark.parametrize(
    "text", ["{% if %}", "{{ x", "{% for i in range(90000) %}{{ messages | string * 99 }}{% endfor %}"]
)
def test_a_wrong_or_endless_prompt_is_one_line(text: str) -> None:
    with pytest.raises(TemplateError, match=r"^prompt 'trial': [^\n]*$"):
        Prompt("trial", text).render(TALK)


def test_an_unknown_prompt_has_near_misses() -> None:
    with pytest.raises(TemplateError, match=r"prompt 'alpacca': .* did you mean alpaca or "):
        load("alpacca")
