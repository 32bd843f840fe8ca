"""Filling in a format's skeleton is rendering it, and formats that look into texts are never filled in."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import assistant, user
from transformers.utils.chat_template_utils import render_jinja_template

from collectors.errors import TemplateError
from templates.prompt import Prompt, load, names
from train.encoding.render import Renderer
from train.encoding.transparent import Opacity, opacity

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
TEXTS = st.text(st.sampled_from("a b.\n你，🦊<|>#:{}%\ue000\ue0011"), max_size=8)
REQUESTS = st.builds(
    lambda text, more: user(text, **({} if more is None else {"input": more})), TEXTS, TEXTS | st.none()
)
TURNS = st.lists(st.tuples(REQUESTS, TEXTS.map(assistant)), min_size=1, max_size=3)
SYSTEM = st.lists(TEXTS.map(lambda text: {"role": "system", "content": text}), max_size=1)


def rendered(prompt: Prompt, messages: list[dict[str, str]], loss_on: str) -> list[str]:
    """The pieces of a conversation as transformers renders and marks it."""
    (text,), (spans,) = render_jinja_template(
        [messages], chat_template=prompt.text, return_assistant_tokens_mask=True, **SPECIAL
    )
    cuts = [0, *(place for span in (spans[-1:] if loss_on == "last" else spans) for place in span), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


@pytest.mark.parametrize("name", names())
@settings(max_examples=20, deadline=None)
@given(system=SYSTEM, turns=TURNS, loss_on=st.sampled_from(["all", "last"]))
def test_a_skeleton_filled_in_is_the_rendering(name: str, system: Any, turns: Any, loss_on: Any) -> None:
    messages = [*system, *(message for turn in turns for message in turn)]
    prompt = load(name)
    assert Renderer(prompt, SPECIAL, loss_on).cut([messages]) == [rendered(prompt, messages, loss_on)]


@pytest.mark.parametrize("name", names())
def test_our_formats_are_all_filled_in(name: str) -> None:
    assert opacity(load(name)) is not Opacity.OPAQUE


SEEN = "{% generation %}{{ message['content'] }}{% endgeneration %}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ message['content'] | upper }}",
        "{{ message['content'][0] }}",
        "{{ message['content'].split('x') | last }}",
        "{{ message['content'] | length }}",
        "{{ message['content'] | tojson }}",
        "{{ message | tojson }}",
        "{{ message }}",
        "{{ messages }}",
        "{{ message.values() | join }}",
        "{{ message['items']() | list }}",
        "{{ message[key] }}",
        "{{ '%s' % message['content'] }}",
        "{{ [message['content']] }}",
        "{{ message['content'] * 2 }}",
        "{{ message['content'] | trim('x') }}",
        "{% if 'x' in message['content'] %}y{% endif %}",
        "{% if message['content'] == 'x' %}y{% endif %}",
        "{% if 'x' in ('a' ~ message['content']) %}y{% endif %}",
        "{% set held = 'a' ~ message['content'] %}{% if 'x' in held %}y{% endif %}",
        "{% set box = namespace(text=message['content']) %}{{ box.text | upper }}",
        "{% set box = namespace(text='') %}{% set box.text = message['content'] %}{{ box.text | upper }}",
        "{% set box = namespace(text=message['content']) %}{% set other = box %}{{ other.text | upper }}",
        "{% set held %}{{ message['content'] }}{% endset %}{{ held | upper }}",
        "{% macro said() %}{{ messages[0].content }}{% endmacro %}{{ said() | upper }}",
        "{% filter upper %}{{ message['content'] }}{% endfilter %}",
        "{% for letter in message['content'] %}{{ letter }}.{% endfor %}",
        "{% if loop.previtem %}{{ loop.previtem.content | upper }}{% endif %}",
        "{% set held = loop %}{{ held.nextitem.content | upper if held.nextitem else '' }}",
        "{% if loop.changed(message['content']) %}y{% endif %}",
        "{{ messages | map(attribute='content') | join }}",
        "{{ (messages | first)['content'] | upper }}",
        "{{ (message if loop.first else messages)['content'] }}",
        "{% for a, b in message.items() %}{{ b }}{% endfor %}",
        "{{ dict(message)['content'] }}",
    ],
)
def test_a_format_that_looks_into_texts_is_rendered_for_each(text: str) -> None:
    looks = Prompt("looks", f"{{% for message in messages %}}{text}{SEEN}{{% endfor %}}")
    assert opacity(looks) is Opacity.OPAQUE


def test_what_is_set_below_its_use_counts() -> None:
    text = "{% for message in messages %}{{ held | upper }}{% set held = message['content'] %}{% endfor %}"
    assert opacity(Prompt("late", text)) is Opacity.OPAQUE


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("{{ message.content }}{{ '!' if message.input else '?' }}", Opacity.CLEAR),
        ("{% if message.content is not string or message.content is none %}x{% endif %}", Opacity.CLEAR),
        (
            "{% if 'input' in message and messages[0]['role'] == 'user' %}{{ message['input'] }}{% endif %}",
            Opacity.CLEAR,
        ),
        (
            "{{ loop.index ~ message['content'] + '\n' }}{% if messages[loop.index0 - 1].content %}x{% endif %}",
            Opacity.CLEAR,
        ),
        ("{{ ('a' ~ message['content'] ~ 'b') | trim }}", Opacity.TRIMMED),
        ("{% set box = namespace(rest=messages[1:]) %}{{ box.rest | length }}", Opacity.CLEAR),
    ],
)
def test_a_format_that_passes_texts_on_is_filled_in(text: str, given: Opacity) -> None:
    passes = Prompt("passes", f"{{% for message in messages %}}{text}{SEEN}{{% endfor %}}")
    assert opacity(passes) is given


def test_a_conversation_that_a_format_refuses_is_told_with_its_own_words() -> None:
    no_text: Any = {"role": "assistant", "content": 1}
    with pytest.raises(TemplateError, match=r"prompt format chatml: .*must be text"):
        Renderer(load("chatml"), SPECIAL).cut([[user("a"), no_text]])
    with pytest.raises(TemplateError, match=r"prompt format vicuna: .*got tool"):
        Renderer(load("vicuna"), SPECIAL).cut([[user("a"), {"role": "tool", "content": "b"}]])
