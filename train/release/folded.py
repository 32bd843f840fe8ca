"""The weights of a base with an adapter folded into them, one tensor at a time; peft does the arithmetic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.quantizers.auto import AutoHfQuantizer

from collectors.errors import TrainingError
from train.base import model, quantise
from train.base.permission import permission
from train.methods import save
from train.methods.attach import ADAPTER
from train.recipe import Recipe


class Folded:
    """Gives for each tensor of a base's checkpoint what it is with the adapter, in float32 where it is another.

    The model is there in form only: its weights are a single zero each, posing as the whole. What the adapter changes
    gets its real values for the moment in which peft merges it. `held` is the type the base was held in when it was
    quantised. After all tensors were taken, `check` tells whether nothing of the adapter was left over, and `untied`
    whether embedding and head, which the base holds as one matrix, have become two.
    """

    def __init__(self, origin: Path, adapter: Path, recipe: Recipe, *, held: torch.dtype) -> None:
        self.origin, self.held = origin, held
        self.how = quantise.settings(recipe)
        self.rows, shape = _shape(origin, adapter, recipe)
        self._names = _Names(shape)
        self._quantised = _quantised(origin, recipe)
        head, embedding = shape.get_output_embeddings(), shape.get_input_embeddings()
        tied = head is not None and head.weight is embedding.weight
        paths = {id(module): f"{path}.weight" for path, module in shape.named_modules()}
        self._embedding = paths[id(embedding)]
        self._head = paths[id(head)] if tied else None
        self.untied = False
        core = save.load(_zeros(shape), adapter).get_base_model()
        self._layers: dict[str, Any] = {}
        self._whole: dict[str, Tensor] = {}
        for path, module in core.named_modules():
            if isinstance(module, BaseTunerLayer):
                self._layers[f"{path}.weight"] = module
            elif isinstance(module, ModulesToSaveWrapper):
                trained = module.modules_to_save[ADAPTER]
                self._whole |= {f"{path}.{name}": value.detach() for name, value in trained.named_parameters()}
        self._left = {*self._layers, *self._whole}

    def take(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The tensors to write for the one of this name in the checkpoint: one, or none or two of those that are tied.

        Of a base that holds embedding and head as one, the head is written only when the adapter makes it another.
        """
        target, mixed = self._names.of(name)
        if target == self._head:
            return
        value = tensor if mixed else self._merged(target, tensor)
        yield name, value
        if self._head is not None and target == self._embedding:
            head = self._merged(self._head, tensor)
            if head.shape != value.shape or not torch.equal(head, value):
                self.untied = True
                yield self._head, head

    def check(self) -> None:
        """Raise `TrainingError` when the checkpoint lacked a tensor that the adapter changes."""
        if self._left:
            raise TrainingError(
                f"base {self.origin}: stores {min(self._left)} in another form than it computes with, so the adapter "
                "cannot be merged into it; serve the adapter beside its base"
            )

    def _merged(self, target: str, tensor: Tensor) -> Tensor:
        self._left.discard(target)
        if target in self._whole:
            return self._whole[target]
        value = tensor if self.how is None or not tensor.is_floating_point() else tensor.to(self.held)
        if self.how is not None and target in self._quantised:
            value = quantise.values(value.to(_device()), self.how).cpu()
        layer = self._layers.get(target)
        return value if layer is None else _added(layer, value)


def _added(layer: Any, weight: Tensor) -> Tensor:
    """The weight, [out, in], with the layer's adapter added to it; the layer is left as it was."""
    bare = layer.get_base_layer()
    zero = bare.weight
    bare.weight = nn.Parameter(weight.float().clone(), requires_grad=False)
    try:
        layer.merge(adapter_names=[ADAPTER])
        merged: Tensor = bare.weight.data
    finally:
        bare.weight = zero
        layer.merged_adapters.clear()
    return merged


def _device() -> torch.device:
    """Where bitsandbytes quantises: the GPU where there is one, as for the training."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Names:
    """What the tensors of a checkpoint are called in the model, by transformers' own renamings."""

    def __init__(self, shape: PreTrainedModel) -> None:
        found = get_model_conversion_mapping(shape)
        self._renamings = [one for one in found if isinstance(one, WeightRenaming)]
        self._converters = [one for one in found if isinstance(one, WeightConverter)]
        self._prefix, self._state = shape.base_model_prefix, shape.state_dict()

    def of(self, name: str) -> tuple[str, bool]:
        """The name in the model, and whether it is mixed there with other tensors of the checkpoint."""
        target, pattern = rename_source_key(name, self._renamings, self._converters, self._prefix, self._state)
        return target, pattern is not None


def _shape(origin: Path, adapter: Path, recipe: Recipe, rows: int | None = None) -> tuple[int, PreTrainedModel]:
    """The base without weights, its vocabulary grown where the adapter's is; with the rows of the embedding."""
    allowed = permission(origin, recipe)
    config = AutoConfig.from_pretrained(origin, **allowed)
    if rows is not None:
        config.get_text_config().vocab_size = rows
    shape = model.outline(config, allowed)
    shape.tie_weights()
    embedding = shape.get_input_embeddings()
    have = int(embedding.weight.shape[0])
    path = next(path for path, module in shape.named_modules() if module is embedding)
    wanted = _rows(adapter, f"base_model.model.{path}.weight")
    if rows is None and wanted is not None and wanted != have:
        return _shape(origin, adapter, recipe, wanted)
    return have, shape


def _rows(adapter: Path, key: str) -> int | None:
    """The rows of a matrix in an adapter's file; None when it is not there."""
    try:
        with safe_open(adapter / save.WEIGHTS, "pt") as opened:
            return int(opened.get_slice(key).get_shape()[0]) if key in opened.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError):
        return None  # whoever loads the adapter says so


def _quantised(origin: Path, recipe: Recipe) -> set[str]:
    """The weights that are quantised when this base is loaded, by their names in the model."""
    how = quantise.settings(recipe)
    if how is None:
        return set()
    allowed = permission(origin, recipe)
    shape = model.outline(AutoConfig.from_pretrained(origin, **allowed), allowed)
    AutoHfQuantizer.from_config(how, pre_quantized=False).preprocess_model(model=shape, device_map={"": "cpu"})
    return {f"{path}.weight" for path, module in shape.named_modules() if quantise.is_quantised(module)}


def _zeros(shape: PreTrainedModel) -> PreTrainedModel:
    """The model with a zero that poses as the whole for each of its weights; what is tied stays so."""
    posed: dict[int, nn.Parameter] = {}
    for module in shape.modules():
        for name, value in module._parameters.items():
            if value is not None:
                if id(value) not in posed:
                    zero = torch.zeros((), dtype=torch.float32).expand(value.shape)
                    posed[id(value)] = nn.Parameter(zero, requires_grad=False)
                module._parameters[name] = posed[id(value)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.zeros((), dtype=buffer.dtype).expand(buffer.shape)
    return shape
