"""How long a training is: its rows, tokens and steps, counted where the tokens are there and estimated where not."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from collectors.errors import TrainingError
from pipeline import folder
from train.base import model
from train.encoding import tokens
from train.encoding.encode import Encoder, conversation
from train.encoding.packed import PackedRows
from train.fitting.steps import Steps, lengths
from train.mixture import Mixture, Row
from train.recipe import OWN, TINY, Recipe

SAMPLE: Final = 500
"""Rows that an estimate looks at: the first ones, and a mixture's order is a draw."""
FILL: Final = 0.999
"""How full packed rows come out."""
BYTES_A_TOKEN: Final = 4
"""A guess for text whose tokenizer is not at hand: about so in English and, with today's vocabularies, in Chinese."""
UNLIMITED: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Course:
    """A training's length: `rows` of the mixture, what is fed of them in an epoch, and the steps of all of it."""

    rows: int
    tokens: int
    """In an epoch."""
    fed: int
    """Rows fed in an epoch: packed ones, or one a sequence."""
    an_epoch: int
    """Steps in an epoch."""
    steps: int
    warmup: int
    source: str
    """Where the figures are from, as a clause."""


def course(
    recipe: Recipe,
    mixed: Mixture,
    base: Path | None,
    *,
    out: Path | None,
    processes: int,
    tokens: Mapping[str, Any] | None,
) -> Course:
    """The length of a training by that many processes; `base` is the folder of what is at hand of the base."""
    if tokens is not None:
        train = tokens["train"]
        return _course(recipe, train, np.zeros(train["packed_rows"], np.int64), processes, "as given")
    words = _tokenizer(base, recipe)
    found = None if out is None else _built(recipe, mixed, base, words, out)
    if found is None:
        return _estimated(recipe, mixed, words, processes)
    place, manifest = found
    rows = lengths(PackedRows(place / "train.arrow"))
    return _course(recipe, manifest["parts"]["train"], rows, processes, f"counted in {place}")


def _course(recipe: Recipe, counts: Mapping[str, Any], rows: NDArray[Any], processes: int, source: str) -> Course:
    dealt = Steps(rows, recipe, processes=processes)
    return Course(
        rows=counts["rows"],
        tokens=counts["tokens"],
        fed=len(rows),
        an_epoch=dealt.an_epoch,
        steps=dealt.total,
        # As transformers rounds it.
        warmup=0 if recipe.schedule == "constant" else ceil(dealt.total * recipe.warmup),
        source=source,
    )


def _built(
    recipe: Recipe, mixed: Mixture, base: Path | None, words: PreTrainedTokenizerBase | None, out: Path
) -> tuple[Path, dict[str, Any]] | None:
    """The tokens of this recipe and mixture below `out`, and their manifest, where just one folder may be them."""
    wanted: dict[str, Any] = {
        "mixture": mixed.fingerprint,
        "cutoff": recipe.cutoff,
        "beyond_cutoff": recipe.beyond_cutoff,
        "packing": recipe.packing,
        "loss_on": recipe.loss_on,
        "version": tokens.VERSION,
    }
    if words is not None and base is not None:
        wanted["tokenizer"] = tokens.tokenizer_hash(base)
    if words is not None or recipe.prompt != OWN or recipe.base == TINY:
        wanted["prompt"] = model.prompt(recipe, words).fingerprint
    found = []
    for path in sorted((out / "tokens").glob(f"{mixed.name}-*/{folder.MANIFEST}")):
        manifest = folder.manifest(path.parent) or {}
        settings = manifest.get("settings", {})
        if all(settings.get(key) == value for key, value in wanted.items()):
            found.append((path.parent, manifest))
    return found[0] if len(found) == 1 else None


def _tokenizer(base: Path | None, recipe: Recipe) -> PreTrainedTokenizerBase | None:
    """The base's tokenizer if it is at hand."""
    if base is None or not (any(base.glob("tokenizer*")) or any(base.glob("*.model"))):
        return None
    try:
        return model.tokenizer(base, recipe)
    except TrainingError:
        return None  # training itself will say what is wrong with it


def _estimated(recipe: Recipe, mixed: Mixture, words: PreTrainedTokenizerBase | None, processes: int) -> Course:
    """From the first rows of the mixture."""
    rows = int((folder.manifest(mixed.folder) or {}).get("rows", {}).get("train", 0))
    sample = next(mixed.rows("train"), [])[:SAMPLE]
    if words is None:
        sizes = np.array([_bytes(row) / BYTES_A_TOKEN for row in sample])
        source = f"guessed from the bytes of {len(sample):,} rows, as no tokenizer is at hand"
    else:
        sizes = _encoded(recipe, words, sample)
        spread = 2 * float(sizes.std()) / sqrt(len(sizes)) / float(sizes.mean()) if len(sizes) else 0.0
        source = f"estimated from {len(sample):,} rows, within {spread:.0%}"
    kept = _limited(sizes, recipe)
    share = rows / len(sample) if sample else 0.0
    counts = {"rows": rows, "tokens": round(float(kept.sum()) * share)}
    fed = counts["tokens"] / (recipe.cutoff * FILL) if recipe.packing else len(kept) * share
    return _course(recipe, counts, np.zeros(max(ceil(fed), 1), np.int64), processes, source)


def _bytes(row: Row) -> int:
    return sum(len((message["content"] or "").encode()) for message in row["messages"])


def _encoded(recipe: Recipe, words: PreTrainedTokenizerBase, sample: list[Row]) -> NDArray[Any]:
    """The lengths of rows in tokens, those of them that can be trained on."""
    prompt = model.prompt(recipe, words)
    words.chat_template = prompt.text
    encoder = Encoder(words, prompt, loss_on=recipe.loss_on, cutoff=UNLIMITED)
    return encoder.encode([conversation(row, prompt) for row in sample]).lengths


def _limited(sizes: NDArray[Any], recipe: Recipe) -> NDArray[Any]:
    """The lengths after what the recipe does to rows beyond its cutoff."""
    limited: NDArray[Any]
    if recipe.beyond_cutoff == "drop":
        limited = sizes[sizes <= recipe.cutoff]
    elif recipe.beyond_cutoff == "truncate":
        limited = np.minimum(sizes, recipe.cutoff)
    else:
        pieces = np.maximum(np.ceil(sizes / recipe.cutoff).astype(int), 1)
        limited = np.repeat(sizes / pieces, pieces)
    return limited
