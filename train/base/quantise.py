"""How a base is held: in a number type, or in 4 or 8 bits by bitsandbytes, and the values that these stand for.

Only the linear layers are quantised, without the output head. Norms, embeddings and the head stay in the recipe's
precision: they are frozen copies of what the checkpoint holds, so float32 would cost memory and add no digit.
"""

import copy
import os
from typing import Any, Final

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from train.recipe import Recipe

TYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The number types by the names that recipes give them."""


def precision(recipe: Recipe) -> torch.dtype:
    """The number type the base is held and computed in: bfloat16 where the GPU has it, else float32, unless told."""
    if recipe.precision == "auto":
        return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    return TYPES[recipe.precision]


def settings(recipe: Recipe) -> BitsAndBytesConfig | None:
    """What bitsandbytes is told of the recipe's quantisation; None where it asks for none."""
    asked = recipe.quantisation
    if asked is None:
        return None
    if asked.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    held = precision(recipe)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=asked.kind,
        bnb_4bit_use_double_quant=asked.double,
        bnb_4bit_compute_dtype=TYPES.get(asked.compute, held),
        # FSDP flattens parameters of one type only, so the packed weights pose as that of the others.
        bnb_4bit_quant_storage=held if os.environ.get("ACCELERATE_USE_FSDP") == "true" else torch.uint8,
    )


def guard(model: nn.Module) -> None:
    """Bar the 4-bit kernel of CPUs with AVX512-BF16, which bitsandbytes 0.50 takes for any pass without gradients.

    It packs the weights anew, and from then on training goes through it as well, though no gradient does: they come
    out wrong by three quarters and more, without an error.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # nn.Module types it as a submodule


def values(weight: torch.Tensor, how: BitsAndBytesConfig) -> torch.Tensor:
    """What is left of a linear layer's weight, [out, in], when it is quantised: float32, on the weight's device."""
    from bitsandbytes import functional

    if how.load_in_8bit:
        codes, scales, _ = functional.int8_vectorwise_quant(weight.to(torch.float16).contiguous())
        return _plain(functional.int8_vectorwise_dequant(codes, scales))
    packed, state = functional.quantize_4bit(
        weight.contiguous(),
        compress_statistics=how.bnb_4bit_use_double_quant,
        quant_type=how.bnb_4bit_quant_type,
    )
    state.dtype = torch.float32
    return _plain(functional.dequantize_4bit(packed, state))


def is_quantised(module: nn.Module) -> bool:
    """Whether a module is a linear layer in 4 or 8 bits, itself: peft's wrappers show the weight of theirs."""
    own = dict(module.named_parameters(recurse=False))
    return type(own.get("weight")).__name__ in {"Params4bit", "Int8Params"}


def unpacked(module: Any) -> torch.Tensor:
    """The float32 values that the weight of a quantised linear layer stands for, [out, in]."""
    from bitsandbytes import functional

    weight = module.weight
    if type(weight).__name__ == "Params4bit":
        state = copy.copy(weight.quant_state)
        state.dtype = torch.float32
        return _plain(functional.dequantize_4bit(weight.data, state))
    scales = weight.SCB if module.state.SCB is None else module.state.SCB
    return _plain(functional.int8_vectorwise_dequant(weight.data, scales))


def _plain(weight: torch.Tensor) -> torch.Tensor:
    return weight.to(torch.float32)
