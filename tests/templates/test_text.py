"""One side of a wording: what it may say, and that both ways of rendering it say the same."""

import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.errors import TemplateError
from templates.template import PLAIN, load
from templates.text import LIMIT, VARIABLES, Text

SCHEMA = dict.fromkeys(("id", *VARIABLES), pl.String)
TASKS = ["aqua", "creak", "ecqa", "esnli", "gsm8k", "qasc", "qed", "sensemaking", "strategyqa"]
ROW = {
    "id": "r1",
    "question": "Which?\nOptions:\n- 是\n- no",
    "context": "",
    "rationale": "因为 {{ 7*7 }} <b>&",
    "answer": " No\u3000",
    "options": "- 是\n- no",
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "{{ 7*7 }}",
        "{% for i in x %}",
        "{# a #}",
        "}}",
        "先思考，再决定 🦙",
        "a\r\nb",
        "<&>\"'",
        "ΑΣ",
        "İß",
        "\x1c x \u3000",
        "",
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"question": TEXT, "context": TEXT, "answer": TEXT, "rationale": TEXT | st.none(), "options": TEXT | st.none()}
    ),
    min_size=1,
    max_size=5,
)


def one(source: str, **changes: str | None) -> str:
    """The text of `ROW`, rendered as a column."""
    return Text(source, "here").render(pl.DataFrame([ROW | changes], SCHEMA)).item()


COLUMNAR = [
    ("{{ question }} – {{ answer }}", "Which?\nOptions:\n- 是\n- no –  No\u3000"),
    ("no slot at all\n", "no slot at all\n"),
    ("", ""),
    ("{{ rationale }}", "因为 {{ 7*7 }} <b>&"),
    ("{{ answer | trim | upper }}/{{ answer|lower|trim }}", "NO/no"),
    ("{% if context %}{{ context }}{% else %}none{% endif %}", "none"),
    ("{% if context %}a{% elif answer == ' No\u3000' %}b{% else %}c{% endif %}", "b"),
    ("{% if not context and (answer or context) %}yes{% endif %}!", "yes!"),
    ("{% if options is defined %}{{ options }}{% endif %}", "- 是\n- no"),
    ("{% if options is undefined %}x{% endif %}{# a comment #}", ""),
    ("{{ '{{' }}{% raw %}{% endif %}{% endraw %}", "{{{% endif %}"),
]
BY_ROW = [
    ("{% for line in options.splitlines() %}{{ loop.index }}) {{ line }}\n{% endfor %}", "1) - 是\n2) - no\n"),
    ("{{ options.split('\n') | join('; ') }}", "- 是; - no"),
    ("{{ question.splitlines() | first }}", "Which?"),
    ("{{ options.splitlines()[-1] }}", "- no"),
    ("{{ 'long' if question | length > 5 else 'short' }}", "long"),
    ("{% if answer | trim in ['No', 'Yes'] %}known{% endif %}", "known"),
    ("{% if question.startswith('Which') %}W{% endif %}", "W"),
]


@pytest.mark.parametrize(("source", "expected"), COLUMNAR)
def test_what_becomes_an_expression(source: str, expected: str) -> None:
    assert Text(source, "here").expression is not None
    assert one(source) == expected
    assert Text(source, "here").render_row(ROW) == expected


@pytest.mark.parametrize(("source", "expected"), BY_ROW)
def test_what_jinja_renders_row_by_row(source: str, expected: str) -> None:
    assert Text(source, "here").expression is None
    assert one(source) == expected


HOSTILE = [
    ROW,
    dict.fromkeys(ROW, ""),
    dict.fromkeys(ROW, "{{ 7*7 }}{% if x %}{# 先 #}{{{}}}"),
    dict.fromkeys(ROW, "<b>&amp;\"'</b>\r\n🦙\u2028\x00\\n先思考，再决定"),
]


@pytest.mark.parametrize("name", ["cot/" + task for task in TASKS])
def test_every_shipped_wording_is_the_same_both_ways(name: str) -> None:
    rows = pl.DataFrame(HOSTILE, SCHEMA)
    for wording in load(name).all_wordings:
        for text in (wording.prompt, wording.target):
            assert text.expression is not None, text.where
            assert text.render(rows).to_list() == [text.render_row(row) for row in HOSTILE]


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_the_plain_template_is_what_its_rule_is_in_jinja(rows: list[dict[str, str | None]]) -> None:
    rule = Text("{{ question }}{% if context %}\n{{ context }}{% endif %}", "here")
    frame = pl.DataFrame([{"id": "r", **row} for row in rows], SCHEMA)
    assert frame.select(PLAIN).to_series().to_list() == [rule.render_row({"id": "r", **row}) for row in rows]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([Text(source, "here") for source, _ in COLUMNAR]), ROWS)
def test_expression_and_jinja_give_the_same_bytes(text: Text, rows: list[dict[str, str | None]]) -> None:
    """Also in what they refuse: a text that names what a row lacks."""
    for row in rows:
        frame = pl.DataFrame([{"id": "r", **row}], SCHEMA)
        if any(row[name] is None for name in text.names) and " is " not in text.source:
            with pytest.raises(TemplateError):
                text.render(frame)
            with pytest.raises(TemplateError):
                text.render_row({"id": "r", **row})
        else:
            assert text.render(frame).to_list() == [text.render_row({"id": "r", **row})]


def test_conditions_nested_deeply_are_one_expression() -> None:
    assert one("{% if question %}" * 200 + "x" + "{% endif %}" * 200) == "x"


def test_what_looks_like_jinja_in_a_record_stays_text() -> None:
    assert one("Q: {{ question }}", question="{{ 7*7 }}{% raw %}") == "Q: {{ 7*7 }}{% raw %}"
    assert one("{% for line in question.splitlines() %}{{ line }}{% endfor %}", question="{{ 7*7 }}") == "{{ 7*7 }}"


BOMBS = [
    ("{% for i in range(10**9) %}x{% endfor %}", "may call only endswith, split, splitlines, startswith"),
    ("{{ 'a' * 10**9 }}", "'*'"),
    ("{{ 'a' * 1000000000 }}", "'*'"),
    ("{{ '%1000000000d' % 1 }}", "'%'"),
    ("{{ 'a'.center(1000000000) }}", "may call only endswith, split, splitlines, startswith"),
    ("{{ '{:1000000000}'.format(1) }}", "may call only"),
    ("{{ 'a' | center(1000000000) }}", "unknown filter 'center'"),
    ("{% for a in question %}{% for b in question %}{% endfor %}{% endfor %}", "may not nest loops"),
    ("{% for a in question recursive %}{{ loop(question) }}{% endfor %}", "may"),
    ("{% set x = question %}", "'assign'"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "'macro'"),
    ("{% include 'x' %}", "'include'"),
    ("{{ question.__class__ }}", "unknown attribute '__class__'"),
    ("{{ lipsum(n=1000000) }}", "may"),
    ("{{ " + "(" * 5000 + "question" + ")" * 5000 + " }}", ""),
    ("{{ " + "9" * 5000 + " }}", ""),
    ("{% if question %}" * 5000 + "{% endif %}" * 5000, ""),
]


@pytest.mark.parametrize(("source", "said"), BOMBS, ids=[source[:30] for source, _ in BOMBS])
def test_a_hostile_text_is_refused_when_it_is_loaded(source: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        Text(source, "bad.yaml: wordings.en.3.prompt").render(pl.DataFrame([ROW], SCHEMA))
    assert time.monotonic() - began < 2
    assert str(caught.value).startswith("bad.yaml: wordings.en.3.prompt: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ queston }}", "here: unknown variable 'queston'; did you mean question?"),
        ("{{ range(3) }}", "here: line 1: a wording may call only"),
        ("\n{{ question", "here: line 2: "),
        ("{% if question %}", "here: line 1: "),
        ("{{ question | trimm }}", "here: line 1: unknown filter 'trimm'; did you mean trim?"),
        ("{% if question is defnd %}{% endif %}", "here: line 1: unknown test 'defnd'; did you mean"),
    ],
)
def test_a_wrong_text_names_place_and_remedy(source: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Text(source, "here")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("source", ["{{ options }}", "{% for o in options.splitlines() %}{{ o }}{% endfor %}"])
def test_a_record_without_what_the_text_names_is_named(source: str) -> None:
    with pytest.raises(TemplateError, match="here: record r1: 'options' is undefined"):
        one(source, options=None)


@pytest.mark.parametrize(
    "source", ["{{ question }}{{ question }}", "{% for c in question %}{{ question }}{% endfor %}"]
)
def test_the_rendered_text_is_bounded(source: str) -> None:
    with pytest.raises(TemplateError, match="here: record r1: renders to more than 4,000,000 characters"):
        one(source, question="先" * (LIMIT // 2 + 1))


def test_join_is_measured_before_it_is_built() -> None:
    with pytest.raises(TemplateError, match="joins to more than"):
        one("{{ question | join(question) }}", question="x" * 1_000_000)


def test_the_limit_counts_characters_not_bytes() -> None:
    assert len(one("{{ question }}", question="先" * (LIMIT - 1))) == LIMIT - 1
