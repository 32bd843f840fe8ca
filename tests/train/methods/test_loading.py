"""Adapter folders that are not whole, or are of another base: one line each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from little import base
from peft import PeftModel
from safetensors.torch import load_file, save_file

from collectors.errors import TrainingError
from train.methods.attach import attach
from train.methods.nodes import Lora, Method, Prefix, Prompt, SequentialAdapter
from train.methods.save import load, save

SEQUENTIAL = SequentialAdapter(name="sequential-adapter", bottleneck=4)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves an adapter of a method on a tiny base of those settings; gives its folder."""

    def make(method: Method, kind: str = "llama", **more: Any) -> Path:
        save(attach(base(kind, **more), method, base="tiny", steps=8), tmp_path, base="acme/one")
        return tmp_path

    return make


def refusal(place: Path, **more: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        load(base(**more), place)
    text = str(caught.value)
    assert text.startswith(f"adapter {place}: ")
    assert "\n" not in text
    return text.removeprefix(f"adapter {place}: ")


def test_a_folder_that_is_no_adapter(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("holds no adapter_config.json; name the folder `adapter` of a finished run")


def test_settings_cut_short(saved: Callable[..., Path]) -> None:
    path = saved(Lora(r=2)) / "adapter_config.json"
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    assert refusal(path.parent) == "adapter_config.json is cut short or no adapter's; save or fetch it again"


def test_a_kind_that_nobody_knows(saved: Callable[..., Path]) -> None:
    path = saved(SEQUENTIAL) / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"peft_type": "BOTLENECK"}), encoding="utf-8")
    assert refusal(path.parent) == "is of an unknown kind, BOTLENECK; did you mean BOTTLENECK?"


@pytest.mark.parametrize("method", [Lora(r=2), SEQUENTIAL, Prompt(name="prompt")], ids=lambda method: method.name)
def test_weights_missing_cut_short_or_in_part(saved: Callable[..., Path], method: Method) -> None:
    path = saved(method) / "adapter_model.safetensors"
    weights = load_file(path)
    last = sorted(weights)[-1]
    path.write_bytes(path.read_bytes()[:-7])
    assert refusal(path.parent).startswith("adapter_model.safetensors is cut short or damaged (")
    del weights[last]
    save_file(weights, path)
    lacking = last.removeprefix("base_model.model.")
    assert refusal(path.parent) == f"is not whole, adapter_model.safetensors lacks {lacking}; save or fetch it again"
    path.unlink()
    assert refusal(path.parent) == "holds no adapter_model.safetensors; save or fetch it again"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            Lora(r=2, targets=["q_proj"]),
            "its model.layers.0.self_attn.q_proj.lora_A.weight is 2 x 16, here it would be 2 x 32",
        ),
        (SEQUENTIAL, "its model.layers.0.mlp.gate_proj.bottleneck_down.weight is 4 x 16, here it would be 4 x 32"),
        (Prompt(name="prompt"), "its prompt_embeddings is 20 x 16, here it would be 20 x 32"),
    ],
    ids=["lora", "sequential", "prompt"],
)
def test_an_adapter_of_a_base_of_other_widths(saved: Callable[..., Path], method: Method, message: str) -> None:
    assert refusal(saved(method), hidden_size=32) == f"is of another base (acme/one): {message}"


def test_an_adapter_of_a_base_of_more_layers(saved: Callable[..., Path]) -> None:
    message = "is not whole, adapter_model.safetensors lacks model.layers.2.self_attn.q_proj.lora_A.weight"
    assert refusal(saved(Lora(r=2, targets=["q_proj"])), num_hidden_layers=3).startswith(message)
    message = (
        "is of another base (acme/one): it holds model.layers.1.self_attn.q_proj.lora_A.weight, for which this one"
    )
    assert refusal(saved(Lora(r=2, targets=["q_proj"])), num_hidden_layers=1).startswith(message)


def test_an_adapter_of_a_base_of_another_vocabulary(saved: Callable[..., Path]) -> None:
    message = "is of another base (acme/one): its lm_head.weight is 64 x 16, here it would be 65 x 16"
    assert refusal(saved(Lora(r=2, train_whole=["lm_head"])), vocab_size=65) == message


def test_an_adapter_of_another_architecture(saved: Callable[..., Path]) -> None:
    message = "is of another base (acme/one): it is put to query_key_value, which this one (llama) has not"
    assert refusal(saved(Lora(r=2, targets="auto"), kind="bloom")) == message


@pytest.mark.parametrize("method", [Prefix(name="prefix"), Prompt(name="prompt")], ids=["prefix", "prompt"])
def test_finished_tokens_are_not_trained_on(saved: Callable[..., Path], method: Method) -> None:
    with pytest.raises(TrainingError, match="holds finished tokens, not what made them, and cannot be trained on"):
        load(base(), saved(method), trainable=True)


@pytest.mark.parametrize("method", [Lora(r=2, train_whole=["lm_head"]), SEQUENTIAL], ids=["lora", "sequential"])
def test_others_are_trained_on(saved: Callable[..., Path], method: Method) -> None:
    again = load(base(), saved(method), trainable=True)
    fresh = attach(base(), method, base="tiny")
    assert isinstance(fresh, PeftModel)
    assert again.training
    trained = {name for name, value in again.named_parameters() if value.requires_grad}
    assert trained == {name for name, value in fresh.named_parameters() if value.requires_grad}
