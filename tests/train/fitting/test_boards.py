"""Where a training's figures go besides its own files."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

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


class Wandb(ModuleType):
    """A double of wandb: what it was begun with, and what was logged."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.refused = False

    def init(self, **settings: Any) -> "Wandb":
        if self.refused:
            raise self.Error("api_key not\nconfigured")
        self.begun = settings
        return self

    def __enter__(self) -> "Wandb":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, figures: dict[str, float], *, step: int) -> None:
        self.logged.append((step, figures))


def test_wandb_gets_every_figure_in_one_run_that_goes_on(
    recipe_with: With, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    recipe = recipe_with(logging="wandb")
    with opened(recipe, tmp_path / "mine.work", "0123456789abcdef0123", 0) as (sink,):
        sink({"step": 3, "loss": 4.5, "tokens": 270})
    assert wandb.logged == [(3, {"loss": 4.5, "tokens": 270})]
    asked = {key: wandb.begun[key] for key in ("name", "id", "resume")}
    assert asked == {"name": "mine", "id": "0123456789abcdef", "resume": "allow"}
    assert wandb.begun["config"] == recipe.model_dump()
    wandb.refused = True
    with (
        pytest.raises(TrainingError, match=r"wandb cannot be begun: api_key not configured; set it up"),
        opened(recipe, tmp_path, "0" * 64, 0),
    ):
        pass
