"""What a training takes of a device's memory, part by part, from the shapes of a model that is not there.

Weights: their numbers in their type; in 4 bits half a byte each and a float32 scale per 64, or with quantised scales
one byte per 64 and a float32 per 256 of those (arXiv 2305.14314); in 8 bits one byte each and a float32 per output row
(arXiv 2208.07339). Gradients: the trained weights once more. Optimisers: see `state`. Activations: rehearsed (see
`rehearsal`). These are exact, and tests hold them against what torch and bitsandbytes allocate. The other parts are
estimates, said where they are made.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Final

import torch
from torch import nn

from train.recipe import Quantisation
from train.runs import Sharding

BLOCK_4BIT: Final = 64
"""Weights to a scale."""
BLOCK_SCALES: Final = 256
"""Scales to a scale of scales."""
BLOCK_8BIT: Final = 256
"""Numbers of an 8-bit optimiser's state to a scale."""
SMALL: Final = 4096
"""Tensors of fewer numbers keep 32-bit states in an 8-bit optimiser."""
CODES: Final = 2 * 256 * 4
"""The two tables of what an 8-bit state's codes mean."""
CONTEXT: Final = 700 << 20
"""What CUDA and its libraries take of a card (0.5 to 0.9 GB), or Python and its libraries of a machine (0.5 GB)."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, by part. Logits, and the layer that is worked on, are not there at the same time."""

    weights: int
    """The base where it is not quantised."""
    codes: int
    """The base where it is."""
    scales: int
    trained: int
    gradients: int
    states: int
    """The optimiser's."""
    logits: int
    activations: int = 0
    working: int = 0
    gathered: int = 0
    context: int = CONTEXT

    @property
    def total(self) -> int:
        """At the most."""
        return int(sum(vars(self).values())) - min(self.logits, self.working)


def packed(weight: torch.Tensor, how: Quantisation) -> tuple[int, int]:
    """Bytes of a linear layer's weight, [out, in], when it is quantised: of its codes, and of their scales."""
    numbers = weight.numel()
    if how.bits == 8:
        return numbers, 4 * weight.shape[0]
    scales = ceil(numbers / BLOCK_4BIT)
    return ceil(numbers / 2), scales + 4 * ceil(scales / BLOCK_SCALES) if how.double else 4 * scales


def state(parameters: Iterable[nn.Parameter], optimiser: str, *, embeddings: frozenset[int] = frozenset()) -> int:
    """Bytes that the recipe's `optimiser` keeps of these parameters once it has made a step.

    `adamw` keeps two numbers in the parameter's type (arXiv 1412.6980) and a count of steps; the paged one two in
    float32; the 8-bit ones two bytes and two float32 per 256 (arXiv 2110.02861), but two float32 for each number of a
    small tensor or an embedding (`embeddings` are their ids); `adafactor` a float32 a row and a column, and one more
    (arXiv 1804.04235); `sgd`, here without momentum, nothing.
    """
    total, coded = 0, False
    for parameter in parameters:
        numbers = parameter.numel()
        if optimiser == "adamw":
            total += 2 * numbers * parameter.element_size() + 4
        elif optimiser == "adafactor":
            total += 4 * _factors(parameter.shape) + 4
        elif optimiser.endswith("8bit") and numbers >= SMALL and id(parameter) not in embeddings:
            total += 2 * (numbers + 4 * ceil(numbers / BLOCK_8BIT))
            coded = True
        elif optimiser != "sgd":
            total += 8 * numbers
    return total + CODES * coded


def _factors(shape: torch.Size) -> int:
    """Numbers that Adafactor keeps of a tensor: of a matrix its rows and columns, of a vector all."""
    return prod(shape) if len(shape) < 2 else prod(shape[:-1]) + prod(shape[:-2]) * shape[-1]


def logits(batch: int, cutoff: int, vocabulary: int) -> int:
    """Bytes of the logits when the loss runs back: log-probabilities, their gradient and that of the logits, float32.

    The model's own logits, and their float32 copy that the loss is taken of, are gone by then; before that they take
    the room of the two gradients.
    """
    return 3 * 4 * batch * cutoff * vocabulary


def shared(memory: Memory, processes: int, sharding: Sharding, *, largest: int) -> Memory:
    """A device's memory when that many processes train together; `largest` is the biggest layer's weights in bytes.

    Without sharding, gradients are copied to the buckets that are sent. FSDP and ZeRO 3 divide all but activations,
    and gather a layer to compute it while they fetch the next one; ZeRO 2 leaves weights whole. ZeRO keeps a float32
    master of each trained weight beside it.
    """
    if processes == 1:
        return memory
    if sharding == "none":
        return replace(memory, gradients=2 * memory.gradients)
    masters = 0 if sharding == "fsdp" else memory.trained
    memory = replace(memory, states=memory.states + masters)
    divided = (
        ["gradients", "states"]
        if sharding == "zero2"
        else ["weights", "codes", "scales", "trained", "gradients", "states"]
    )
    parts = {name: ceil(getattr(memory, name) / processes) for name in divided}
    return replace(memory, **parts, gathered=0 if sharding == "zero2" else 2 * largest)
