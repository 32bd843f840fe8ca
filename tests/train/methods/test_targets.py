"""Which modules are meant: by architecture, by name, and what is said when there are none."""

import pytest
import torch
from little import SHAPE, base
from torch import nn
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
)

from collectors.errors import TrainingError
from train.methods.attach import attach
from train.methods.nodes import AdaLora, Lora, Method, ParallelAdapter, SequentialAdapter
from train.methods.targets import LAYOUTS, ends, layout, low_rank

LORA, ADALORA = Lora(targets="auto"), AdaLora(name="adalora")


class Foreign(PreTrainedModel):
    """A model of one layer that holds linear modules of the names that code with a checkpoint would give them."""

    config_class = PreTrainedConfig

    def __init__(self, kind: str, names: list[str]) -> None:
        config = PreTrainedConfig()
        config.model_type = kind
        super().__init__(config)
        for name in names:
            *outer, last = f"layers.0.{name}".split(".")
            place: nn.Module = self
            for part in outer:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.add_module(last, nn.Linear(2, 2))


# As they stand in the checkpoints' own code.
FOREIGN = {
    "chatglm": ["attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"],
    "baichuan": ["self_attn.W_pack", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"],
    "moss": ["attn.qkv_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out"],
    "internlm": [f"self_attn.{one}_proj" for one in "qkvo"] + ["mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"],
    "internlm2": ["attention.wqkv", "attention.wo", "feed_forward.w1", "feed_forward.w3", "feed_forward.w2"],
    "qwen": ["attn.c_attn", "attn.c_proj", "mlp.w1", "mlp.w2", "mlp.c_proj"],
}


@pytest.mark.parametrize(
    ("kind", "low", "heads", "into", "out"),
    [
        ("llama", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("mistral", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("qwen2", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("qwen3", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("gemma3_text", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("glm", "q_proj v_proj", "q_proj k_proj v_proj", "gate_up_proj", "down_proj"),
        ("glm4", "q_proj v_proj", "q_proj k_proj v_proj", "gate_up_proj", "down_proj"),
        ("phi3", "qkv_proj", "qkv_proj", "gate_up_proj", "down_proj"),
        ("bloom", "query_key_value", "query_key_value", "dense_h_to_4h", "dense_4h_to_h"),
        ("chatglm", "query_key_value", "query_key_value", "dense_h_to_4h", "dense_4h_to_h"),
        ("baichuan", "W_pack", "W_pack", "gate_proj up_proj", "down_proj"),
        ("moss", "qkv_proj", "qkv_proj", "fc_in", "fc_out"),
        ("internlm", "q_proj v_proj", "q_proj k_proj v_proj", "gate_proj up_proj", "down_proj"),
        ("internlm2", "wqkv", "wqkv", "w1 w3", "w2"),
        ("qwen", "c_attn", "c_attn", "mlp.w1 mlp.w2", "mlp.c_proj"),
    ],
)
def test_the_usual_modules_of_an_architecture(kind: str, low: str, heads: str, into: str, out: str) -> None:
    model = Foreign(kind, FOREIGN[kind]) if kind in FOREIGN else base(kind)
    assert model.config.model_type == kind
    for method in (LORA, ADALORA):
        assert low_rank(model, method, kind) == low.split()
    found = layout(model, kind, "method")
    assert (" ".join(found.heads), " ".join(found.into), " ".join(found.out)) == (heads, into, out)
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for wanted in (*found.heads, *found.into, *found.out, *low.split()):
        assert any(ends(name, wanted) for name in names)


def test_every_layout_was_looked_at() -> None:
    looked_at = {"llama", "mistral", "qwen2", "qwen3", "gemma3_text", "glm", "glm4", "phi3", "bloom", *FOREIGN}
    assert LAYOUTS.keys() - looked_at == {"gemma", "gemma2", "gemma3", "internlm3"}  # of Llama's names all of them


def test_internlm3_is_a_llama_and_so_is_what_has_its_modules() -> None:
    for kind in ("internlm3", "newer-than-this-program"):
        model = base()
        model.config.model_type = kind
        assert low_rank(model, LORA, kind) == ["q_proj", "v_proj"]
        assert layout(model, kind, "method").out == ("down_proj",)


@pytest.mark.parametrize(
    ("method", "key"),
    [
        (LORA, "method.targets"),
        (ADALORA, "method.targets"),
        (SequentialAdapter(name="sequential-adapter"), "method"),
        (ParallelAdapter(name="parallel-adapter"), "method"),
    ],
)
def test_layers_of_no_known_kind_are_told(method: Method, key: str) -> None:
    with pytest.raises(TrainingError) as caught:
        attach(Foreign("rwkv-like", ["att.receptance", "ffn.value"]), method, base="mine")
    assert str(caught.value) == f"recipe {key}: base mine has no layers of a known kind (rwkv-like: receptance, value)"


@pytest.mark.parametrize(
    "method",
    [
        Lora(targets=["q_prj"]),
        AdaLora(name="adalora", targets=["q_prj"]),
        ParallelAdapter(name="parallel-adapter", targets=["q_prj"]),
    ],
)
def test_a_name_that_matches_nothing_is_told_with_near_ones(method: Method) -> None:
    message = r"recipe method.targets: q_prj matches no module of base tiny; did you mean q_proj"
    with pytest.raises(TrainingError, match=message):
        attach(base(), method, base="tiny")


def test_all_linear_is_all_but_the_head() -> None:
    adapted = attach(base(), Lora(r=2), base="tiny")
    wrapped = {name.rsplit(".", 1)[-1] for name, module in adapted.named_modules() if hasattr(module, "lora_A")}
    assert wrapped == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize(
    "method",
    [LORA, Lora(), ADALORA, SequentialAdapter(name="sequential-adapter"), ParallelAdapter(name="parallel-adapter")],
)
def test_encoders_of_images_are_left_alone(method: Method) -> None:
    text = SHAPE | {"model_type": "gemma3_text"}
    vision = SiglipVisionConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision.to_dict()))
    trained = [name for name, value in attach(model, method, base="gemma3").named_parameters() if value.requires_grad]
    assert trained
    assert all(".language_model." in name for name in trained)
