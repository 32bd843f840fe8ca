"""sharegpt: conversations with ChatGPT as its page showed them, HTML in the answers."""

from typing import Any

import pytest
from built import Build, array, lines, turn

from collectors.markdown import DEEPEST, answer

PAGE = '<div class="markdown prose w-full break-words dark:prose-invert light">'


def talk(*turns: tuple[object, object], **fields: object) -> dict[str, object]:
    return {"id": "aB3dE5f", "conversations": [{"from": who, "value": text} for who, text in turns]} | fields


def said(instruction: str, output: str, **others: object) -> dict[str, Any]:
    return {"instruction": instruction, "output": output, "extra": {"id": "aB3dE5f"}} | others


CODE = (
    f"{PAGE}<p>Like this:</p>"
    '<pre><div class="bg-black rounded-md mb-4"><div class="flex items-center"><span>python</span>'
    '<button class="flex ml-auto gap-2"><svg stroke="currentColor" viewBox="0 0 24 24"><path d="M16 4"></path></svg>'
    'Copy code</button></div><div class="p-4 overflow-y-auto"><code class="!whitespace-pre hljs language-python">'
    '<span class="hljs-keyword">def</span> <span class="hljs-title function_">add_up</span>(a, b):\n'
    '    <span class="hljs-keyword">return</span> a &lt; b\n'
    "</code></div></div></pre><p>Done.</p></div>"
)

HTML = {
    "a paragraph": (f"{PAGE}<p>Yes, I do.</p></div>", "Yes, I do."),
    "a list": (f"{PAGE}<p>Two:</p><ol><li><p>One</p></li><li><p>Two</p></li></ol></div>", "Two:\n\n1. One\n2. Two"),
    "words set off": (
        "<p>A <strong>bold</strong>, <em>slanted</em>, <code>a_b</code> word.</p>",
        "A **bold**, *slanted*, `a_b` word.",
    ),
    "a heading and a link": (
        '<h2>Why</h2><p><a href="https://a.example/b">so</a></p>',
        "## Why\n\n[so](https://a.example/b)",
    ),
    "a table": (
        "<table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        "| A | B |\n| --- | --- |\n| 1 | 2 |",
    ),
    "code with a button": (
        CODE,
        "Like this:\n\n```python\ndef add_up(a, b):\n    return a < b\n```\n\nDone.",
    ),
    "code in a list": (
        "<ol><li><p>Run:</p><pre><div><span>sh</span><button>Copy code</button></div>"
        "<code>cd a\nls\n</code></pre></li></ol>",
        "1. Run:\n\n   ```sh\n   cd a\n   ls\n   ```",
    ),
    "code without a language": (
        "<pre><div><button>Copy code</button></div><div><code>  x = 1\ny = 2\n</code></div></pre>",
        "```\n  x = 1\ny = 2\n```",
    ),
    "spans and quoted brackets": ('<p><span title="a > b">in_side</span> out</p>', "in\\_side out"),
    "tags written as text": ("<p>Use <code>&lt;br&gt;</code> here.</p>", "Use `<br>` here."),
    "white space before the first tag": (" \n<p>Yes.</p>", "Yes."),
    "an address and nothing else": ("<div>https://a.example/b</div>", "https://a.example/b"),
    "a file name and nothing else": ("<div>./notes.txt</div>", "./notes.txt"),
    "CRLF": ("<p>One</p>\r\n<p>Two</p>", "One\n\nTwo"),
    "a page number": (f"2 / 2{PAGE}<p>Yes.</p></div>", "Yes."),
    "a page number inside": (f"<div>2 / 2</div>{PAGE}<p>Yes.</p></div>", "Yes."),
    "a length": ("<div>Copy123 chars / 45 words</div><p>Yes.</p>", "Yes."),
}

PLAIN = {
    "Markdown": ("Use `a_b` and *c*.\n\n* one\n* two", "Use `a_b` and *c*.\n\n* one\n* two"),
    "a line break in a table": (
        "| a | b |\n|---|---|\n| 1<br>2 | <b>3</b> |",
        "| a | b |\n|---|---|\n| 1<br>2 | <b>3</b> |",
    ),
    "JSX": ("Try `<div>{x}</div>`:\n<span>y</span>", "Try `<div>{x}</div>`:\n<span>y</span>"),
    "less than": ("<3 you", "<3 you"),
    "an address": ("<https://a.example/b> it is", "<https://a.example/b> it is"),
    "a component": ("<Foo bar={1} />", "<Foo bar={1} />"),
    "code with a button's label": ("```\npythonCopy codeprint(1)\n```", "```python\nprint(1)\n```"),
    "no language but the label": ("So:\n```\nCopy code  x = 1\n```", "So:\n```\n  x = 1\n```"),
    "the label on a line of its own": ("```\nc++Copy code\nint x;\n```", "```c++\nint x;\n```"),
    "a label outside of a block": ("Press Copy code to copy.", "Press Copy code to copy."),
    "a page number": ("2 / 2\n\nSure.", "Sure."),
    "a length": ("Sure.Copy1234 chars / 210 words", "Sure."),
    "a fraction within": ("It is 2 / 2 here.", "It is 2 / 2 here."),
}


ANSWERS = {f"HTML: {name}": one for name, one in HTML.items()} | {f"plain: {name}": one for name, one in PLAIN.items()}


@pytest.mark.parametrize(("value", "text"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_becomes_markdown(build: Build, value: str, text: str) -> None:
    built = build("sharegpt", {"sg_90k_part1.json": array(talk(("human", "Why?"), ("gpt", value)))})
    assert built.said == [said("Why?", text)]


def test_what_a_user_wrote_is_untouched(build: Build) -> None:
    wrote = "<p>Explain</p>\n2 / 2\n```\npythonCopy codeprint(1)\n```"
    raw = talk(("human", wrote), ("gpt", "<p>It prints.</p>"), ("human", "2 / 2"), ("gpt", "1"))
    built = build("sharegpt", {"sg_90k_part1.json": array(raw)})
    assert built.said == [said("2 / 2", "1", history=[turn(wrote, "It prints.")])]


TALKS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "two exchanges": (
        talk(("human", "Why?"), ("gpt", "<p>So.</p>"), ("human", "And?"), ("gpt", "<p>Thus.</p>")),
        said("And?", "Thus.", history=[turn("Why?", "So.")]),
    ),
    "other names": (
        talk(("user", "a"), ("chatgpt", "b"), ("user", "c"), ("bing", "d"), ("human", "e"), ("bard", "f")),
        said("e", "f", history=[turn("a", "b"), turn("c", "d")]),
    ),
    "a system prompt": (
        talk(("system", "Be brief.\n"), ("human", "Why?"), ("gpt", "So.")),
        said("Why?", "So.", system="Be brief."),
    ),
    "two system prompts and an empty one": (
        talk(("system", "Be brief."), ("human", "a"), ("gpt", "b"), ("system", " "), ("system", "Be kind.")),
        said("a", "b", system="Be brief.\n\nBe kind."),
    ),
    "begun by gpt": (talk(("gpt", "<p>Hi</p>"), ("human", "Why?"), ("gpt", "So.")), said("Why?", "So.")),
    "ended by human": (talk(("human", "Why?"), ("gpt", "So."), ("human", "And?")), said("Why?", "So.")),
    "two turns of a speaker": (
        talk(("human", "Why?"), ("human", "Now?"), ("gpt", "<p>So.</p>"), ("gpt", "<p>Thus.</p>")),
        said("Why?\n\nNow?", "So.\n\nThus."),
    ),
    "empty turns": (
        talk(("human", "Why?"), ("gpt", ""), ("human", "And?"), ("gpt", "So."), ("human", ""), ("gpt", "Hm.")),
        said("And?", "So."),
    ),
    "an answer of tags alone": (
        talk(("human", "Why?"), ("gpt", "So."), ("human", "And?"), ("gpt", f"{PAGE}<p></p></div>")),
        said("Why?", "So."),
    ),
    "a value that is null": (
        talk(("human", None), ("human", "Why?"), ("gpt", None), ("gpt", "So.")),
        said("Why?", "So."),
    ),
    "keys of derived files": (
        talk(("human", "为何？"), ("gpt", "因为。"), lang="zh", model="x") | {"items": [1]},
        said("为何？", "因为。"),
    ),
    "a part of a split conversation": (
        talk(("human", "a"), ("gpt", "b"), id="aB3dE5f_1"),
        said("a", "b", extra={"id": "aB3dE5f_1"}),
    ),
    "no id": (talk(("human", "a"), ("gpt", "b"), id=None), {"instruction": "a", "output": "b"}),
}


@pytest.mark.parametrize(("raw", "record"), TALKS.values(), ids=TALKS.keys())
def test_a_conversation_is_a_record(build: Build, raw: dict[str, object], record: dict[str, Any]) -> None:
    assert build("sharegpt", {"sg_90k_part2.json": array(raw)}).said == [record]


@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_all_of_them_in_one_file(build: Build, written: Any) -> None:
    built = build("sharegpt", {"sg_90k_part1.json": written(*(raw for raw, _ in TALKS.values()))})
    assert built.said == [record for _, record in TALKS.values()]


def test_ids_are_no_keys(build: Build) -> None:
    raw = talk(("human", "a"), ("gpt", "b"))
    built = build("sharegpt", {"sg_90k_part1.json": array(raw, raw), "old/sg_52k.json": array(raw)})
    assert built.said == 2 * [said("a", "b")]
    assert built.manifest["unclaimed"] == ["old/sg_52k.json"]


REFUSED: dict[str, object] = {
    "no conversations": {"id": "x"},
    "an empty conversation": talk(),
    "a question alone": talk(("human", "Why?")),
    "an answer alone": talk(("gpt", "So.")),
    "empty halves": talk(("human", "Why?"), ("gpt", "<p> </p>")),
    "somebody else": talk(("human", "Why?"), ("gpt", "So."), ("tool", "x")),
    "nobody": talk((None, "Why?"), ("gpt", "So.")),
    "a turn that is null": talk(("human", "Why?"), ("gpt", "So.")) | {"conversations": [None]},
    "a value that is a list": talk(("human", ["Why?"]), ("gpt", "So.")),
    "HTML nested beyond reason": talk(("human", "Why?"), ("gpt", "<b>" * (DEEPEST + 1) + "So.")),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_conversation_that_is_none(build: Build, raw: object) -> None:
    good = talk(("human", "a"), ("gpt", "b"))
    built = build("sharegpt", {"sg_90k_part1.json": array(good, raw, good)})
    assert [record["row"] for record in built.records] == [0, 2]
    assert built.refused == [(1, "missing field")]


def test_html_as_deep_as_it_may_be_is_read() -> None:
    assert answer("<b>" * DEEPEST + "So." + "</b>" * DEEPEST) is not None
    assert answer("<p>x<br></p>" * 3 * DEEPEST) is not None


@pytest.mark.parametrize(
    "value",
    ["<p><![foo", "<p", "<p>a</b></i>", "<p>&#xD800;&bogus;</p>", "<td colspan='x'>a</td>", "<ol start='x'><li>a"],
)
def test_broken_html_breaks_nothing(value: str) -> None:
    assert isinstance(answer(value), str | None)
