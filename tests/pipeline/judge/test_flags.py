"""Flags: rows that each rule must and must not name, and laws that hold for any row."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.record import HISTORY
from pipeline.judge.flags import COLUMNS, LANGUAGES, RULES, evidence, flags
from pipeline.judge.rule import Exchange, exchanges

SCHEMA = {name: HISTORY if name == "history" else pl.String for name in (*COLUMNS, *LANGUAGES)}


def row(instruction: str, output: str, **others: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"system": None, "history": [], "input": "", "rationale": None}
    languages = {"request_language": "en", "answer_language": "en"}
    return {**plain, **languages, "instruction": instruction, "output": output, **others}


def flagged(*rows: dict[str, Any]) -> list[list[str]]:
    found: list[list[str]] = flags(pl.DataFrame(rows, schema=SCHEMA)).to_list()
    return found


CHINESE_ID = "110105190001010028"
SAID = "The museum opens at nine and closes at five on every day but Monday, when it is shut. "
CHINESE = {"request_language": "zh-Hans", "answer_language": "zh-Hans"}
ENGLISH_ANSWER = {**CHINESE, "answer_language": "en"}
TRADITIONAL = {**CHINESE, "answer_language": "zh-Hant"}

FIRES = [
    ("empty-after-cleaning", row("Draw a map of the town.", "[map of the town]")),
    ("empty-after-cleaning", row("Sum the column.", "<nooutput>")),
    ("empty-after-cleaning", row("你好吗？", "……！", **CHINESE)),
    ("empty-after-cleaning", row("Say it.", "<br> &nbsp; -")),
    ("echo", row("Which river is the longest?", "which river is the longest")),
    ("echo", row("Make this friendlier.", "Close the window at once.", input="Close the window at once.")),
    ("url-only", row("Who wrote the anthem?", "https://anthem.example.org/who\n<www.anthem.example.org>")),
    ("length-ratio", row("Why?", "Because it is so. " * 60 + "That is all there is to say about it.")),
    ("truncated", row("When can I come?", SAID * 2 + "If you come by train, you can walk from the")),
    ("truncated", row("When can I come?", SAID * 2 + "If you come by train you get a discount")),
    ("truncated", row("How do I bake bread?", "There are four things to look after:")),
    ("truncated", row("怎么去博物馆？", "可以坐地铁二号线到人民广场站，出站以后往东走，", **CHINESE)),
    ("truncated", row("Write a C loop.", "for (int i = 0; i < 9; i++) {\n  if (i > 3) {\n    print(i);\n  }")),
    ("truncated", row("Write a list in Python.", "def primes():\n    return [2, 3,")),
    ("refusal", row("What do you feel?", "As an AI language model, I do not have feelings.")),
    ("refusal", row("Open the file.", "I'm sorry, but I can't open files.")),
    ("refusal", row("Book a table.", "I’m not able to help with bookings.")),
    ("refusal", row("你最喜欢什么颜色？", "作为一个AI语言模型，我没有个人喜好。", **CHINESE)),
    ("refusal", row("今天几度？", "很抱歉，我无法获取实时天气。", **CHINESE)),
    (
        "wrong-language",
        row("请介绍一下你的家乡。", "I come from a small town by the sea in the north.", request_language="zh-Hans"),
    ),
    (
        "wrong-language",
        row("Tell me about the sea.", "大海是地球上最大的水体，里面住着很多动物。", answer_language="zh"),
    ),
    ("repetition", row("Describe the lake.", "It is blue. " + "The water is very calm today. " * 4)),
    ("repetition", row("写一句话。", "今天天气很好，" + "我们去公园玩，" * 6 + "我们去", **CHINESE)),
    ("repetition", row("Give tips.", "\n".join(f"{number}. Drink enough water." for number in range(1, 9)))),
    ("repetition", row("Count.", "Four.", rationale="One and one make two. " * 6)),
    ("prompt-leak", row("Name a bird.", "A wren.\n\n### Instruction:\nName a fish.")),
    ("prompt-leak", row("Name a bird.", "A wren.<|im_end|>")),
    ("prompt-leak", row("Name a bird.", "A wren.\nHuman: And a fish?\nAssistant: A carp.")),
    ("prompt-leak", row("Below is an instruction that describes a task. Name a bird.", "A wren.")),
    ("mojibake", row("Where to drink coffee?", "At the cafÃ© round the corner.")),
    ("mojibake", row("Where to drink coffee?", "Itâ€™s round the corner.")),
    ("mojibake", row("喝咖啡去哪里？", "街角的锟斤拷咖啡馆。", **CHINESE)),
    ("mojibake", row("Where to drink coffee?", "At the caf\ufffd round the corner.")),
    ("html-residue", row("Name two birds.", "A wren<br>A robin")),
    ("html-residue", row("Name two birds.", "Wren &amp; robin")),
    ("placeholder", row("Introduce yourself.", "Hello, I am [Your Name].")),
    ("placeholder", row("介绍一下你的学校。", "我毕业于XX大学。", **CHINESE)),
    ("placeholder", row("What is the capital of France?", "TODO: look it up")),
    ("unbalanced-code-fence", row("Print hello.", "Like this:\n```python\nprint('hello')")),
    ("unbalanced-code-fence", row("Show a fence.", "````\n```\n```\nnot closed by three")),
    ("personal-email", row("How do I reach him?", "Write to li.wei1987@lakeside-mill.cn.")),
    ("personal-phone", row("Her number?", "Call (212) 736-5000.")),
    ("personal-phone", row("她的手机号码？", "她的手机号是13912876540。", **CHINESE)),
    ("personal-phone", row("她的手机号码？", "+86 139 1287 6540", **CHINESE)),
    ("personal-phone", row("Her number?", "+44 20 7946 0123 during the day.")),
    ("personal-id", row("他的身份证号码？", f"身份证号：{CHINESE_ID}。", **CHINESE)),
]

SILENT = [
    ("empty-after-cleaning", row("What is 2 - 1 in a list?", "[1]")),
    ("empty-after-cleaning", row("Write an empty HTML div.", "<div></div>")),
    ("empty-after-cleaning", row("How do you feel?", "😊")),
    ("empty-after-cleaning", row("Write SOS in Morse code.", "... --- ...")),
    ("empty-after-cleaning", row("Is any of them even?", "None")),
    ("empty-after-cleaning", row("它对吗？", "对。", **CHINESE)),
    ("echo", row("Correct the marks.", "Where are you, Anna?", input="where are you anna")),
    ("echo", row("Say yes.", "yes", input="yes")),
    ("url-only", row("Give me the link to the anthem.", "https://anthem.example.org/who")),
    ("url-only", row("Who wrote it?", "See https://anthem.example.org/who")),
    ("length-ratio", row("Why?", "Because it is so.")),
    ("truncated", row("What is the word?", "the")),
    ("truncated", row("Name the parts of a flower.", "1. Petals\n2. Sepals\n3. Stamens and pistils\n4. The stem")),
    ("truncated", row("Which colours?", "red, green, blue and a touch of yellow ochre")),
    ("truncated", row("When can I come?", SAID * 3)),
    ("truncated", row("博物馆几点开门？", "博物馆每天上午九点开门，下午五点关门", **CHINESE)),
    ("truncated", row("Write a loop.", "for i in range(9):\n    print(i)")),
    ("truncated", row("Write a C loop.", "for (int i = 0; i < 9; i++) {\n  print(i);\n}")),
    ("truncated", row("Write a letter.", SAID * 2 + "Please do come soon.\n\nYours sincerely,")),
    ("truncated", row("Write a post.", SAID * 2 + "Come and see for yourself! #museum #sunday")),
    ("refusal", row("What do models say?", 'They often say "As an AI language model, I cannot feel".')),
    ("refusal", row("Who are you?", "As an AI language model, I am happy to help you plan your trip.")),
    ("refusal", row("Finish the story.", "He said that he cannot provide the money.")),
    ("refusal", row("Why smile?", "I can't help but smile.")),
    ("refusal", row("你是谁？", "作为一名人工智能专家，我研究了二十年。", **CHINESE)),
    ("wrong-language", row("翻译成英文：今天天气很好。", "The weather is nice today, is it?", **ENGLISH_ANSWER)),
    ("wrong-language", row("列出几支乐队。", "The Beatles, Pink Floyd, Led Zeppelin, Queen, Oasis", **ENGLISH_ANSWER)),
    ("wrong-language", row("写一段代码。", "print('hello to all of you out there')", **ENGLISH_ANSWER)),
    ("wrong-language", row("这个品牌叫什么？", "Coca-Cola", **ENGLISH_ANSWER)),
    ("wrong-language", row("简体字怎么写？", "繁體字與簡體字的寫法有許多不同的地方。", **TRADITIONAL)),
    ("wrong-language", row("Name islands.", "Vanuatu, Fiji, Tonga, Samoa and Solomon Islands.", answer_language="ms")),
    ("repetition", row("Fill a table.", "| a | b |\n| --- | --- |\n" + "| 0 | 0 |\n" * 20)),
    ("repetition", row("Give tips.", "1. Drink water.\n2. Eat fruit.\n3. Sleep well.\n4. Walk to work.\n5. Read.")),
    ("repetition", row("The table of two?", "\n".join(f"2 times {number} is {2 * number}" for number in range(1, 12)))),
    ("repetition", row("Draw a line.", "-" * 200)),
    ("prompt-leak", row("Write a dialogue of a human and a machine.", "Human: Hello.\nAssistant: Hello.")),
    ("prompt-leak", row("Write a page.", "# Report\n\n## Output of the mill\n\nIt grew.")),
    ("mojibake", row("Where to drink coffee?", "At the café «São João» – it’s naïve.")),
    ("mojibake", row("What is mojibake?", "Text such as cafÃ© in place of café.")),
    ("html-residue", row("Make an HTML list.", "<ul><li>wren</li></ul>")),
    ("html-residue", row("Name two birds.", "Use `<br>` between:\n```\n<br>\n```\nand 1 < 2 > 0.")),
    ("placeholder", row("Write a letter to my landlord.", "Dear [Name], ...")),
    ("placeholder", row("Sort the keys.", "items[name] and list[int]")),
    ("placeholder", row("Thirty in the old way?", "It is XXX-like.")),
    ("unbalanced-code-fence", row("Print hello.", "```python\nprint('hello')\n```")),
    ("personal-email", row("How do I reach him?", "Write to jane@example.com or info@museum.org.")),
    ("personal-phone", row("Her number?", "Call 555-0134, (212) 555-0134 or 123-456-7890.")),
    ("personal-phone", row("How many?", "13912876540.5 grams, or 370 860 1550, or 2019-2020.")),
    ("personal-id", row("号码？", f"号码：{CHINESE_ID[:-1]}9。", **CHINESE)),
    ("personal-id", row("号码？", "号码：110105190013010029。", **CHINESE)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "one"), FIRES)
def test_fires(name: str, one: dict[str, Any]) -> None:
    assert name in flagged(one)[0]
    assert evidence(one, name)


@pytest.mark.parametrize(("name", "one"), SILENT)
def test_is_silent(name: str, one: dict[str, Any]) -> None:
    assert name not in flagged(one)[0]
    assert evidence(one, name) is None


def test_every_rule_has_rows_and_a_sentence() -> None:
    assert {name for name, _ in FIRES} == set(RULES) == {name for name, _ in SILENT}
    assert all(rule.meaning.endswith(".") for rule in RULES.values())


def test_a_good_row_has_none_and_a_bad_one_has_them_in_order() -> None:
    bad = row("Name a bird.", "### Response:\nA wren &amp; [Your Name], li.wei1987@lakeside-mill.cn")
    assert flagged(row("Name a bird.", "A wren."), bad) == [
        [],
        ["prompt-leak", "html-residue", "placeholder", "personal-email"],
    ]
    assert flags(pl.DataFrame([], schema=SCHEMA)).dtype == pl.List(pl.String)


def test_the_earlier_turns_and_the_system_text_are_looked_at() -> None:
    turns = [{"user": "Her number?", "assistant": "(212) 736-5000"}]
    assert flagged(row("Thanks.", "Glad to help.", history=turns)) == [["personal-phone"]]
    assert flagged(row("Thanks.", "Glad to help.", system="Mail li.wei1987@lakeside-mill.cn")) == [["personal-email"]]


PIECES = [one[column] for _, one in FIRES + SILENT for column in ("instruction", "output")]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=3).map("\n".join)
LANGUAGE = st.sampled_from(["en", "fr", "zh-Hans", "zh-Hant", "ja", "und", None])
TURN = st.fixed_dictionaries({"user": TEXT, "assistant": TEXT})
ROW = st.fixed_dictionaries(
    {
        "system": st.none() | TEXT,
        "history": st.lists(TURN, max_size=2),
        "instruction": TEXT,
        "input": TEXT,
        "rationale": st.none() | TEXT,
        "output": TEXT,
        "request_language": LANGUAGE,
        "answer_language": LANGUAGE,
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, max_size=4))
def test_gates_lose_nothing_and_rows_do_not_touch_each_other(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    seen = [Exchange._make(one) for one in exchanges(frame).iter_rows()]
    slow = [[name for name, rule in RULES.items() if rule.find(one) is not None] for one in seen]
    assert flags(frame).to_list() == slow
    assert [flagged(one)[0] for one in rows] == slow
    for one, names in zip(rows, slow, strict=True):
        assert [name for name in RULES if evidence(one, name) is not None] == names
