"""The state of a method in mid-training: every trained number as it is, for a checkpoint to go on from.

What `save` writes will not do for that: of tokens that an encoder makes it keeps the tokens only, and of AdaLoRA the
ranks that are left, without what tells which will be cut next.
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from peft import AdaLoraConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from collectors.errors import TrainingError
from train.methods import adalora
from train.methods.attach import ADAPTER, Adapted

NAME: Final = "trained.safetensors"
IMPORTANCE: Final = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What AdaLoRA's allocator remembers of each matrix, by the names peft gives them."""


def keep(adapted: Adapted, place: Path) -> None:
    """Write the trained parameters, and what AdaLoRA remembers of past steps, to one file in the folder `place`."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in _trained(adapted).items()}
    metadata = {"format": "pt"}
    allocator = adalora.allocator(adapted)
    if allocator is not None:
        for memory in IMPORTANCE:
            for name, value in getattr(allocator, memory).items():
                tensors[f"{memory}:{name}"] = value.detach().cpu().contiguous()
        metadata["rank_pattern"] = json.dumps(_settings(adapted).rank_pattern, sort_keys=True)
    place.mkdir(parents=True, exist_ok=True)
    save_file(tensors, place / NAME, metadata=metadata)


def take_up(adapted: Adapted, place: Path) -> None:
    """Put what `keep` wrote in `place` back into a model that was attached alike; `TrainingError` if it is not that."""
    path = place / NAME
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        raise TrainingError(
            f"checkpoint {place}: {NAME} is missing, cut short or damaged; remove the checkpoint"
        ) from None
    trained = _trained(adapted)
    shapes = {name: value.shape for name, value in tensors.items() if ":" not in name}
    if shapes != {name: value.shape for name, value in trained.items()}:
        raise TrainingError(f"checkpoint {place}: is of another method or base; remove the checkpoint")
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(tensors[name])
    allocator = adalora.allocator(adapted)
    if allocator is None:
        return
    devices = {name: value.device for name, value in allocator_parameters(adapted).items()}
    for memory in IMPORTANCE:
        held = {name.partition(":")[2]: value for name, value in tensors.items() if name.startswith(f"{memory}:")}
        setattr(allocator, memory, {name: value.to(devices[name]) for name, value in held.items()})
    _settings(adapted).rank_pattern = json.loads(metadata["rank_pattern"])


def allocator_parameters(adapted: Any) -> dict[str, Tensor]:
    """An AdaLoRA model's parameters by the names its allocator uses."""
    return dict(adapted.base_model.model.named_parameters())


def _settings(adapted: Any) -> AdaLoraConfig:
    return adapted.peft_config[ADAPTER]


def _trained(adapted: Adapted) -> dict[str, Tensor]:
    return {name: value for name, value in adapted.named_parameters() if value.requires_grad}
