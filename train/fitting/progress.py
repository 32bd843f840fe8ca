"""How far a training is: a bar on a terminal; elsewhere the lines of the journal have to do."""

from typing import Any, Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from train.fitting.steps import Steps
from train.fitting.usage import peak


class Bar(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Shows the steps, the time left, tokens a second and the most memory used; a context manager.

    What is printed meanwhile stands above it. Nothing is shown where `console` is no terminal.
    """

    def __init__(self, steps: Steps, console: Console | None = None) -> None:
        self.steps = steps
        console = console or Console()
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[rate]}"), console=console, speed_estimate_period=60)
        self.shown = console.is_terminal
        self.task = self.progress.add_task("training", total=steps.total, rate="")

    def __enter__(self) -> Self:
        if self.shown:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self.progress.stop()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin at the step that the training goes on from, and reckon speed from there."""
        self.progress.reset(self.task, completed=state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move on by a step."""
        if self.shown:
            self.progress.update(self.task, completed=state.global_step, rate=self._rate(state.global_step))

    def _rate(self, step: int) -> str:
        speed = self.progress.tasks[0].speed
        a_step = self.steps.tokens(step) / step
        rate = f"{speed * a_step:,.0f} tokens/s  " if speed else ""
        return f"{rate}peak {decimal(peak())}"
