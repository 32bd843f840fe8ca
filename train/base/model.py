"""The base: a causal language model, its tokenizer and how it is talked to, read from its folder."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_flash_attn_2_available

from collectors.errors import TrainingError, nearest
from templates import prompt as prompts
from train.base import quantise
from train.base.fetch import first_line
from train.base.permission import permission, wants_code
from train.base.quantise import precision as precision
from train.methods.nodes import Full
from train.recipe import OWN, Recipe

SUPPORT: Final = {
    "sdpa": "_supports_sdpa",
    "flex_attention": "_supports_flex_attn",
    "flash_attention_2": "_supports_flash_attn",
}
"""By which mark of its class transformers knows that an architecture has an attention; all have `eager`."""


def identity(base: Path) -> str:
    """sha256 over the names and contents of a base folder's files: what a run's fingerprint knows of it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in base.iterdir() if path.is_file() and not path.name.startswith(".")):
        with path.open("rb") as handle:
            digest.update(f"{path.name}:{hashlib.file_digest(handle, 'sha256').hexdigest()},".encode())
    return digest.hexdigest()


def tokenizer(base: Path, recipe: Recipe | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a base folder, by its own code where the recipe permits that.

    `TrainingError` when there is none, it cannot be read or it has no end token.
    """
    config = base / "tokenizer_config.json"
    if not config.is_file() and not any(base.glob("tokenizer*")) and not any(base.glob("*.model")):
        raise TrainingError(f"base {base}: holds no tokenizer; put its tokenizer files beside config.json")
    allowed = permission(base, recipe)
    try:
        words = AutoTokenizer.from_pretrained(base, **allowed)
    except (OSError, ValueError, KeyError, ImportError) as error:
        wanted = None if allowed["trust_remote_code"] else wants_code(base)
        raise TrainingError(f"base {base}: its tokenizer cannot be read: {wanted or first_line(error)}") from None
    if words.eos_token_id is None:
        raise TrainingError(
            f"base {base}: its tokenizer has no end token, so no answer would ever end; set eos_token in its "
            "tokenizer_config.json to the token its answers end with"
        )
    return words


def prompt(recipe: Recipe, words: PreTrainedTokenizerBase | None) -> prompts.Prompt:
    """The recipe's prompt format: one of this program, or the chat template that comes with the base's tokenizer.

    `TemplateError` for a format that there is not, or a chat template that cannot be used; `TrainingError` where the
    base's is asked for and there is no tokenizer, as of the one that is made on the spot.
    """
    if recipe.prompt != OWN:
        return prompts.load(recipe.prompt)
    if words is None:
        raise TrainingError(f"recipe prompt: base {recipe.base} comes with no chat template; name a format, as alpaca")
    return prompts.own(words.chat_template, bos_token=words.bos_token, eos_token=words.eos_token)


def outline(config: PreTrainedConfig, allowed: dict[str, Any], **how: Any) -> PreTrainedModel:
    """The model of a configuration on the meta device: its modules and shapes, and no numbers.

    `allowed` is what `permission` gave for its base, `how` is handed to transformers. Raises what that raises.
    """
    code = {name: value for name, value in allowed.items() if name != "local_files_only"}
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config, **how, **code)
    if not isinstance(made, PreTrainedModel):
        raise TypeError(f"from_config gave {type(made).__name__}")
    return made


def load(base: Path, recipe: Recipe, *, training: bool = True) -> PreTrainedModel:
    """The model of a base folder, quantised where the recipe asks for it, ready for a method to be attached.

    Without `training` it is also given where this machine could compute it but not train it.

    Code that comes with a checkpoint is run only where the recipe permits it (see `permission`). `TrainingError` when
    transformers does not know the architecture or cannot read the weights, when weights are missing or a token has no
    embedding, and when the precision, attention or quantisation asked for cannot be had with this base or machine.
    """
    allowed = permission(base, recipe)
    how = quantise.settings(recipe)
    if how is not None and isinstance(recipe.method, Full):
        raise TrainingError(
            "recipe quantisation: method full trains the base, which cannot be in 4 or 8 bits; leave it out"
        )
    if training:
        _machine(recipe)
    try:
        config = AutoConfig.from_pretrained(base, **allowed)
        _sizes(base, config, recipe)
        _attention(base, config, recipe)
        model, found = AutoModelForCausalLM.from_pretrained(
            base,
            config=config,
            dtype=precision(recipe),
            attn_implementation=None if recipe.attention == "auto" else recipe.attention,
            quantization_config=how,
            device_map=None if how is None else _device(),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below
            **allowed,
        )
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"base {base}: cannot be loaded: {first_line(error)}") from None
    _whole(base, found)
    quantise.guard(model)
    if how is not None:
        model.requires_grad_(requires_grad=False)
    model.config.use_cache = False  # with a cache, packed sequences would see each other
    return model


def _whole(base: Path, found: dict[str, Any]) -> None:
    """Refuse weights that are not all there or of other shapes: transformers would draw them at random."""
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise TrainingError(
            f"base {base}: its weights lack {len(missing)} of the model's tensors ({missing[0]}); fetch it again"
        )
    if found["mismatched_keys"]:
        name, held, wanted = min(found["mismatched_keys"])
        raise TrainingError(
            f"base {base}: its weights are not those of its config.json: {name} is {_shape(held)}, where that makes it "
            f"{_shape(wanted)}; fetch it again"
        )


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))


def _machine(recipe: Recipe) -> None:
    """Refuse what this machine cannot compute."""
    cuda = torch.cuda.is_available()
    if recipe.precision == "fp16" and not cuda:
        raise TrainingError("recipe precision: fp16 is trained on a CUDA GPU only; set fp32 or bf16")
    if recipe.precision == "bf16" and cuda and not torch.cuda.is_bf16_supported():
        raise TrainingError("recipe precision: this GPU has no bf16; set fp16 or fp32")
    if recipe.attention == "flash_attention_2":
        if not cuda:
            raise TrainingError("recipe attention: flash_attention_2 needs a CUDA GPU; set sdpa")
        if not is_flash_attn_2_available():
            raise TrainingError("recipe attention: flash_attention_2 needs the package flash-attn; add it, or set sdpa")
        if precision(recipe) == torch.float32:
            raise TrainingError("recipe attention: flash_attention_2 has no fp32; set precision to bf16 or fp16")
    if recipe.attention == "flex_attention" and not cuda:
        raise TrainingError("recipe attention: flex_attention has no gradients on a CPU; set sdpa")


def _attention(base: Path, config: PreTrainedConfig, recipe: Recipe) -> None:
    """Refuse an attention that the architecture does not have; code that comes with a base says so itself."""
    known: Any = AutoModelForCausalLM._model_mapping
    asked = SUPPORT.get(recipe.attention)
    if asked is None or type(config) not in known:
        return
    kind = known[type(config)]
    if not getattr(kind, asked, False):
        have = ["eager", *(name for name, mark in SUPPORT.items() if getattr(kind, mark, False))]
        raise TrainingError(
            f"recipe attention: {config.model_type} of base {base} has no {recipe.attention}; "
            f"{nearest(recipe.attention, have)}"
        )


def _sizes(base: Path, config: PreTrainedConfig, recipe: Recipe) -> None:
    """Refuse a cutoff beyond what the base sees, and a tokenizer with more tokens than the base has embeddings."""
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    if limit is not None and recipe.cutoff > limit:
        raise TrainingError(f"base {base}: sees {limit} tokens at most; cutoff is {recipe.cutoff}")
    if not any(base.glob("tokenizer*")) and not any(base.glob("*.model")):
        return  # whoever needs the tokenizer says that it is not there
    highest = max(tokenizer(base, recipe).get_vocab().values(), default=-1)
    rows = getattr(text, "vocab_size", None)
    if rows is not None and highest >= rows:
        raise TrainingError(
            f"base {base}: its tokenizer has tokens up to number {highest}, its embeddings {rows} rows; put the "
            "tokenizer there that the base was trained with, or a base whose embeddings were grown for this tokenizer"
        )


def _device() -> dict[str, Any]:
    """Where a quantised base goes, all of it: the GPU of this process, else the CPU."""
    return {"": int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"}
