"""The bar of a training: its steps, the time left, tokens a second and the most memory, on a terminal alone."""

import io
import re
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from rich.console import Console
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from train.fitting.progress import Bar
from train.fitting.steps import Steps
from train.recipe import Recipe


def shown(recipe: Recipe, *, terminal: bool, begin: int) -> str:
    """What is written while a training of eight steps goes on from step `begin` to its end."""
    clock = count(step=0.5)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, get_time=lambda: next(clock))
    dealt = Steps(np.full(8, 100), recipe)
    state, control = TrainerState(global_step=begin), TrainerControl()
    arguments = TrainingArguments(output_dir="unused", use_cpu=True)
    bar = Bar(dealt, console)
    bar.progress.live.auto_refresh = False  # else a thread looks at the clock as well
    with bar:
        bar.on_train_begin(arguments, state, control)
        while state.global_step < dealt.total:
            state.global_step += 1
            bar.on_step_end(arguments, state, control)
        bar.progress.refresh()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("begin", [0, 3])
def test_it_tells_steps_time_speed_and_memory(recipe_with: Callable[..., Recipe], begin: int) -> None:
    told = shown(recipe_with(steps=8, batch=2, accumulation=1), terminal=True, begin=begin)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told).strip().splitlines()[-1]
    assert re.search(r"training .* 8/8 0:00:00 .*[\d,]+ tokens/s  peak [\d.]+ [MG]B", last)


def test_where_there_is_no_terminal_nothing_is_shown(recipe_with: Callable[..., Recipe]) -> None:
    assert shown(recipe_with(steps=8), terminal=False, begin=0) == ""
