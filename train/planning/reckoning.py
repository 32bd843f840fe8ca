"""What a recipe takes of a device: its skeleton weighed, and its forward pass rehearsed."""

from dataclasses import dataclass, replace

import torch

from train.base import quantise
from train.fitting import isolation
from train.methods import attach as methods
from train.planning import memory
from train.planning.memory import Memory
from train.planning.rehearsal import Rehearsal
from train.planning.skeleton import Base, Skeleton
from train.recipe import Recipe

UNMASKED = ("flex_attention", "flash_attention_2")
"""Attention that is given no mask of a number for each pair of positions."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where a training is meant to run, and the number type it computes in there."""

    gpu: bool
    compute: torch.dtype

    @property
    def name(self) -> str:
        """As a reader calls it."""
        return f"{'GPU' if self.gpu else 'CPU'}, {str(self.compute).removeprefix('torch.')}"


@dataclass(frozen=True, kw_only=True)
class Reckoned:
    """A recipe on a device, by itself: parameters by part (all, trained), memory in bytes."""

    counts: dict[str, tuple[int, int]]
    memory: Memory
    largest: int
    """The biggest layer's weights."""
    otherwise: Memory
    """With gradient checkpointing where the recipe has none, and without where it has."""


def here(recipe: Recipe) -> Device:
    """The device that a recipe is trained on on this machine."""
    return Device(gpu=torch.cuda.is_available(), compute=quantise.precision(recipe))


def devices(recipe: Recipe) -> list[Device]:
    """The GPU that is here; without one a GPU as it would be, and this CPU where it can train the recipe."""
    if torch.cuda.is_available():
        return [here(recipe)]
    told = quantise.TYPES.get(recipe.precision)
    found = [Device(gpu=True, compute=told or torch.bfloat16)]
    if told != torch.float16 and recipe.attention not in UNMASKED:
        found.append(Device(gpu=False, compute=told or torch.float32))
    return found


def reckon(of: Base, recipe: Recipe, device: Device, *, steps: int | None = None) -> Reckoned:
    """What a recipe takes of a device. `TrainingError` when the base cannot take the method, or packing."""
    methods.check(recipe.method, steps=steps, checkpointing=recipe.gradient_checkpointing)
    made = Skeleton(of, recipe, device.compute, steps=steps)
    if recipe.packing:
        isolation.check(made.bare, recipe.base or "", recipe.method)
    counts, standing = made.counts(), _standing(made, recipe)
    masked = recipe.attention not in UNMASKED
    # Last, for it takes the skeleton over.
    kept = Rehearsal(made.adapted).kept(recipe.batch, recipe.cutoff, device.compute, gpu=device.gpu, masked=masked)
    unpacked = made.widest * device.compute.itemsize

    def passing(*, again: bool) -> Memory:
        activations = kept.checkpointed if again else kept.plain
        return replace(standing, activations=activations, working=kept.working(again=again) + unpacked)

    again = recipe.gradient_checkpointing
    return Reckoned(
        counts=counts, memory=passing(again=again), otherwise=passing(again=not again), largest=made.largest
    )


def _standing(made: Skeleton, recipe: Recipe) -> Memory:
    """What is there all the time, and the logits."""
    trained = list(made.trained())
    codes, scales = made.quantised_bytes()
    frozen = (parameter for parameter in made.adapted.parameters() if not parameter.requires_grad)
    weight = sum(map(made.held, trained))
    return Memory(
        weights=sum(map(made.held, frozen)) - codes - scales,
        codes=codes,
        scales=scales,
        trained=weight,
        gradients=weight,
        states=memory.state(trained, recipe.optimiser, embeddings=made.embeddings),
        logits=memory.logits(recipe.batch, recipe.cutoff, made.vocabulary),
    )
