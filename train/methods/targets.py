"""Which modules of a base a method works on: the usual ones of its architecture, or those a recipe names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING,
)
from transformers import PreTrainedModel

from collectors.errors import TrainingError, nearest
from train.methods.nodes import AdaLora, Lora


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The linear modules of a layer by what they do, as the ends of their paths.

    `heads` make queries, keys and values, `into` leads into the MLP and `out` of it; `low_rank` are those that LoRA
    takes by default, where peft has no map of its own.
    """

    heads: tuple[str, ...]
    into: tuple[str, ...]
    out: tuple[str, ...]
    low_rank: tuple[str, ...]


_QKV: Final = ("q_proj", "k_proj", "v_proj")
_QV: Final = ("q_proj", "v_proj")

LLAMA: Final = Layout(heads=_QKV, into=("gate_proj", "up_proj"), out=("down_proj",), low_rank=_QV)
BLOOM: Final = Layout(
    heads=("query_key_value",), into=("dense_h_to_4h",), out=("dense_4h_to_h",), low_rank=("query_key_value",)
)
GLM: Final = Layout(heads=_QKV, into=("gate_up_proj",), out=("down_proj",), low_rank=_QV)
PHI3: Final = Layout(heads=("qkv_proj",), into=("gate_up_proj",), out=("down_proj",), low_rank=("qkv_proj",))
BAICHUAN: Final = Layout(heads=("W_pack",), into=("gate_proj", "up_proj"), out=("down_proj",), low_rank=("W_pack",))
MOSS: Final = Layout(heads=("qkv_proj",), into=("fc_in",), out=("fc_out",), low_rank=("qkv_proj",))
INTERNLM2: Final = Layout(heads=("wqkv",), into=("w1", "w3"), out=("w2",), low_rank=("wqkv",))
QWEN: Final = Layout(heads=("c_attn",), into=("mlp.w1", "mlp.w2"), out=("mlp.c_proj",), low_rank=("c_attn",))

LAYOUTS: Final = {
    "baichuan": BAICHUAN,
    "bloom": BLOOM,
    "chatglm": BLOOM,
    "gemma": LLAMA,
    "gemma2": LLAMA,
    "gemma3": LLAMA,
    "gemma3_text": LLAMA,
    "glm": GLM,
    "glm4": GLM,
    "internlm": LLAMA,
    "internlm2": INTERNLM2,
    "internlm3": LLAMA,
    "llama": LLAMA,
    "mistral": LLAMA,
    "moss": MOSS,
    "phi3": PHI3,
    "qwen": QWEN,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
}
"""By `model_type`. Any other architecture is taken for the first of these layouts whose modules it has, all of them."""

TOWERS: Final = r"(.*\.)?(vision|visual|audio)\w*\..*"
"""Encoders of images and sound inside a base: no text goes through them, so nothing in them could be trained."""


def layout(model: PreTrainedModel, base: str, key: str) -> Layout:
    """The layout of a base's layers; `TrainingError` about the recipe's `key` when there is no telling."""
    kind = str(model.config.model_type)
    linear = linears(model)
    for known in [LAYOUTS[kind]] if kind in LAYOUTS else dict.fromkeys(LAYOUTS.values()):
        wanted = (*known.heads, *known.into, *known.out)
        if all(any(ends(module, name) for module in linear) for name in wanted):
            return known
    names = ", ".join(sorted(_last(linear)))
    raise TrainingError(f"recipe {key}: base {base} has no layers of a known kind ({kind}: {names})")


def low_rank(model: PreTrainedModel, method: Lora | AdaLora, base: str) -> list[str] | str:
    """The modules that LoRA or AdaLoRA is put on: ends of paths, a pattern, or peft's word for all linear ones.

    `TrainingError` when one that the recipe names is not a linear module of the base.
    """
    if isinstance(method.targets, list):
        matched("method.targets", method.targets, linears(model), base)
        return method.targets
    if method.targets == "all-linear":
        return method.targets
    maps = [TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING]
    if isinstance(method, AdaLora):
        maps.insert(0, TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING)
    for known in maps:
        usual: list[str] | str | None = known.get(model.config.model_type)
        if usual is not None:
            return usual if isinstance(usual, str) else list(usual)
    return list(layout(model, base, "method.targets").low_rank)


def outside(model: PreTrainedModel) -> str | None:
    """The pattern of modules that are never targets, or None where the base has none such (peft wants it so)."""
    return TOWERS if any(re.fullmatch(TOWERS, name) for name in linears(model)) else None


def linears(model: PreTrainedModel) -> list[str]:
    """The paths of a base's linear modules, quantised ones included."""
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]


def matched(key: str, wanted: Iterable[str], modules: Iterable[str], base: str) -> None:
    """Every wanted name must be the path of a module or its end, as peft has it; `TrainingError` with near ones."""
    paths = list(modules)
    for name in wanted:
        if not any(ends(path, name) for path in paths):
            near = nearest(name, _last(paths))
            raise TrainingError(f"recipe {key}: {name} matches no module of base {base}; {near}")


def ends(path: str, name: str) -> bool:
    """Whether a module's path is `name` or ends with it, by whole parts."""
    return path == name or path.endswith(f".{name}")


def _last(paths: Iterable[str]) -> set[str]:
    return {last for last in (path.rsplit(".", 1)[-1] for path in paths) if not last.isdigit()}
