"""Where a training's figures go besides its own files."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from collectors.errors import TrainingError
from train.fitting.boards import check, opened
from train.recipe import Recipe

With = Callable[..., Recipe]


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_board_that_is_not_installed_is_told_in_a_line(recipe_with: With) -> None:
    with pytest.raises(TrainingError, match=r"wandb needs the package wandb.*pip install wandb.*--set logging=jsonl"):
        check(recipe_with(logging="wandb"))


def test_tensorboard_gets_every_figure(recipe_with: With, tmp_path: Path) -> None:
    recipe = recipe_with(logging="tensorboard")
    check(recipe)
    with opened(recipe, tmp_path, "run", 0) as (sink,):
        sink({"step": 3, "loss": 4.5, "tokens": 270})
    (events,) = (tmp_path / "tensorboard").iterdir()
    written = events.read_bytes()
    assert b"loss" in written
    assert b"tokens" in written
    assert b"step" not in written


@pytest.mark.parametrize("logging", ["none", "jsonl"])
def test_others_have_no_board(recipe_with: With, tmp_path: Path, logging: str) -> None:
    with opened(recipe_with(logging=logging), tmp_path, "run", 0) as sinks:
        assert sinks == []
