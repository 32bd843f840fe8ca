"""chinese_medical: a GB18030 CSV whose quotes stand anywhere, read as Python's csv module reads it."""

import csv
import io
from itertools import product

import pytest
from built import Build

HEAD = "department,title,ask,answer\n"


def table(text: str) -> bytes:
    return (HEAD + text).encode("gb18030")


EXTRA = {"department": "科", "title": "题"}

RECORDS: dict[str, tuple[str, dict[str, object]]] = {
    "plain": ("科,题,问？,答。\n", {"instruction": "问？", "output": "答。", "extra": EXTRA}),
    "an empty ask: the title": ("科,题,,答。\n", {"instruction": "题", "output": "答。", "extra": EXTRA}),
    "a blank ask: the title": ("科,题,　 ,答。\n", {"instruction": "题", "output": "答。", "extra": EXTRA}),
    "the ask 无: the title": ("科,题,无,答。\n", {"instruction": "题", "output": "答。", "extra": EXTRA}),
    "无 in a longer ask": ("科,题,无发热,答。\n", {"instruction": "无发热", "output": "答。", "extra": EXTRA}),
    "quotes inside an unquoted field": (
        '科,题,说是"头痛",像"紧箍"一样。\n',
        {"instruction": '说是"头痛"', "output": '像"紧箍"一样。', "extra": EXTRA},
    ),
    "one stray quote": ('科,题,身高5"多,答。\n', {"instruction": '身高5"多', "output": "答。", "extra": EXTRA}),
    "a quoted field": (
        '科,题,"咳嗽,发热","先说""不""，再说""好"""\n',
        {"instruction": "咳嗽,发热", "output": '先说"不"，再说"好"', "extra": EXTRA},
    ),
    "a quoted field that goes on behind its quote": (
        '科,题,"咳嗽"两天,答。\n',
        {"instruction": "咳嗽两天", "output": "答。", "extra": EXTRA},
    ),
    "a quoted field that spans lines": (
        '科,题,"咳嗽，\n发热。\n\n乏力",答。\n',
        {"instruction": "咳嗽，\n发热。\n\n乏力", "output": "答。", "extra": EXTRA},
    ),
    "ends of blanks and line breaks": (
        '科,题,问,"\u3000\u3000先\u3000后。\u3000 \n"\n',
        {"instruction": "问", "output": "先\u3000后。", "extra": EXTRA},
    ),
    "letters beyond GBK": ("科,题,㐀😀é,答€。\n", {"instruction": "㐀😀é", "output": "答€。", "extra": EXTRA}),
    "full-width marks": (
        "科,题，甲,问（急）,答：“好”。\n",
        {"instruction": "问（急）", "output": "答：“好”。", "extra": EXTRA | {"title": "题，甲"}},
    ),
    "no line break at the end": ("科,题,问,答", {"instruction": "问", "output": "答", "extra": EXTRA}),
}


@pytest.mark.parametrize(("text", "said"), RECORDS.values(), ids=RECORDS.keys())
def test_a_csv_record_is_a_record(build: Build, text: str, said: dict[str, object]) -> None:
    assert build("chinese_medical", {"a.csv": table(text)}).said == [said]


def test_rows_count_records_behind_the_header_not_lines(build: Build) -> None:
    text = '科,题,"一\n二",答\n科,题,三,"四\n\n五"\n科,题,六,七\n'
    built = build("chinese_medical", {"Data_数据/内科/内科.csv": table(text)})
    assert built.places == [("Data_数据/内科/内科.csv", row) for row in range(3)]
    assert [row["instruction"] for row in built.records] == ["一\n二", "三", "六"]
    assert built.manifest["files"][0]["rows"] == 3


REFUSED: dict[str, tuple[bytes, str]] = {
    "no answer": ("科,题,问, \n".encode("gb18030"), "empty output"),
    "no ask and no title": ("科,,无,答\n".encode("gb18030"), "empty instruction"),
    "three fields": ("科,题,问\n".encode("gb18030"), "missing field"),
    "bytes that are no GB18030": ("科,题,问".encode("gb18030") + b"\xff" + ",答\n".encode("gb18030"), "unparsable"),
}


@pytest.mark.parametrize(("record", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_record_that_is_none(build: Build, record: bytes, reason: str) -> None:
    good = "科,题,问,答\n".encode("gb18030")
    built = build("chinese_medical", {"a.csv": HEAD.encode() + good + record + good})
    assert built.places == [("a.csv", 0), ("a.csv", 2)]
    assert built.refused == [(1, reason)]


def test_a_refused_record_can_be_read(build: Build) -> None:
    (reject,) = build("chinese_medical", {"a.csv": table('科,题,问,答\n科,题,"问\n问",\n')}).rejects
    assert (reject["file"], reject["row"], reject["reason"]) == ("a.csv", 1, "empty output")
    assert reject["bytes"].rstrip("\n") == '科,题,"问\n问",'


def test_equal_records_stay(build: Build) -> None:
    built = build("chinese_medical", {"a.csv": table("科,题,问,答\n" * 2)})
    assert built.places == [("a.csv", 0), ("a.csv", 1)]


ASKS = [ask for ask in map("".join, product('",a\n', repeat=4)) if "\n\n" not in ask]


def test_every_arrangement_of_quotes_is_read_as_the_csv_module_reads_it(build: Build) -> None:
    """Each file has one hostile ask between two plain records; a record needs four fields."""
    for some in (ASKS[0::3], ASKS[1::3], ASKS[2::3]):
        files = {
            f"{place:03}.csv": f"{HEAD}科,题,前,答\n科,题,{ask},答\n科,题,后,答\n" for place, ask in enumerate(some)
        }
        built = build("chinese_medical", {path: text.encode("gb18030") for path, text in files.items()})
        expected = {
            (path, row): (fields[2].strip() or fields[1].strip(), fields[3].strip())
            for path, text in files.items()
            for row, fields in enumerate(list(csv.reader(io.StringIO(text, newline="")))[1:])
            if len(fields) == 4 and (fields[2] + fields[1]).strip() and fields[3].strip()
        }
        found = {(row["subset"], row["row"]): (row["instruction"], row["output"]) for row in built.records}
        wrong = {
            files[path]: (found.get((path, row)), want)
            for (path, row), want in expected.items()
            if found.get((path, row)) != want
        }
        assert wrong == {}
