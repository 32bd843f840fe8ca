"""Modules trained whole beside an adapter: in float32 whatever the base is held in, and usable in it all the same."""

from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn

NARROW = (torch.float16, torch.bfloat16)


def widen(adapted: PeftModel, name: str) -> None:
    """Hold the modules that adapter `name` trains whole in float32 where the base has 16 bits.

    In 16 bits most updates would be rounded away, and float16 gradients could not be unscaled. What goes in is widened
    and what comes out has the base's type again, so the rest of the model need not know.
    """
    for wrapper in adapted.modules():
        if not isinstance(wrapper, ModulesToSaveWrapper) or name not in wrapper.modules_to_save:
            continue
        held = next(wrapper.original_module.parameters()).dtype
        if held in NARROW:
            trained = wrapper.modules_to_save[name].float()
            trained.register_forward_pre_hook(_widened)
            trained.register_forward_hook(partial(_narrowed, held))


def replaced(adapted: nn.Module) -> list[nn.Parameter]:
    """The parameters that peft keeps only as they were, beside the module that is trained whole in their place."""
    originals = [wrapper.original_module for wrapper in adapted.modules() if isinstance(wrapper, ModulesToSaveWrapper)]
    inside = {id(module) for original in originals for module in original.modules()}
    # A head that is tied to a trained embedding may still use what the embedding was.
    used = {
        id(parameter)
        for module in adapted.modules()
        if id(module) not in inside
        for parameter in module.parameters(recurse=False)
    }
    kept = {id(parameter): parameter for original in originals for parameter in original.parameters()}
    return [parameter for key, parameter in kept.items() if key not in used]


def _widened(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(arg.float() if isinstance(arg, Tensor) and arg.is_floating_point() else arg for arg in args)


def _narrowed(held: torch.dtype, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return output.to(held)
