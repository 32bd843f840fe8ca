"""gaokao: examination questions, answers as lists in objective papers and as texts in subjective ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from built import Build, kept, read

from collectors.catalog import load
from collectors.errors import SourceError
from pipeline.collect import corpus

RAW = Path(__file__).resolve().parents[2] / ".." / "shared" / "raw" / "gaokao"
OBJECTIVE = "Data/Objective_Questions/2010-2022_Math_I_MCQs.json"
SUBJECTIVE = "Data/Subjective_Questions/2010-2022_Math_I_Fill-in-the-Blank.json"


def paper(*questions: object, **fields: object) -> str:
    return json.dumps({"keywords": "Math_I", "example": list(questions)} | fields, ensure_ascii=False, indent=4)


def asked(**fields: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "year": "2010",
        "category": "（新课标）",
        "question": "1. （5 分）一加一等于几？\nA. 1\nB. 2\n",
        "answer": ["B"],
        "analysis": "解：一加一等于二．\n故选 B．\n",
        "index": 0,
        "score": 5,
    }
    return {name: value for name, value in (whole | fields).items() if value is not None}


BESIDE = {"year": "2010", "category": "（新课标）", "score": 5, "index": 0, "keywords": "Math_I"}
SAID: dict[str, Any] = {
    "instruction": "1. （5 分）一加一等于几？\nA. 1\nB. 2",
    "rationale": "解：一加一等于二．\n故选 B．",
    "output": "B",
    "extra": BESIDE,
}
BARE = {name: value for name, value in SAID.items() if name != "rationale"}

QUESTIONS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "an answer in a list": (asked(), SAID),
    "an answer that is a text": (asked(answer="\n2 \n"), SAID | {"output": "2"}),
    "one answer a blank": (asked(answer=["A", "G", "C"]), SAID | {"output": "AGC"}),
    "several right choices in one text": (asked(answer=["ABD"]), SAID | {"output": "ABD"}),
    "an empty analysis": (asked(analysis=""), BARE),
    "an analysis of blanks": (asked(analysis="\u3000\n"), BARE),
    "no analysis": (asked(analysis=None), BARE),
    "a backspace where a formula was meant": (
        asked(question="设 $\bar{x}$ 为平均数．"),
        SAID | {"instruction": "设 $\bar{x}$ 为平均数．"},
    ),
    "tabs, hard line breaks and double blanks": (
        asked(question="2. Have  you \nseen\tit ?\r\nA. Yes  B. No\n"),
        SAID | {"instruction": "2. Have  you \nseen\tit ?\nA. Yes  B. No"},
    ),
    "a score with a point": (asked(score=1.5), SAID | {"extra": BESIDE | {"score": 1.5}}),
    "fields that are not there": (
        asked(year=None, category=None, score=None, index=None),
        SAID | {"extra": {"keywords": "Math_I"}},
    ),
}


@pytest.mark.parametrize("path", [OBJECTIVE, SUBJECTIVE])
@pytest.mark.parametrize(("raw", "said"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_question_is_a_record(build: Build, path: str, raw: dict[str, object], said: dict[str, Any]) -> None:
    built = build("gaokao", {path: paper(raw)})
    assert built.said == [said]
    assert [(row["lang"], row["language"]) for row in built.records] == [("CN", None)]


def test_the_row_is_the_index_in_example(build: Build) -> None:
    built = build("gaokao", {OBJECTIVE: paper(*(raw for raw, _ in QUESTIONS.values()))})
    assert built.said == [said for _, said in QUESTIONS.values()]
    assert built.places == [(OBJECTIVE, index) for index in range(len(QUESTIONS))]


REFUSED: dict[str, tuple[object, str]] = {
    "no answer": (asked(answer=None), "missing field"),
    "an empty list of answers": (asked(answer=[]), "empty output"),
    "an empty answer": (asked(answer=" "), "empty output"),
    "an answer of another type": (asked(answer=[["A"]]), "missing field"),
    "no question": (asked(question=None), "missing field"),
    "an empty question": (asked(question="\n"), "empty instruction"),
    "no object": (["A"], "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_question_that_is_none(build: Build, raw: object, reason: str) -> None:
    built = build("gaokao", {OBJECTIVE: paper(asked(), raw, asked())})
    assert built.places == [(OBJECTIVE, 0), (OBJECTIVE, 2)]
    assert built.refused == [(1, reason)]


def test_a_paper_without_keywords(build: Build) -> None:
    built = build("gaokao", {OBJECTIVE: json.dumps({"example": [asked()]})})
    assert built.said == [SAID | {"extra": {name: value for name, value in BESIDE.items() if name != "keywords"}}]


def test_hidden_files_and_other_folders_are_left_alone(build: Build) -> None:
    stray = {"Data/Objective_Questions/.DS_Store": "x", "Bench/MCQ_prompt.json": "{}"}
    assert build("gaokao", {OBJECTIVE: paper(asked())} | stray).places == [(OBJECTIVE, 0)]


@pytest.mark.parametrize("content", ["[]", '{"keywords": "Math_I"}', paper(asked())[:-20]])
def test_a_file_without_questions_is_an_error(build: Build, content: str) -> None:
    with pytest.raises(SourceError, match=r"Math_I_MCQs\.json.*example"):
        build("gaokao", {OBJECTIVE: content})


@pytest.mark.skipif(not RAW.is_dir(), reason="no real rows at hand")
def test_real_rows(tmp_path: Path) -> None:
    corpus(load(), ["gaokao"], RAW.parent, tmp_path, workers=1, limit=None)
    real = read(tmp_path / "records" / "gaokao")
    assert (real.manifest["raw_rows"], real.manifest["records"], real.manifest["rejected"]) == (1673, 1673, {})
    lists = blanks = 0
    expected = {}
    for path in RAW.rglob("*.json"):
        whole = json.loads(path.read_text(encoding="utf-8"))
        for index, raw in enumerate(whole["example"]):
            answer = raw["answer"]
            lists += isinstance(answer, list)
            blanks += isinstance(answer, list) and len(answer) > 1
            said: dict[str, Any] = {
                "instruction": kept(raw["question"]),
                "rationale": kept(raw["analysis"]),
                "output": kept("".join(answer)),
                "extra": {name: raw[name] for name in ("year", "category", "score", "index")}
                | {"keywords": whole["keywords"]},
            }
            expected[path.relative_to(RAW).as_posix(), index] = {name: value for name, value in said.items() if value}
    found = dict(zip(real.places, real.said, strict=True))
    assert found.keys() == expected.keys()
    assert [place for place in expected if found[place] != expected[place]] == []
    assert (lists, len(expected) - lists, blanks) == (1203, 470, 153)
    assert sum("rationale" not in row for row in real.said) == 15
