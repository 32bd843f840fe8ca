"""Bottleneck adapters: what they compute, and that peft treats them as one of its own methods."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from little import HIDDEN, INNER, base, batch
from peft import LoraConfig, PeftModel, PeftType
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from collectors.errors import TrainingError
from train.base import quantise
from train.methods.attach import attach
from train.methods.bottleneck import BottleneckConfig, BottleneckLayer
from train.methods.nodes import AdaLora, Full, Lora, Method, ParallelAdapter, Prompt, SequentialAdapter
from train.methods.save import load, save

SEQUENTIAL = SequentialAdapter(name="sequential-adapter", bottleneck=4)
OUTPUT = SequentialAdapter(name="sequential-adapter", bottleneck=4, places="output", activation="gelu")
PARALLEL = ParallelAdapter(name="parallel-adapter", bottleneck=4, scaling=0.5)


def attached(method: Method, **more: Any) -> PeftModel:
    adapted = attach(base(**more), method, base="tiny", steps=8)
    assert isinstance(adapted, PeftModel)
    return adapted


def logits(model: nn.Module) -> Tensor:
    rows = batch()
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits
    return found


def test_it_was_written_for_this_version_of_peft() -> None:
    # It adds a member to peft's enumeration and implements its tuner's inner methods. When this fails, read what
    # became of `register_peft_method`, `BaseTuner._create_and_replace` and `BaseTunerLayer`, then raise the number.
    assert version("peft") == "0.21.2"
    assert PeftType("BOTTLENECK") is PeftType.BOTTLENECK is PeftType["BOTTLENECK"]
    assert "BOTTLENECK" in list(PeftType)


def layer(method: Method, path: str) -> BottleneckLayer:
    found = attached(method).get_base_model().get_submodule(path)
    assert isinstance(found, BottleneckLayer)
    return found


def test_the_three_places() -> None:
    mlp, attention = "model.layers.0.mlp", "model.layers.1.self_attn"
    for name in ("gate_proj", "up_proj"):
        before = layer(SEQUENTIAL, f"{mlp}.{name}")
        x = torch.randn(3, HIDDEN)
        down, up = before.bottleneck_down["default"], before.bottleneck_up["default"]
        assert (down.weight.shape, up.weight.shape) == ((4, HIDDEN), (HIDDEN, 4))
        assert torch.equal(before(x), before.base_layer(x + torch.tanh(x @ down.weight.T) @ up.weight.T))

    after = layer(OUTPUT, f"{mlp}.down_proj")
    x = torch.randn(3, INNER)
    y = after.base_layer(x)
    down, up = after.bottleneck_down["default"], after.bottleneck_up["default"]
    assert (down.weight.shape, up.weight.shape) == ((4, HIDDEN), (HIDDEN, 4))
    assert torch.equal(after(x), y + nn.functional.gelu(y @ down.weight.T) @ up.weight.T)

    for name in ("q_proj", "k_proj", "v_proj"):
        beside = layer(PARALLEL, f"{attention}.{name}")
        x = torch.randn(3, HIDDEN)
        down, up = beside.bottleneck_down["default"], beside.bottleneck_up["default"]
        assert torch.equal(beside(x), beside.base_layer(x) + 0.5 * (torch.tanh(x @ down.weight.T) @ up.weight.T))


def test_it_goes_where_the_paper_puts_it_and_nowhere_else() -> None:
    def wrapped(kind: str, method: Method) -> set[str]:
        modules = attach(base(kind), method, base=kind).named_modules()
        return {path.rsplit(".", 1)[-1] for path, module in modules if isinstance(module, BottleneckLayer)}

    assert wrapped("llama", SEQUENTIAL) == {"gate_proj", "up_proj", "down_proj"}
    assert wrapped("llama", OUTPUT) == {"down_proj"}
    assert wrapped("llama", PARALLEL) == {"q_proj", "k_proj", "v_proj"}
    assert wrapped("bloom", SEQUENTIAL) == {"dense_h_to_4h", "dense_4h_to_h"}
    assert wrapped("bloom", OUTPUT) == {"dense_4h_to_h"}
    assert wrapped("bloom", PARALLEL) == {"query_key_value"}
    assert wrapped("llama", ParallelAdapter(name="parallel-adapter", targets=["o_proj"])) == {"o_proj"}


def test_first_weights() -> None:
    normal = layer(SequentialAdapter(name="sequential-adapter", bottleneck=256), "model.layers.0.mlp.down_proj")
    for matrix in (normal.bottleneck_down["default"].weight, normal.bottleneck_up["default"].weight):
        assert matrix.mean().item() == pytest.approx(0, abs=0.001)
        assert matrix.std().item() == pytest.approx(0.02, abs=0.001)
    zero = SEQUENTIAL.model_copy(update={"initial": "zero"})
    assert torch.equal(logits(attached(zero)), logits(base()))


def test_it_computes_in_float32_whatever_the_base_does() -> None:
    adapted = attached(PARALLEL, dtype=torch.bfloat16)
    beside = adapted.get_base_model().get_submodule("model.layers.0.self_attn.q_proj")
    x = torch.randn(3, HIDDEN, dtype=torch.bfloat16)
    down, up = beside.bottleneck_down["default"].weight, beside.bottleneck_up["default"].weight
    alone = 0.5 * (torch.tanh(x.float() @ down.T) @ up.T)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = beside(x)
        assert torch.equal(beside._adapted("default", x), alone)
    assert torch.equal(found, beside.base_layer(x) + alone.bfloat16())


def test_dropout_is_for_training_only() -> None:
    adapted = attached(SEQUENTIAL.model_copy(update={"dropout": 0.5}))
    assert torch.equal(logits(adapted), logits(attached(SEQUENTIAL)))
    rows = batch()
    torch.manual_seed(0)
    assert not torch.equal(adapted.train()(**rows).logits, adapted(**rows).logits)


def test_several_adapters_are_switched_summed_and_deleted(tmp_path: Path) -> None:
    methods = {
        "default": SEQUENTIAL,
        "output": OUTPUT,
        "beside": ParallelAdapter(name="parallel-adapter", bottleneck=2, targets=["down_proj"], initial="zero"),
    }
    alone = {}
    for name, method in methods.items():
        adapted = attached(method)
        with torch.no_grad():
            for value in adapted.parameters():
                if value.requires_grad:
                    value.add_(torch.randn_like(value) * 0.1)
        save(adapted, tmp_path / name, base="tiny")
        alone[name] = logits(adapted)
    together = load(base(), tmp_path / "default", trainable=True)
    for name in ("output", "beside"):
        load(together, tmp_path / name, name=name)
    for name, expected in alone.items():
        together.set_adapter(name)
        assert torch.equal(logits(together), expected)
        assert {path.split(".")[-2] for path, one in together.named_parameters() if one.requires_grad} == {name}
    with together.disable_adapter():
        assert torch.equal(logits(together), logits(base()))
    assert torch.equal(logits(together), alone["beside"])

    together.base_model.set_adapter(["output", "beside"])
    both = together.get_base_model().get_submodule("model.layers.0.mlp.down_proj")
    x = torch.randn(3, INNER)
    y = both.base_layer(x)
    assert torch.equal(both(x), y + both._adapted("beside", x) + both._adapted("output", y))

    together.set_adapter("default")
    together.delete_adapter("beside")
    assert torch.equal(logits(together), alone["default"])
    assert sorted(together.peft_config) == ["default", "output"]
    assert torch.equal(logits(together.unload()), logits(base()))


@pytest.mark.parametrize("method", [SEQUENTIAL, OUTPUT, PARALLEL])
def test_merging_is_refused_with_the_reason_and_changes_nothing(method: Method) -> None:
    adapted = attached(method)
    expected = logits(adapted)
    for merge in (adapted.merge_and_unload, adapted.merge_adapter):
        with pytest.raises(TrainingError, match="cannot be merged: a non-linear function stands between its two"):
            merge()
    for module in adapted.modules():
        if isinstance(module, BottleneckLayer):
            with pytest.raises(TrainingError, match="cannot be merged"):
                module.merge()
    adapted.unmerge_adapter()
    assert torch.equal(logits(adapted), expected)


def test_adapters_are_not_mixed_within_a_batch() -> None:
    with pytest.raises(TrainingError, match="cannot be mixed within a batch; name one for all with set_adapter"):
        attached(SEQUENTIAL)(**batch(), adapter_names=["default", "default"])


def test_its_settings_are_saved_in_an_order_of_their_own(tmp_path: Path) -> None:
    save(attached(SEQUENTIAL), tmp_path, base="tiny")
    settings = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["peft_type"] == "BOTTLENECK"
    assert settings["places"] == {"down_proj": "after", "gate_proj": "before", "up_proj": "before"}
    assert settings["target_modules"] == ["down_proj", "gate_proj", "up_proj"]
    again = BottleneckConfig.from_pretrained(str(tmp_path))
    assert isinstance(again, BottleneckConfig)
    assert again.place("model.layers.0.mlp.down_proj") == "after"


def test_it_shares_no_model_with_another_method() -> None:
    with pytest.raises(ValueError, match="Cannot combine adapters with different peft types"):
        attached(SEQUENTIAL).add_adapter("other", LoraConfig(target_modules=["q_proj"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base on disk, large enough to be held in blocks of 64."""
    place = tmp_path_factory.mktemp("bases") / "tiny"
    base(hidden_size=64, intermediate_size=64).save_pretrained(place)
    return place


QUANTISED = {
    "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}


@pytest.mark.parametrize("bits", QUANTISED)
@pytest.mark.parametrize(
    "method",
    [
        Lora(r=2),
        Lora(r=2, dora=True),
        AdaLora(name="adalora", warmup=1, settle=1),
        SEQUENTIAL,
        PARALLEL,
        Prompt(name="prompt"),
    ],
    ids=["lora", "dora", "adalora", "sequential", "parallel", "prompt"],
)
def test_quantised_bases_take_it(tmp_path: Path, folder: Path, bits: str, method: Method) -> None:
    def quantised() -> Any:
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=QUANTISED[bits])
        quantise.guard(model)
        return model

    if bits == "int8" and isinstance(method, Lora) and method.dora:
        with pytest.raises(TrainingError, match=r"method.dora: not on a base held in 8 bits on a CPU; take 4 bits"):
            attach(quantised(), method, base="tiny")
        return
    adapted = attach(quantised(), method, base="tiny", steps=8)
    before = adapted.train()(**batch()).loss
    before.backward()
    trained = [value for value in adapted.parameters() if value.requires_grad]
    assert all(value.dtype == torch.float32 and value.grad is not None for value in trained)
    with torch.no_grad():
        for value in trained:
            value -= 0.1 * value.grad
    assert adapted(**batch()).loss < before
    save(adapted, tmp_path / "adapter", base="tiny")
    torch.testing.assert_close(logits(load(quantised(), tmp_path / "adapter")), logits(adapted))


def test_a_quantised_base_is_not_trained_itself(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=QUANTISED["nf4"])
    with pytest.raises(TrainingError, match="full training needs base tiny as it is, not quantised"):
        attach(model, Full(name="full"), base="tiny")
    with pytest.raises(TrainingError, match=r"train_whole: model.layers.0.mlp.up_proj of base tiny is quantised"):
        attach(model, Lora(targets=["q_proj"], train_whole=["up_proj"]), base="tiny")
