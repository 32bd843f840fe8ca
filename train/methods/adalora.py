"""AdaLoRA beyond what peft does by itself: a schedule that fits the training, its regulariser, its steps, its ranks."""

from types import MethodType
from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel
from peft.tuners.adalora import AdaLoraModel, RankAllocator
from torch import Tensor

from collectors.errors import TrainingError
from train.encoding.encode import IGNORED
from train.methods.nodes import AdaLora


def check(method: AdaLora, steps: int | None) -> None:
    """Refuse a schedule that cannot be followed: `TrainingError` says what to set. `steps` None is not judged."""
    if method.r >= method.initial_r:
        raise TrainingError(
            f"recipe method: adalora cuts ranks from initial_r ({method.initial_r}) down to r ({method.r}), so "
            f"initial_r must be the larger (--set method.initial_r={method.r + (method.r + 1) // 2}), or take lora"
        )
    for key, value in (("beta1", method.beta1), ("beta2", method.beta2)):
        if value == 0:
            raise TrainingError(f"recipe method.{key}: adalora's moving averages need a share above 0, usually 0.85")
    if steps is not None and max(method.warmup, 1) + method.settle >= steps:
        warmup, settle = steps // 10, steps // 2
        raise TrainingError(
            f"recipe method: adalora's warmup ({method.warmup}) and settle ({method.settle}) leave none of the "
            f"training's {steps} steps to cut ranks in; train longer, or shorten them "
            f"(--set method.warmup={warmup} --set method.settle={settle})"
        )


def config(method: AdaLora, steps: int | None, **further: Any) -> AdaLoraConfig:
    """peft's configuration of the method over that many steps; without them, one to count parameters with."""
    return AdaLoraConfig(
        init_r=method.initial_r,
        target_r=method.r,
        tinit=method.warmup,
        tfinal=method.settle,
        deltaT=method.interval,
        beta1=method.beta1,
        beta2=method.beta2,
        orth_reg_weight=method.orthogonal,
        total_step=steps or method.warmup + method.settle + 1,
        **further,
    )


def settle(adapted: PeftModel) -> None:
    """Put right what peft gets wrong with an AdaLoRA model; others are left alone.

    Its forward adds the regulariser to every loss, held-out ones too and again for each micro-batch of a step, and
    fails on labels when the adapter was loaded to be used; its casting of 16-bit parameters to float32 thaws the
    constant that holds the rank.
    """
    tuner = adapted.base_model
    if not isinstance(tuner, AdaLoraModel):
        return
    tuner.forward = MethodType(_forward, tuner)
    for name, parameter in tuner.named_parameters():
        if ".ranknum." in name:
            parameter.requires_grad_(False)


def _forward(tuner: AdaLoraModel, *args: Any, **kwargs: Any) -> Any:
    """The base's forward; in training its loss has the regulariser (arXiv 2303.10512, eq. 4), once a step in all.

    A micro-batch of a step carries the part of it that its trained tokens are of the step's.
    """
    outputs = tuner.model(*args, **kwargs)
    name = getattr(tuner, "trainable_adapter_name", None)
    if name is None or not tuner.model.training or getattr(outputs, "loss", None) is None:
        return outputs
    weight = tuner.peft_config[name].orth_reg_weight
    tokens = kwargs.get("num_items_in_batch")
    if tokens is not None:
        weight = weight * (kwargs["labels"] != IGNORED).sum() / tokens
    if tuner.peft_config[name].orth_reg_weight:
        outputs.loss = outputs.loss + weight * _regulariser(tuner, name)
    return outputs


def _regulariser(tuner: AdaLoraModel, name: str) -> Tensor:
    """How far the singular vectors are from orthonormal, a mean over the matrices."""
    distances = []
    for path, parameter in tuner.model.named_parameters():
        if path.endswith((f".lora_A.{name}", f".lora_B.{name}")):
            square = parameter @ parameter.T if ".lora_A." in path else parameter.T @ parameter
            distances.append(torch.linalg.matrix_norm(square - torch.eye(len(square), device=square.device)))
    return torch.stack(distances).mean()


def after_step(adapted: PeftModel, step: int) -> None:
    """Move the ranks after optimiser step `step`, counted from 1, while the gradients of that step are still there."""
    tuner = adapted.base_model
    name = tuner.trainable_adapter_name
    ranks = [one for path, one in tuner.model.named_parameters() if path.endswith(f".lora_E.{name}")]
    moving = step < tuner.peft_config[name].total_step - tuner.peft_config[name].tfinal
    if moving and any(one.grad is None for one in ranks):
        raise RuntimeError(
            "after_step: the gradients are gone; call it from on_optimizer_step, before they are cleared"
        )
    tuner.update_and_allocate(step)


def allocator(adapted: Any) -> RankAllocator | None:
    """What remembers the importance of ranks over the steps, of an AdaLoRA model in training."""
    return getattr(adapted.base_model, "rankallocator", None) if isinstance(adapted, PeftModel) else None


def spread(weights: dict[str, Tensor], pattern: dict[str, list[bool]]) -> dict[str, Tensor]:
    """Saved weights with zeros again where ranks were cut, so that they fit the matrices training began with.

    `pattern` is the configuration's `rank_pattern`: by the path of a module's singular values, which were kept.
    """
    whole = dict(weights)
    for path, kept in pattern.items():
        rows = torch.tensor(kept)
        for part, axis in (("lora_A", 0), ("lora_B", 1), ("lora_E", 0)):
            key = f"base_model.model.{path.replace('lora_E', part)}"
            if key not in weights or weights[key].shape[axis] != int(rows.sum()):
                continue
            shape = list(weights[key].shape)
            shape[axis] = len(kept)
            whole[key] = weights[key].new_zeros(shape).index_copy_(axis, rows.nonzero().flatten(), weights[key])
    return whole
