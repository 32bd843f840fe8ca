"""The methods: how a base is made trainable. peft builds them; here their settings are checked against the model."""

import warnings
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from collectors.errors import TrainingError, nearest
from train.methods.nodes import Lora, Method


def attach(model: PreTrainedModel, method: Method, *, base: str) -> PeftModel:
    """The model with the method's trainable parts on it, everything else frozen; `base` is the name errors give it.

    `TrainingError` when a named module is not in the model.
    """
    names = {name for name, _ in model.named_modules() if name}
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    if not isinstance(method, Lora):
        raise TrainingError(f"method {method.name}: not built yet")
    targets: Any = method.targets
    if method.targets != "all-linear":
        _check("method.targets", method.targets, linear, base)
    _check("method.train_whole", method.train_whole, names, base)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=targets,
        modules_to_save=method.train_whole or None,
    )
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 by the older name of a property; nothing a user could do about it.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        attached = get_peft_model(model, config)
    if not isinstance(attached, PeftModel):
        raise TypeError(f"get_peft_model gave {type(attached).__name__}")
    return attached


def trainable(model: PeftModel) -> tuple[int, int]:
    """How many parameters are trained, and how many there are."""
    trained, every = model.get_nb_trainable_parameters()
    return int(trained), int(every)


def _check(key: str, wanted: list[str], modules: set[str], base: str) -> None:
    """Every wanted name must end the path of a module, as peft matches them."""
    for name in wanted:
        if not any(module == name or module.endswith(f".{name}") for module in modules):
            last = {module.rsplit(".", 1)[-1] for module in modules}
            near = nearest(name, {one for one in last if not one.isdigit()})
            raise TrainingError(f"recipe {key}: {name} matches no module of base {base}; {near}")
