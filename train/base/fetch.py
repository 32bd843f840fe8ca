"""Where a base lies: a folder here, or what the Hub gives of it, kept in the Hub's own cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from collectors.errors import RemoteError, TrainingError
from train.recipe import Recipe

CONFIG: Final = "config.json"
SAFE, PICKLES = "*.safetensors", "*.bin"
"""Weights, as files of safetensors and as pickles."""
BESIDE: Final = ["*.json", "*.model", "*.txt", "*.jinja"]
"""Configurations and tokenizers."""
CODE: Final = "*.py"
"""What is fetched as well where the recipe permits the base's own code."""
NEEDLESS: Final = ["*/*", "consolidated*"]
"""The same weights again, as some repositories have them in other forms."""


def located(recipe: Recipe) -> Path:
    """The folder of the recipe's base, fetched from the Hub (or its cache) when it is no folder here.

    `TrainingError` for one without a model, `RemoteError` when the Hub does not give it.
    """
    here = _here(recipe)
    place = here or _fetched(recipe, [*BESIDE, SAFE])
    if here is None and not _weights(place):  # a repository of pickles alone
        place = _fetched(recipe, [PICKLES])
    if not _weights(place):
        where = "" if here else ", neither on the Hub nor, where that is out of reach, in its cache"
        raise TrainingError(f"base {recipe.base}: holds no weights ({SAFE}, {PICKLES}){where}")
    return place


def configured(recipe: Recipe) -> Path:
    """A folder with the configuration of the recipe's base, and with its code where that may run; no weights need be.

    Errors as for `located`.
    """
    place = _here(recipe) or _fetched(recipe, [CONFIG])
    if not (place / CONFIG).is_file():
        raise RemoteError(f"base {recipe.base}: no such folder here, and its {CONFIG} is not in the Hub's cache")
    return place


def first_line(error: Exception) -> str:
    """What an error of a library says first, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _here(recipe: Recipe) -> Path | None:
    """The base's folder; None where it is named by what may be a Hub id."""
    base = recipe.base or ""
    place = Path(base)
    if place.is_dir():
        if not (place / CONFIG).is_file():
            raise TrainingError(f"base {base}: holds no {CONFIG}; name the folder of a transformers checkpoint")
        return place
    if place.is_absolute() or base.startswith(".") or base.count("/") > 1:
        raise TrainingError(f"base {base}: no such folder")
    return None


def _fetched(recipe: Recipe, patterns: Sequence[str]) -> Path:
    """The folder of the cache with the files of these patterns, and the code where the recipe permits it."""
    base = recipe.base or ""
    allowed = [*patterns, *([CODE] if recipe.trust_remote_code else [])]
    # Code that is permitted runs with the weights it came with, so they are fetched at its revision.
    revision = recipe.revision or recipe.trust_remote_code
    try:
        return Path(snapshot_download(base, revision=revision, allow_patterns=allowed, ignore_patterns=NEEDLESS))
    except GatedRepoError:
        raise RemoteError(
            f"base {base}: the Hub gives it to those alone who accepted its terms; accept them on its page, and set "
            "HF_TOKEN to a token of that account"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise TrainingError(
            f"base {base}: no folder here, and no model on the Hub that can be seen; a Hub id is owner/name"
        ) from None
    except LocalEntryNotFoundError:
        raise RemoteError(f"base {base}: no such folder here, and the Hub cannot be reached to fetch it") from None
    except (HfHubHTTPError, OSError) as error:
        raise RemoteError(f"base {base}: the Hub does not give it: {first_line(error)}") from None


def _weights(place: Path) -> bool:
    return any(path for pattern in (SAFE, PICKLES) for path in place.glob(pattern))
