"""The picture of a training: the same bytes for the same entries, without names or dates."""

from pathlib import Path

import pytest

from train.fitting.curve import draw
from train.fitting.journal import Entry

ENTRIES: list[Entry] = [
    {"step": 0, "held_out_loss": 5.7, "epoch": 0.0, "tokens": 0},
    {"step": 1, "loss": 5.6, "epoch": 0.5, "tokens": 90},
    {"step": 2, "loss": 5.1, "epoch": 1.0, "tokens": 180},
    {"step": 2, "held_out_loss": 5.2, "epoch": 1.0, "tokens": 180},
]


@pytest.mark.parametrize("entries", [ENTRIES, ENTRIES[1:3], []])
def test_a_picture_is_the_same_every_time(tmp_path: Path, entries: list[Entry]) -> None:
    for name in ("one.png", "other.png"):
        draw(tmp_path / name, entries)
    drawn = (tmp_path / "one.png").read_bytes()
    assert drawn == (tmp_path / "other.png").read_bytes()
    assert drawn.startswith(b"\x89PNG\r\n")
    assert b"matplotlib" not in drawn.lower()
    assert b"tEXt" not in drawn


def test_other_losses_are_another_picture(tmp_path: Path) -> None:
    draw(tmp_path / "one.png", ENTRIES)
    draw(tmp_path / "other.png", [*ENTRIES, {"step": 3, "loss": 4.9}])
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
