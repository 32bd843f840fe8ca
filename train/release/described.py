"""Methods and quantisations in a line of text each, as cards tell them."""

from collections.abc import Callable
from typing import Any, Final

from train.methods.nodes import (
    AdaLora,
    Full,
    Lora,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    PTuning,
    SequentialAdapter,
    Targets,
)
from train.recipe import Quantisation


def described(method: Method) -> str:
    """A method and its settings in a line of text."""
    return TEXTS[type(method)](method)


def _lora(method: Lora) -> str:
    kind = "DoRA" if method.dora else "LoRA"
    scale = " (scaled by alpha / sqrt(r))" if method.rank_stabilised else ""
    settings = f"r {method.r}, alpha {method.alpha:g}{scale}, dropout {method.dropout:g}"
    return f"{kind}, {settings}, on {_targets(method.targets)}{_whole(method.train_whole)}"


def _adalora(method: AdaLora) -> str:
    steps = f"steps: {method.warmup} before the first cut, one every {method.interval}, {method.settle} after the last"
    return (
        f"AdaLoRA, from rank {method.initial_r} to {method.r} in the mean ({steps}), alpha {method.alpha:g}, dropout "
        f"{method.dropout:g}, on {_targets(method.targets)}{_whole(method.train_whole)}"
    )


def _prefix(method: Prefix) -> str:
    made = f"through a projection of {method.hidden}" if method.projection else "without projection"
    return f"prefix tuning, {method.tokens} tokens {made}"


def _p_tuning(method: PTuning) -> str:
    return f"p-tuning, {method.tokens} tokens made by an {method.encoder.upper()} of {method.hidden}"


def _prompt(method: Prompt) -> str:
    return f"prompt tuning, {method.tokens} tokens, beginning " + (f"as `{method.text}`" if method.text else "random")


def _bottleneck(method: SequentialAdapter | ParallelAdapter) -> str:
    if isinstance(method, SequentialAdapter):
        where = "at the output of each MLP" if method.places == "output" else "at the input and output of each MLP"
        kind = "sequential"
    else:
        where = "on query, key and value" if method.targets == "auto" else f"on {_targets(method.targets)}"
        kind = "parallel"
    width = f"{method.bottleneck} wide, {method.activation}, dropout {method.dropout:g}, scaling {method.scaling:g}"
    return f"{kind} bottleneck adapters {where}, {width}"


def _full(method: Full) -> str:
    return f"no adapter: {', '.join(method.only) or 'all'} of the base trained"


TEXTS: Final[dict[type[Any], Callable[[Any], str]]] = {
    Lora: _lora,
    AdaLora: _adalora,
    Prefix: _prefix,
    PTuning: _p_tuning,
    Prompt: _prompt,
    SequentialAdapter: _bottleneck,
    ParallelAdapter: _bottleneck,
    Full: _full,
}


def quantised(how: Quantisation) -> str:
    """How the base was held, in a few words."""
    if how.bits == 8:
        return "8 bits"
    products = "" if how.compute == "auto" else f", products in {how.compute}"
    return f"4 bits, {how.kind}{' with quantised scales' if how.double else ''}{products}"


def _targets(targets: Targets) -> str:
    known = {"all-linear": "all linear layers", "auto": "the usual layers of its architecture"}
    return known[targets] if isinstance(targets, str) else ", ".join(targets)


def _whole(modules: list[str]) -> str:
    return f"; trained whole: {', '.join(modules)}" if modules else ""
