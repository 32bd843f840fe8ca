"""Isolation: packed sequences have the logits and the gradients they have alone, or packing is refused."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import bases
import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, LlamaForCausalLM, PreTrainedModel
from transformers.masking_utils import flash_attention_mask

from collectors.errors import TrainingError
from train.encoding.encode import IGNORED
from train.encoding.packed import Fed
from train.fitting import isolation
from train.fitting.feed import Packed, attention, collator
from train.methods.attach import attach
from train.methods.nodes import AdaLora, Full, Lora, Method, ParallelAdapter, Prefix, Prompt, PTuning, SequentialAdapter

LENGTHS = ((7, 5, 6), (13, 1), (11,))
"""Three packed rows: how long their sequences are, most of them longer than the window of local layers."""

VARLEN = isolation.VARLEN
AttentionInterface.register(VARLEN, isolation.varlen)
AttentionMaskInterface.register(VARLEN, flash_attention_mask)

ISSUED = ("llama", "qwen3", "mistral", "gemma3", "glm", "glm4")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: these kernels run on one alone")
MARKS = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",  # peft's own
    "ignore:Position ids are not supported for parameter efficient tuning:UserWarning",  # what is shown here
)


def packed(lengths: tuple[int, ...], seed: int) -> Fed:
    """A packed row of random ids, every token but a sequence's first one trained."""
    ids = np.random.default_rng(seed).integers(5, 300, sum(lengths)).astype(np.int32)
    bounds = np.array([0, *np.cumsum(lengths)], np.int32)
    labels = ids.copy()
    labels[bounds[:-1]] = IGNORED
    return {"ids": ids, "labels": labels, "bounds": bounds}


ROWS = [packed(lengths, seed) for seed, lengths in enumerate(LENGTHS)]
TOKENS = sum(int((row["labels"] != IGNORED).sum()) for row in ROWS)


def on(model: nn.Module, batch: dict[str, Any]) -> Any:
    """The output for a batch, its loss a sum over tokens divided by those of all rows."""
    device = next(model.parameters()).device
    placed = {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    return model(**placed, num_items_in_batch=TOKENS)


def single(row: Fed) -> Iterator[tuple[int, int, dict[str, torch.Tensor]]]:
    """The sequences of a packed row: from where to where, and each as a batch of its own."""
    for first, last in pairwise(row["bounds"].tolist()):
        ids, labels = (torch.from_numpy(row[name][None, first:last].astype(np.int64)) for name in ("ids", "labels"))
        yield first, last, {"input_ids": ids, "labels": labels}


def difference(model: nn.Module, feed: Packed, tolerance: float = 1e-5, *, gradients: bool = True) -> None:
    """Hold logits, loss and gradients of the rows, packed, against those of their sequences, each alone."""
    with torch.set_grad_enabled(gradients):
        together = on(model, feed(ROWS))
    found = []
    if gradients:
        together.loss.backward()
        found = [None if one.grad is None else one.grad.clone() for one in model.parameters()]
        model.zero_grad()
    loss, start = 0.0, 0
    for number, row in enumerate(ROWS):
        for first, last, batch in single(row):
            with torch.set_grad_enabled(gradients):
                alone = on(model, batch)
            loss += alone.loss.item()
            if gradients:
                alone.loss.backward()
            seen = (
                together.logits[0, start + first : start + last] if feed.flat else together.logits[number, first:last]
            )
            scale = alone.logits.abs().max().item()
            torch.testing.assert_close(seen, alone.logits[0], atol=tolerance * scale, rtol=0)
        start += len(row["ids"])
    assert together.loss.item() == pytest.approx(loss, rel=10 * tolerance)
    for gradient, parameter in zip(found, model.parameters(), strict=False):
        if gradient is not None and parameter.grad is not None:
            scale = parameter.grad.abs().max().item()
            torch.testing.assert_close(gradient, parameter.grad, atol=10 * tolerance * scale + 1e-7, rtol=0)


@pytest.mark.parametrize("flat", [False, True], ids=["rows", "flat"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", bases.PACKED)
def test_packed_logits_and_gradients_equal_unpacked_ones(name: str, attention: str, flat: bool) -> None:
    difference(bases.model(name, attention=attention), Packed(0, flat=flat))


@pytest.mark.parametrize("name", bases.PACKED)
def test_the_bounds_that_flash_attention_takes_reach_it_in_every_layer(name: str) -> None:
    """On a stand-in that knows nothing but the bounds: the kernels themselves need a GPU."""
    model = bases.model(name)
    model.config._attn_implementation = VARLEN
    difference(model, Packed(0, flat=True))


@pytest.mark.parametrize("name", ISSUED)
def test_packed_logits_on_flex_attention_equal_unpacked_ones(name: str) -> None:
    """Logits alone: flex attention has no backward pass on a CPU."""
    model = bases.model(name, attention="flex_attention")
    feed = collator(model, 0, packing=True)
    assert feed(ROWS)["input_ids"].shape == (3, 128)  # type: ignore[operator]
    with isolation.uncompiled():
        difference(model, feed, gradients=False)  # type: ignore[arg-type]


@GPU
@pytest.mark.parametrize("name", ISSUED)
def test_packed_gradients_on_flex_attention_equal_unpacked_ones(name: str) -> None:
    model = bases.model(name, attention="flex_attention").cuda()
    difference(model, collator(model, 0, packing=True), 1e-3)  # type: ignore[arg-type]


@GPU
@pytest.mark.parametrize("name", ISSUED)
def test_packed_gradients_on_flash_attention_equal_unpacked_ones(name: str) -> None:
    pytest.importorskip("flash_attn", reason="FlashAttention is not installed here")
    model = bases.model(name, attention="flash_attention_2").to("cuda", torch.bfloat16)
    difference(model, collator(model, 0, packing=True), 0.03)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", bases.PACKED)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_base_that_keeps_sequences_apart_is_packed(name: str, attention: str) -> None:
    isolation.check(bases.model(name, attention=attention), name)


@pytest.mark.parametrize("chosen", ["flex_attention", "flash_attention_2"])
def test_kernels_of_a_gpu_are_tried_without_one(chosen: str) -> None:
    model = bases.model("mistral")
    model.config._attn_implementation = chosen
    isolation.check(model, "mistral")
    assert attention(model) == chosen


def test_a_cache_that_a_base_keeps_does_not_reach_packed_rows() -> None:
    """With one, and nothing said against it, sequences would see each other."""
    model = bases.model("llama")
    model.config.use_cache = True
    isolation.check(model, "llama")
    difference(model, Packed(0))


def test_bloom_is_not_packed() -> None:
    with pytest.raises(TrainingError, match=r"base bloom: cannot be packed, it takes no positions.*set packing: false"):
        isolation.check(bases.model("bloom"), "bloom")


class Deaf(LlamaForCausalLM):  # type: ignore[misc]  # transformers is untyped
    """A base that takes positions and does not listen to them."""

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor | None = None, **kwargs: Any) -> Any:
        return super().forward(input_ids, **kwargs)


@pytest.mark.parametrize("chosen", ["eager", "sdpa"])
def test_a_base_that_mixes_sequences_is_found_out(chosen: str) -> None:
    model = Deaf(bases.model("llama", attention=chosen).config)
    with pytest.raises(
        TrainingError, match="base deaf: cannot be packed, its attention does not keep packed sequences"
    ):
        isolation.check(model, "deaf")
    assert model.training


class Picky(LlamaForCausalLM):  # type: ignore[misc]  # transformers is untyped
    """A base that wants a token of its own in every row, as ChatGLM-6B does."""

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if 299 not in input_ids:
            raise ValueError("299 is not in list")
        return super().forward(input_ids, position_ids=position_ids, **kwargs)


def test_a_base_that_cannot_be_tried_is_not_packed() -> None:
    refused = r"base picky: cannot be packed, it does not take rows as they would be packed \(299 is not in list\); set"
    with pytest.raises(TrainingError, match=refused):
        isolation.check(Picky(bases.model("llama").config), "picky")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_base_in_half_precision_is_packed_and_found_out(dtype: torch.dtype) -> None:
    isolation.check(bases.model("qwen3").to(dtype), "qwen3")
    config = bases.model("llama").config
    with pytest.raises(TrainingError, match="cannot be packed"):
        isolation.check(Deaf(config).to(dtype), "deaf")


def test_a_model_whose_weights_another_process_has_is_taken_as_it_is() -> None:
    with torch.device("meta"):
        isolation.check(Deaf(bases.model("llama").config), "deaf")


VIRTUAL: list[Method] = [
    Prefix(name="prefix", tokens=4, hidden=16),
    PTuning(name="p-tuning", tokens=4, hidden=16),
    Prompt(name="prompt", tokens=4),
]


@pytest.mark.parametrize("method", VIRTUAL, ids=lambda method: method.name)
def test_methods_with_virtual_tokens_are_not_packed(method: Method) -> None:
    refused = rf"method {method.name}: cannot be packed, its virtual tokens .*set packing: false"
    with pytest.raises(TrainingError, match=refused):
        isolation.check(bases.model("llama"), "llama", method)
    with pytest.raises(TrainingError, match=refused):
        isolation.check_method(method)


def attached(method: Method, name: str = "llama") -> PeftModel | PreTrainedModel:
    torch.manual_seed(0)
    adapted = attach(bases.model(name), method, base=name, steps=100)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3)
    return adapted.eval()


@MARKS
@pytest.mark.parametrize("ways", [("position_ids",), (), ("position_ids", "attention_mask")], ids=",".join)
@pytest.mark.parametrize("method", VIRTUAL, ids=lambda method: method.name)
def test_because_with_virtual_tokens_sequences_see_each_other_in_every_way(
    method: Method, ways: tuple[str, ...]
) -> None:
    """Nowhere near: the logits differ by as much as there is of them."""
    adapted, row = attached(method), packed((9, 8), 5)
    batch = Packed(0)([row]) | {"attention_mask": torch.ones(1, 17, dtype=torch.long)}
    chosen = {key: batch[key] for key in ("input_ids", "use_cache", *ways)}
    with torch.no_grad():
        together = adapted(**chosen).logits[0, -8:]
        alone = adapted(input_ids=batch["input_ids"][:, 9:], use_cache=False).logits[0, -8:]
    assert (together - alone).abs().max() > 0.5 * alone.abs().max()


@MARKS
@pytest.mark.parametrize(
    "method",
    [
        Lora(r=4, dropout=0),
        Lora(r=4, dropout=0, dora=True, rank_stabilised=True),
        AdaLora(name="adalora", dropout=0, r=2, initial_r=4, warmup=10, settle=10, interval=5),
        SequentialAdapter(name="sequential-adapter", bottleneck=4),
        ParallelAdapter(name="parallel-adapter", bottleneck=4),
        Full(name="full"),
    ],
    ids=lambda method: method.name,
)
def test_methods_that_change_layers_token_by_token_leave_sequences_apart(method: Method) -> None:
    isolation.check(bases.model("llama"), "llama", method)
    difference(attached(method), Packed(0))
