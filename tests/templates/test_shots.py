"""Solved examples before a request, and request and answer exchanged."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from collectors.errors import TemplateError
from templates.sheet import inversions
from templates.template import Shots, Template, load

RECORD = {
    "id": "0" * 32,
    "subset": "gsm8k_train.tsv",
    "lang": "EN",
    "language": None,
    "instruction": "How many?",
    "input": "",
    "rationale": "2 + 3 = 5",
    "output": "5",
}
OWN = 'wordings:\n  en: [{prompt: "Q: {{ question }}", target: "{{ rationale }} -> {{ answer }}"}]\n'
LAYOUT = """few_shot:
  en:
    - inputs: "{{ question }}"
      targets: "{{ answer }}, because {{ rationale }}"
      inputs_prefix: "Question: "
      targets_prefix: "Answer: "
      x_y_delimiter: "\\n"
      example_separator: "\\n\\n\\n"
      final_suffix: "!"
      in_template_mix: true
"""
INVERTED = 'input_inversion:\n  en: [{prompt: "{{ rationale }} -> {{ answer }}?", target: "{{ question }}"}]\n'


def records(*changes: dict[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([RECORD | change for change in changes], dict.fromkeys(RECORD, pl.String))


POOL = records(
    {"id": "a" * 32, "instruction": "1 + 1?", "rationale": "one and one", "output": "2"},
    {"id": "b" * 32, "instruction": "2 + 2?", "input": "Count.", "rationale": "two and two", "output": "4"},
)


def template(folder: Path, text: str) -> Template:
    (folder / "gsm8k.yaml").write_text(text, encoding="utf-8")
    return load(str(folder / "gsm8k.yaml"))


def shown(worn: Template, *places: list[int], inversion: float = 0) -> list[dict[str, str]]:
    """What rows are worded as, each behind the records of the pool at its places."""
    shots = Shots(pool=POOL, places=np.array(places, np.int32))
    rows = worn.word(
        records(*({"id": f"{number:032x}"} for number in range(len(places)))), 7, shots=shots, inversion=inversion
    )
    return rows.select("prompt", "target", "template").to_dicts()


def test_examples_are_worded_like_the_row() -> None:
    assert shown(load("plain"), [0, 1], [1, -1], [-1, -1]) == [
        {"prompt": "1 + 1?\n2\n\n2 + 2?\nCount.\n4\n\nHow many?", "target": "5", "template": "plain+2"},
        {"prompt": "2 + 2?\nCount.\n4\n\nHow many?", "target": "5", "template": "plain+1"},
        {"prompt": "How many?", "target": "5", "template": "plain"},
    ]


def test_a_wording_of_a_file_is_that_of_its_examples(tmp_path: Path) -> None:
    assert shown(template(tmp_path, OWN), [1]) == [
        {
            "prompt": "Q: 2 + 2?\ntwo and two -> 4\n\nQ: How many?",
            "target": "2 + 3 = 5 -> 5",
            "template": "gsm8k/en-01+1",
        }
    ]


def test_a_layout_of_a_file_goes_before_its_wordings(tmp_path: Path) -> None:
    """As FLAN arranges them; the blanks before the answer that is to be written are stripped."""
    worn = template(tmp_path, OWN + LAYOUT)
    assert shown(worn, [0], [-1]) == [
        {
            "prompt": "Question: 1 + 1?\nAnswer: 2, because one and one\n\n\nQuestion: How many?\nAnswer:!",
            "target": "5, because 2 + 3 = 5",
            "template": "gsm8k/shots-en-01+1",
        },
        {
            "prompt": "Question: How many?\nAnswer:!",
            "target": "5, because 2 + 3 = 5",
            "template": "gsm8k/shots-en-01",
        },
    ]
    assert worn.word(records({}), 7)["template"].item() == "gsm8k/en-01"


def test_an_inverted_row_has_inverted_examples(tmp_path: Path) -> None:
    worn = template(tmp_path, OWN + LAYOUT + INVERTED)
    assert shown(worn, [0], inversion=1) == [
        {
            "prompt": "one and one -> 2?\n1 + 1?\n\n2 + 3 = 5 -> 5?",
            "target": "How many?",
            "template": "gsm8k/inverted-en-01+1",
        }
    ]


def test_a_share_is_inverted_and_a_larger_share_keeps_it(tmp_path: Path) -> None:
    worn = template(tmp_path, OWN + INVERTED)
    rows = records(*({"id": f"{number:032x}"} for number in range(2000)))
    turned = {
        share: set(
            worn.word(rows, 3, inversion=share).filter(pl.col("template").str.contains("inverted"))["id"].to_list()
        )
        for share in (0, 0.3, 0.5, 1)
    }
    assert [len(turned[share]) for share in (0, 1)] == [0, 2000]
    assert 540 < len(turned[0.3]) < 660
    assert turned[0.3] < turned[0.5] < turned[1]


def test_what_cannot_be_inverted_is_worded_as_ever(tmp_path: Path) -> None:
    """For want of inversions in the row's language, and for want of a rationale."""
    worn = template(tmp_path, OWN + INVERTED)
    rows = records({"lang": "CN"}, {"rationale": None}).with_columns(id=pl.Series(["0" * 32, "1" * 32]))
    assert worn.word(rows, 3, inversion=1)["template"].to_list() == ["plain", "plain"]
    assert not load("plain").inverts
    assert load("plain").word(records({}), 3, inversion=1)["template"].item() == "plain"


def test_every_chain_of_thought_task_can_be_inverted() -> None:
    cot = load("cot")
    assert set(cot.others["input_inversion"]) == set(cot.wordings)
    for wordings in cot.others["input_inversion"].values():
        for wording in wordings:
            assert wording.prompt.names == {"rationale", "answer"}
            assert wording.target.names == {"question"}
    assert {language: len(pairs) for language, pairs in inversions()["reasoned"].items()} == {"en": 5, "zh": 5}


def test_an_unknown_set_of_inversions_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"input_inversion: there is no set 'reason'; did you mean reasoned\?$"):
        template(tmp_path, OWN + "input_inversion: reason\n")


def test_the_fingerprint_follows_inversions_and_layouts(tmp_path: Path) -> None:
    texts = [OWN, OWN + INVERTED, OWN + LAYOUT, OWN + LAYOUT.replace('"!"', '"?"')]
    assert len({template(tmp_path, text).fingerprint for text in texts}) == 4
