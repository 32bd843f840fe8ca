"""What was trained, written to a folder and put on a base again: safetensors only, the same bytes every time."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any, Final

from peft import (
    AdaLoraConfig,
    PeftConfig,
    PeftModel,
    PeftModelForCausalLM,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils.warning import PeftWarning
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from collectors.errors import TrainingError, nearest
from train.methods import adalora, targets
from train.methods.attach import ADAPTER, Adapted, building, settled
from train.methods.bottleneck import UNMERGEABLE, BottleneckConfig

SETTINGS: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"

VIRTUAL_UNMERGEABLE: Final = (
    "trained tokens stand before the input and are no part of any weight of the base, so there is nothing to merge "
    "them into; serve them as an adapter beside their base"
)


def save(adapted: Adapted, place: Path, *, base: str | None) -> None:
    """Write the adapter to the folder `place`, naming `base` as what it belongs to; for `full`, the whole model."""
    if not isinstance(adapted, PeftModel):
        _save_model(adapted, place)
        return
    # A clone each: an embedding and a head that are one matrix are read back as two.
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in _weights(adapted, ADAPTER).items()}
    settings = copy.deepcopy(adapted.peft_config[ADAPTER])
    settings.base_model_name_or_path, settings.inference_mode = base, True
    tied = getattr(settings, "modules_to_tie", None)
    if tied:  # peft has put the embedding in the head's place, by whose name alone it would know that they are tied
        settings.modules_to_save = sorted({*settings.modules_to_save, *tied})
    for key, value in vars(settings).items():
        if isinstance(value, set):
            setattr(settings, key, sorted(value))  # peft would write them as they happen to come
    place.mkdir(parents=True, exist_ok=True)
    save_file(weights, place / WEIGHTS, metadata={"format": "pt"})
    settings.save_pretrained(str(place))


def load(model: PreTrainedModel | PeftModel, place: Path, *, trainable: bool = False, name: str = ADAPTER) -> PeftModel:
    """The model with the adapter of a folder on it, to be used or, if `trainable`, trained on.

    Given a model that has adapters already, it gets one more, by the name `name`, which `set_adapter` switches to.
    `TrainingError` when the folder is not whole, or the adapter is of another base.
    """
    settings = read_settings(place)
    settings.inference_mode = not trainable
    if trainable and settings.is_prompt_learning:
        raise TrainingError(
            f"adapter {place}: holds finished tokens, not what made them, and cannot be trained on; train anew"
        )
    weights = _read(place)
    bare = model.get_base_model() if isinstance(model, PeftModel) else model
    _of_this_base(settings, bare, place)
    # The ranks that AdaLoRA cut are put back as zeros: what follows then holds for it as for the others.
    pattern = getattr(settings, "rank_pattern", None) if isinstance(settings, AdaLoraConfig) else None
    if pattern:
        settings.rank_pattern, weights = None, adalora.spread(weights, pattern)
    if settings.is_prompt_learning:  # peft shall ask this base, not believe what the other one was like
        settings.token_dim = settings.num_layers = settings.num_attention_heads = None
    with building(0):
        if isinstance(model, PeftModel):
            adapted = model
            adapted.add_adapter(name, settings)
        else:
            adapted = PeftModelForCausalLM(model, settings, name)
    settled(adapted, name)
    expected = _weights(adapted, name)
    _fits(weights, expected, settings, place)
    set_peft_model_state_dict(adapted, {key: weights[key] for key in expected}, adapter_name=name)
    if pattern:
        settings.rank_pattern = pattern
    for path, parameter in adapted.named_parameters():
        if not trainable and name in path.split("."):
            parameter.requires_grad_(False)  # peft leaves trained tokens, and what it has cast, as they were made
    return adapted.train(trainable)


def _fits(weights: dict[str, Tensor], expected: dict[str, Tensor], settings: PeftConfig, place: Path) -> None:
    """Refuse weights that are not, by name and shape, those that the adapter has on this base."""
    for key, value in expected.items():
        if key not in weights:
            raise TrainingError(f"adapter {place}: is not whole, {WEIGHTS} lacks {_short(key)}; save or fetch it again")
        if weights[key].shape != value.shape:
            held, wanted = (" x ".join(map(str, one.shape)) for one in (weights[key], value))
            raise TrainingError(
                f"adapter {place}: is of another base ({settings.base_model_name_or_path}): its {_short(key)} is "
                f"{held}, here it would be {wanted}"
            )
    for key in sorted(weights.keys() - expected.keys()):
        raise TrainingError(
            f"adapter {place}: is of another base ({settings.base_model_name_or_path}): it holds {_short(key)}, for "
            "which this one has no module"
        )


def unmergeable(settings: PeftConfig) -> str | None:
    """Why an adapter of these settings cannot become part of its base's weights, or None where it can."""
    if isinstance(settings, BottleneckConfig):
        return UNMERGEABLE
    return VIRTUAL_UNMERGEABLE if settings.is_prompt_learning else None


def _weights(adapted: PeftModel, name: str) -> dict[str, Tensor]:
    """The adapter's tensors by the names they are saved under."""
    with warnings.catch_warnings():
        # AdaLoRA may cut a module's ranks to none, which peft takes for a matrix that was not gathered.
        warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape", PeftWarning)
        found: dict[str, Tensor] = get_peft_model_state_dict(adapted, adapter_name=name, save_embedding_layers=False)
    return found


def _save_model(model: PreTrainedModel, place: Path) -> None:
    # Training goes without a cache; whoever generates with the model later wants one. How the base generates is copied
    # as it stands: transformers itself would rather not save at all than settings it would call inconsistent.
    cached, generation = model.config.use_cache, model.generation_config
    model.config.use_cache, model.generation_config = True, GenerationConfig()
    try:
        model.save_pretrained(place)
    finally:
        model.config.use_cache, model.generation_config = cached, generation
    generation.to_json_file(place / "generation_config.json")


def read_settings(place: Path) -> PeftConfig:
    """peft's configuration of the adapter in a folder; `TrainingError` when there is none, or it is cut short."""
    path = place / SETTINGS
    if not path.is_file():
        raise TrainingError(f"adapter {place}: holds no {SETTINGS}; name the folder `adapter` of a finished run")
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        kind = held["peft_type"]
    except (ValueError, KeyError, TypeError):
        raise TrainingError(
            f"adapter {place}: {SETTINGS} is cut short or no adapter's; save or fetch it again"
        ) from None
    if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
        known = nearest(str(kind), [str(one.value) for one in PEFT_TYPE_TO_CONFIG_MAPPING])
        raise TrainingError(f"adapter {place}: is of an unknown kind, {kind}; {known}")
    settings: PeftConfig = PEFT_TYPE_TO_CONFIG_MAPPING[kind].from_pretrained(str(place))
    return settings


def _read(place: Path) -> dict[str, Tensor]:
    """The tensors of a saved adapter."""
    path = place / WEIGHTS
    if not path.is_file():
        raise TrainingError(f"adapter {place}: holds no {WEIGHTS}; save or fetch it again")
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"adapter {place}: {WEIGHTS} is cut short or damaged ({error}); fetch it again") from None
    return weights


def _of_this_base(settings: PeftConfig, model: PreTrainedModel, place: Path) -> None:
    """An adapter's modules must be in the base."""
    wanted = getattr(settings, "target_modules", None)
    if not isinstance(wanted, set | list):
        return
    paths = [path.replace(".base_layer", "") for path in targets.linears(model)]
    for name in sorted(wanted):
        if not any(targets.ends(path, name) for path in paths):
            raise TrainingError(
                f"adapter {place}: is of another base ({settings.base_model_name_or_path}): it is put to {name}, which "
                f"this one ({model.config.model_type}) has not"
            )


def _short(key: str) -> str:
    return key.removeprefix("base_model.model.")
