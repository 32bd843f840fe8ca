"""Every architecture from end to end, by the recipe that comes for it: train, load again, merge, generate."""

from pathlib import Path
from typing import Any

import bases
import pytest
import torch
from rows import row
from transformers import AutoModelForCausalLM, PreTrainedModel

from collectors.errors import TrainingError
from train import run
from train.base import model
from train.encoding.encode import IGNORED
from train.encoding.packed import PackedRows
from train.fitting.feed import collator
from train.methods import save
from train.mixture import Mixture
from train.recipe import Recipe, load
from train.release import merge

RECIPES = {"qwen2": "qwen3", "glm": "glm4"}
"""Whose recipe a base takes that has none of its own name."""

SETTINGS = [
    "quantisation=null",
    "method.r=4",
    "method.dropout=0",
    "cutoff=256",
    "steps=3",
    "epochs=100",
    "batch=2",
    "accumulation=2",
    "learning_rate=0.01",
    "log_every=1",
    "save_every=2",
    "evaluate_every=100",
]

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own


def preset(name: str, base: Path) -> Recipe:
    """The recipe that comes for an architecture, with a tiny base and few steps."""
    return load(RECIPES.get(name, name), base=str(base), settings=SETTINGS)


def held_out_loss(adapted: PreTrainedModel, rows: PackedRows, *, packing: bool) -> float:
    """The mean loss over all trained tokens, a row at a time."""
    feed, total, tokens = collator(adapted, 0, packing=packing), 0.0, 0
    for index in range(len(rows)):
        batch = feed([rows[index]])
        trained = int((batch["labels"] != IGNORED).sum())
        with torch.no_grad():
            total += adapted(**batch).loss.item() * trained
        tokens += trained
    return total / tokens


@pytest.mark.parametrize("name", list(bases.BASES))
def test_a_base_is_trained_loaded_again_merged_and_generates_the_same(
    name: str, tmp_path: Path, out: Path, mixed: Mixture, said: list[str]
) -> None:
    recipe = preset(name, bases.write(tmp_path / name, name))
    assert recipe.packing == bases.BASES[name].packs
    outcome = run.train(out, mixed, recipe, name=f"bases-{name}", say=said.append)
    before, after = (outcome.manifest["held_out_loss"][when] for when in ("before", "after"))
    assert after < before - 0.05

    # Loaded again it has the loss that was told when it was trained.
    adapted = save.load(model.load(Path(str(recipe.base)), recipe), outcome.folder / "adapter").eval()
    bare = adapted.get_base_model()
    rows = PackedRows(out / "tokens" / outcome.manifest["tokens"]["name"] / "holdout.arrow")
    assert held_out_loss(bare, rows, packing=recipe.packing) == pytest.approx(after, abs=1e-5)

    merge.merge(outcome.folder, tmp_path / "merged", say=said.append)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    words = model.tokenizer(tmp_path / "merged")
    asked: dict[str, Any] = words.apply_chat_template(
        row("Say the number 3 as a word.", "")["messages"][:1],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        one, other = (each(**asked).logits for each in (adapted, merged))
    torch.testing.assert_close(one, other, atol=1e-4 * one.abs().max().item(), rtol=0)
    one, other = (each.generate(**asked, max_new_tokens=12, do_sample=False) for each in (adapted, merged))
    assert one.tolist() == other.tolist()


def test_bloom_is_refused_where_its_rows_would_be_packed(
    tmp_path: Path, out: Path, mixed: Mixture, said: list[str]
) -> None:
    base = bases.write(tmp_path / "bloom", "bloom")
    recipe = load("bloom", base=str(base), settings=[*SETTINGS, "packing=true"])
    with pytest.raises(TrainingError, match=r"base .*bloom: cannot be packed.*set packing: false"):
        run.train(out, mixed, recipe, name="packed-bloom", say=said.append)
