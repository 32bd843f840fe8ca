"""An adapter made part of its base: the same model, in a folder that needs neither peft nor quantisation.

The base is read tensor by tensor and written in shards, so memory holds a shard and the adapter, whatever the size of
the base. What is written is compared to base and adapter before it is put in place.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from collectors.errors import ArtefactError, SuriError, TrainingError
from pipeline import folder
from pipeline.shards import digest
from pipeline.tree import without_paths
from train.base import fetch, model, quantise
from train.fitting import checkpoints
from train.methods import save
from train.methods.nodes import Full
from train.recipe import TINY, Recipe
from train.release import agreement, card
from train.release.folded import Folded
from train.release.trained import CARD, Run, finished
from train.release.weights import Shards, files, tensors

VERSION: Final = 1
"""Part of a merged model's fingerprint: raised when the same run would be merged to other bytes."""

Say = Callable[[str], None]
Type = Literal["fp32", "bf16", "fp16"]


def merge(
    run: Path, to: Path, *, base: str | None = None, precision: Type | None = None, say: Callable[[str], None] = print
) -> None:
    """Merge the adapter of the run in the folder `run` into its base, to the folder `to`.

    `base` names the base where it has moved since, a folder or a Hub id. Tensors keep the number types they have in
    the base unless `precision` names one. A quantised base is merged by the values that bitsandbytes keeps of it.

    `TrainingError` when the run has nothing to merge, its method cannot be merged exactly, the base is another one, or
    the merged model differs from base and adapter by more than `agreement.ALLOWED`; `ArtefactError` when `run` is no
    run, or `to` holds anything but a model merged before.
    """
    found = finished(run)
    _mergeable(found)
    recipe = found.recipe if base is None else found.recipe.model_copy(update={"base": base, "revision": None})
    origin = found.place / "base" if recipe.base == TINY else fetch.located(recipe)
    known = model.identity(origin)
    _same(found, origin, known)
    card.parted(found.trained / CARD)  # before all the work, which would be in vain without it
    batch = agreement.prompts(model.tokenizer(found.trained, recipe))
    mark = folder.fingerprint(version=VERSION, run=found.manifest["fingerprint"], base=known, precision=precision)
    if _standing(to) == mark:
        say(f"{to}: up to date")
        return
    with checkpoints.writing(to), folder.building(to) as part:
        try:
            done = _filled(part, found, recipe, origin, precision, batch, say)
        except (SuriError, SafetensorError, OSError):
            shutil.rmtree(part)  # it may be large, and no later run goes on with it
            raise
        told = {"run": found.place.name, "fingerprint": found.manifest["fingerprint"], "agreement": asdict(done)}
        manifest = without_paths({**found.manifest, "merged": told, "files": _listed(part), "fingerprint": mark})
        folder.write_manifest(part, manifest)
    say(f"{to}: written")


def _mergeable(run: Run) -> None:
    """Refuse a run that has nothing to merge, or what cannot be merged exactly."""
    name = run.recipe.method.name
    if isinstance(run.recipe.method, Full):
        raise TrainingError(
            f"run {run.place.name}: method full trained the base itself, so there is nothing to merge; {run.trained} "
            "is the model"
        )
    why = save.unmergeable(save.read_settings(run.trained))
    if why is not None:
        raise TrainingError(f"run {run.place.name}: method {name}: {why}")


def _same(run: Run, origin: Path, identity: str) -> None:
    """Refuse another base than the one that was trained on, where the run tells which that was."""
    if run.manifest.get("base_identity", identity) != identity:
        raise TrainingError(
            f"base {origin}: is not {run.manifest.get('base')} as run {run.place.name} was trained on it; name that "
            "one with --base"
        )
    if "quantization_config" in _config(origin):
        raise TrainingError(f"base {origin}: is stored quantised; name the one it was made from with --base")


def _config(origin: Path) -> dict[str, Any]:
    """The base's own configuration, as it stands in its folder."""
    try:
        found: dict[str, Any] = json.loads((origin / fetch.CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise TrainingError(f"base {origin}: its {fetch.CONFIG} is missing or cut short; fetch it again") from None
    return found


def _standing(to: Path) -> str | None:
    """The fingerprint of the merged model at `to`; `ArtefactError` when something else is there."""
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return None
    manifest = folder.manifest(to)
    if manifest is None or "merged" not in manifest:
        raise ArtefactError(f"{to}: holds something else than a merged model; name a new folder with --to")
    return str(manifest.get("fingerprint"))


def _filled(
    part: Path,
    run: Run,
    recipe: Recipe,
    origin: Path,
    precision: Type | None,
    batch: dict[str, Tensor],
    say: Say,
) -> agreement.Agreement:
    """Write everything but the manifest to the folder `part`; how the merged model compares."""
    folded = Folded(origin, run.trained, recipe, held=_held(run))
    sizes: dict[torch.dtype, int] = {}
    shards = Shards(part)
    for path in files(origin):
        for name, tensor in tensors(path):
            dtype = _written(tensor, precision)
            for key, value in folded.take(name, tensor):
                shards.add(key, _narrowed(value, dtype, key))
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
        say(f"{path.name}: merged")
    folded.check()
    shards.close()
    # Most of the weights: norms are often held in a wider type than the rest.
    most = max(sizes, key=lambda one: sizes[one])
    written = _written(torch.empty(0, dtype=most), precision)
    _beside(part, run, origin, folded, written)
    done = _compared(part, run, recipe, origin, folded, batch, held=most, written=written)
    say(done.told())
    if not done.holds:
        way = "; merge with --precision fp32" if written != torch.float32 else ""
        raise TrainingError(
            f"run {run.place.name}: the merged model is not base and adapter: its logits are off by {done.error:.1e} "
            f"of their spread, allowed are {done.allowed:g} and half of the adapter's effect ({done.effect:.1e}){way}, "
            "or serve the adapter beside its base"
        )
    folder.write_text(part / CARD, card.merged(run.trained / CARD, done.told()))
    return done


def _held(run: Run) -> torch.dtype:
    """The number type in which the run held its base before it was quantised."""
    noted = run.manifest.get("precision")
    return quantise.TYPES[noted] if noted in quantise.TYPES else quantise.precision(run.recipe)


def _written(tensor: Tensor, precision: Type | None) -> torch.dtype:
    """The type a tensor of the base is written in."""
    return quantise.TYPES[precision] if precision and tensor.is_floating_point() else tensor.dtype


def _narrowed(value: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    found = value.to(dtype)
    if found.is_floating_point() and not torch.isfinite(found).all():
        raise TrainingError(
            f"{name}: merged values do not fit into {str(dtype).removeprefix('torch.')}; merge with --precision fp32"
        )
    return found


def _beside(part: Path, run: Run, origin: Path, folded: Folded, written: torch.dtype) -> None:
    """Write what stands beside the weights: the configurations, the tokenizer with its template, the base's code."""
    config = _config(origin)
    config["torch_dtype" if "torch_dtype" in config else "dtype"] = str(written).removeprefix("torch.")
    text = config.get("text_config", config)
    text["vocab_size"] = folded.rows
    if folded.untied:
        config["tie_word_embeddings"] = text["tie_word_embeddings"] = False
    folder.write_text(part / fetch.CONFIG, json.dumps(config, ensure_ascii=False, indent=2) + "\n")
    for path in _copied(run, origin, code="auto_map" in config):
        shutil.copyfile(path, part / path.name)


def _copied(run: Run, origin: Path, *, code: bool) -> Iterable[Path]:
    """Small files that are as they were: the tokenizer's of the run, the rest of the base."""
    yield from (origin / name for name in ("generation_config.json",) if (origin / name).is_file())
    if code:
        yield from sorted(origin.glob("*.py"))
    own = {save.SETTINGS, save.WEIGHTS, CARD}
    yield from sorted(path for path in run.trained.iterdir() if path.is_file() and path.name not in own)


def _compared(
    part: Path,
    run: Run,
    recipe: Recipe,
    origin: Path,
    folded: Folded,
    batch: dict[str, Tensor],
    *,
    held: torch.dtype,
    written: torch.dtype,
) -> agreement.Agreement:
    """The merged model beside base and adapter, which is loaded as it was for the training; one after the other."""
    merged = agreement.logits(_loaded(part, recipe, written, quantised=False), batch)
    bare = _loaded(origin, recipe, _held(run) if recipe.quantisation else held, quantised=True)
    if bare.get_input_embeddings().weight.shape[0] != folded.rows:
        bare.resize_token_embeddings(folded.rows, mean_resizing=False)
    adapted = save.load(bare, run.trained)
    with_it = agreement.logits(adapted, batch)
    with adapted.disable_adapter():
        without = agreement.logits(adapted, batch)
    return agreement.compare(merged, with_it, without, written)


def _loaded(place: Path, recipe: Recipe, dtype: torch.dtype, *, quantised: bool) -> PreTrainedModel:
    name = next(name for name, one in quantise.TYPES.items() if one == dtype)
    changes: dict[str, Any] = {"precision": name, "attention": "auto", "cutoff": 16}
    if not quantised:
        changes["quantisation"] = None
    return model.load(place, recipe.model_copy(update=changes), training=False).eval()


def _listed(part: Path) -> list[dict[str, Any]]:
    """The files of a folder, with sizes and hashes."""
    return [
        {"path": path.name, "bytes": path.stat().st_size, "sha256": digest(path)} for path in sorted(part.iterdir())
    ]
