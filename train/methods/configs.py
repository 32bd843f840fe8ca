"""The settings of a method in peft's words, for one base: where it is put, and what is trained whole beside it."""

from typing import Any, Final, assert_never

from peft import LoraConfig, PeftConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig
from transformers import PreTrainedModel

from collectors.errors import TrainingError
from train.methods import adalora, targets
from train.methods.bottleneck import BottleneckConfig, Place
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
)

CAUSAL: Final[dict[str, Any]] = {"task_type": "CAUSAL_LM"}


def config(model: PreTrainedModel, method: Method, base: str, steps: int | None) -> PeftConfig:
    """peft's configuration of a method on this base; `TrainingError` when a module it names is not there."""
    match method:
        case Lora() | AdaLora():
            return _low_rank(model, method, base, steps)
        case Prefix():
            return PrefixTuningConfig(
                num_virtual_tokens=method.tokens,
                prefix_projection=method.projection,
                encoder_hidden_size=method.hidden,
                **CAUSAL,
            )
        case PTuning():
            return PromptEncoderConfig(
                num_virtual_tokens=method.tokens,
                encoder_reparameterization_type=method.encoder.upper(),
                encoder_hidden_size=method.hidden,
                **CAUSAL,
            )
        case Prompt():
            return PromptTuningConfig(num_virtual_tokens=method.tokens, **CAUSAL)
        case SequentialAdapter() | ParallelAdapter():
            return BottleneckConfig(
                places=_places(model, method, base),
                bottleneck=method.bottleneck,
                activation=method.activation,
                dropout=method.dropout,
                scaling=method.scaling,
                init_weights=method.initial,
                exclude_modules=targets.outside(model),
                **CAUSAL,
            )
        case Full():
            raise TypeError("full training has no configuration of peft's")
        case _:
            assert_never(method)


def _low_rank(model: PreTrainedModel, method: Lora | AdaLora, base: str, steps: int | None) -> LoraConfig:
    modules = targets.low_rank(model, method, base)
    trainable_whole(model, method.train_whole, "method.train_whole", base)
    trained_whole, tied = _tied(model, method.train_whole)
    further: dict[str, Any] = {
        **CAUSAL,
        "lora_alpha": int(method.alpha) if method.alpha % 1 == 0 else method.alpha,
        "lora_dropout": method.dropout,
        "target_modules": modules,
        "exclude_modules": targets.outside(model),
        "modules_to_save": trained_whole or None,
        "ensure_weight_tying": tied,
    }
    if isinstance(method, AdaLora):
        return adalora.config(method, steps, **further)
    return LoraConfig(r=method.r, use_dora=method.dora, use_rslora=method.rank_stabilised, **further)


def _places(model: PreTrainedModel, method: SequentialAdapter | ParallelAdapter, base: str) -> dict[str, Place]:
    """Where the bottlenecks go, by the ends of modules' paths; targets that a recipe names must be there."""
    if isinstance(method, ParallelAdapter) and isinstance(method.targets, list):
        targets.matched("method.targets", method.targets, targets.linears(model), base)
        return dict.fromkeys(method.targets, "beside")
    usual = targets.layout(model, base, "method")
    if isinstance(method, ParallelAdapter):
        return dict.fromkeys(usual.heads, "beside")
    out: dict[str, Place] = dict.fromkeys(usual.out, "after")
    return out if method.places == "output" else {**dict.fromkeys(usual.into, "before"), **out}


def trainable_whole(model: PreTrainedModel, names: list[str], key: str, base: str) -> None:
    """Modules that are to be trained whole must be there and hold numbers that can be trained."""
    modules = {path: module for path, module in model.named_modules() if path}
    targets.matched(key, names, modules, base)
    for path, module in modules.items():
        quantised = any(not parameter.is_floating_point() for parameter in module.parameters())
        if quantised and any(targets.ends(path, name) for name in names):
            raise TrainingError(f"recipe {key}: {path} of base {base} is quantised and cannot be trained whole")


def _tied(model: PreTrainedModel, names: list[str]) -> tuple[list[str], bool]:
    """The modules to train whole, and whether the embedding and the head are among them as one matrix.

    Where the base ties the two, naming one means both, and they stay tied. peft knows them so by the head's name only.
    """
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or getattr(head, "weight", None) is not embedding.weight:
        return list(names), False
    one = [path for path, module in model.named_modules() if module is embedding or module is head]
    others = [name for name in names if not any(targets.ends(path, name) for path in one)]
    if len(others) == len(names):
        return list(names), False
    return [*others, next(path for path, module in model.named_modules() if module is head)], True
