"""A forward pass of a model without its memory and arithmetic, to see what it would keep for the backward pass.

The model is one on the meta device; its tensors become torch's fake ones, which have a shape, a type and a place but no
content. So every base and method that runs can be rehearsed, at any size, in about a second, and no formula of an
architecture's activations is needed. Attention, dropout and norms keep what they keep on the device that is meant.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # no public name; torch is pinned, and a test runs it
from torch.overrides import TorchFunctionMode
from transformers.modeling_layers import GradientCheckpointingLayer


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Bytes that a forward pass keeps for the backward one, up to the logits."""

    layers: tuple[int, ...]
    """By each layer that gradient checkpointing would run again."""
    entries: int
    """What enters these layers: all that is kept of them with checkpointing."""
    elsewhere: int
    """By everything outside of them."""

    @property
    def plain(self) -> int:
        """At the end of the pass, without gradient checkpointing."""
        return self.elsewhere + sum(self.layers)

    @property
    def checkpointed(self) -> int:
        """With it."""
        return self.elsewhere + self.entries

    def working(self, *, again: bool) -> int:
        """For a layer that runs back: what it kept if it is run `again` for that, and half as much for gradients.

        The half is a rule of thumb: 0.1 to 0.5 were measured on small models.
        """
        return round((1.5 if again else 0.5) * max(self.layers, default=0))


class Rehearsal:
    """A model to rehearse with. It takes the model over: its parameters are fake from then on."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        self.mode: Final = FakeTensorMode(allow_non_fake_inputs=True)
        known: dict[int, Tensor] = {}
        with self.mode:
            for module in model.modules():
                for tensors in (module._parameters, module._buffers):
                    for name, tensor in tensors.items():
                        if tensor is not None:
                            tensors[name] = known.setdefault(id(tensor), _fake(tensor))  # type: ignore[assignment]  # a parameter for a parameter
        self._weights = {_storage(parameter) for parameter in model.parameters()}

    def kept(self, batch: int, cutoff: int, compute: torch.dtype, *, gpu: bool, masked: bool = True) -> Kept:
        """What a batch of rows of `cutoff` tokens keeps when products are taken in `compute`.

        `masked` tells whether attention is given a mask, of a number for each pair of positions, as it is but for
        FlashAttention and flex attention.
        """
        found = _Found(self._weights, None if masked else cutoff)
        with ExitStack() as stack:
            stack.enter_context(self.mode)
            if compute != torch.float32:
                stack.enter_context(torch.autocast("cpu", compute))
            if gpu:
                stack.enter_context(_AsOnGpu())
            stack.enter_context(found.watching(self.model))
            ids = torch.zeros(batch, cutoff, dtype=torch.long)
            logits = self.model(input_ids=ids, use_cache=False)
            del logits
        return found.kept()


class _Found:
    """Collects what is saved, each storage once and where it was saved first."""

    def __init__(self, weights: set[int], unmasked: int | None) -> None:
        self.weights, self.unmasked = weights, unmasked
        self.layer = 0
        self.inside = False
        self.bytes: dict[int, tuple[int, int]] = {}
        self.entering: dict[int, int] = {}
        self.alive: list[Tensor] = []

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        handles = [layer.register_forward_pre_hook(self._enter, with_kwargs=True) for layer in layers]
        handles += [layer.register_forward_hook(self._leave) for layer in layers]
        with torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor):
            yield
        for handle in handles:
            handle.remove()

    def kept(self) -> Kept:
        by_layer = [0] * (self.layer + 1)
        for layer, size in self.bytes.values():
            by_layer[layer] += size
        return Kept(elsewhere=by_layer[0], layers=tuple(by_layer[1:]), entries=sum(self.entering.values()))

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.layer += 1
        self.inside = True
        for given in (*args, *kwargs.values()):
            if isinstance(given, Tensor):
                self.entering[_storage(given)] = given.untyped_storage().nbytes()
                self.alive.append(given)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.inside = False

    def _save(self, tensor: Tensor) -> Tensor:
        mask = self.unmasked is not None and tensor.dim() == 4 and tensor.shape[-2:] == (self.unmasked, self.unmasked)
        place = _storage(tensor)
        if place not in self.weights and place not in self.bytes and not mask:
            self.bytes[place] = (self.layer if self.inside else 0, tensor.untyped_storage().nbytes())
            self.alive.append(tensor)  # so that no later storage takes its place
        return tensor


class _AsOnGpu(TorchFunctionMode):
    """Has the operations that keep other things on a GPU than on a CPU keep those."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.dropout:
            return _dropped(*args, **kwargs)
        if func is nn.functional.layer_norm and torch.is_autocast_enabled("cpu"):
            # Autocast takes norms in float32 there.
            return func(args[0].float(), *args[1:], **kwargs)
        return func(*args, **kwargs)


def _dropped(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # torch's name
    """Dropout by CUDA's kernel, which keeps a mask of one byte a number."""
    if not training or p == 0:
        return input
    return _Dropout.apply(input)  # type: ignore[no-any-return, no-untyped-call]  # torch leaves it untyped


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:  # torch's name
        ctx.save_for_backward(torch.empty_like(input, dtype=torch.bool))
        return input.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _fake(tensor: Tensor) -> Tensor:
    made = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(made, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
