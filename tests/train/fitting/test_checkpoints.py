"""Checkpoints: whole ones are found, others are told in a line and cleared away."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from train.fitting.checkpoints import newest, seal


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for step in (2, 10):
        checkpoint = tmp_path / f"checkpoint-{step}"
        (checkpoint / "pieces").mkdir(parents=True)
        (checkpoint / "optimizer.pt").write_bytes(bytes(100))
        (checkpoint / "pieces" / "one.pt").write_bytes(bytes(10))
        seal(checkpoint)
    return tmp_path


def test_the_newest_is_found(place: Path, said: list[str]) -> None:
    assert newest(place, said.append) == place / "checkpoint-10"
    assert said == []
    assert newest(place / "nothing", said.append) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda one: (one / "sealed.json").unlink(), "it was cut while it was written"),
        (lambda one: (one / "sealed.json").write_text('{"optimizer.pt": '), "it was cut while it was written"),
        (lambda one: (one / "optimizer.pt").write_bytes(bytes(99)), "optimizer.pt is cut short"),
        (lambda one: shutil.rmtree(one / "pieces"), "pieces/one.pt is gone"),
    ],
)
def test_one_that_is_not_whole_is_passed_over_and_removed(
    place: Path, said: list[str], damage: Callable[[Path], object], reason: str
) -> None:
    damaged = place / "checkpoint-10"
    damage(damaged)
    assert newest(place, said.append) == place / "checkpoint-2"
    assert said == [f"{damaged}: passed over, {reason}"]
    assert not damaged.exists()
