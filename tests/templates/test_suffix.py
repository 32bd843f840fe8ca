"""Suffixes: what is appended to an instruction, by language."""

import polars as pl
import pytest

from collectors.errors import TemplateError
from templates.suffix import suffixed, suffixes


def test_think_in_both_languages() -> None:
    frame = pl.DataFrame(
        [
            ("天空为什么是蓝色的？", "CN", None),
            ("Why is the sky blue?", "EN", None),
            ("天空為什麼是藍色的？", "ML", "zh-Hant"),
            ("Pourquoi ?", "ML", "fr"),
        ],
        ["instruction", "lang", "language"],
        orient="row",
    )
    assert frame.select(suffixed("think"))["instruction"].to_list() == [
        "天空为什么是蓝色的？先思考，再决定",
        "Why is the sky blue? Think first, then decide.",
        "天空為什麼是藍色的？先思考，再决定",
        "Pourquoi ? Think first, then decide.",
    ]


def test_every_suffix_has_both_languages() -> None:
    assert all(set(texts) == {"en", "zh"} for texts in suffixes().values())


def test_a_frame_without_any_language() -> None:
    frame = pl.DataFrame({"instruction": ["Why?"], "lang": ["ML"], "language": [None]})
    assert frame.select(suffixed("think")).item() == "Why? Think first, then decide."


def test_only_names_are_taken() -> None:
    with pytest.raises(TemplateError, match=r"suffix 'thnk': .* did you mean think"):
        suffixed("thnk")
    with pytest.raises(TemplateError, match="known: check, reasons, steps, think"):
        suffixed("先思考，再决定")
