"""What a training will take, told before anything is loaded: parameters, memory, steps and disk.

`python -m train plan RECIPE` prints it. Of a base its configuration is all that is read. How memory is reckoned is said
in `memory` and `rehearsal` beside this; steps are counted where the tokens are there already, and estimated from the
first rows of the mixture where they are not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collectors.errors import SuriError
from train.methods.nodes import AdaLora, Full, Lora, Method, Prefix
from train.mixture import Mixture
from train.planning import memory, skeleton
from train.planning.course import Course, course
from train.planning.memory import Memory
from train.planning.reckoning import Reckoned, devices, here, reckon
from train.recipe import Quantisation, Recipe
from train.runs import Sharding

GIB: Final = 1 << 30
CHECKPOINTS: Final = 3
"""Those that are kept, and one that is being written."""
ROOM: Final = 0.92
"""The share of a device's memory that can be planned with; the rest goes to fragments."""
SHORTEST: Final = 256
"""Tokens below which no shorter cutoff is advised."""

SMALLER: Final = "take a smaller base, or divide it among several GPUs (--gpus 2 --sharding fsdp)"

PARTS: Final = {
    "weights": "base",
    "codes": "base in {bits} bits",
    "scales": "scales of these",
    "trained": "trained weights",
    "gradients": "gradients",
    "states": "optimiser ({optimiser})",
    "activations": "activations",
    "logits": "logits and their gradients, or",
    "working": "a layer that runs back",
    "gathered": "layers gathered",
    "context": "libraries and their context",
}
"""The parts of memory in the words of a reader."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training will take; memory is in bytes on each of the `processes` devices, by the device's name."""

    recipe: Recipe
    architecture: str
    processes: int
    sharding: Sharding
    parameters: dict[str, tuple[int, int]]
    """By part of the model: all of them, and those that are trained."""
    memory: dict[str, Memory]
    otherwise: dict[str, int]
    """The total with gradient checkpointing where the recipe has none, and without where it has."""
    course: Course | None
    """None where no mixture is named."""
    checkpoint: int
    """Bytes on disk of one checkpoint."""
    result: int
    """And of what comes of the training."""


def plan(
    recipe: Recipe,
    mixed: Mixture | None,
    *,
    out: Path | None,
    processes: int = 1,
    sharding: Sharding = "none",
    tokens: Mapping[str, Any] | None = None,
) -> Plan:
    """Plan the training of a recipe on a mixture by that many processes.

    Tokens below the data folder `out` are counted, or taken from `tokens`, the parts of a tokens folder's manifest.
    `TrainingError` and `RemoteError` for a base that cannot be known, or that cannot take the method.
    """
    of = skeleton.base(recipe)
    run = None if mixed is None else course(recipe, mixed, of.folder, out=out, processes=processes, tokens=tokens)
    steps = None if run is None else run.steps
    found = {device.name: reckon(of, recipe, device, steps=steps) for device in devices(recipe)}
    first = next(iter(found.values()))
    whole = sum(every for every, _ in first.counts.values()) if isinstance(recipe.method, Full) else 0
    result = max(first.memory.trained, whole and first.memory.trained + first.memory.weights)
    return Plan(
        recipe=recipe,
        architecture=of.config.model_type,
        processes=processes,
        sharding=sharding,
        parameters=first.counts,
        memory={name: _shared(one, one.memory, processes, sharding) for name, one in found.items()},
        otherwise={name: _shared(one, one.otherwise, processes, sharding).total for name, one in found.items()},
        course=run,
        checkpoint=result + first.memory.states,
        result=result,
    )


def _shared(one: Reckoned, held: Memory, processes: int, sharding: Sharding) -> Memory:
    return memory.shared(held, processes, sharding, largest=one.largest)


def lines(plan: Plan) -> list[str]:
    """The plan as a reader sees it, a line each."""
    recipe = plan.recipe
    return [
        f"{recipe.method.name} on {recipe.base} ({plan.architecture}), {recipe.batch} x {recipe.cutoff:,} tokens a "
        f"device at a time, {recipe.accumulation} times a step"
        + (f", {plan.processes} devices" if plan.processes > 1 else "")
        + (f" ({plan.sharding})" if plan.sharding != "none" else ""),
        "",
        *_parameters(plan),
        "",
        *_memory(plan),
        "",
        *_course(plan),
        f"disk: {_size(plan.result)} for what comes of it, {_size(plan.checkpoint)} for a checkpoint; at the most "
        f"{_size(CHECKPOINTS * plan.checkpoint + plan.result)} while it trains",
    ]


def _parameters(plan: Plan) -> Iterator[str]:
    yield f"{'parameters':33}{'all':>18}{'trained':>18}"
    for name, (every, trained) in plan.parameters.items():
        yield f"  {name:31}{every:>18,}{trained:>18,}"
    every, trained = (sum(count) for count in zip(*plan.parameters.values(), strict=True))
    yield f"  {'together':31}{every:>18,}{trained:>18,}   {trained / every:.2%}"


def _memory(plan: Plan) -> Iterator[str]:
    recipe = plan.recipe
    bits = recipe.quantisation.bits if recipe.quantisation else 0
    yield f"{'memory of a device':33}" + "".join(f"{name:>18}" for name in plan.memory)
    for key, words in PARTS.items():
        values = [getattr(one, key) for one in plan.memory.values()]
        if any(values):
            name = words.format(bits=bits, optimiser=recipe.optimiser)
            yield f"  {name:31}" + "".join(f"{_size(value):>18}" for value in values)
    yield f"  {'at the most':31}" + "".join(f"{_size(one.total):>18}" for one in plan.memory.values())
    other = "without" if recipe.gradient_checkpointing else "with"
    yield f"  {f'{other} checkpointing':31}" + "".join(f"{_size(value):>18}" for value in plan.otherwise.values())


def _course(plan: Plan) -> Iterator[str]:
    run, recipe = plan.course, plan.recipe
    if run is None:
        yield "steps: name a mixture with --mix to have them counted"
        return
    step = recipe.batch * recipe.accumulation * plan.processes
    kind = "packed rows" if recipe.packing else "rows"
    yield f"steps: {run.steps:,} of {step:,} {kind} ({run.an_epoch:,} an epoch), the first {run.warmup:,} to warm up"
    yield f"rows: {run.rows:,}, {run.tokens:,} tokens in {run.fed:,} {kind} ({run.source})"


def _size(size: float) -> str:
    if size >= GIB:
        return f"{size / GIB:,.2f} GiB"
    return f"{size / 2**20:,.0f} MiB" if size >= 10 << 20 else f"{size / 2**10:,.0f} KiB"


def advice(recipe: Recipe, base: Path, *, seen: int | None) -> str:
    """What to say to a training that ran out of memory: settings that need less of it, by these very formulas.

    They are tried in order of the harm they do: smaller batches, accumulated to the same step; gradient checkpointing,
    which costs a third of the speed; an optimiser in 8 bits; a base in 4 bits; a shorter cutoff. `base` is the folder
    of the base, `seen` the bytes of the device, None where they are not known.
    """
    head = f"out of memory with batch {recipe.batch} and cutoff {recipe.cutoff}"
    head += "" if seen is None else f" on {_size(seen)}"
    try:
        return f"{head}: {_way_out(recipe.model_copy(update={'base': str(base)}), seen)}"
    except SuriError as error:
        return f"{head}; what would fit cannot be reckoned: {error}"


def _way_out(recipe: Recipe, seen: int | None) -> str:
    of, device = skeleton.base(recipe), here(recipe)
    ladder = list(_ladder(recipe))
    if not ladder:
        return SMALLER
    # It did not fit: where the formulas say that it should have, they are too low here by so much at least.
    short = 1.0 if seen is None else max(1.0, seen / reckon(of, recipe, device).memory.total)
    told = []
    for changed in ladder:
        size = short * reckon(of, changed, device).memory.total
        told.append(f"{_settings(recipe, changed)} would take about {_size(size)}")
        if seen is not None and size <= ROOM * seen:
            return told[-1]
    return "; ".join(told) if seen is None else f"even {told[-1]}; {SMALLER}"


def _ladder(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes that need less and less memory, the least harmful changes first; each keeps those before it."""
    now = recipe
    while now.batch > 1:
        smaller = now.batch // 2
        now = now.model_copy(
            update={"batch": smaller, "accumulation": -(-recipe.batch * recipe.accumulation // smaller)}
        )
        yield now
    if not now.gradient_checkpointing and not isinstance(recipe.method, Prefix):
        yield (now := now.model_copy(update={"gradient_checkpointing": True}))
    if now.optimiser in {"adamw", "paged-adamw"} and (isinstance(now.method, Full) or _whole(now.method)):
        yield (now := now.model_copy(update={"optimiser": "paged-adamw-8bit"}))
    if not isinstance(now.method, Full) and (now.quantisation is None or now.quantisation.bits == 8):
        yield (now := now.model_copy(update={"quantisation": Quantisation()}))
    while now.cutoff // 2 >= SHORTEST:
        yield (now := now.model_copy(update={"cutoff": now.cutoff // 2}))


def _whole(method: Method) -> bool:
    """Whether modules are trained whole beside an adapter, so that the optimiser's states weigh something."""
    return isinstance(method, Lora | AdaLora) and bool(method.train_whole)


def _settings(recipe: Recipe, changed: Recipe) -> str:
    """What of a recipe was changed, as the command line takes it."""
    found = []
    for key in ("batch", "accumulation", "gradient_checkpointing", "optimiser", "quantisation", "cutoff"):
        value = getattr(changed, key)
        if value != getattr(recipe, key):
            shown = str(value).lower() if isinstance(value, bool) else value
            found.append("--set quantisation.bits=4" if key == "quantisation" else f"--set {key}={shown}")
    return " ".join(found)
