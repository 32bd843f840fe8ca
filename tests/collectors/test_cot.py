"""cot: FLAN's nine chain-of-thought sets as TSV without quoting, and their Chinese translation as a JSON array."""

import pytest
from built import Build, array

LINES = {
    "quotes are data": (
        r'"A violin has a bow."\nIs the above claim true?\nOptions:\n- yes\n- no	yes	"Bow" is the word.',
        {
            "instruction": '"A violin has a bow."\nIs the above claim true?\nOptions:\n- yes\n- no',
            "rationale": '"Bow" is the word.',
            "output": "yes",
        },
    ),
    "a quote that never ends": (
        'Who said "hello\tno one\tIt is not known.',
        {"instruction": 'Who said "hello', "rationale": "It is not known.", "output": "no one"},
    ),
    "a field that is one quoted text": (
        '"all of it"\t"yes"\t"because"',
        {"instruction": '"all of it"', "rationale": '"because"', "output": '"yes"'},
    ),
    "two backslashes before n": (
        r"x + y = 10 \\nx - y = 4	(D)	2x = 14\nx = 7",
        {"instruction": "x + y = 10 \\\nx - y = 4", "rationale": "2x = 14\nx = 7", "output": "(D)"},
    ),
    "stripped after the replacement": (
        r"\nAsk?\n\n	 (A) 	 Think. \n ",
        {"instruction": "Ask?", "rationale": "Think.", "output": "(A)"},
    ),
    "an answer is not a text of several lines": (
        r"Ask?	a\nb	Think.",
        {"instruction": "Ask?", "rationale": "Think.", "output": r"a\nb"},
    ),
    "other backslashes": (
        r"\t \\ \r \N	a	\tan",
        {"instruction": r"\t \\ \r \N", "rationale": r"\tan", "output": "a"},
    ),
    "no rationale": ("Ask?\tyes\t", {"instruction": "Ask?", "output": "yes"}),
    "a blank rationale": (r"Ask?	yes	 \n ", {"instruction": "Ask?", "output": "yes"}),
    "a no-break space inside": (
        "Set an alarm\u00a0clock?\tyes\tÉté.\u00a0",
        {"instruction": "Set an alarm\u00a0clock?", "rationale": "Été.", "output": "yes"},
    ),
    "a line end of Windows": ("Ask?\tyes\tThink.\r", {"instruction": "Ask?", "rationale": "Think.", "output": "yes"}),
    "an answer that spells no input": (
        "Ask?\tnone\tn/a",
        {"instruction": "Ask?", "rationale": "n/a", "output": "none"},
    ),
}


@pytest.mark.parametrize(("line", "said"), LINES.values(), ids=LINES.keys())
def test_a_line_is_a_record(build: Build, line: str, said: dict[str, str]) -> None:
    assert build("cot", {"creak_train.tsv": line + "\n"}).said == [said]


REFUSED = {
    "one column": ("Ask?", "missing field"),
    "two columns": ("Ask?\tyes", "missing field"),
    "four columns": ("Ask?\tyes\tThink.\tmore", "missing field"),
    "an empty question": (r"\n	yes	Think.", "empty instruction"),
    "an empty answer": ("Ask?\t \u3000\tThink.", "empty output"),
}


@pytest.mark.parametrize(("line", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_none(build: Build, line: str, reason: str) -> None:
    built = build("cot", {"esnli_train.tsv": f"a\tb\tc\n{line}\nd\te\tf\n"})
    assert built.places == [("esnli_train.tsv", 0), ("esnli_train.tsv", 2)]
    assert built.rejects == [{"file": "esnli_train.tsv", "row": 1, "reason": reason, "bytes": line}]


def test_a_line_twice_stays_twice(build: Build) -> None:
    built = build("cot", {"strategyqa_train.tsv": "Ask?\tno\tThink.\n" * 2})
    assert built.places == [("strategyqa_train.tsv", 0), ("strategyqa_train.tsv", 1)]
    assert len({row["id"] for row in built.records}) == 1


def test_the_patterns_of_flan_are_no_rows(build: Build) -> None:
    built = build(
        "cot", {"qed_train.tsv": "a\tb\tc\n", "flan_patterns.json": array({"instruction": "a", "output": "b"})}
    )
    assert built.places == [("qed_train.tsv", 0)]


@pytest.mark.parametrize("path", ["CoT_Chinese_data.json", "formatted/CoT_CN_data.part_a.json"])
def test_the_chinese_file_stands_as_it_is(build: Build, path: str) -> None:
    row = {"instruction": "请先推理：\\n三加四是多少？", "input": "", "output": "三加四等于七。\n答案是7。"}
    built = build("cot", {path: array(row), "aqua_train.tsv": "a\tb\tc\n"})
    by_path = dict(zip((row["subset"] for row in built.records), built.said, strict=True))
    assert by_path[path] == {"instruction": "请先推理：\\n三加四是多少？", "output": "三加四等于七。\n答案是7。"}
    assert {row["subset"]: row["lang"] for row in built.records} == {path: "CN", "aqua_train.tsv": "EN"}
