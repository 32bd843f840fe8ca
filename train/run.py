"""One training, from a built mixture to an adapter folder, and on from where it was cut if it was.

While it trains it keeps its checkpoints and journal in `DATA/runs/<run>.work/`; what is finished is put in place as
`DATA/runs/<run>/` by one rename, so a run of that name that was finished before stands until then.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase, set_seed
from transformers.trainer_callback import PrinterCallback

from collectors.errors import ArtefactError, TrainingError
from pipeline import folder
from templates import prompt as prompts
from train import isolation, loop, model, tiny, tokens
from train.card import card
from train.feed import Packed, Padded
from train.methods import attach as methods
from train.mixture import Mixture
from train.recipe import TINY, Recipe

VERSION: Final = 1
"""Part of a run's fingerprint: raised when the same recipe would train otherwise."""

TORCH_CANNOT_WRITE: Final = ("PytorchStreamWriter", "inline_container", "unexpected pos")
"""What `torch.save` says, among other things, when a file could not be written."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run: where it is, its manifest, and whether it was trained now or found up to date."""

    folder: Path
    manifest: dict[str, Any]
    trained: bool


def train(out: Path, mixed: Mixture, recipe: Recipe, *, name: str, say: Callable[[str], None] = print) -> Outcome:
    """Train a mixture of the data folder `out` to `out/runs/<name>`; what happens is told to `say`, a line each.

    A run of the same fingerprint that is finished is left as it is, one that was cut goes on from its last checkpoint.
    """
    prompt = prompts.load(recipe.prompt)
    base = None if recipe.base == TINY else model.located(recipe)
    known = tiny.fingerprint(mixed, recipe) if base is None else model.identity(base)
    mark = folder.fingerprint(
        mixture=mixed.fingerprint,
        prompt=prompt.fingerprint,
        base=known,
        recipe=recipe.model_dump(exclude={"about", "base", "revision"}),
        tokens=tokens.VERSION,
        version=VERSION,
    )
    if not name or name == ".." or Path(name).name != name or name.endswith((".work", ".part", ".old")):
        raise TrainingError(f"run name {name!r}: is no plain folder name")
    place = out / "runs" / name
    folder.restore(place)
    found = folder.manifest(place)
    if found is not None and found.get("fingerprint") == mark:
        say(f"{place}: up to date")
        return Outcome(folder=place, manifest=found, trained=False)
    work = place.with_name(f"{name}.work")
    with folder.lock(work), _writing(work):
        _begin(work, mark)
        manifest = _train(out, place, work, mixed, prompt, base, recipe, mark, say)
        shutil.rmtree(work)
    return Outcome(folder=place, manifest=manifest, trained=True)


@contextlib.contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Tell a refusal to write as one `ArtefactError`, also where safetensors and torch raise errors of their own."""
    try:
        with folder.writing(place):
            yield
    except (SafetensorError, RuntimeError) as error:
        said = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in TORCH_CANNOT_WRITE):
            raise
        raise ArtefactError(
            f"{place}: cannot be written: {said}; nothing finished before was touched: free some space or name another "
            "folder with --out, and run again to go on"
        ) from None


def _begin(work: Path, mark: str) -> None:
    """Keep the work of a cut run of this fingerprint, clear away that of any other."""
    started = work / "started.json"
    if not started.is_file() or started.read_text(encoding="utf-8") != mark:
        for path in work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()
        folder.write_text(started, mark)


def _train(
    out: Path,
    place: Path,
    work: Path,
    mixed: Mixture,
    prompt: prompts.Prompt,
    base: Path | None,
    recipe: Recipe,
    mark: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    began = time.monotonic()
    if base is None:
        say(f"base {TINY}, made on the spot. {tiny.HONESTY}")
        tiny.make(work / "base", mixed, recipe)
    origin = base or work / "base"
    words = model.tokenizer(origin)
    words.chat_template = prompt.text
    encoded, fresh = tokens.build(out, mixed, words, origin, prompt, recipe)
    _tell(encoded, recipe, fresh, say)

    set_seed(recipe.seed)
    bare = model.load(origin, recipe)
    if recipe.packing:
        isolation.check(bare, recipe.base or "")
    adapted = methods.attach(bare, recipe.method, base=recipe.base or "")
    trained, every = methods.trainable(adapted)
    say(f"training {trained:,} of {every:,} parameters")

    journal = loop.Journal(work / "metrics.jsonl", say)
    _loop(work, adapted, words, encoded, recipe, journal, say)
    held_out = journal.held_out()
    if held_out:
        say(f"held-out loss before {held_out[0]:.4f} after {held_out[-1]:.4f}")
    manifest = {
        "run": place.name,
        "base": recipe.base,
        "method": recipe.method.name,
        "mixture": {"name": mixed.name, "fingerprint": mixed.fingerprint},
        "tokens": {"name": encoded.folder.name, **encoded.manifest["parts"]},
        "parameters": {"trained": trained, "all": every},
        "held_out_loss": {"before": held_out[0], "after": held_out[-1]} if held_out else None,
        "recipe": recipe.model_dump(),
        "fingerprint": mark,
    }
    with folder.building(place) as part:
        save_adapter(part / "adapter", adapted, words, recipe)
        text = card(place.name, recipe, mixed, encoded.manifest["parts"], held_out)
        folder.write_text(part / "adapter" / "README.md", text)
        shutil.copyfile(work / "metrics.jsonl", part / "metrics.jsonl")
        if base is None:
            shutil.copytree(origin, part / "base")
        folder.write_manifest(part, manifest)
    say(f"{place / 'adapter'}: written after {time.monotonic() - began:.0f} s")
    return manifest


def _tell(encoded: tokens.Tokens, recipe: Recipe, fresh: bool, say: Callable[[str], None]) -> None:
    """The books of the tokens folder, a line a part."""
    for part, counts in encoded.manifest["parts"].items():
        line = f"{encoded.folder.name}: {part}: {counts['encoded']:,} of {counts['rows']:,} rows"
        line += f", {counts['tokens']:,} tokens ({counts['trained_tokens']:,} trained)"
        if recipe.packing:
            line += f" in {counts['packed_rows']:,} packed rows, {counts['fill']:.1%} full"
        for reason, rows in {**counts["dropped"], **counts["noted"]}.items():
            line += f"; {rows:,} {reason}"
        say(line if fresh else f"{line} (up to date)")


def _loop(
    work: Path,
    adapted: PeftModel,
    words: PreTrainedTokenizerBase,
    encoded: tokens.Tokens,
    recipe: Recipe,
    journal: loop.Journal,
    say: Callable[[str], None],
) -> None:
    """Run the Trainer from the start or the last checkpoint, with a held-out loss before and after."""
    checkpoint = loop.last_checkpoint(work / "checkpoints")
    if checkpoint is not None:
        say(f"resuming from {checkpoint}")
    pad = words.pad_token_id if words.pad_token_id is not None else words.eos_token_id or 0
    rows = encoded.rows("train")
    trainer = loop.TokenTrainer(
        model=adapted,
        args=loop.arguments(
            recipe, work / "checkpoints", len(rows), dtype=model.precision(recipe), resumed=checkpoint is not None
        ),
        train_dataset=rows,
        eval_dataset=encoded.rows("holdout") if recipe.evaluate else None,
        data_collator=Packed(pad, flat=recipe.attention.startswith("flash")) if recipe.packing else Padded(pad),
        callbacks=[journal],
    )
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        last = next((entry["step"] for entry in reversed(journal.entries) if "held_out_loss" in entry), None)
        if recipe.evaluate and last != trainer.state.global_step:
            trainer.evaluate()
    except torch.OutOfMemoryError:
        raise TrainingError(
            f"out of memory with batch {recipe.batch} and cutoff {recipe.cutoff}: halve batch and double accumulation, "
            "or set gradient_checkpointing: true"
        ) from None


def save_adapter(place: Path, adapted: PeftModel, words: PreTrainedTokenizerBase, recipe: Recipe) -> None:
    """The adapter with its tokenizer and chat template; its configuration names the base as the recipe does."""
    settings = adapted.peft_config["default"]
    settings.base_model_name_or_path = recipe.base
    if isinstance(settings.target_modules, set):
        settings.target_modules = sorted(settings.target_modules)  # a set would be written in another order each time
    adapted.save_pretrained(place, save_embedding_layers=False)
    words.save_pretrained(place)
