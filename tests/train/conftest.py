"""Small mixtures, written as `mix` leaves them, and the small bases that tests train on."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from rows import CHAT, EMOJI, PLAIN, WORDED, ZH, row, write
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from train import tiny
from train.base import model
from train.mixture import Mixture, find
from train.recipe import Recipe

logging.disable_progress_bar()

SMALL = Recipe.model_validate(
    {
        "about": "for tests",
        "base": "tiny-random-llama",
        "tiny": {"vocabulary": 300, "hidden": 32, "layers": 2, "heads": 2},
        "method": {"r": 4, "alpha": 8, "dropout": 0.1, "train_whole": ["embed_tokens", "lm_head"]},
        "cutoff": 512,
        "steps": 6,
        "epochs": 100,
        "batch": 2,
        "accumulation": 1,
        "learning_rate": 0.005,
        "schedule": "linear",
        "warmup": 0,
        "log_every": 1,
        "evaluate_every": 3,
        "save_every": 2,
    }
)


@contextmanager
def offline() -> Iterator[None]:
    """Without the Hub, here and in processes that are started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        # Read from the environment when the library is imported, which others may have done.
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="module", autouse=True)
def without_hub() -> Iterator[None]:
    """Each test here, and none elsewhere in the same process, is without the Hub."""
    with offline():
        yield


@pytest.fixture(scope="session")
def small() -> Recipe:
    """A recipe of six short steps on the tiny base."""
    return SMALL


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the mixture `greetings`: sixteen rows to train on and four held out."""
    place = tmp_path_factory.mktemp("data")
    numbers = [row(f"Say the number {number} as a word.", f"It is number {number}, in a word.") for number in range(11)]
    write(place, "greetings", [PLAIN, ZH, EMOJI, CHAT, WORDED, *numbers], [row("Say hi.", "Hi."), ZH, EMOJI, CHAT])
    return place


@pytest.fixture(scope="session")
def mixed(out: Path) -> Mixture:
    """The mixture `greetings`."""
    return find(out, "greetings")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, mixed: Mixture) -> Path:
    """The folder of a tiny random Llama, with a tokenizer that knows ChatML's tokens."""
    place = tmp_path_factory.mktemp("bases") / "tiny"
    with offline():  # made once, before the tests of whichever module come first
        tiny.make(place, mixed, SMALL)
    return place


@pytest.fixture
def words(tiny_base: Path) -> PreTrainedTokenizerBase:
    """Its tokenizer."""
    return model.tokenizer(tiny_base)


@pytest.fixture
def said() -> list[str]:
    """What a training says, a line each."""
    return []


@pytest.fixture
def recipe_with() -> Callable[..., Recipe]:
    """The small recipe with some keys set otherwise."""

    def changed(**settings: Any) -> Recipe:
        return Recipe.model_validate(SMALL.model_dump() | settings)

    return changed
