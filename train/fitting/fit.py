"""One process of a training: from the base and the tokens to what was trained, in the run's work folder.

It is the whole of it where there is one process. Of several, each calls `fit` with the same job, and the first writes.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from peft import PeftModel
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper
from transformers import PreTrainedTokenizerBase, set_seed
from transformers.trainer_callback import PrinterCallback, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from collectors.errors import TrainingError
from collectors.nodes import Node
from pipeline import folder
from train.base import model
from train.encoding import tokens
from train.fitting import boards, checkpoints, isolation, loop, steps, usage
from train.fitting.feed import collator
from train.fitting.journal import Journal, Say
from train.fitting.progress import Bar
from train.methods import attach as methods
from train.methods import save
from train.methods.nodes import Full
from train.recipe import Recipe
from train.runs import Sharding

TRAINED: Final = "trained"
"""The folder of what was trained, within the work folder."""
RESULT: Final = "result.json"
CHECKPOINTS: Final = "checkpoints"
NAMED: Final = 8
"""Records that an error names."""
NO_MEMORY: Final = "can't allocate memory"
"""What torch says, among other things, where a CPU has too little."""


class Result(Node):
    """What is known of a training that went to its end: parameters trained, all of them, the journal's entries."""

    trained: int
    every: int
    entries: list[dict[str, float]]

    @property
    def held_out(self) -> list[float]:
        """The held-out losses, the one before the first step at the head."""
        return [entry["held_out_loss"] for entry in self.entries if "held_out_loss" in entry]


class Job(Node):
    """What the processes of a training have to know."""

    fingerprint: str
    """Of the run."""
    work: Path
    base: Path
    tokens: Path
    mixture: Path
    recipe: Recipe
    chat_template: str
    checkpoint: Path | None = None
    """The whole checkpoint to go on from."""
    processes: int = 1
    sharding: Sharding = "none"

    @property
    def kind(self) -> str:
        """What comes of it: an `adapter`, or a `model` where the base itself is trained."""
        return "model" if isinstance(self.recipe.method, Full) else "adapter"


class Rows:
    """The rows of a job: to train on, and held out where it evaluates."""

    def __init__(self, job: Job) -> None:
        encoded = tokens.Tokens(folder=job.tokens, manifest=folder.manifest(job.tokens) or {})
        self.train: Final = encoded.rows("train")
        self.holdout: Final = encoded.rows("holdout") if job.recipe.evaluate else None


def fit(job: Job, say: Say) -> None:
    """Train a job from its start or its last checkpoint, and write what comes of it to `job.work`."""
    with _enough_memory(job), checkpoints.writing(job.work):
        _fit(job, say)


def _fit(job: Job, say: Say) -> None:
    recipe, resumed = job.recipe, job.checkpoint is not None
    set_seed(recipe.seed)
    rows = Rows(job)
    dealt = steps.Steps(steps.lengths(rows.train), recipe, processes=job.processes)
    # Before the base is loaded: DeepSpeed divides a base while it is read, if these are there.
    arguments = loop.arguments(
        recipe,
        job.work / CHECKPOINTS,
        dealt,
        dtype=model.precision(recipe),
        resumed=resumed,
        optim=loop.optimiser(recipe, say),
        sharding=job.sharding,
    )
    words = model.tokenizer(job.base, recipe)
    words.chat_template = job.chat_template
    adapted = _adapted(job, words, dealt.total)
    counts = methods.trainable(adapted)
    say(f"training {counts[0]:,} of {counts[1]:,} parameters")
    first = arguments.process_index == 0
    with contextlib.ExitStack() as shown:
        begun = 0 if job.checkpoint is None else int(job.checkpoint.name.rsplit("-", 1)[1])
        sinks = shown.enter_context(boards.opened(recipe, job.work, job.fingerprint, begun)) if first else []
        journal = Journal(job.work if recipe.logging != "none" else None, dealt, say, sinks)
        bar = [shown.enter_context(Bar(dealt))] if first else []
        callbacks = [journal, AfterStep(), *bar]
        trainer = _trainer(job, rows, dealt, arguments, adapted, words, callbacks)
        # The Trainer seeds all alike, and they would drop out the same places.
        set_seed(recipe.seed + arguments.process_index)
        trainer.train(resume_from_checkpoint=str(job.checkpoint) if resumed else None)
        last = next((entry["step"] for entry in reversed(journal.entries) if "held_out_loss" in entry), None)
        if recipe.evaluate and last != trainer.state.global_step:
            trainer.evaluate()
    _assemble(trainer)
    if first:
        _write(job, adapted, words, Result(trained=counts[0], every=counts[1], entries=journal.entries))
    trainer.accelerator.wait_for_everyone()


def _adapted(job: Job, words: PreTrainedTokenizerBase, steps: int) -> methods.Adapted:
    """The base, loaded, checked and made trainable."""
    recipe, name = job.recipe, job.recipe.base or ""
    methods.check(recipe.method, steps=steps, checkpointing=recipe.gradient_checkpointing)
    bare = model.load(job.base, recipe)
    if recipe.packing:
        isolation.check(bare, name, recipe.method)
    return methods.attach(bare, recipe.method, base=name, steps=steps, seed=recipe.seed, words=words)


def _trainer(
    job: Job,
    rows: Rows,
    dealt: steps.Steps,
    arguments: TrainingArguments,
    adapted: methods.Adapted,
    words: PreTrainedTokenizerBase,
    callbacks: list[TrainerCallback],
) -> loop.TokenTrainer:
    bare = adapted.get_base_model() if isinstance(adapted, PeftModel) else adapted
    pad = words.pad_token_id if words.pad_token_id is not None else words.eos_token_id or 0

    def named(step: int, bad: list[tuple[int, int]]) -> str:
        taken = np.concatenate([dealt.micro_batch(step, place, rank) for place, rank in bad])
        ids = steps.record_ids(rows.train, job.mixture, taken)
        more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
        return f"{', '.join(ids[:NAMED])}{more}"

    trainer = loop.TokenTrainer(
        adapted,
        arguments,
        dealt,
        train=rows.train,
        holdout=rows.holdout,
        collate=collator(bare, pad, packing=job.recipe.packing),
        named=named,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


class AfterStep(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Lets the method do what it does after a step: AdaLoRA moves its ranks."""

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """The gradients are still there; the step is not counted yet."""
        methods.after_step(model, state.global_step + 1)


def _assemble(trainer: loop.TokenTrainer) -> None:
    """Put a model that is in pieces together again in the first process, on the CPU; others are left alone."""
    if not trainer.sharded:
        return
    whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    bare = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    for name, module in list(bare.named_modules()):
        if isinstance(module, CheckpointWrapper):  # it would stand in the names of what is saved
            bare.set_submodule(name, module._checkpoint_wrapped_module)
    for name, parameter in list(bare.named_parameters()):
        path, _, last = name.rpartition(".")
        kept = nn.Parameter(whole[name], requires_grad=parameter.requires_grad)
        setattr(bare.get_submodule(path), last, kept)


def _write(job: Job, adapted: methods.Adapted, words: PreTrainedTokenizerBase, result: Result) -> None:
    """What was trained, with its tokenizer and chat template, and last what is known of it."""
    place = job.work / TRAINED
    shutil.rmtree(place, ignore_errors=True)
    if isinstance(job.recipe.method, Full):
        adapted = adapted.to(model.precision(job.recipe))  # what was trained was held in float32
    save.save(adapted, place, base=job.recipe.base)
    words.save_pretrained(place)
    folder.write_text(job.work / RESULT, result.model_dump_json())


@contextlib.contextmanager
def _enough_memory(job: Job) -> Iterator[None]:
    """Tell a lack of memory as one error, with what would need less of it."""
    try:
        yield
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:
        if NO_MEMORY not in str(error):
            raise
    except MemoryError:
        pass
    else:
        return
    raise TrainingError(usage.advice(job.recipe, job.base)) from None
