"""auto_cot: eight forms; five of question files, two of demonstrations and symbolic tasks, and the logs."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from built import Build, array, kept, lines, read

from collectors.catalog import load
from collectors.errors import SourceError
from pipeline.collect import corpus

RAW = Path(__file__).resolve().parents[2] / ".." / "shared" / "raw" / "auto_cot"
Row = dict[str, Any]


def under(key: str, *rows: object) -> str:
    return json.dumps({key: rows}, indent=4)


AQUA = {
    "question": "Side? \n",
    "options": ["A)5(√3 + 1)", "B) A)6", "C)(7)"],
    "rationale": "Tall.\nA\n",
    "correct": "A",
}
ADDSUB = {"iIndex": 1, "lEquations": ["X = 70 - 27"], "lSolutions": ["43"], "sQuestion": "How many seashells ? "}
MULTIARITH = {
    "iIndex": 0,
    "lAlignments": [80, 120],
    "lEquations": ["X=((32.0+42.0)-35.0)"],
    "lSolutions": [39.0],
    "sQuestion": " How many pieces? ",
}
SINGLEEQ = {
    "lEquations": ["0.75+x=1"],
    "lSolutions": [0.25],
    "grammarCheck": 0,
    "templateNumber": 3,
    "sQuestion": "How much is left?",
    "iIndex": 507,
}
SVAMP = {
    "ID": "chal-1",
    "Body": " Each pack costs 76 dollars. ",
    "Question": " What is the sum? ",
    "Equation": "( 76.0 * 2.0 )",
    "Answer": 152.0,
    "Type": "Multiplication",
}
COIN = {"question": 'A coin is heads up. Note that "flip" here means "reverse".', "answer": "yes"}
LETTERS = {"question": "Take the last letters.", "answer": "ye"}
COMMONSENSE = {
    "answerKey": "B",
    "id": "1afa",
    "question": {
        "question_concept": "door",
        "choices": [{"label": "A", "text": "bank"}, {"label": "B", "text": "hall"}],
        "stem": "Where is it?",
    },
}
GSM8K = {"question": "How many?", "answer": "9 * 2 = <<9*2=18>>18, then #### no.\n<<18/2=9>>9 <b>.\n#### 1,018"}
AUTO = {"question": "Q: How many are left?\nA:", "rationale": "Step by step.", "pred_ans": "7", "gold_ans": "8"}
MANUAL = {"question": "Q: How many are left?\nA:", "rationale": "Two of nine.", "pred_ans": "7"}


def arithmetic(said: str, answer: str, **extra: object) -> Row:
    return {"instruction": said, "output": answer, "extra": extra}


FORMS: dict[str, tuple[str, str, Row]] = {
    "F1": (
        "dataset/AQuA/test.json",
        lines(AQUA),
        {
            "instruction": "Side?\nOptions:\n(A) 5(√3 + 1)\n(B) A)6\n(C) (7)",
            "rationale": "Tall.\nA",
            "output": "(A)",
            "extra": {"dataset": "AQuA"},
        },
    ),
    "F2 AddSub": (
        "dataset/AddSub/AddSub.json",
        array(ADDSUB),
        arithmetic("How many seashells ?", "43", dataset="AddSub", id=1, equations=["X = 70 - 27"]),
    ),
    "F2 MultiArith": (
        "dataset/MultiArith/MultiArith.json",
        array(MULTIARITH),
        arithmetic("How many pieces?", "39", dataset="MultiArith", id=0, equations=["X=((32.0+42.0)-35.0)"]),
    ),
    "F2 SingleEq, one line without its end": (
        "dataset/SingleEq/questions.json",
        json.dumps([SINGLEEQ]),
        arithmetic("How much is left?", "0.25", dataset="SingleEq", id=507, equations=["0.75+x=1"]),
    ),
    "F3": (
        "dataset/SVAMP/SVAMP.json",
        array(SVAMP),
        arithmetic(
            "Each pack costs 76 dollars. What is the sum?",
            "152",
            dataset="SVAMP",
            id="chal-1",
            equation="( 76.0 * 2.0 )",
            type="Multiplication",
        ),
    ),
    "F4 coin_flip": (
        "dataset/coin_flip/coin_flip.json",
        under("examples", COIN),
        arithmetic(COIN["question"], "yes", dataset="coin_flip"),
    ),
    "F4 last_letters": (
        "dataset/last_letters/last_letters.json",
        under("examples", LETTERS),
        arithmetic("Take the last letters.", "ye", dataset="last_letters"),
    ),
    "F5": (
        "dataset/CommonsenseQA/dev_rand_split.jsonl",
        lines(COMMONSENSE),
        arithmetic("Where is it?\nOptions:\n(A) bank\n(B) hall", "(B)", dataset="CommonsenseQA", id="1afa"),
    ),
    "F6": (
        "dataset/grade-school-math/test.jsonl",
        lines(GSM8K),
        {
            "instruction": "How many?",
            "rationale": "9 * 2 = 18, then #### no.\n9 <b>.",
            "output": "1018",
            "extra": {"dataset": "grade-school-math"},
        },
    ),
    "F7 with the right answer": (
        "demos/multiarith_auto",
        under("demo", AUTO),
        {
            "instruction": "How many are left?",
            "rationale": "Step by step.",
            "output": "8",
            "extra": {"dataset": "multiarith_auto"},
        },
    ),
    "F7 with a guess only": (
        "demos/multiarith_manual",
        under("demo", MANUAL),
        {
            "instruction": "How many are left?",
            "rationale": "Two of nine.",
            "output": "7",
            "extra": {"dataset": "multiarith_manual"},
        },
    ),
}


@pytest.mark.parametrize(("path", "content", "said"), FORMS.values(), ids=FORMS.keys())
def test_a_question_is_a_record(build: Build, path: str, content: str, said: Row) -> None:
    built = build("auto_cot", {path: content})
    assert built.said == [said]
    assert built.places == [(path, 0)]


def test_all_forms_side_by_side(build: Build) -> None:
    built = build("auto_cot", {path: content for path, content, _ in FORMS.values()})
    expected = {path: said for path, _, said in FORMS.values()}
    assert dict(zip((path for path, _ in built.places), built.said, strict=True)) == expected


@pytest.mark.parametrize("path", ["dataset/AQuA/test.rows3000-4999.json", "dataset/AQuA/test.part_b.json"])
def test_slices_keep_the_folder_s_name(build: Build, path: str) -> None:
    assert build("auto_cot", {path: array(AQUA)}).said == [FORMS["F1"][2]]


REFUSED: dict[str, tuple[str, str, str]] = {
    "F1 without options": ("dataset/AQuA/test.json", lines(AQUA | {"options": None}), "missing field"),
    "F1 without an answer": ("dataset/AQuA/test.json", lines(AQUA | {"correct": " "}), "empty output"),
    "F2 without a solution": ("dataset/AddSub/AddSub.json", array(ADDSUB | {"lSolutions": []}), "empty output"),
    "F2 without solutions": ("dataset/AddSub/AddSub.json", array(ADDSUB | {"lSolutions": None}), "missing field"),
    "F3 without a body": ("dataset/SVAMP/SVAMP.json", array(SVAMP | {"Body": None}), "missing field"),
    "F4 with an answer that is none": (
        "dataset/coin_flip/coin_flip.json",
        under("examples", COIN | {"answer": True}),
        "missing field",
    ),
    "F5 of a test split": (
        "dataset/CommonsenseQA/dev_rand_split.jsonl",
        lines({name: value for name, value in COMMONSENSE.items() if name != "answerKey"}),
        "missing field",
    ),
    "F6 without the mark": ("dataset/grade-school-math/test.jsonl", lines(GSM8K | {"answer": "18"}), "missing field"),
    "F6 without a number": ("dataset/grade-school-math/test.jsonl", lines(GSM8K | {"answer": "#### "}), "empty output"),
    "F7 without an answer": ("demos/multiarith_auto", under("demo", MANUAL | {"pred_ans": None}), "missing field"),
}


@pytest.mark.parametrize(("path", "content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_question_that_is_none(build: Build, path: str, content: str, reason: str) -> None:
    built = build("auto_cot", {path: content})
    assert (built.said, built.refused) == ([], [(0, reason)])


@pytest.mark.parametrize(
    ("path", "content"), [("dataset/coin_flip/coin_flip.json", array(COIN)), ("demos/multiarith_auto", lines(AUTO))]
)
def test_an_object_without_its_list_is_an_error(build: Build, path: str, content: str) -> None:
    with pytest.raises(SourceError, match=r"examples|demo"):
        build("auto_cot", {path: content})


# --- F8, the logs -------------------------------------------------------------------------------------------------

STARS = "*" * 25
TRIGGER = "\nTherefore, the answer (arabic numerals) is"
LOG = "log/addsub_zero_shot_cot.log"


def block(
    said: str = "Let's think step by step. \n\n4 + 3 = 7. ",
    *,
    question: str = "How many?",
    answer: str = " 7.",
    mode: str = "7",
    right: str = "7",
    trigger: str = TRIGGER,
) -> str:
    return (
        f"{STARS}\n1st data\n1_th_sampling\nQ: {question}\nA: {said}{trigger}{answer}\npred_before : {answer}\n"
        f"pred_after : {mode}\npred_list : ['{mode}']\npred_mode : {mode}\nGT : {right}\n{STARS}\n"
    )


def log(*blocks: str, trigger: str = TRIGGER) -> str:
    head = (
        f"{'*' * 29}\nNamespace(cot_trigger=\"Let's think step by step.\", dataset='addsub', "
        f"direct_answer_trigger={trigger!r}, direct_answer_trigger_for_zeroshot='The answer is', max_length_cot=128)\n"
        f"{'*' * 29}\nsetup data loader ...\ndataset : addsub\ndata size : 395\n"
    )
    return head + "".join(blocks) + "accuracy : 69.6\n./log/addsub_zero_shot_cot_20220505_api_log.json\n"


SAID = {
    "instruction": "How many?",
    "rationale": "Let's think step by step. \n\n4 + 3 = 7.",
    "output": "7",
    "extra": {"dataset": "addsub"},
}

BLOCKS: dict[str, tuple[str, Row]] = {
    "a right answer": (block(), SAID),
    "an answer below the trigger": (block(answer=" \n\n7 \n"), SAID),
    "equal up to blanks": (block(mode="7 ", right=" 7"), SAID),
    "a rationale cut in mid-sentence": (
        block("Let's think step by step. \n\nWe have inform"),
        SAID | {"rationale": "Let's think step by step. \n\nWe have inform"},
    ),
    "a trigger that stands alone counts whatever follows it": (
        block().replace("pred_before :  7.", "pred_before : "),
        SAID,
    ),
    "two triggers, the answer behind the first": (
        block(answer=" 7. \n\nTherefore, the answer (arabic numerals) is 8."),
        SAID,
    ),
    "two triggers, the answer behind the last": (
        block(f"4 + 3 = 7. {TRIGGER} not clear. "),
        SAID | {"rationale": "4 + 3 = 7. \nTherefore, the answer (arabic numerals) is not clear."},
    ),
    "a made-up second pair": (
        block("4 + 3 = 7. \n\nQ: And now? \nA: Now 8. "),
        SAID | {"rationale": "4 + 3 = 7. \n\nQ: And now? \nA: Now 8."},
    ),
    "a line break in the question": (
        block(question="How many?\nOptions: \n(A) 7"),
        SAID | {"instruction": "How many?\nOptions: \n(A) 7"},
    ),
    "CRLF line ends": (block().replace("\n", "\r\n"), SAID),
}


@pytest.mark.parametrize(("raw", "said"), BLOCKS.values(), ids=BLOCKS.keys())
def test_a_block_with_the_right_answer_is_a_record(build: Build, raw: str, said: Row) -> None:
    assert build("auto_cot", {LOG: log(raw)}).said == [said]


def test_the_row_is_the_ordinal_of_the_block(build: Build) -> None:
    built = build("auto_cot", {LOG: log(*(raw for raw, _ in BLOCKS.values()))})
    assert built.said == [said for _, said in BLOCKS.values()]
    assert built.places == [(LOG, index) for index in range(len(BLOCKS))]
    assert built.manifest["raw_rows"] == len(BLOCKS)


REFUSED_BLOCKS = {
    "a wrong answer": (block(mode="8"), "wrong answer"),
    "no answer": (block(mode=""), "wrong answer"),
    "no right answer": (block(mode="", right=""), "empty output"),
    "no question": (block(question=""), "empty instruction"),
    "no trigger": (block(trigger=" So it is"), "missing field"),
    "two triggers, neither before the answer": (
        block(f"4.{TRIGGER} 5.").replace("pred_before :  7.", "pred_before : 9"),
        "missing field",
    ),
    "a part that is not there": (block().replace("pred_mode", "pred_made"), "missing field"),
    "an end that is not there": (block().rpartition("GT")[0], "missing field"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED_BLOCKS.values(), ids=REFUSED_BLOCKS.keys())
def test_a_block_that_is_none(build: Build, raw: str, reason: str) -> None:
    built = build("auto_cot", {LOG: log(block(), raw, block())})
    assert built.places == [(LOG, 0), (LOG, 2)]
    assert built.refused == [(1, reason)]


def test_a_log_that_is_cut_within_a_block(build: Build) -> None:
    whole = log(block(), block(right="70", mode="70"))
    built = build("auto_cot", {LOG: whole[: whole.rindex("GT : 7") + 6]})
    assert built.places == [(LOG, 0)]
    assert built.refused == [(1, "missing field")]


@pytest.mark.parametrize("trigger", ["\nTherefore, among A through E, the answer is", "\nSo, by Ann's rule, it's"])
def test_the_trigger_is_the_one_of_the_file_s_head(build: Build, trigger: str) -> None:
    raw = log(block(trigger=trigger), trigger=trigger)
    built = build("auto_cot", {"log/aqua_zero_shot_cot.log": raw, LOG: log(block())})
    assert built.said == [SAID, SAID | {"extra": {"dataset": "aqua"}}]


def test_without_a_head_no_block_is_a_record(build: Build) -> None:
    assert build("auto_cot", {LOG: block()}).refused == [(0, "missing field")]


def test_a_text_without_a_block_is_an_error(build: Build) -> None:
    with pytest.raises(SourceError, match=r"addsub_zero_shot_cot\.log.*row"):
        build("auto_cot", {LOG: log()})


def test_other_logs_and_canaried_benchmarks_are_left_alone(build: Build) -> None:
    other = ["log/addsub_zero_shot.log", *(f"log/{name}_zero_shot_cot.log" for name in CANARIED)]
    stray = dict.fromkeys(other, log(block())) | {"dataset/StrategyQA/task.json": "{}"}
    assert build("auto_cot", {LOG: log(block())} | stray).places == [(LOG, 0)]


CANARIED = ("strategyqa", "date_understanding", "shuffled_objects")


# --- real rows ----------------------------------------------------------------------------------------------------

RIGHT = {"addsub": (395, 275), "aqua": (254, 85), "multiarith": (600, 472), "singleeq": (508, 396)}


@pytest.mark.skipif(not RAW.is_dir(), reason="no real rows at hand")
def test_real_rows(tmp_path: Path) -> None:
    corpus(load(), ["auto_cot"], RAW.parent, tmp_path, workers=1, limit=None)
    real = read(tmp_path / "records" / "auto_cot")
    blocks = sum(all_of for all_of, _ in RIGHT.values())
    right = sum(good for _, good in RIGHT.values())
    assert (blocks, right) == (1757, 1228)
    assert (real.manifest["raw_rows"], real.manifest["records"]) == (4030, 4030 - blocks + right)
    assert real.manifest["rejected"] == {"wrong answer": blocks - right}
    rows = {one["path"]: one["rows"] for one in real.manifest["files"]}
    found = Counter(path for path, _ in real.places)
    for name, counts in RIGHT.items():
        assert (rows[f"log/{name}_zero_shot_cot.log"], found[f"log/{name}_zero_shot_cot.log"]) == counts
    expected = questions() | logged()
    ours = dict(zip(real.places, real.said, strict=True))
    assert ours.keys() == expected.keys()
    assert [place for place in expected if ours[place] != expected[place]] == []


def questions() -> dict[tuple[str, int], Row]:
    """The records of the question and demonstration files, read in plain Python."""
    expected: dict[tuple[str, int], Row] = {}
    aqua = (RAW / "dataset/AQuA/test.json").read_text(encoding="utf-8").splitlines()
    for index, raw in enumerate(map(json.loads, aqua)):
        options = [f"({option[0]}) {option[2:].lstrip()}" for option in raw["options"]]
        expected["dataset/AQuA/test.json", index] = {
            "instruction": "\n".join([kept(raw["question"]), "Options:", *options]),
            "rationale": kept(raw["rationale"]),
            "output": f"({raw['correct']})",
            "extra": {"dataset": "AQuA"},
        }
    for path in ("AddSub/AddSub", "MultiArith/MultiArith", "SingleEq/questions"):
        for index, raw in enumerate(json.loads((RAW / f"dataset/{path}.json").read_text(encoding="utf-8"))):
            expected[f"dataset/{path}.json", index] = {
                "instruction": kept(raw["sQuestion"]),
                "output": str(raw["lSolutions"][0]).removesuffix(".0"),
                "extra": {"dataset": path.split("/")[0], "id": raw["iIndex"], "equations": raw["lEquations"]},
            }
    coins = json.loads((RAW / "dataset/coin_flip/coin_flip.json").read_text(encoding="utf-8"))["examples"]
    for index, raw in enumerate(coins):
        expected["dataset/coin_flip/coin_flip.json", index] = {
            "instruction": kept(raw["question"]),
            "output": raw["answer"],
            "extra": {"dataset": "coin_flip"},
        }
    for name in ("multiarith_auto", "multiarith_manual"):
        for index, raw in enumerate(json.loads((RAW / "demos" / name).read_text(encoding="utf-8"))["demo"]):
            expected[f"demos/{name}", index] = {
                "instruction": kept(raw["question"].removeprefix("Q:").removesuffix("A:")),
                "rationale": kept(raw["rationale"]),
                "output": raw.get("gold_ans", raw["pred_ans"]),
                "extra": {"dataset": name},
            }
    return expected


def logged() -> dict[tuple[str, int], Row]:
    """The right blocks of the logs, cut at the lines of stars and read line by line."""
    expected: dict[tuple[str, int], Row] = {}
    for name in RIGHT:
        text = (RAW / f"log/{name}_zero_shot_cot.log").read_text(encoding="utf-8")
        wording = "among A through E, the answer" if name == "aqua" else "the answer (arabic numerals)"
        for index, raw in enumerate(re.findall(r"\n\d+st data\n1_th_sampling\nQ: (.*?)\n\*{25}\n", text, re.DOTALL)):
            question, _, rest = raw.partition("\nA: ")
            said, _, predicted = rest.partition("\npred_before : ")
            before, _, after = predicted.partition("\npred_after : ")
            mode, _, right = after.partition("\npred_mode : ")[2].partition("\nGT : ")
            if kept(mode) != kept(right):
                continue
            ends = [at for at in range(len(said)) if said.startswith(f"\nTherefore, {wording} is", at)]
            length = len(f"\nTherefore, {wording} is")
            told = [at for at in ends if kept(said[at + length :]) == kept(before)] if len(ends) > 1 else ends
            expected[f"log/{name}_zero_shot_cot.log", index] = {
                "instruction": kept(question),
                "rationale": kept(said[: told[0]]),
                "output": kept(right),
                "extra": {"dataset": name},
            }
    return expected
