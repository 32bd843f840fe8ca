"""The loop: transformers' Trainer, fed and checked our way.

What it is given here: losses by the token, training and held-out alike; rows dealt out by `train.fitting.steps`;
checkpoints that are sealed when whole; a stop at the first loss that is no number, with the records it came of.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers.trainer import Trainer
from transformers.trainer_utils import EvalLoopOutput
from transformers.training_args import TrainingArguments

from collectors.errors import TrainingError
from train import launch
from train.encoding.encode import IGNORED
from train.encoding.packed import PackedRows
from train.fitting import checkpoints
from train.fitting.steps import Collate, Dealt, Loader, Steps
from train.methods import progress
from train.recipe import Recipe
from train.runs import Sharding

OPTIMISERS: Final = {
    "adamw": "adamw_torch",
    "adamw-8bit": "adamw_bnb_8bit",
    "paged-adamw": "paged_adamw_32bit",
    "paged-adamw-8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
}
"""The recipe's optimisers by their names in transformers; the 8-bit and the paged ones are bitsandbytes'."""

Named = Callable[[int, list[tuple[int, int]]], str]
"""Words for the records in micro-batches (their number, the process) of a step."""


def optimiser(recipe: Recipe, say: Callable[[str], None]) -> str:
    """The Trainer's name of the recipe's optimiser on this machine; what it cannot be here is told in a line."""
    if torch.cuda.is_available():
        return "adamw_torch_fused" if recipe.optimiser == "adamw" else OPTIMISERS[recipe.optimiser]
    instead = recipe.optimiser.removeprefix("paged-")
    if instead != recipe.optimiser:
        say(f"optimiser {recipe.optimiser}: pages memory of a GPU, and there is none here; {instead} takes its place")
    return OPTIMISERS[instead]


def arguments(
    recipe: Recipe,
    place: Path,
    steps: Steps,
    *,
    dtype: torch.dtype,
    resumed: bool,
    optim: str = OPTIMISERS["adamw"],
    sharding: Sharding = "none",
) -> TrainingArguments:
    """The Trainer's arguments for a recipe and its steps; checkpoints go to `place`, nothing is reported anywhere."""
    chosen = TrainingArguments(
        output_dir=str(place),
        max_steps=steps.total,
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        optim=optim,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not torch.accelerator.is_available(),
        ddp_find_unused_parameters=False,  # every method uses all it trains
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
        **launch.settings(sharding, recipe),
    )
    if chosen.n_gpu > 1:
        chosen._n_gpu = 1  # one process is one GPU; DataParallel over all that are seen is slower than any other way
    return chosen


class TokenTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """The Trainer, with losses that are means over tokens, on rows dealt out by `steps`.

    `named` words the records of a micro-batch for the error about a loss that is no number.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        steps: Steps,
        *,
        train: PackedRows,
        holdout: PackedRows | None,
        collate: Collate,
        named: Named,
        callbacks: list[Any] | None = None,
    ) -> None:
        super().__init__(model, args, train_dataset=train, eval_dataset=holdout, callbacks=callbacks)
        self.steps, self.collate, self.named = steps, collate, named
        self.losses: list[torch.Tensor] = []
        if not self.model_accepts_loss_kwargs:
            self.compute_loss_func = token_loss
        if steps.processes != self.accelerator.num_processes:
            raise RuntimeError(f"{self.accelerator.num_processes} processes run, rows are dealt to {steps.processes}")

    def get_train_dataloader(self) -> Loader:
        """This process's share of every step."""
        dealt = self._dealt(self.steps.order)
        return Loader(self.train_dataset, dealt, self.collate, pin=self.args.dataloader_pin_memory)

    def get_eval_dataloader(self, eval_dataset: Dataset[Any] | None = None) -> Loader:
        """This process's share of the held-out rows, each of them once."""
        order = np.arange(len(self.eval_dataset))
        dealt = self._dealt(lambda epoch: order)
        return Loader(self.eval_dataset, dealt, self.collate, pin=self.args.dataloader_pin_memory)

    def _dealt(self, order: Callable[[int], Any]) -> Dealt:
        batch, processes = self.steps.recipe.batch, self.steps.processes
        return Dealt(order, batch=batch, processes=processes, rank=self.args.process_index)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Train on a micro-batch and note its loss."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.losses.append(loss)
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The gradient's norm, once per step and before the weights move: here a step that went wrong is stopped."""
        norm = super()._get_grad_norm(model, grad_norm)
        mine, self.losses = torch.stack(self.losses), []
        losses = self.accelerator.gather(mine).view(-1, len(mine)).isfinite()
        if not bool(losses.all()):
            bad = [(place, rank) for rank, place in (~losses).nonzero().tolist()]
            self._stop("loss", bad)
        if norm is not None and not bool(torch.as_tensor(norm).isfinite()) and not self._scaled_too_far():
            every = [(place, rank) for place in range(len(mine)) for rank in range(len(losses))]
            self._stop("gradient", every)
        return norm

    def _scaled_too_far(self) -> bool:
        """Whether float16 may have overflowed for its scale alone: the step is left out then, and the scale halved."""
        if self.is_deepspeed_enabled:
            return bool(self.args.fp16)
        scaler = self.accelerator.scaler
        return scaler is not None and scaler.get_scale() >= 1

    def _stop(self, what: str, bad: list[tuple[int, int]]) -> None:
        step = self.state.global_step + 1
        raise TrainingError(
            f"step {step}: the {what} is no number any more; lower learning_rate ({self.args.learning_rate:g}), "
            f"lengthen warmup, or look at the records it came of: {self.named(step, bad)}"
        )

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
        """Evaluate all batches and put the mean over their tokens in place of the mean of means.

        The Trainer's own is a mean of the batches' means, in which a token of a short batch counts more.
        """
        self._sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        loss, tokens = self.accelerator.reduce(self._sums, "sum").tolist()
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {self.state.global_step}: the held-out loss is no number; lower learning_rate or, where nothing "
                "was trained yet, look at the base and its precision (--set precision=fp32)"
            )
        output.metrics[f"{metric_key_prefix}_loss"] = loss / tokens
        return output

    @property
    def sharded(self) -> bool:
        """Whether a process holds but a piece of the model."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint and seal it when every process has written its part."""
        place = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        (place / checkpoints.SEAL).unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoints.seal(place)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Write what is trained into a checkpoint; of a model in pieces FSDP and DeepSpeed write their own."""
        place = Path(output_dir or self.args.output_dir)
        if self.sharded:
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            progress.keep(self.model, place)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Take up what `_save` wrote."""
        if self.sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            progress.take_up(self.model, Path(resume_from_checkpoint))


def token_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """The sum of a batch's losses over the trained tokens of a whole step, for models that take no such number.

    Virtual tokens before the input have logits and no labels; they are left out.
    """
    logits = outputs["logits"][:, -labels.shape[1] :][:, :-1].float()
    targets = labels[:, 1:].to(logits.device)
    total = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=IGNORED, reduction="sum"
    )
    return total / (num_items_in_batch if num_items_in_batch is not None else (targets != IGNORED).sum())
