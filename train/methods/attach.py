"""The methods: how a base is made trainable. peft builds them; here their settings are checked against the model."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from collectors.errors import TrainingError
from train.methods import adalora, configs, targets, whole
from train.methods.nodes import AdaLora, Full, Method, Prefix, Prompt

Adapted: TypeAlias = PeftModel | PreTrainedModel
"""A model that can be trained: with an adapter on it, or itself."""

ADAPTER: Final = "default"
"""The name peft gives the one adapter of a model."""

NO_CHECKPOINTING: Final = (
    "recipe method: prefix tuning cannot be trained with gradient checkpointing, which recomputes layers without the "
    "trained keys and values; set gradient_checkpointing: false (--set gradient_checkpointing=false), or take p-tuning "
    "or prompt"
)

NARROW: Final = (torch.float16, torch.bfloat16)
"""In bfloat16 most updates would be rounded away, and gradients in float16 cannot be scaled back."""


def attach(
    model: PreTrainedModel,
    method: Method,
    *,
    base: str,
    steps: int | None = None,
    seed: int = 0,
    words: PreTrainedTokenizerBase | None = None,
) -> Adapted:
    """The model with the method's trainable parts on it, everything else frozen; `base` is the name errors give it.

    First weights depend on `seed` alone (and on the base's number type, in whose precision peft draws some); torch's
    own generator is left as it was. What is trained is held in float32, whatever the base is in. `steps` is the
    number of optimiser steps that will be taken: AdaLoRA plans by it, and without it can only be counted. `words` is
    the base's tokenizer, by which trained tokens begin as those of a text. A base on the meta device will do to count.
    `TrainingError` when the base cannot take the method.
    """
    check(method, steps=steps, checkpointing=model.is_activation_checkpointing)
    if isinstance(method, Full):
        return _full(model, method, base)
    config = configs.config(model, method, base, steps)
    with building(seed):
        adapted = get_peft_model(model, config)
    if not isinstance(adapted, PeftModel):
        raise TypeError(f"get_peft_model gave {type(adapted).__name__}")
    if isinstance(method, Prompt) and method.text is not None:
        _begin_with(adapted, model, method.text, words, base)
    return settled(adapted, ADAPTER)


def check(method: Method, *, steps: int | None = None, checkpointing: bool = False) -> None:
    """Refuse, before anything is loaded, what a method cannot do on any base: `TrainingError` says what to set."""
    if isinstance(method, AdaLora):
        adalora.check(method, steps)
    if isinstance(method, Prefix) and checkpointing:
        raise TrainingError(NO_CHECKPOINTING)


def settled(adapted: PeftModel, name: str) -> PeftModel:
    """The model, new or loaded, with what peft leaves undone for its adapter of that name."""
    if getattr(adapted.peft_config[name], "use_dora", False) and any(
        type(parameter).__name__ == "Int8Params" and parameter.device.type == "cpu"
        for parameter in adapted.parameters()
    ):
        # Once it has read an 8-bit weight there, peft 0.21 leaves it without the scales that bitsandbytes needs.
        raise TrainingError("recipe method.dora: not on a base held in 8 bits on a CPU; take 4 bits, or leave dora out")
    whole.widen(adapted, name)
    adalora.settle(adapted)
    if isinstance(adapted.peft_config[name], PrefixTuningConfig):
        adapted.register_forward_pre_hook(_refuse_checkpointing)
    return adapted


def trainable(model: Adapted) -> tuple[int, int]:
    """How many parameters are trained, and how many the adapted model has.

    A module that is trained whole counts once, though peft keeps it as it was beside it.
    """
    if isinstance(model, PeftModel):
        trained, every = model.get_nb_trainable_parameters()
        return int(trained), int(every) - sum(parameter.numel() for parameter in whole.replaced(model))
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, taken in sizes if taken), sum(size for size, _ in sizes)


def after_step(model: Any, step: int) -> None:
    """What a method does after optimiser step `step`, counted from 1: AdaLoRA moves its ranks, the others do nothing.

    To be called when the optimiser has stepped and before the gradients are cleared (`on_optimizer_step`).
    """
    if adalora.allocator(model) is not None:
        adalora.after_step(model, step)


def _full(model: PreTrainedModel, method: Full, base: str) -> PreTrainedModel:
    """The base itself, all of it trained or the modules that `only` names."""
    if getattr(model, "is_quantized", False):
        raise TrainingError(
            f"recipe method: full training needs base {base} as it is, not quantised; set quantisation: null, or take "
            "an adapter (--set method=lora)"
        )
    configs.trainable_whole(model, method.only, "method.only", base)
    model.requires_grad_(not method.only)
    for path, module in model.named_modules():
        if any(targets.ends(path, name) for name in method.only):
            module.requires_grad_(True)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in NARROW:
            parameter.data = parameter.data.float()
    return model


def _begin_with(
    adapted: PeftModel, model: PreTrainedModel, text: str, words: PreTrainedTokenizerBase | None, base: str
) -> None:
    """Let the trained embeddings begin as those of a text's tokens, over again until there are enough."""
    trained = adapted.prompt_encoder[ADAPTER].embedding.weight
    if trained.is_meta:
        return
    if words is None:
        raise ValueError("attach: tokens that begin as a text's need the base's tokenizer")
    ids = words(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise TrainingError(f"recipe method.text: {text!r} is no token to base {base}; name a text or leave it out")
    rows = torch.tensor((ids * len(trained))[: len(trained)], device=model.get_input_embeddings().weight.device)
    with torch.no_grad():
        trained.copy_(model.get_input_embeddings()(rows))


def _refuse_checkpointing(adapted: nn.Module, args: tuple[Any, ...]) -> None:
    # It may be switched on after the method is attached; the layers would then be called without the prefix.
    if adapted.training and isinstance(adapted, PeftModel) and adapted.get_base_model().is_activation_checkpointing:
        raise TrainingError(NO_CHECKPOINTING)


@contextmanager
def building(seed: int) -> Iterator[None]:
    """While peft builds: first weights drawn from `seed`, none of its warnings about a property of transformers."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        # peft 0.21 uses the older name of a property; nothing a user could do about it.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
