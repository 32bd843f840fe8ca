"""Runs as a training leaves them, made in a moment: the adapter's weights are drawn, not trained."""

from pathlib import Path
from typing import Any

import torch

from pipeline import folder
from templates.prompt import load
from train.base import model
from train.methods import attach, save
from train.mixture import Mixture
from train.recipe import Recipe
from train.release.card import card

COUNTS = {"encoded": 16, "rows": 16, "trained_tokens": 400, "tokens": 1000}
ENTRIES = [{"step": 0, "held_out_loss": 5.7, "epoch": 0.0}, {"step": 6.0, "held_out_loss": 4.2, "epoch": 1.5}]


def finished(out: Path, mixed: Mixture, name: str, base: Path, recipe: Recipe, *, scale: float = 0.05) -> Path:
    """A finished run in `out/runs/<name>` whose adapter differs from its beginning by normal noise of that scale."""
    recipe = Recipe.model_validate(recipe.model_dump() | {"base": str(base)})
    words = model.tokenizer(base)
    adapted = attach.attach(model.load(base, recipe), recipe.method, base=base.name, steps=10_000, words=words)
    noise = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += scale * torch.randn(parameter.shape, generator=noise)
    place = out / "runs" / name
    kind = "model" if recipe.method.name == "full" else "adapter"
    save.save(adapted, place / kind, base=recipe.base)
    words.chat_template = load("alpaca").text
    words.save_pretrained(place / kind)
    text = card(name, recipe, mixed, {"train": COUNTS, "holdout": COUNTS}, ENTRIES)
    folder.write_text(place / kind / "README.md", text)
    folder.write_text(place / "metrics.jsonl", '{"step": 0, "held_out_loss": 5.7}\n')
    (place / "loss.png").write_bytes(b"\x89PNG of a curve")
    manifest: dict[str, Any] = {
        "run": name,
        "base": recipe.base,
        "kind": kind,
        "mixture": {"name": mixed.name, "fingerprint": mixed.fingerprint},
        "recipe": recipe.model_dump(),
        "fingerprint": folder.fingerprint(run=name, recipe=recipe.model_dump(exclude={"base"})),
    }
    folder.write_manifest(place, manifest)
    return place
