"""Quantised bases: what is asked of bitsandbytes, that evaluations leave gradients alone, what the bits stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from collectors.errors import TrainingError
from train.base import model, quantise
from train.methods import attach
from train.methods.nodes import Full, Lora, Method, ParallelAdapter, SequentialAdapter
from train.recipe import Recipe

With = Callable[..., Recipe]

KINDS: dict[str, dict[str, Any]] = {
    "nf4": {"bits": 4, "kind": "nf4", "double": True},
    "fp4": {"bits": 4, "kind": "fp4", "double": False},
    "int8": {"bits": 8},
}
IDS = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def recipe(request: pytest.FixtureRequest, recipe_with: With) -> Recipe:
    return recipe_with(quantisation=request.param, precision="fp32")


def test_a_recipe_says_what_bitsandbytes_is_told(recipe_with: With) -> None:
    assert quantise.settings(recipe_with()) is None
    told = quantise.settings(recipe_with(quantisation={"kind": "fp4", "compute": "bf16"}, precision="fp32"))
    assert told is not None
    assert (told.load_in_4bit, told.bnb_4bit_quant_type, told.bnb_4bit_use_double_quant) == (True, "fp4", True)
    assert (told.bnb_4bit_compute_dtype, told.bnb_4bit_quant_storage) == (torch.bfloat16, torch.uint8)
    told = quantise.settings(recipe_with(quantisation={}, precision="fp16"))
    assert told is not None
    assert (told.bnb_4bit_quant_type, told.bnb_4bit_compute_dtype) == ("nf4", torch.float16)
    told = quantise.settings(recipe_with(quantisation={"bits": 8}))
    assert told is not None
    assert (told.load_in_8bit, told.load_in_4bit) == (True, False)


def test_fsdp_gets_packed_weights_in_the_type_of_the_others(recipe_with: With, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    told = quantise.settings(recipe_with(quantisation={}, precision="bf16"))
    assert told is not None
    assert told.bnb_4bit_quant_storage == torch.bfloat16


def test_linear_layers_are_quantised_and_nothing_else(tiny_base: Path, recipe: Recipe) -> None:
    loaded = model.load(tiny_base, recipe)
    kind = Linear8bitLt if recipe.quantisation and recipe.quantisation.bits == 8 else Linear4bit
    quantised = {name.rsplit(".", 1)[-1] for name, one in loaded.named_modules() if isinstance(one, kind)}
    assert quantised == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    others = {parameter.dtype for parameter in loaded.parameters() if parameter.is_floating_point()}
    assert others == {torch.float32}
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def gradients(loaded: PreTrainedModel, method: Method, *, evaluated: bool, checkpointing: bool = False) -> Tensor:
    """The gradients of a step, after an evaluation and a generation or at once."""
    if checkpointing:
        loaded.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    adapted = attach.attach(loaded, method, base="tiny")
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=noise)
    if evaluated:
        adapted.eval()
        with torch.no_grad():
            adapted(input_ids=IDS)
        adapted.generate(input_ids=IDS[:1], max_new_tokens=2, do_sample=False)
    adapted.train()
    adapted(input_ids=IDS, labels=IDS).loss.backward()
    found = [one.grad.flatten() for one in adapted.parameters() if one.requires_grad and one.grad is not None]
    return torch.cat(found)


METHODS: list[Method] = [
    Lora(r=4, dropout=0),
    Lora(r=4, dropout=0, dora=True),
    SequentialAdapter(name="sequential-adapter", bottleneck=4),
    ParallelAdapter(name="parallel-adapter", bottleneck=4),
]


@pytest.mark.parametrize("method", METHODS, ids=["lora", "dora", "sequential", "parallel"])
def test_gradients_after_an_evaluation_are_those_without(tiny_base: Path, recipe: Recipe, method: Method) -> None:
    if isinstance(method, Lora) and method.dora and recipe.quantisation and recipe.quantisation.bits == 8:
        pytest.skip("the two do not go together on a CPU, and attach says so")
    fresh = gradients(model.load(tiny_base, recipe), method, evaluated=False)
    after = gradients(model.load(tiny_base, recipe), method, evaluated=True)
    assert fresh.abs().max() > 0
    assert torch.equal(fresh, after)


@pytest.mark.skipif(not has_avx512bf16(), reason="this CPU has no AVX512-BF16, so the trap is not set")
@pytest.mark.filterwarnings("ignore:bitsandbytes.*autograd kernel:UserWarning")
def test_without_the_guard_they_are_not(tmp_path: Path, recipe_with: With, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap is still there; when this fails, the guard may go."""
    monkeypatch.setattr(quantise, "guard", lambda model: None)
    settings = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, **settings)).save_pretrained(tmp_path)
    recipe = recipe_with(quantisation={}, precision="fp32")
    fresh = gradients(model.load(tmp_path, recipe), Lora(r=4, dropout=0), evaluated=False)
    after = gradients(model.load(tmp_path, recipe), Lora(r=4, dropout=0), evaluated=True)
    assert (fresh - after).norm() > 0.1 * fresh.norm()


def test_recomputed_layers_give_the_same_gradients(tiny_base: Path, recipe: Recipe) -> None:
    straight = gradients(model.load(tiny_base, recipe), Lora(r=4, dropout=0), evaluated=False)
    again = gradients(model.load(tiny_base, recipe), Lora(r=4, dropout=0), evaluated=False, checkpointing=True)
    assert torch.equal(straight, again)


def test_a_weight_alone_is_kept_as_in_the_model(tiny_base: Path, recipe: Recipe, recipe_with: With) -> None:
    how = quantise.settings(recipe)
    assert how is not None
    bare = model.load(tiny_base, recipe_with(precision="fp32"))
    for name, module in model.load(tiny_base, recipe).named_modules():
        if quantise.is_quantised(module):
            alone = quantise.values(bare.get_submodule(name).weight.detach(), how)
            assert torch.equal(alone, quantise.unpacked(module))


def test_a_base_that_is_trained_itself_is_not_quantised(tiny_base: Path, recipe_with: With) -> None:
    with pytest.raises(TrainingError, match=r"method full trains the base, which cannot be in 4 or 8 bits"):
        model.load(tiny_base, recipe_with(quantisation={}, method=Full(name="full").model_dump()))
