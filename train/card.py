"""The model card: what an adapter is, told to the Hub (YAML front matter) and to a reader (Markdown)."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.front_matter import LANGUAGES, hub_licence
from pipeline.licences import section
from pipeline.markdown import table
from train.mixture import Mixture
from train.recipe import TINY, Recipe
from train.tiny import HONESTY

LICENCES: Final = "The rows it was trained on, by licence; the licence of the base holds beside theirs."


def card(name: str, recipe: Recipe, mixture: Mixture, parts: dict[str, Any], held_out: list[float]) -> str:
    """The text of an adapter's `README.md`; `parts` are the tokens folder's counts, `held_out` nats a token."""
    front = yaml.safe_dump(front_matter(recipe, mixture), sort_keys=False, allow_unicode=True)
    base = f"`{_named(recipe)}`" + (" (made on the spot, weights random)" if recipe.base == TINY else "")
    method = recipe.method
    facts = [
        ("base", base),
        ("method", f"LoRA, r {method.r}, alpha {method.alpha:g}, dropout {method.dropout:g}, on {_targets(recipe)}"),
        ("mixture", f"`{mixture.name}`, fingerprint `{mixture.fingerprint}`"),
        ("prompt format", f"`{recipe.prompt}`, in this tokenizer's chat template; loss on {recipe.loss_on} answers"),
        ("rows trained on", f"{parts['train']['encoded']:,} of {parts['train']['rows']:,}"),
        ("tokens trained on", f"{parts['train']['trained_tokens']:,} of {parts['train']['tokens']:,} an epoch"),
        ("learning rate", f"{recipe.learning_rate:g}, {recipe.schedule}, warm-up {recipe.warmup:g}"),
        ("seed", str(recipe.seed)),
    ]
    if held_out:
        facts += [
            ("held-out loss before", f"{held_out[0]:.4f} nats a token ({parts['holdout']['encoded']:,} rows)"),
            ("held-out loss after", f"{held_out[-1]:.4f} nats a token"),
        ]
    sections = [
        f"---\n{front}---",
        f"# {name}",
        *([HONESTY] if recipe.base == TINY else []),
        "An adapter trained by Suri.",
        table(("", ""), facts),
        section(LICENCES, mixture.licensed, mixture.policy),
        "## Use",
        _use(recipe),
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(recipe: Recipe, mixture: Mixture) -> dict[str, Any]:
    """The card's metadata in the Hub's vocabulary (hub-docs, modelcard.md)."""
    tags = [tag for tag, rows in mixture.counts.get("lang", {}).items() if rows]
    languages = sorted({LANGUAGES[tag] for tag in tags if tag in LANGUAGES})
    front: dict[str, Any] = {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **hub_licence(mixture.counts.get("license", {})),
    }
    if languages:
        front["language"] = languages
    # The Hub takes ids of its own models only.
    if on_hub(recipe.base or ""):
        front |= {"base_model": recipe.base, "base_model_relation": "adapter"}
    return front | {"tags": ["suri", recipe.method.name, *([TINY] if recipe.base == TINY else [])]}


def on_hub(base: str) -> bool:
    """Whether a base is a Hub id and no folder here."""
    return not Path(base).is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", base) is not None


def _named(recipe: Recipe) -> str:
    """The base's name; of a folder only its own, where it lies is nobody else's business."""
    base = recipe.base or ""
    return Path(base).name if Path(base).is_dir() else base


def _targets(recipe: Recipe) -> str:
    targets = recipe.method.targets
    named = "all linear layers" if targets == "all-linear" else ", ".join(targets)
    return named + (f"; trained whole: {', '.join(recipe.method.train_whole)}" if recipe.method.train_whole else "")


def _use(recipe: Recipe) -> str:
    base = "../base" if recipe.base == TINY else _named(recipe)
    return f"""```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), ".")
```"""
