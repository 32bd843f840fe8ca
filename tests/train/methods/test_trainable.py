"""How many parameters a method trains: the eleven rows of the paper's Table 4, and Chinese-LLaMA-Alpaca's two."""

import pytest
import torch
from little import base
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from train.methods.attach import attach, trainable
from train.methods.nodes import AdaLora, Full, Lora, Method, ParallelAdapter, Prefix, Prompt, PTuning, SequentialAdapter

H = {"name": "sequential-adapter", "places": "mlp"}
P = {"name": "sequential-adapter", "places": "output"}

# The paper prints them in M, which is 2^20.
TABLE_4: list[tuple[str, Method, int, str]] = [
    ("AdaLoRA", AdaLora(name="adalora", initial_r=12), 5_898_600, "5.6"),
    ("LoRA", Lora(r=32, targets=["query_key_value"]), 15_728_640, "15.0"),
    ("prompt", Prompt(name="prompt", tokens=20), 81_920, "0.08"),
    ("p-tuning", PTuning(name="p-tuning", tokens=20, hidden=128), 1_151_232, "1.1"),
    ("prefix", Prefix(name="prefix", tokens=20, hidden=128), 32_309_376, "30.8"),
    ("SadapterP", SequentialAdapter.model_validate(P | {"bottleneck": 32}), 7_864_320, "7.5"),
    ("SadapterH", SequentialAdapter.model_validate(H | {"bottleneck": 32}), 15_728_640, "15.0"),
    ("P-adapter", ParallelAdapter(name="parallel-adapter", bottleneck=32), 15_728_640, "15.0"),
    ("SadapterP-l", SequentialAdapter.model_validate(P | {"bottleneck": 256}), 62_914_560, "60.0"),
    ("SadapterH-l", SequentialAdapter.model_validate(H | {"bottleneck": 256}), 125_829_120, "120.0"),
    ("P-adapter-l", ParallelAdapter(name="parallel-adapter", bottleneck=256), 125_829_120, "120.0"),
]


@pytest.mark.parametrize(("method", "count", "printed"), [row[1:] for row in TABLE_4], ids=[row[0] for row in TABLE_4])
def test_table_4_comes_out_on_bloom_7b1(method: Method, count: int, printed: str) -> None:
    with torch.device("meta"):
        bloom = BloomForCausalLM(BloomConfig(vocab_size=250_880, hidden_size=4096, n_layer=30, n_head=32))
    attached = attach(bloom, method, base="bloom-7b1")
    assert trainable(attached)[0] == count
    decimals = len(printed.partition(".")[2])
    assert f"{count / 2**20:.{decimals}f}" == printed
    assert all(parameter.is_meta for parameter in attached.parameters() if not parameter.requires_grad)


def test_lora_finds_blooms_modules_by_itself() -> None:
    auto, named = (
        trainable(attach(base("bloom"), Lora(r=2, targets=targets), base="bloom"))
        for targets in ("auto", ["query_key_value"])
    )
    assert auto == named


# What its notebooks print for pre-training and for instructions, the padding token being one row more.
@pytest.mark.parametrize(
    ("vocabulary", "trained", "every", "percent"),
    [(49_953, 429_203_456, 6_905_475_072, 6.2154080859739), (49_954, 429_211_648, 6_905_483_264, 6.215519342977586)],
)
def test_chinese_llama_alpaca_comes_out_on_llama_7b(vocabulary: int, trained: int, every: int, percent: float) -> None:
    with torch.device("meta"):
        llama = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary))
    seven = ["q_proj", "v_proj", "k_proj", "o_proj", "gate_proj", "down_proj", "up_proj"]
    method = Lora(r=8, alpha=32, targets=seven, train_whole=["embed_tokens", "lm_head"])
    counts = trainable(attach(llama, method, base="llama-7b"))
    assert counts == (trained, every)
    assert 100 * counts[0] / counts[1] == pytest.approx(percent, abs=1e-12)


def test_a_tied_matrix_that_is_trained_whole_counts_once() -> None:
    tied = base(tie_word_embeddings=True)
    before = sum(parameter.numel() for parameter in tied.parameters())
    lora = 2 * 2 * 4 * (16 + 16)  # two layers, two modules, rank 4
    attached = attach(tied, Lora(r=4, targets=["q_proj", "v_proj"], train_whole=["lm_head"]), base="tied")
    assert trainable(attached) == (lora + 64 * 16, before + lora)


def test_full_trains_all_of_it_or_what_is_named() -> None:
    every = sum(parameter.numel() for parameter in base().parameters())
    assert trainable(attach(base(), Full(name="full"), base="llama")) == (every, every)
    only = attach(base(), Full(name="full", only=["embed_tokens", "layers.1.mlp"]), base="llama")
    assert trainable(only) == (64 * 16 + 3 * 16 * 24, every)
    assert {name for name, parameter in only.named_parameters() if parameter.requires_grad} == {
        "model.embed_tokens.weight",
        "model.layers.1.mlp.gate_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
        "model.layers.1.mlp.down_proj.weight",
    }
