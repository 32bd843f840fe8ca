"""Code that comes with a base: it runs only where the recipe names the revision of the base's repository it is of.

Some architectures (ChatGLM, Baichuan, MOSS, the first InternLMs) are not part of transformers; their repositories bring
Python files that it can load. Whoever runs them trusts their authors with the machine.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from collectors.errors import TrainingError
from train.recipe import Recipe


def permission(base: Path, recipe: Recipe | None) -> dict[str, Any]:
    """What `from_pretrained` is told of code that comes with the base folder `base`.

    `TrainingError` when the base cannot do without its code and the recipe does not permit it, or permits that of
    another revision than the one that was fetched.
    """
    named = None if recipe is None else recipe.trust_remote_code
    config = _read(base / "config.json")
    if named is None:
        if config.get("auto_map") and config.get("model_type") not in CONFIG_MAPPING_NAMES:
            raise TrainingError(f"base {base}: {_wanted(config.get('model_type'))}")
        return {"trust_remote_code": False, "local_files_only": True}
    if re.fullmatch(r"[0-9a-f]{40}", base.name) and base.name != named:
        raise TrainingError(
            f"base {base}: is of revision {base.name}, trust_remote_code permits the code of {named}; give both the "
            "same revision"
        )
    # A reference like `owner/name--module.Class` is to another repository, whose code is fetched at this revision.
    abroad = any("--" in str(one) for file in _CONFIGS for one in _references(_read(base / file)))
    return {"trust_remote_code": True, "code_revision": named, "local_files_only": not abroad}


def wants_code(base: Path) -> str | None:
    """Why the tokenizer of a base folder cannot be read without its own code, as a clause; None where it can."""
    references = _references(_read(base / "tokenizer_config.json"))
    return _wanted(None) if references else None


_CONFIGS: Final = ("config.json", "tokenizer_config.json")


def _wanted(kind: Any) -> str:
    what = f"transformers does not know {kind}, which brings code of its own" if kind else "it brings code of its own"
    return (
        f"{what}; to run that, read it and set trust_remote_code in the recipe to the revision (40 hex digits) of the "
        "repository it is from"
    )


def _references(config: dict[str, Any]) -> list[Any]:
    """The classes that a configuration maps to code; a tokenizer's are pairs, of the slow and the fast one."""
    mapped = config.get("auto_map") or {}
    found = mapped.values() if isinstance(mapped, dict) else mapped
    return [one for value in found for one in (value if isinstance(value, list) else [value]) if one]


def _read(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty when there is none, for who reads on says so better."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
