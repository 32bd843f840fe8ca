"""Task wordings: the request of a source that words none itself."""

from pathlib import Path

import polars as pl
import pytest

from collectors.errors import TemplateError
from templates.tasks import instructed, read_tasks, wordings

CSL = {
    "csl/title": "请阅读下面的论文摘要，为这篇论文拟一个标题。",
    "csl/keywords": "请从下面的论文内容中提取关键词，词与词之间用顿号隔开。",
    "csl/category": "请根据下面的论文标题，判断这篇论文属于哪个学科门类。",
    "csl/discipline": "请根据下面的论文摘要，判断这篇论文属于哪个一级学科。",
}


def test_the_wordings_that_come_with_the_program() -> None:
    assert wordings() == CSL


def test_a_null_instruction_is_filled_and_a_given_one_stays() -> None:
    frame = pl.DataFrame(
        {
            "row": [0, 1, 2, 3],
            "instruction": [None, "拟标题。", None, ""],
            "wording": ["csl/title", "csl/title", None, "csl/keywords"],
        }
    )
    assert instructed(frame).to_dict(as_series=False) == {
        "row": [0, 1, 2, 3],
        "instruction": [CSL["csl/title"], "拟标题。", None, ""],
    }


def test_a_column_of_nulls_and_no_row_at_all() -> None:
    nulls = pl.DataFrame({"instruction": [None], "wording": ["csl/category"]})
    assert instructed(nulls).rows() == [(CSL["csl/category"],)]
    assert instructed(pl.DataFrame({"instruction": [None], "wording": [None]})).rows() == [(None,)]
    assert instructed(nulls.clear()).schema == {"instruction": pl.String}


def test_a_frame_that_asks_for_none_is_left_as_it_is() -> None:
    frame = pl.DataFrame({"row": [0], "instruction": [None]})
    assert instructed(frame) is frame


def test_an_unknown_wording_tells_the_near_ones() -> None:
    frame = pl.DataFrame({"instruction": [None], "wording": ["csl/titel"]})
    with pytest.raises(TemplateError, match=r"^task wording 'csl/titel': is not there; did you mean csl/title\?$"):
        instructed(frame)


def sheet(folder: Path, text: str) -> Path:
    file = folder / "toy.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_wording_is_text_or_jinja_over_nothing(tmp_path: Path) -> None:
    file = sheet(tmp_path, "wordings:\n  plain: '拟标题。'\n  spelt: '{% if true %}{{ \"a\" }}{% endif %}，b'\n")
    assert read_tasks(file) == {"plain": "拟标题。", "spelt": "a，b"}


WRONG = {
    "a variable": ("wordings: {a: '{{ question }}'}", r"wordings\.a: names 'question'; a task's wording is the same"),
    "an unknown variable": ("wordings: {a: '{{ text }}'}", "unknown variable 'text'"),
    "a variable in a branch not taken": ("wordings: {a: 'x{% if false %}{{ answer }}{% endif %}'}", "names 'answer'"),
    "a way out of the sandbox": ("wordings: {a: \"{{ ''.__class__ }}\"}", "unknown attribute '__class__'"),
    "a call": ("wordings: {a: '{{ range(9) }}'}", "may call only"),
    "a sum": ("wordings: {a: '{{ 1 + 1 }}'}", r"may not use '\+'"),
    "no Jinja": ("wordings: {a: '{{ '}", r"wordings\.a: line 1"),
    "nothing": ("wordings: {a: ' '}", r"wordings\.a: is empty"),
    "Jinja that comes to nothing": ("wordings: {a: '{{ \"\" }}'}", r"wordings\.a: is empty"),
    "two wordings": ("wordings: {a: [x, y]}", r"wordings\.a"),
    "a number": ("wordings: {a: 3}", r"wordings\.a"),
    "no task": ("wordings: {}", "wordings"),
    "another key": ("wording: {a: x}", "wording: unknown key; did you mean wordings?"),
    "a task twice": ("wordings:\n  a: x\n  a: y\n", "line 3 .*'a' stands twice"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_names_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = sheet(tmp_path, text)
    with pytest.raises(TemplateError, match=words) as caught:
        read_tasks(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"none\.yaml: cannot be read: No such file"):
        read_tasks(tmp_path / "none.yaml")
