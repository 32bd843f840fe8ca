"""The base: a causal language model and its tokenizer, from a folder or from the Hub."""

import hashlib
from pathlib import Path
from typing import Final

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from collectors.errors import RemoteError, TrainingError
from train.recipe import Recipe

WEIGHTS: Final = ("*.safetensors", "*.bin")
HUB_FILES: Final = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def located(recipe: Recipe) -> Path:
    """The folder of the recipe's base, fetched from the Hub (or its cache) when it is no folder here.

    `TrainingError` for a folder that holds no model, `RemoteError` when the Hub does not give it.
    """
    base = recipe.base or ""
    place = Path(base)
    if place.is_dir():
        if not (place / "config.json").is_file():
            raise TrainingError(f"base {base}: holds no config.json; name the folder of a transformers checkpoint")
        if not any(path for pattern in WEIGHTS for path in place.glob(pattern)):
            raise TrainingError(f"base {base}: holds no weights (*.safetensors)")
        return place
    if place.is_absolute() or base.startswith(".") or base.count("/") > 1:
        raise TrainingError(f"base {base}: no such folder")
    try:
        return Path(snapshot_download(base, revision=recipe.revision, allow_patterns=HUB_FILES))
    except (RepositoryNotFoundError, HFValidationError):
        raise TrainingError(
            f"base {base}: no folder here, and no model on the Hub that can be seen; a Hub id is owner/name"
        ) from None
    except LocalEntryNotFoundError:
        raise RemoteError(f"base {base}: no such folder here, and the Hub cannot be reached to fetch it") from None
    except (HfHubHTTPError, OSError) as error:
        raise RemoteError(f"base {base}: the Hub does not give it: {_first_line(error)}") from None


def identity(base: Path) -> str:
    """sha256 over the names and contents of a base folder's files: what a run's fingerprint knows of it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in base.iterdir() if path.is_file() and not path.name.startswith(".")):
        with path.open("rb") as handle:
            digest.update(f"{path.name}:{hashlib.file_digest(handle, 'sha256').hexdigest()},".encode())
    return digest.hexdigest()


def tokenizer(base: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base folder; `TrainingError` when there is none."""
    config = base / "tokenizer_config.json"
    if not config.is_file() and not any(base.glob("tokenizer*")) and not any(base.glob("*.model")):
        raise TrainingError(f"base {base}: holds no tokenizer; put its tokenizer files beside config.json")
    try:
        return AutoTokenizer.from_pretrained(base, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"base {base}: its tokenizer cannot be read: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def precision(recipe: Recipe) -> torch.dtype:
    """The number type the base is held and computed in: bfloat16 where the GPU has it, else float32, unless told."""
    if recipe.precision == "auto":
        return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if recipe.precision == "bf16" else torch.float32


def load(base: Path, recipe: Recipe) -> PreTrainedModel:
    """The model of a base folder. Code that comes with a checkpoint is never run.

    `TrainingError` when transformers does not know the architecture or cannot read the weights.
    """
    try:
        config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        limit = getattr(config, "max_position_embeddings", None)
        if limit is not None and recipe.cutoff > limit:
            raise TrainingError(f"base {base}: sees {limit} tokens at most; cutoff is {recipe.cutoff}")
        model = AutoModelForCausalLM.from_pretrained(
            base,
            config=config,
            dtype=precision(recipe),
            attn_implementation=None if recipe.attention == "auto" else recipe.attention,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise TrainingError(f"base {base}: cannot be loaded: {_first_line(error)}") from None
    model.config.use_cache = False  # with a cache, packed sequences would see each other
    return model
