"""Bases and methods: what is made on the spot, what is loaded, what is refused in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from collectors.errors import RemoteError, TrainingError
from train import model, tiny
from train.methods import attach as methods
from train.methods.nodes import Lora
from train.mixture import Mixture
from train.recipe import Recipe

With = Callable[..., Recipe]


def test_the_tiny_base_is_the_same_every_time(tmp_path: Path, mixed: Mixture, small: Recipe, tiny_base: Path) -> None:
    tiny.make(tmp_path / "again", mixed, small)
    made = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert made == {path.name: path.read_bytes() for path in tiny_base.iterdir()}


def test_its_tokenizer_writes_any_text(words: PreTrainedTokenizerBase) -> None:
    text = "Zürich 你好 🦊\n\t<|im_start|>"
    assert words.decode(words(text, add_special_tokens=False)["input_ids"]) == text
    assert len(words) == 300


def test_lora_trains_its_own_parameters_only(tiny_base: Path, recipe_with: With) -> None:
    base = model.load(tiny_base, recipe_with())
    adapted = methods.attach(base, Lora(r=4, alpha=8, targets=["q_proj", "v_proj"]), base="tiny")
    # 2 layers x 2 modules x (32 x 4 + 4 x 32)
    assert methods.trainable(adapted)[0] == 1024
    assert all(parameter.requires_grad == ("lora_" in name) for name, parameter in adapted.named_parameters())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Lora(targets=["q_prj"]), "recipe method.targets: q_prj matches no module of base tiny; did you mean q_proj"),
        (Lora(targets=["query_key_value"]), "recipe method.targets: query_key_value matches no module of base tiny; "),
        (
            Lora(train_whole=["lm_haed"]),
            "recipe method.train_whole: lm_haed matches no module of base tiny; did you mean",
        ),
    ],
)
def test_modules_that_are_not_there_are_told(tiny_base: Path, recipe_with: With, method: Lora, message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        methods.attach(model.load(tiny_base, recipe_with()), method, base="tiny")
    assert str(caught.value).startswith(message)


def test_a_folder_without_a_model_is_told(tmp_path: Path, recipe_with: With, tiny_base: Path) -> None:
    with pytest.raises(TrainingError, match=r"no such folder"):
        model.located(recipe_with(base=str(tmp_path / "none")))
    with pytest.raises(TrainingError, match=r"holds no config.json"):
        model.located(recipe_with(base=str(tmp_path)))
    shutil.copy(tiny_base / "config.json", tmp_path)
    with pytest.raises(TrainingError, match=r"holds no weights"):
        model.located(recipe_with(base=str(tmp_path)))


def test_a_hub_id_that_cannot_be_fetched_is_told(recipe_with: With) -> None:
    with pytest.raises(RemoteError, match=r"base acme/llama: no such folder here, and the Hub cannot be reached"):
        model.located(recipe_with(base="acme/llama"))


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path, tiny_base: Path) -> None:
    shutil.copy(tiny_base / "config.json", tmp_path)
    with pytest.raises(TrainingError, match=r"holds no tokenizer; put its tokenizer files beside config.json"):
        model.tokenizer(tmp_path)


def test_a_cutoff_beyond_what_the_base_sees_is_told(tiny_base: Path, recipe_with: With) -> None:
    with pytest.raises(TrainingError, match=r"sees 2048 tokens at most; cutoff is 4096"):
        model.load(tiny_base, recipe_with(cutoff=4096))


def test_cut_weights_are_told(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"cannot be loaded"):
        model.load(tmp_path / "cut", recipe_with())


def test_the_base_is_held_in_the_precision_asked_for(tiny_base: Path, recipe_with: With) -> None:
    assert model.load(tiny_base, recipe_with(precision="bf16")).dtype == torch.bfloat16
