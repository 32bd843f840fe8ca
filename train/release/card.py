"""The model card: what was trained, told to the Hub (YAML front matter) and to a reader (Markdown)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from collectors.errors import ArtefactError
from pipeline.front_matter import LANGUAGES, hub_licence
from pipeline.licences import section
from pipeline.markdown import table
from train.methods.nodes import Full, ParallelAdapter, SequentialAdapter
from train.mixture import Mixture
from train.recipe import TINY, Recipe
from train.release.described import described, quantised
from train.tiny import HONESTY

LICENCES: Final = "The rows it was trained on, by licence; the licence of the base holds beside theirs."
ADAPTER: Final = "An adapter trained by Suri."
MODEL: Final = "A model trained by Suri."
USE: Final = "## Use"
BASE: Final = '"../base"'
"""How the card of a run names the base that was made on the spot, which lies beside the adapter."""


def card(
    name: str, recipe: Recipe, mixture: Mixture, parts: dict[str, Any], entries: Sequence[Mapping[str, float]]
) -> str:
    """The text of a run's `README.md`; `parts` are the tokens folder's counts, `entries` the journal's, to the last."""
    held_out = [entry["held_out_loss"] for entry in entries if "held_out_loss" in entry]
    base = f"`{_named(recipe)}`" + (" (made on the spot, weights random)" if recipe.base == TINY else "")
    base += f" at revision `{recipe.revision}`" if recipe.revision else ""
    facts = [
        ("base", base),
        ("method", described(recipe.method)),
        *([("base held in", quantised(recipe.quantisation))] if recipe.quantisation else []),
        ("mixture", f"`{mixture.name}`, fingerprint `{mixture.fingerprint}`"),
        ("prompt format", f"`{recipe.prompt}`, in this tokenizer's chat template; loss on {recipe.loss_on} answers"),
        ("rows to train on", f"{parts['train']['encoded']:,} of {parts['train']['rows']:,}"),
        ("tokens", f"{parts['train']['tokens']:,}, of which {parts['train']['trained_tokens']:,} are trained"),
        ("trained for", f"{int(entries[-1]['step']):,} steps, which are {entries[-1]['epoch']:.3g} epochs of these"),
        ("optimiser", f"{recipe.optimiser}, batches of {recipe.batch} x {recipe.accumulation} a device"),
        ("learning rate", f"{recipe.learning_rate:g}, {recipe.schedule}, warm-up {recipe.warmup:g}"),
        ("seed", str(recipe.seed)),
    ]
    if held_out:
        facts += [
            ("held-out loss before", f"{held_out[0]:.4f} nats a token ({parts['holdout']['encoded']:,} rows)"),
            ("held-out loss after", f"{held_out[-1]:.4f} nats a token"),
        ]
    sections = [
        _front(front_matter(recipe, mixture)),
        f"# {name}",
        *([HONESTY] if recipe.base == TINY else []),
        MODEL if isinstance(recipe.method, Full) else ADAPTER,
        table(("", ""), facts),
        section(LICENCES, mixture.licensed, mixture.policy),
        USE,
        _use(recipe),
    ]
    return "\n\n".join(sections) + "\n"


def parted(place: Path) -> tuple[dict[str, Any], str]:
    """The metadata and the text of an adapter's card; `ArtefactError` when the file is none that was written here."""
    text = place.read_text(encoding="utf-8") if place.is_file() else ""
    whole = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    if whole is None or ADAPTER not in whole[2] or USE not in whole[2]:
        raise ArtefactError(f"{place}: is no card of an adapter; run the training again to have it written")
    return yaml.safe_load(whole[1]), whole[2]


def merged(place: Path, found: str) -> str:
    """The card of a merged model, from the card `place` of its adapter; `found` says how the two compare."""
    facts, text = parted(place)
    front = facts | {"library_name": "transformers"}
    if "base_model" in front:
        front["base_model_relation"] = "finetune"
    body = text.partition(USE)[0].replace(ADAPTER, f"An adapter trained by Suri, merged into its base. {found}", 1)
    return f"{_front(front)}\n{body}{USE}\n\n{_model_use()}\n"


def _front(facts: dict[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---"


def front_matter(recipe: Recipe, mixture: Mixture) -> dict[str, Any]:
    """The card's metadata in the Hub's vocabulary (hub-docs, modelcard.md)."""
    tags = [tag for tag, rows in mixture.counts.get("lang", {}).items() if rows]
    languages = sorted({LANGUAGES[tag] for tag in tags if tag in LANGUAGES})
    whole = isinstance(recipe.method, Full)
    front: dict[str, Any] = {
        "library_name": "transformers" if whole else "peft",
        "pipeline_tag": "text-generation",
        **hub_licence(mixture.counts.get("license", {})),
    }
    if languages:
        front["language"] = languages
    # The Hub takes ids of its own models only.
    if on_hub(recipe.base or ""):
        front |= {"base_model": recipe.base, "base_model_relation": "finetune" if whole else "adapter"}
    return front | {"tags": ["suri", recipe.method.name, *([TINY] if recipe.base == TINY else [])]}


def on_hub(base: str) -> bool:
    """Whether a base is a Hub id and no folder here."""
    return not Path(base).is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", base) is not None


def _named(recipe: Recipe) -> str:
    """The base's name; of a folder only its own, where it lies is nobody else's business."""
    base = recipe.base or ""
    return base if on_hub(base) or recipe.base == TINY else Path(base).name


def _use(recipe: Recipe) -> str:
    if isinstance(recipe.method, Full):
        return _model_use()
    more = ""
    if recipe.revision:
        more += f', revision="{recipe.revision}"'
    if recipe.trust_remote_code:
        more += f', trust_remote_code=True, code_revision="{recipe.trust_remote_code}"'
    model = f"AutoModelForCausalLM.from_pretrained({BASE if recipe.base == TINY else _quoted(recipe)}{more})"
    ours = isinstance(recipe.method, SequentialAdapter | ParallelAdapter)
    note = "import train.methods.attach  # of Suri: peft does not know this method\n" if ours else ""
    return f"""```python
{note}from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = PeftModel.from_pretrained({model}, ".")
```"""


def _quoted(recipe: Recipe) -> str:
    return f'"{_named(recipe)}"'


def _model_use() -> str:
    return """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".")
```"""
