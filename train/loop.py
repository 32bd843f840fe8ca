"""The loop: transformers' Trainer with a held-out loss by the token, and a journal of what it logs."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from transformers.trainer import Trainer
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import EvalLoopOutput
from transformers.training_args import TrainingArguments

from collectors.errors import TrainingError
from train.encode import IGNORED
from train.recipe import Recipe

Say = Callable[[str], None]

KEPT: Final = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "eval_loss": "held_out_loss",
    "epoch": "epoch",
}
"""What of the Trainer's log goes into `metrics.jsonl`, and by which name; the rest is times, other on every run."""


def arguments(recipe: Recipe, place: Path, rows: int, *, dtype: torch.dtype, resumed: bool) -> TrainingArguments:
    """The Trainer's arguments for a recipe and that many packed rows; nothing is reported anywhere.

    Checkpoints go to the folder `place`.
    """
    chosen = TrainingArguments(
        output_dir=str(place),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        bf16=dtype == torch.bfloat16,
        activation_checkpointing=recipe.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if recipe.gradient_checkpointing else None,
        logging_steps=recipe.log_every,
        logging_nan_inf_filter=False,  # it would log a good figure in place of a loss that is not a number
        eval_strategy="steps" if recipe.evaluate else "no",
        eval_steps=recipe.evaluate_every,
        eval_on_start=recipe.evaluate and not resumed,
        prediction_loss_only=True,
        save_strategy="steps",
        save_steps=recipe.save_every,
        save_total_limit=2,
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=True,
    )
    if recipe.steps is not None:
        an_epoch = math.ceil(rows / (recipe.batch * recipe.accumulation * chosen.world_size))
        chosen.max_steps = min(recipe.steps, math.ceil(an_epoch * recipe.epochs))
    return chosen


class TokenTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """The Trainer, with a held-out loss that is a mean over tokens.

    The training loss already is one, over all micro-batches of a step. The Trainer's evaluation is a mean of the
    batches' means, in which a token of a short batch counts more.
    """

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Evaluate one batch and add it to the sums; the loss comes divided by the tokens of all processes."""
        tokens = (inputs["labels"][..., 1:] != IGNORED).sum().to(self.args.device, torch.float64)
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        weight = self.accelerator.reduce(tokens, "sum") / self.accelerator.num_processes
        if loss is not None:
            self._sums += torch.stack([loss.to(torch.float64) * weight, weight])
        return loss, logits, labels

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """Evaluate all batches and put the mean over their tokens in place of the mean of means."""
        self._sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        loss, tokens = self.accelerator.reduce(self._sums, "sum").tolist()
        output.metrics[f"{metric_key_prefix}_loss"] = loss / tokens
        return output


class Journal(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Writes `metrics.jsonl`, one object a line, tells the same on the console, and stops at a loss that is no number.

    A resumed run takes up the lines from the checkpoint's own history, so the file reads as if nothing had happened.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self.path, self.say = path, say
        self.entries: list[dict[str, float]] = []

    def held_out(self) -> list[float]:
        """The held-out losses so far, the one before the first step at the head."""
        return [entry["held_out_loss"] for entry in self.entries if "held_out_loss" in entry]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the file, with the history of a checkpoint if there is one."""
        logs = [(entry, int(entry["step"])) for entry in state.log_history]
        self.entries = [kept for kept in (_kept(entry, step) for entry, step in logs) if kept]
        self._write("w", self.entries)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write and tell one entry."""
        entry = _kept(logs or {}, state.global_step)
        if not entry:
            return
        self.entries.append(entry)
        self._write("a", [entry])
        step = f"step {state.global_step}/{state.max_steps}"
        if "held_out_loss" in entry:
            self.say(f"{step}  held-out loss {entry['held_out_loss']:.4f}")
        else:
            self.say(f"{step}  loss {entry['loss']:.4f}  learning rate {entry['learning_rate']:.2e}")
        if not all(math.isfinite(value) for value in entry.values()):
            raise TrainingError(
                f"step {state.global_step}: the loss or its gradient is no number any more; lower learning_rate "
                f"({args.learning_rate:g}) or lengthen warmup"
            )

    def _write(self, mode: str, entries: list[dict[str, float]]) -> None:
        with self.path.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)


def _kept(logs: dict[str, Any], step: int) -> dict[str, float]:
    """An entry of the journal; empty for the Trainer's closing line, which holds times."""
    if "loss" not in logs and "eval_loss" not in logs:
        return {}
    return {"step": step} | {name: float(logs[key]) for key, name in KEPT.items() if key in logs}


def last_checkpoint(place: Path) -> Path | None:
    """The newest whole checkpoint in a folder; its `trainer_state.json` is written last, so that tells."""
    found = sorted(place.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True)
    return next((path for path in found if _whole(path)), None)


def _whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
