"""What a mixture tells of where it is not all that its recipe asks for."""

from pathlib import Path

import pytest
from mixing import Row, built, frame, store

from pipeline import report
from pipeline.ledger import ledger

REASONED: Row = {"rationale": "One more than one is two."}


def sums(*rows: Row) -> list[Row]:
    """Records of the task gsm8k, told apart by their questions."""
    return [{"subset": "gsm8k_train.tsv", "instruction": f"{at} + 1?", **row} for at, row in enumerate(rows)]


@pytest.mark.parametrize("few_shot", [0, 1])
def test_a_template_whose_variables_a_source_lacks_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few_shot: int
) -> None:
    store(tmp_path, "first", frame("first", sums(REASONED, {}, {})))
    store(tmp_path, "second", frame("second", sums({"output": "2"}, {"output": "3"})))
    store(tmp_path, "third", frame("third", sums({"output": "4"})))
    mixed = built(
        tmp_path,
        {"source": "first", "template": "cot", "few_shot": few_shot},
        {"source": "second", "template": "cot", "few_shot": few_shot},
        {"source": "third"},
    )
    report.mixed(mixed)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "warning: mixture both: none of the 2 rows of second fits template cot, for want of a rationale, or of "
        "wordings for their task and language; they are worded plainly"
    ]
    told = ledger(mixed.manifest).splitlines()
    assert [line for line in told if line.startswith("Worded plainly")] == [
        "Worded plainly, for no wording of `cot` fits them: 2 of the 3 rows of `first`.",
        "Worded plainly, for no wording of `cot` fits them: 2 of the 2 rows of `second`.",
    ]


def test_copies_of_held_out_rows_that_were_not_made_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, "first", frame("first", sums(*[{}] * 5)))
    mixed = built(tmp_path, {"source": "first", "rows": 15, "max_repeat": 3}, holdout={"rows": 2})
    assert mixed.manifest["rows"] == {"train": 9, "holdout": 2}
    report.mixed(mixed)
    assert "9 train, 2 holdout rows, 4 further copies of held-out rows not made: " in capsys.readouterr().out
    assert "Held-out rows stand once: 4 further copies of them were not made." in ledger(mixed.manifest)


def test_quotas_that_were_not_met_and_policies_that_were_not_applied_are_on_the_card(tmp_path: Path) -> None:
    store(tmp_path, "first", frame("first", sums({}, {})))
    mixed = built(tmp_path, {"source": "first", "rows": 5}, leaks="drop", flags=["refusal"])
    told = ledger(mixed.manifest).split("\n\n")
    assert told[-2:] == [
        "Not applied to `first` (not judged): leaks, flags.",
        "Asked of first were 5 rows, of which there are 2.",
    ]
