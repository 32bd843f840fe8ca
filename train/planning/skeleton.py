"""A base that is not there: its configuration alone, as a model on the meta device, with the method put on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from collectors.errors import TrainingError
from train import tiny
from train.base import fetch, model
from train.base.permission import permission
from train.methods import attach as methods
from train.methods import whole
from train.planning.memory import packed
from train.recipe import TINY, Quantisation, Recipe

EMBEDDINGS, LAYERS, HEAD, REST = "embeddings", "layers", "output head", "norms and the rest"
PARTS: Final = (EMBEDDINGS, LAYERS, HEAD, REST)
"""The parts of a base; what a method adds is a part of the method's name."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What is known of a base before any of it is loaded: its configuration, and its folder where there is one."""

    config: PreTrainedConfig
    folder: Path | None
    allowed: dict[str, Any]
    """What transformers is told of code that comes with it."""

    @property
    def vocabulary(self) -> int:
        """Rows of its embeddings."""
        return int(self.config.get_text_config().vocab_size)


def base(recipe: Recipe) -> Base:
    """The recipe's base by its configuration: from its folder, else from the Hub or its cache, where nothing but this
    (and code, where the recipe permits it) is fetched.

    `TrainingError` for a folder without one or an architecture that transformers does not know, `RemoteError` when the
    Hub does not give it.
    """
    if recipe.base == TINY:
        return Base(config=tiny.config(recipe, recipe.tiny.vocabulary), folder=None, allowed={})
    place = fetch.configured(recipe)
    allowed = permission(place, recipe)
    try:
        config = AutoConfig.from_pretrained(place, **allowed)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise TrainingError(
            f"base {recipe.base}: its {fetch.CONFIG} cannot be read: {fetch.first_line(error)}"
        ) from None
    return Base(config=config, folder=place, allowed=allowed)


class Skeleton:
    """The model of a recipe, all shapes and no numbers, in the number type `held`."""

    def __init__(self, of: Base, recipe: Recipe, held: torch.dtype, *, steps: int | None = None) -> None:
        self.recipe, self.vocabulary = recipe, of.vocabulary
        self.bare = _bare(of, recipe, held)
        self.part = {id(parameter): name for name, parameter in _parts(self.bare)}
        self.quantised = {id(weight): weight for weight in _quantised(self.bare, recipe.quantisation)}
        self.bare.is_quantized = bool(self.quantised)
        with torch.device("meta"):
            self.adapted = methods.attach(
                self.bare, recipe.method, base=recipe.base or "", steps=steps, seed=recipe.seed
            )
        self.twins = self._twins()
        self.embeddings = frozenset(
            id(parameter)
            for module in self.adapted.modules()
            if isinstance(module, nn.Embedding)
            for parameter in module.parameters()
        )
        layers = [module for module in self.bare.modules() if isinstance(module, GradientCheckpointingLayer)]
        self.largest = max((sum(map(self.held, layer.parameters())) for layer in layers), default=0)
        """Bytes of the biggest layer's weights, as they are held."""
        self.widest = max((weight.numel() for weight in self.quantised.values()), default=0)
        """Numbers of the biggest weight that is unpacked to be used."""

    def _twins(self) -> set[int]:
        """The ids of parameters that only lie beside those trained in their place, which are then of their part."""
        for wrapper in self.adapted.modules():
            if isinstance(wrapper, ModulesToSaveWrapper):
                for trained in wrapper.modules_to_save.values():
                    for old, new in zip(wrapper.original_module.parameters(), trained.parameters(), strict=True):
                        self.part[id(new)] = self.part[id(old)]
        return {id(parameter) for parameter in whole.replaced(self.adapted)}

    def trained(self) -> Iterator[nn.Parameter]:
        """The parameters that are trained."""
        return (parameter for parameter in self.adapted.parameters() if parameter.requires_grad)

    def held(self, parameter: nn.Parameter) -> int:
        """Bytes of a parameter, its scales among them."""
        if self.recipe.quantisation is not None and id(parameter) in self.quantised:
            return sum(packed(parameter, self.recipe.quantisation))
        return parameter.numel() * parameter.element_size()

    def quantised_bytes(self) -> tuple[int, int]:
        """Bytes of the quantised weights' codes, and of their scales."""
        if self.recipe.quantisation is None:
            return 0, 0
        sizes = [packed(weight, self.recipe.quantisation) for weight in self.quantised.values()]
        return sum(codes for codes, _ in sizes), sum(scales for _, scales in sizes)

    def counts(self) -> dict[str, tuple[int, int]]:
        """By part of the model: its parameters, and how many of them are trained.

        A module that is trained whole counts once, though peft keeps it as it was beside it.
        """
        found = {name: [0, 0] for name in (*PARTS, self.recipe.method.name)}
        for parameter in self.adapted.parameters():
            if id(parameter) in self.twins:
                continue
            count = found[self.part.get(id(parameter), self.recipe.method.name)]
            count[0] += parameter.numel()
            count[1] += parameter.numel() * parameter.requires_grad
        return {name: (every, trained) for name, (every, trained) in found.items() if every}


def _bare(of: Base, recipe: Recipe, held: torch.dtype) -> PreTrainedModel:
    """The base alone. Attention that needs a package or a GPU gives way to SDPA, which has the same weights."""
    asked = None if recipe.attention == "auto" else recipe.attention
    try:
        made = model.outline(
            of.config, of.allowed, dtype=held, attn_implementation="eager" if asked == "eager" else None
        )
    except (OSError, ValueError, ImportError) as error:
        raise TrainingError(f"base {recipe.base}: cannot be built: {fetch.first_line(error)}") from None
    made.config.use_cache = False
    return made


def _parts(bare: PreTrainedModel) -> Iterator[tuple[str, nn.Parameter]]:
    """Each parameter with the part of the base that it belongs to; a head tied to the embeddings is these."""
    head = bare.get_output_embeddings()
    layers = {
        id(one)
        for module in bare.modules()
        if isinstance(module, GradientCheckpointingLayer)
        for one in module.parameters()
    }
    embeddings = {
        id(one) for module in bare.modules() if isinstance(module, nn.Embedding) for one in module.parameters()
    }
    for parameter in bare.parameters():
        if id(parameter) in embeddings:
            yield EMBEDDINGS, parameter
        elif id(parameter) in layers:
            yield LAYERS, parameter
        elif head is not None and any(parameter is one for one in head.parameters()):
            yield HEAD, parameter
        else:
            yield REST, parameter


def _quantised(bare: PreTrainedModel, how: Quantisation | None) -> Iterator[nn.Parameter]:
    """The weights that bitsandbytes will hold in fewer bits: by transformers' own rule, all but the head."""
    if how is None:
        return
    kept = HfQuantizer.get_modules_to_not_convert(bare, None, bare._keep_in_fp32_modules)
    for name, module in bare.named_modules():
        if type(module) is nn.Linear and should_convert_module(name, kept):
            yield module.get_parameter("weight")
