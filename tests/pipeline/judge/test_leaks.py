"""Items of evaluation sets are found in records however they are printed there, and nothing else is."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.catalog import load
from collectors.errors import ArtefactError
from pipeline.judge.leakage import Example, summary
from pipeline.judge.leaks import COMMON, WHOLE, Index, leaks
from pipeline.judge.overlap import WORDS, Overlap, folded, overlap
from pipeline.judge.suites import ITEMS, suites
from pipeline.judge.tokens import tokens

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "evalsets"

PENS = "Ann has three pens and buys four more at the corner shop. How many pens does she have now?"
RIVER = "下列河流中，流经三个以上省份并且最终注入东海的是____"
SOUND = "下列说法正确的是"
RHYME = "写一首关于秋天的诗"
QUIZ = "What is a yak?"

ROWS = [
    ("ceval/val/geography_val.csv:0", RIVER, "长江\n黄河\n珠江\n淮河"),
    ("ceval/val/physics_val.csv:3", SOUND, "声音可以在真空中传播\n光在水里比在空气里慢\n铁能浮在水上\n冰比水重"),
    ("gsm8k/test.jsonl:17", PENS, ""),
    ("belle_eval/eval_set.json:5", RHYME, ""),
    ("mine/quiz.jsonl:1", QUIZ, ""),
]


def items(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame([(*row, "") for row in rows], schema=ITEMS, orient="row")


INDEX = Index.of(items(ROWS))


def found(request: str, answer: str = "", index: Index = INDEX) -> list[str]:
    (names,) = leaks(tokens(pl.Series([request])), tokens(pl.Series([answer])), index)
    return list(names)


PHYSICS = "声音可以在真空中传播（B）光在水里比在空气里慢（C）铁能浮在水上（D）冰比水重"

HELD = {
    "as it is": (PENS, "7", "gsm8k/test.jsonl:17"),
    "capitals": (f"Solve this:\n{PENS.upper()}", "Seven.", "gsm8k/test.jsonl:17"),
    "marks": (f"q — {PENS.replace(' ', '  ').replace('.', ' ;')}", "7", "gsm8k/test.jsonl:17"),
    "in the answer": ("Make up a problem.", f"{PENS} The answer is 7.", "gsm8k/test.jsonl:17"),
    "options": (f"{RIVER}\nA. 长江\nB. 黄河\nC. 珠江\nD. 淮河", "A", "ceval/val/geography_val.csv:0"),
    "no options": (f"单选：{RIVER.replace('____', '（　　）')}", "长江", "ceval/val/geography_val.csv:0"),
    "traditional": ("下列河流中，流經三個以上省份並且最終注入東海的是", "長江", "ceval/val/geography_val.csv:0"),
    "short question": (f"{SOUND}（）\n选项：（A）{PHYSICS}", "B", "ceval/val/physics_val.csv:3"),
    "short item": (f"请{RHYME}，要押韵。", "秋风……", "belle_eval/eval_set.json:5"),
    "whole request": ("What is a yak", "A large ox.", "mine/quiz.jsonl:1"),
}


@pytest.mark.parametrize(("asked", "answer", "item"), HELD.values(), ids=HELD)
def test_an_item_is_found_however_it_is_printed(asked: str, answer: str, item: str) -> None:
    assert found(asked, answer) == [item]


ALIKE = {
    "empty": ("", ""),
    "part": ("Ann has three pens and buys four more at the corner shop.", "That is nice. How many does she have?"),
    "other options": (f"{SOUND}\nA. 水在零度结冰\nB. 铁是气体\nC. 光不能拐弯\nD. 月亮会发光", "A"),
    "another word": ("写一首关于春天的诗", "春风……"),
    "another order": ("关于秋天的诗，写一首", "秋风……"),
    "short item in more": ("What is a yak? And what is an ox?", "Both are cattle."),
    "short item as answer": ("What is that?", "What is a yak?"),
    "options alone": ("长江 黄河 珠江 淮河", "都是河流"),
}


@pytest.mark.parametrize(("asked", "answer"), ALIKE.values(), ids=ALIKE)
def test_what_only_resembles_an_item_is_none(asked: str, answer: str) -> None:
    assert found(asked, answer) == []


def test_a_question_that_other_options_follow_elsewhere_needs_its_own() -> None:
    stem = "关于我国古代四大发明的历史，以下说法正确的是"
    one = ("a/x.csv:0", stem, "造纸术最早出现于西汉时期\n火药由炼丹家发明")
    two = ("a/x.csv:1", stem, "指南针先用于海上航行\n活字印刷由毕昇发明")
    both = Index.of(items([one, two]))
    assert found(f"{stem}\n造纸术最早出现于西汉时期\n火药由炼丹家发明", index=both) == ["a/x.csv:0"]
    assert found(stem, index=both) == []
    assert found(stem, index=Index.of(items([one]))) == ["a/x.csv:0"]


def test_equal_items_are_all_named_in_order() -> None:
    twice = Index.of(items([("b/y:2", PENS, ""), ("a/x:10", PENS.upper(), ""), ("a/x:9", PENS, "")]))
    assert found(PENS, index=twice) == ["a/x:10", "a/x:9", "b/y:2"]


def test_a_run_of_words_that_many_items_share_says_nothing() -> None:
    stem = "one two three four five six seven eight"
    shared = [(f"a/x:{number}", f"{stem} {chr(97 + number) * 9}", "") for number in range(COMMON + 1)]
    index = Index.of(items([*shared, ("a/y:0", stem, "")]))
    assert found(stem, index=index) == []
    assert [index.names[number] for number in index.unsought] == [b"a/y:0"]
    assert found(shared[3][1], index=index) == ["a/x:3"]


def test_an_item_without_words_is_not_looked_for_and_counted() -> None:
    index = Index.of(items([("a/x:0", "？！", ""), ("a/x:1", "", ""), ("a/x:2", PENS, "")]))
    assert index.unsought.tolist() == [0, 1]
    assert found("?!", index=index) == []


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    index = Index.of(items([]))
    assert found(PENS, index=index) == []
    index.save(tmp_path)
    assert found(PENS, index=Index.load(tmp_path)) == []
    assert leaks(tokens(pl.Series([], dtype=pl.String)), tokens(pl.Series([], dtype=pl.String)), INDEX).to_list() == []


def test_an_index_is_written_once_and_mapped(tmp_path: Path) -> None:
    INDEX.save(tmp_path)
    again = Index.load(tmp_path)
    assert isinstance(again.slots, np.memmap)
    assert found(f"{PENS}\n{RIVER}", index=again) == ["ceval/val/geography_val.csv:0", "gsm8k/test.jsonl:17"]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    Index.of(items(ROWS)).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_a_damaged_index_is_told_in_one_line(tmp_path: Path) -> None:
    INDEX.save(tmp_path)
    (tmp_path / "slots.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ArtefactError, match=r"the index of evaluation items cannot be read .*delete the folder"):
        Index.load(tmp_path)
    (tmp_path / "slots.npy").unlink()
    with pytest.raises(ArtefactError, match="cannot be read"):
        Index.load(tmp_path)


WORD = st.text("abcxyz", min_size=2, max_size=4)
TEXT = st.one_of(st.lists(WORD, max_size=30).map(" ".join), st.text("中文字句读写听说", max_size=30))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), st.integers(0, 8))
def test_a_record_leaks_the_same_whatever_stands_beside_it(texts: list[tuple[str, str]], cut: int) -> None:
    held = [(f"{PENS} {asked}" if at % 2 else asked, answer) for at, (asked, answer) in enumerate(texts)]

    def of(part: list[tuple[str, str]]) -> list[list[str]]:
        columns = [pl.Series([row[side] for row in part], dtype=pl.String) for side in (0, 1)]
        return [list(names) for names in leaks(tokens(columns[0]), tokens(columns[1]), INDEX)]

    assert of(held) == of(held[:cut]) + of(held[cut:])
    assert all(("gsm8k/test.jsonl:17" in names) == bool(index % 2) for index, names in enumerate(of(held)))


@given(TEXT, TEXT, TEXT)
def test_an_item_of_any_words_is_found_within_any_others(item: str, before: str, after: str) -> None:
    index = Index.of(items([("a/x:0", item, "")]))
    long = len(tokens(pl.Series([item])).hashes) >= WORDS
    assert (found(f"{before}\n{item}\n{after}", index=index) == ["a/x:0"]) or not long
    assert found(item, index=index) == ([] if not item else ["a/x:0"])


@given(st.integers(WHOLE + WORDS, 60), st.integers(0, 59))
def test_one_word_changed_does_not_hide_a_long_item(length: int, place: int) -> None:
    words = [f"w{number}" for number in range(length)]
    index = Index.of(items([("a/x:0", " ".join(words), "")]))
    words[place % length] = "other"
    whole = length - WORDS + 1
    lost = min(place % length + 1, WORDS, length - place % length, whole)
    assert (found(" ".join(words), index=index) == ["a/x:0"]) == (whole - lost >= 0.6 * whole)


def test_the_overlap_is_marked_in_both_texts() -> None:
    record = f"题目：{RIVER}（单选）A. 长江，B. 黄河"
    item = f"{RIVER}\n长江\n黄河"
    marked = overlap(record, item)
    assert [record[first:end] for first, end in marked.record] == ["下列河流中，流经三个以上省份并且最终注入东海的是"]
    assert [item[first:end] for first, end in marked.item] == ["下列河流中，流经三个以上省份并且最终注入东海的是"]
    assert overlap(f"Well: {QUIZ} yes", QUIZ) == Overlap([(6, 19)], [(0, 13)])
    assert overlap(record, "！") == overlap("", item) == Overlap([], [])


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("aBé’Ａ1一漢汉あ่ก۝\u0903\U0001f600 .\u00df\u0130\U00033480"), max_size=40),
        max_size=3,
    )
)
def test_folded_words_are_those_of_the_search(texts: list[str]) -> None:
    whole = tokens(pl.Series(texts, dtype=pl.String))
    for at, text in enumerate(texts):
        span = slice(whole.offsets[at], whole.offsets[at + 1])
        words = folded(text)
        places = [(len(text[: one.first].encode()), len(text[: one.end].encode())) for one in words]
        assert places == list(zip(whole.starts[span], whole.ends[span], strict=True))
        pairs = set(zip(whole.hashes[span].tolist(), (one.word for one in words), strict=True))
        assert len({number for number, _ in pairs}) == len({word for _, word in pairs}) == len(pairs)


def records(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    turns = pl.List(pl.Struct({"user": pl.String, "assistant": pl.String}))
    frame = pl.DataFrame(rows, schema=["id", "instruction", "output"], orient="row").with_columns(
        pl.lit([], dtype=turns).alias("history"), pl.lit("").alias("input"), pl.lit(None, pl.String).alias("rationale")
    )
    columns = [tokens(frame[name]) for name in ("instruction", "output")]
    return frame.with_columns(leaks(columns[0], columns[1], INDEX).alias("leaks"))


def test_the_summary_counts_rows_and_items_and_marks_examples() -> None:
    frame = records([("01", PENS, "7"), ("02", "Hello!", "Hi."), ("03", f"Please: {PENS}", "7"), ("04", RIVER, "长江")])
    found = summary([frame], items(ROWS))
    assert [(one.suite, one.rows, one.held, one.items, one.share) for one in found] == [
        ("ceval", 1, 1, 2, 0.5),
        ("gsm8k", 2, 1, 1, 1.0),
    ]
    text, item = f"{RIVER}\n\n长江", f"{RIVER}\n长江\n黄河\n珠江\n淮河"
    marked = Overlap([(0, len(text))], [(0, item.index("江\n") + 1)])
    assert found[0].examples == [Example("04", "ceval/val/geography_val.csv:0", text, item, marked)]
    assert len(found[1].examples) == 1
    assert found[1].examples[0].id in {"01", "03"}


@given(st.permutations(range(14)), st.integers(1, 14))
def test_the_summary_is_the_same_however_the_records_are_cut(order: list[int], size: int) -> None:
    words = [" ".join(f"w{number}x{step}" for step in range(9)) for number in range(14)]
    many = [(f"many/x:{number}", text, "") for number, text in enumerate(words)]
    index = Index.of(items(many))
    frame = records([(f"{number:02}", many[number % 12][1], "yes") for number in range(14)])
    columns = [tokens(frame[name]) for name in ("instruction", "output")]
    frame = frame.with_columns(leaks(columns[0], columns[1], index).alias("leaks"))
    whole = summary([frame], items(many))
    mixed = frame[order]
    assert summary([mixed[at : at + size] for at in range(0, 14, size)], items(many)) == whole
    assert [(one.rows, one.held, one.items, len(one.examples)) for one in whole] == [(14, 12, 14, 10)]
    assert len({example.item for example in whole[0].examples}) == 10


@pytest.mark.skipif(not REAL.is_dir(), reason="the evaluation sets are not at hand")
def test_every_real_item_is_found_in_a_record_that_is_it() -> None:
    every = pl.concat([one.items for one in suites(load(ROOT / "catalog.yaml"), REAL, [])])
    index = Index.of(every)
    text = every.select(text=pl.concat_str("question", pl.lit("\n"), "options"))["text"]
    held = leaks(tokens(text), tokens(pl.Series([""] * len(text))), index)
    there = pl.DataFrame({"name": every["name"], "held": held}).select(pl.col("held").list.contains(pl.col("name")))
    assert int((~there["held"]).sum()) == len(index.unsought)
    assert len(index.unsought) < 10
