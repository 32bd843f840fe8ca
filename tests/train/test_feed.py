"""Batches: packed sequences do not see each other, on any attention, and a token weighs the same wherever it stands."""

import numpy as np
import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from collectors.errors import TrainingError
from train import isolation
from train.encode import IGNORED
from train.feed import Fed, Packed, Padded, positions

LENGTHS = ((7, 5, 4), (9, 1), (11,))
"""Three packed rows: how long their sequences are."""


def packed(lengths: tuple[int, ...], seed: int) -> Fed:
    """A packed row of random ids, every token but a sequence's first one trained."""
    ids = np.random.default_rng(seed).integers(5, 60, sum(lengths)).astype(np.int32)
    bounds = np.array([0, *np.cumsum(lengths)], np.int32)
    labels = ids.copy()
    labels[bounds[:-1]] = IGNORED
    return {"ids": ids, "labels": labels, "bounds": bounds}


def llama(attention: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.3,
        use_cache=False,
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation(attention)
    return model.eval()


def test_positions_start_again_with_every_sequence() -> None:
    assert positions(np.array([0, 3, 4, 6])).tolist() == [0, 1, 2, 0, 0, 1]


def test_packed_rows_side_by_side() -> None:
    batch = Packed(pad=0)([packed((2, 1), 0), packed((5,), 1)])
    assert batch.keys() == {"input_ids", "labels", "position_ids"}
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1], [0, 1, 2, 3, 4]]
    assert batch["input_ids"][0, 3:].tolist() == [0, 0]
    assert batch["labels"][0, 3:].tolist() == [IGNORED, IGNORED]


def test_packed_rows_end_to_end() -> None:
    batch = Packed(pad=0, flat=True)([packed((2, 1), 0), packed((3,), 1)])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1, 2]]


def test_padded_rows() -> None:
    batch = Padded(pad=0)([packed((2,), 0), packed((3,), 1)])
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["labels"][0].tolist()[2] == IGNORED


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("flat", [False, True])
def test_packed_logits_and_gradients_equal_unpacked_ones(attention: str, flat: bool) -> None:
    model = llama(attention)
    rows = [packed(lengths, seed) for seed, lengths in enumerate(LENGTHS)]
    tokens = sum(int((row["labels"] != IGNORED).sum()) for row in rows)

    together = model(**Packed(pad=0, flat=flat)(rows), num_items_in_batch=tokens)
    together.loss.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    logits = together.logits.flatten(0, 1) if flat else together.logits

    model.zero_grad()
    loss, start = 0.0, 0
    for number, row in enumerate(rows):
        for first, last in zip(row["bounds"], row["bounds"][1:], strict=False):
            ids, labels = (torch.from_numpy(row[name][first:last].astype(np.int64))[None] for name in ("ids", "labels"))
            alone = model(input_ids=ids, labels=labels, num_items_in_batch=tokens)
            if last - first > 1:
                alone.loss.backward()
                loss += alone.loss.item()
            seen = logits[start + first : start + last] if flat else logits[number, first:last]
            torch.testing.assert_close(seen, alone.logits[0], atol=1e-5, rtol=1e-5)
        start += int(row["bounds"][-1]) if flat else 0
    assert together.loss.item() == pytest.approx(loss, abs=1e-5)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_llama_can_be_packed(attention: str) -> None:
    isolation.check(llama(attention), "llama")


def test_a_cache_that_would_let_sequences_see_each_other_is_noticed() -> None:
    model = llama("sdpa")
    model.config.use_cache = True
    with pytest.raises(TrainingError, match="does not keep packed sequences apart"):
        isolation.check(model, "llama")


def test_bloom_cannot_be_packed() -> None:
    model = BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(TrainingError, match=r"base bloom: cannot be packed.*set packing: false"):
        isolation.check(model, "bloom")


def test_padding_changes_no_logits_of_bloom() -> None:
    torch.manual_seed(0)
    model = BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.3))
    short, long = packed((4,), 0), packed((9,), 1)
    logits = model.eval()(**Padded(pad=3)([short, long])).logits[0, :4]
    alone = model(input_ids=torch.from_numpy(short["ids"].astype(np.int64))[None]).logits[0]
    torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)
