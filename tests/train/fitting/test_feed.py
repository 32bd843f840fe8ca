"""Batches: what a packed or a padded one holds, and that a token weighs the same in whichever micro-batch it stands."""

from pathlib import Path

import bases
import numpy as np
import pyarrow as pa
import pytest
import torch

from train.encoding.encode import IGNORED
from train.encoding.packed import Fed, PackedRows
from train.fitting import loop
from train.fitting.feed import Packed, Padded, attention, collator, positions
from train.fitting.steps import Steps
from train.methods.attach import attach
from train.methods.nodes import Full, Lora, Method, Prefix, Prompt, PTuning
from train.recipe import Recipe


def packed(sizes: tuple[int, ...], seed: int) -> Fed:
    """A packed row of random ids, every token but a sequence's first one trained."""
    ids = np.random.default_rng(seed).integers(5, 60, sum(sizes)).astype(np.int32)
    bounds = np.array([0, *np.cumsum(sizes)], np.int32)
    labels = ids.copy()
    labels[bounds[:-1]] = IGNORED
    return {"ids": ids, "labels": labels, "bounds": bounds}


def test_positions_start_again_with_every_sequence() -> None:
    assert positions(np.array([0, 3, 4, 6])).tolist() == [0, 1, 2, 0, 0, 1]


def test_packed_rows_side_by_side() -> None:
    batch = Packed(pad=0)([packed((2, 1), 0), packed((5,), 1)])
    assert batch.keys() == {"input_ids", "labels", "position_ids", "use_cache"}
    assert batch["use_cache"] is False
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1], [0, 1, 2, 3, 4]]
    assert batch["input_ids"][0, 3:].tolist() == [0, 0]
    assert batch["labels"][0, 3:].tolist() == [IGNORED, IGNORED]


def test_packed_rows_end_to_end_say_where_sequences_start() -> None:
    batch = Packed(pad=0, flat=True)([packed((2, 1), 0), packed((3,), 1)])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1, 2]]
    for side in ("q", "k"):
        assert batch[f"cu_seq_lens_{side}"].tolist() == [0, 2, 3, 6]
        assert batch[f"cu_seq_lens_{side}"].dtype == torch.int32
        assert batch[f"max_length_{side}"] == 3


def test_packed_rows_in_whole_blocks() -> None:
    batch = Packed(pad=9, multiple=4)([packed((2, 3), 0)])
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2, 0, 1, 2]]
    assert batch["input_ids"][0, 5:].tolist() == [9, 9, 9]


def test_padded_rows() -> None:
    batch = Padded(pad=0)([packed((2,), 0), packed((3,), 1)])
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["labels"][0].tolist()[2] == IGNORED


@pytest.mark.parametrize(
    ("name", "flat", "multiple"),
    [
        ("eager", False, 1),
        ("sdpa", False, 1),
        ("flex_attention", False, 128),
        ("flash_attention_2", True, 1),
        ("kernels-community/flash-attn2", True, 1),
    ],
)
def test_how_packed_rows_are_laid_follows_the_attention_of_the_model(name: str, flat: bool, multiple: int) -> None:
    model = bases.model("gemma3")
    model.config._attn_implementation = name
    feed = collator(model, 3, packing=True)
    assert isinstance(feed, Packed)
    assert (attention(model), feed.pad, feed.flat, feed.multiple) == (name, 3, flat, multiple)
    assert isinstance(collator(model, 3, packing=False), Padded)


@pytest.mark.parametrize("name", list(bases.BASES))
def test_padding_changes_no_logits(name: str) -> None:
    model = bases.model(name)
    short, long = packed((7,), 0), packed((19,), 1)
    logits = model(**Padded(pad=3)([short, long])).logits[0, :7]
    alone = model(input_ids=torch.from_numpy(short["ids"].astype(np.int64))[None]).logits[0]
    torch.testing.assert_close(logits, alone, atol=2e-5, rtol=1e-5)


UNEQUAL = ((3,), (19,), (2,), (11,))
"""Four rows of one sequence: how many tokens they have."""
SEVERAL = ((3, 2), (7, 9, 3), (2,), (4, 7))
"""The same tokens, packed."""


def written(place: Path, sizes: tuple[tuple[int, ...], ...]) -> PackedRows:
    """The rows as a file of a tokens folder."""
    schema = pa.schema([(name, pa.list_(pa.int32())) for name in ("ids", "labels", "bounds")])
    table = pa.Table.from_pylist([packed(row, seed) for seed, row in enumerate(sizes)], schema)
    with pa.OSFile(str(place), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    return PackedRows(place)


def trained(place: Path, name: str, method: Method, *, packing: bool, batch: int) -> dict[str, torch.Tensor]:
    """The trained weights after one step over four rows, `batch` at a time, by plain gradient descent."""
    recipe = Recipe.model_validate(
        {
            "about": "for tests",
            "packing": packing,
            "batch": batch,
            "accumulation": 4 // batch,
            "steps": 1,
            "optimiser": "sgd",
            "learning_rate": 1,
            "schedule": "constant",
            "warmup": 0,
            "max_grad_norm": 1e9,
            "evaluate": False,
        }
    )
    sizes = SEVERAL if packing else UNEQUAL
    rows = written(place / "rows.arrow", sizes)
    torch.manual_seed(0)
    bare = bases.model(name)
    adapted = attach(bare, method, base=name, steps=1)
    dealt = Steps(np.array([sum(row) for row in sizes]), recipe)
    arguments = loop.arguments(recipe, place / "checkpoints", dealt, dtype=torch.float32, resumed=False, optim="sgd")
    collate = collator(bare, 0, packing=packing)
    trainer = loop.TokenTrainer(
        adapted, arguments, dealt, train=rows, holdout=None, collate=collate, named=lambda step, bad: ""
    )
    before = {key: weight.detach().clone() for key, weight in adapted.named_parameters() if weight.requires_grad}
    trainer.train()
    return {key: adapted.get_parameter(key).detach() - weight for key, weight in before.items()}


def same_step(place: Path, name: str, method: Method, *, packing: bool) -> None:
    """Hold a step of four micro-batches against a step of one big batch."""
    whole = trained(place, name, method, packing=packing, batch=4)
    assert sum(float(change.abs().sum()) for change in whole.values()) > 0
    for key, change in trained(place, name, method, packing=packing, batch=1).items():
        scale = float(whole[key].abs().max())
        torch.testing.assert_close(change, whole[key], atol=1e-4 * scale + 1e-6, rtol=0, msg=f"{name} {key}")


PEFT = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@PEFT
@pytest.mark.parametrize(
    ("name", "packing"), [*((name, False) for name in bases.BASES), *((name, True) for name in ("gemma3", "glm4"))]
)
def test_micro_batches_of_unequal_lengths_train_as_one_batch(tmp_path: Path, name: str, packing: bool) -> None:
    """The loss is a mean over the tokens of a step. A mean of the micro-batches' means would weigh 2 tokens like 18."""
    same_step(tmp_path, name, Lora(r=2, dropout=0), packing=packing)


@PEFT
@pytest.mark.parametrize(
    "method",
    [
        Full(name="full"),
        Prefix(name="prefix", tokens=3, hidden=8),
        PTuning(name="p-tuning", tokens=3, hidden=8),
        Prompt(name="prompt", tokens=3),
    ],
    ids=lambda method: method.name,
)
def test_so_they_do_under_other_methods(tmp_path: Path, method: Method) -> None:
    same_step(tmp_path, "gemma3", method, packing=False)
