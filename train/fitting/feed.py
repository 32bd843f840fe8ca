"""What the model is fed: packed rows from the tokens folder, gathered into batches that keep sequences apart.

Isolation. Position ids that restart with every sequence tell transformers where one ends, for eager, sdpa and flex
attention in every row of a batch, for FlashAttention's variable-length kernels only when the batch is one single row,
whose bounds are then named as well. All of it works only without an attention mask and without a cache: with either,
sequences see each other and nothing says so. So a packed batch never has a mask and always says `use_cache=False`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from train.encoding.encode import IGNORED
from train.encoding.packed import Fed

FLEX_BLOCK: Final = 128
"""Tokens that flex attention masks at a time. Rows are padded up to whole blocks, or it compiles for every length."""


def attention(model: PreTrainedModel) -> str:
    """The name of the attention that a loaded model computes with: `eager`, `sdpa`, `flash_attention_2`, ..."""
    return str(model.config.get_text_config(decoder=True)._attn_implementation or "eager")


def collator(model: PreTrainedModel, pad: int, *, packing: bool) -> "Packed | Padded":
    """What gathers rows into batches in the way that the model's attention needs; `pad` is the id that fills up."""
    if not packing:
        return Padded(pad)
    name = attention(model)
    return Packed(pad, flat="flash" in name, multiple=FLEX_BLOCK if name == "flex_attention" else 1)


def positions(bounds: NDArray[Any]) -> NDArray[np.int64]:
    """0, 1, 2, ... from the start of every sequence: the positions of a packed row's tokens."""
    starts, lengths = bounds[:-1].astype(np.int64), np.diff(bounds)
    return np.arange(bounds[-1], dtype=np.int64) - np.repeat(starts, lengths)


class Packed:
    """Collates packed rows to `input_ids`, `labels`, `position_ids` of shape (rows, longest), with no attention mask.

    Padding is one more sequence at the end of a row, untrained; rows are as long as the longest, rounded up to
    `multiple`. `flat` lays all rows into one, of shape (1, tokens), and adds what FlashAttention takes: where each
    sequence starts (int32, sequences + 1) and how long the longest is, as queries and as keys.
    """

    def __init__(self, pad: int, *, flat: bool = False, multiple: int = 1) -> None:
        self.pad, self.flat, self.multiple = pad, flat, multiple

    def __call__(self, rows: Sequence[Fed]) -> dict[str, Any]:
        """Collate a batch."""
        columns = [(row["ids"], row["labels"], positions(row["bounds"])) for row in rows]
        batch: dict[str, Any] = {"use_cache": False}
        if self.flat:
            columns = [tuple(np.concatenate(parts) for parts in zip(*columns, strict=True))]  # type: ignore[list-item]
            batch |= _starts(np.concatenate([np.diff(row["bounds"]) for row in rows]))
        width = -(-max(len(ids) for ids, _, _ in columns) // self.multiple) * self.multiple
        return {
            "input_ids": _stacked([ids for ids, _, _ in columns], width, self.pad),
            "labels": _stacked([labels for _, labels, _ in columns], width, IGNORED),
            "position_ids": _stacked([places for _, _, places in columns], width, None),
            **batch,
        }


class Padded:
    """Collates rows of one sequence each to `input_ids`, `labels`, `attention_mask`, padded on the right."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: Sequence[Fed]) -> dict[str, torch.Tensor]:
        """Collate a batch."""
        width = max(len(row["ids"]) for row in rows)
        return {
            "input_ids": _stacked([row["ids"] for row in rows], width, self.pad),
            "labels": _stacked([row["labels"] for row in rows], width, IGNORED),
            "attention_mask": _stacked([np.ones(len(row["ids"]), np.int64) for row in rows], width, 0),
        }


def _starts(lengths: NDArray[Any]) -> dict[str, Any]:
    """What FlashAttention's variable-length kernels take, which saves them from finding it out in every layer."""
    starts = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    longest = int(lengths.max())
    return {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts, "max_length_q": longest, "max_length_k": longest}


def _stacked(rows: Sequence[NDArray[Any]], width: int, filler: int | None) -> torch.Tensor:
    """The rows as one int64 tensor, the rest of each filled with `filler`, or with 0, 1, 2, ... where it is None."""
    stacked = np.empty((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        stacked[place, : len(row)] = row
        stacked[place, len(row) :] = np.arange(width - len(row)) if filler is None else filler
    return torch.from_numpy(stacked)
