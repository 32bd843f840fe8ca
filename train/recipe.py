"""A recipe: the base, the method and the settings of one training, one node a key of the YAML.

Recipes live in `train/recipes/`; any other is named by its path, and any key can be set from the command line.
"""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from collectors.errors import CatalogError, nearest
from collectors.nodes import Node, parsed, read_yaml
from templates import prompt as prompts
from train.methods.nodes import METHODS, Count, Lora, Method, Positive, Share

TINY: Final = "tiny-random-llama"
"""The base that is made on the spot: a small Llama with random weights and a tokenizer trained on the mixture."""

OWN: Final = "own"
"""The prompt format that is the base's own chat template."""


class Tiny(Node):
    """The shape of the base `tiny-random-llama`; its weights are drawn from the recipe's seed."""

    vocabulary: Annotated[int, Field(ge=300)] = 1024
    hidden: Count = 128
    layers: Count = 2
    heads: Count = 4

    @model_validator(mode="after")
    def _heads_divide(self) -> "Tiny":
        if self.hidden % (2 * self.heads):
            raise ValueError("hidden must be an even multiple of heads")
        return self


class Quantisation(Node):
    """The base held in 4 or 8 bits by bitsandbytes (arXiv 2305.14314, arXiv 2208.07339); adapters stay as they are.

    `kind` and `double` (quantised scales) are for 4 bits; `compute` is the type that products are taken in.
    """

    bits: Literal[4, 8] = 4
    kind: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    compute: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


class Recipe(Node):
    """Everything that decides a training except the mixture.

    `trust_remote_code` is the revision of the base whose own code may run; without it none does. `prompt` is a format
    of `templates/prompts`, or `own`: the chat template that comes with the base's tokenizer. `cutoff` is in tokens and
    also the length of a packed row; `batch` counts (packed) rows a device, so a step sees `batch * accumulation` of
    them on each device. Training lasts `epochs`, and no longer than `steps` where given. `log_every`, `evaluate_every`
    and `save_every` are in steps; held-out rows are always evaluated before the first step and after the last one.
    `logging` says where, beside the console, the figures go: `jsonl` is the run's `metrics.jsonl`, which the other two
    keep as well.
    """

    about: str
    base: str | None = None
    revision: str | None = None
    trust_remote_code: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    tiny: Tiny = Tiny()
    method: Annotated[Method, Field(discriminator="name")] = Lora()
    quantisation: Quantisation | None = None
    prompt: str = "alpaca"
    loss_on: Literal["all", "last"] = "all"
    cutoff: Annotated[int, Field(ge=16)] = 1024
    beyond_cutoff: Literal["drop", "truncate", "split"] = "drop"
    packing: bool = True
    epochs: Positive = 3
    steps: Count | None = None
    batch: Count = 2
    accumulation: Count = 8
    optimiser: Literal["adamw", "adamw-8bit", "paged-adamw", "paged-adamw-8bit", "adafactor", "sgd"] = "adamw"
    learning_rate: Positive = 3e-4
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup: Share = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0
    max_grad_norm: Positive = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    attention: Literal["auto", "sdpa", "eager", "flex_attention", "flash_attention_2"] = "auto"
    gradient_checkpointing: bool = False
    logging: Literal["none", "jsonl", "tensorboard", "wandb"] = "jsonl"
    evaluate: bool = True
    log_every: Count = 10
    evaluate_every: Count = 100
    save_every: Count = 100
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("method", mode="before")
    @classmethod
    def _named_method(cls, method: Any) -> Any:
        # A name alone is the method with its defaults; LoRA is meant where settings are given without a name.
        settings = {"name": method} if isinstance(method, str) else method
        if not isinstance(settings, dict):
            return settings
        settings = {"name": "lora"} | settings
        if settings["name"] not in METHODS:
            raise ValueError(f"there is no method {settings['name']}; {nearest(str(settings['name']), METHODS)}")
        return settings

    @field_validator("prompt")
    @classmethod
    def _known_prompt(cls, prompt: str) -> str:
        known = [OWN, *prompts.names(), *prompts.SAME]
        if prompt not in known:
            raise ValueError(f"there is no format {prompt}; {nearest(prompt, known)}")
        return prompt

    @model_validator(mode="after")
    def _saves_where_it_logs(self) -> "Recipe":
        # The logged loss is a mean since the last line; a resumed run can only repeat it from a step that logged.
        if self.save_every % self.log_every:
            raise ValueError("save_every must be a multiple of log_every")
        return self


def known() -> list[str]:
    """The names of the recipes that come with the program."""
    return sorted(path.name.removesuffix(".yaml") for path in _shelf() if path.name.endswith(".yaml"))


def load(name: str, *, base: str | None = None, settings: Iterable[str] = ()) -> Recipe:
    """The recipe of that name or path, with `base` and `key=value` settings (`method.r=16`) put over it.

    Values are YAML; `method=prefix` puts a method with its defaults in the place of the recipe's. `CatalogError` names
    an unknown recipe or key with what is near, and a recipe left without base.
    """
    path = Path(name)
    if name in known():
        path = next(shelved for shelved in _shelf() if shelved.name == f"{name}.yaml")
    elif path.suffix not in {".yaml", ".yml"}:
        raise CatalogError(f"recipe {name}: unknown; {nearest(name, known())} (or give the path of a .yaml file)")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise CatalogError(f"recipe {name}: is no mapping of keys to values")
    for setting in settings:
        _put(data, setting)
    if base is not None:
        data["base"] = base
    recipe = parsed(Recipe, data, f"recipe {name}")
    if recipe.base is None:
        raise CatalogError(f"recipe {name}: names no base; give a folder or a Hub id with --base (or BASE= to make)")
    return recipe


def _shelf() -> list[Path]:
    folder = Path(str(resources.files("train") / "recipes"))
    return sorted(folder.iterdir())


def _put(data: dict[str, Any], setting: str) -> None:
    """Put `a.b=value` into the nested mapping `data`."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise CatalogError(f"--set {setting}: write key=value, for instance learning_rate=1e-4")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise CatalogError(f"--set {setting}: the value is not YAML") from None
    if key == "method" and isinstance(value, str):
        value = {"name": value}  # so that its settings can follow
    *outer, last = key.split(".")
    for step in outer:
        if data.get(step) is None:
            data[step] = {}
        data = data[step]
        if not isinstance(data, dict):
            raise CatalogError(f"--set {setting}: {step} holds a value, not further keys")
    data[last] = value
