"""The journal of a training: what the Trainer logs, kept in files and told on the console.

`metrics.jsonl` holds what follows from the recipe and the rows, so the same training writes the same bytes, cut or not.
What differs from run to run (seconds, tokens a second, memory) stands in `timings.jsonl` beside it.
"""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from train.fitting.steps import Steps
from train.fitting.usage import peak

Say = Callable[[str], None]
Entry = dict[str, float]
Sink = Callable[[Entry], None]
"""Takes each entry as it is made."""

METRICS: Final = "metrics.jsonl"
TIMINGS: Final = "timings.jsonl"

KEPT: Final = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "eval_loss": "held_out_loss",
}
"""What of the Trainer's log goes into `metrics.jsonl`, and by which name; the rest is times, other on every run."""


class Journal(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Keeps the entries, writes them below `place` (None: nowhere), hands them to `sinks` and tells them.

    A resumed run takes up the entries of the checkpoint's own history, so the file reads as if nothing had happened.
    Processes but the first keep their entries to themselves.
    """

    def __init__(self, place: Path | None, steps: Steps, say: Say, sinks: Iterable[Sink] = ()) -> None:
        self.place, self.steps, self.say, self.sinks = place, steps, say, list(sinks)
        self.entries: list[Entry] = []
        self.began = self.started = time.monotonic()
        self.trained = 0.0  # seconds inside steps since the last entry
        self.told = 0  # the step of that entry

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the files, with the history of a checkpoint if there is one."""
        self.began, self.told = time.monotonic(), state.global_step
        self.entries = [kept for kept in (self._kept(entry, int(entry["step"])) for entry in state.log_history) if kept]
        if self.place is None or not state.is_world_process_zero:
            return
        _write(self.place / METRICS, "w", self.entries)
        _write(self.place / TIMINGS, "w", _until(self.place / TIMINGS, state.global_step))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock of a step."""
        self.started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop the clock of a step; the last one is logged wherever it falls."""
        self.trained += time.monotonic() - self.started
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write and tell one entry."""
        entry = self._kept(logs or {}, state.global_step)
        if not entry:
            return
        self.entries.append(entry)
        if not state.is_world_process_zero:
            return
        timing = self._timing(entry)
        if self.place is not None:
            _write(self.place / METRICS, "a", [entry])
            _write(self.place / TIMINGS, "a", [timing])
        for sink in self.sinks:
            sink(entry)
        self.say(f"step {state.global_step}/{state.max_steps}  {_told(entry, timing, state.max_steps)}")

    def _kept(self, logs: dict[str, Any], step: int) -> Entry:
        """An entry of the journal; empty for the Trainer's closing line, which holds times.

        A gradient that float16 could not hold is left out; the step it belongs to was left out as well.
        """
        if "loss" not in logs and "eval_loss" not in logs:
            return {}
        values = {name: float(logs[key]) for key, name in KEPT.items() if key in logs}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        return {"step": step} | finite | {"epoch": self.steps.epoch(step), "tokens": self.steps.tokens(step)}

    def _timing(self, entry: Entry) -> Entry:
        """When an entry was made, and of one that tells of steps how fast they were."""
        step = int(entry["step"])
        timing = {"step": step, "seconds": round(time.monotonic() - self.began, 3), "peak_memory": peak()}
        if "loss" in entry and self.trained:
            seen = self.steps.tokens(step) - self.steps.tokens(self.told)
            timing |= {
                "tokens_per_second": round(seen / self.trained, 1),
                "seconds_a_step": round(self.trained / (step - self.told), 6),
            }
            self.trained, self.told = 0.0, step
        return timing


def _told(entry: Entry, timing: Entry, last: int) -> str:
    """An entry as the console tells it."""
    if "held_out_loss" in entry:
        return f"held-out loss {entry['held_out_loss']:.4f}"
    line = f"loss {entry['loss']:.4f}  learning rate {entry['learning_rate']:.2e}"
    if "tokens_per_second" not in timing:
        return line
    left = round(timing["seconds_a_step"] * (last - entry["step"]))
    ahead = f"  {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left" if left else ""
    return f"{line}  {timing['tokens_per_second']:,.0f} tokens/s  peak {decimal(int(timing['peak_memory']))}{ahead}"


def _write(path: Path, mode: str, entries: Iterable[Entry]) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)


def _until(path: Path, step: int) -> list[Entry]:
    """The timings of a run that was cut, up to the step that it goes on from."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:  # the line that was being written
            break
        if entry["step"] <= step:
            kept.append(entry)
    return kept
