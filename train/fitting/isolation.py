"""Isolation: whether packed sequences of a base stay apart under a method, found out before anything is trained.

What was found (transformers 5.23, peft 0.21): llama, qwen2, qwen3, mistral, gemma3, glm, glm4 and internlm3 keep them
apart, on every attention, also where layers see a local window. Bloom does not: its ALiBi counts distances from the
start of the row and takes no positions. Of the methods, those that change layers token by token (LoRA and its kin,
bottleneck adapters, full training) change nothing about it; those with virtual tokens break it:

- prompt tuning and p-tuning: peft drops the position ids (it warns), so a row becomes one sequence;
- prefix tuning: its keys and values come as a cache, and with a cache nobody looks at position ids;
- and in all three the virtual tokens stand once, before a row's first sequence, at a distance from all the others.

On tiny models with weights large enough to tell (`tests/train/fitting/test_isolation.py`) each of the three changed
logits by as much as there is of them (p-tuning on llama by 8.3 of 6.6), with position ids, without, and with a mask
alike.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import flash_attention_mask

from collectors.errors import TrainingError
from train.encoding.encode import IGNORED
from train.encoding.packed import Fed
from train.fitting.feed import attention, collator
from train.methods.nodes import VIRTUAL, Method

VARLEN: Final = "suri_varlen"
"""The attention that stands in for FlashAttention's kernels where packing is tried out: `varlen`."""

PROBE: Final = ((8, 6), (7,))
"""The sequences, packed row by packed row, that packing is tried out with: their lengths in tokens."""


def check_method(method: Method) -> None:
    """Refuse to pack under a method with virtual tokens; this much is known before a base is loaded."""
    if isinstance(method, VIRTUAL):
        raise _refusal(
            f"method {method.name}", "its virtual tokens stand once before a packed row, for all its sequences together"
        )


def check(model: PreTrainedModel, name: str, method: Method | None = None) -> None:
    """Refuse to pack where sequences would see each other: for a method with virtual tokens, or when a trial shows it.

    The trial computes the logits of a few short sequences, packed as they will be fed and each alone. `name` is what
    the error calls the base. `TrainingError` names the reason and the way out. A model whose weights are not here (the
    first of several processes has them, or each a piece) is taken as it is.
    """
    if method is not None:
        check_method(method)
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise _refusal(f"base {name}", "it takes no positions, so a packed row would be one sequence to it")
    weight = next(model.parameters())
    if weight.is_meta or not weight.numel():
        return
    training, gather = model.training, collator(model, 0, packing=True)
    model.eval()
    try:
        with torch.no_grad(), _computable(model):
            apart = _apart(model, gather)
    except (TypeError, ValueError, IndexError) as error:
        # A base with code of its own may want something special in its input, which a packed row cannot give it.
        raise _refusal(f"base {name}", f"it does not take rows as they would be packed ({error})") from None
    finally:
        model.train(training)
    if not apart:
        raise _refusal(f"base {name}", "its attention does not keep packed sequences apart")


def _refusal(who: str, reason: str) -> TrainingError:
    return TrainingError(f"{who}: cannot be packed, {reason}; set packing: false (--set packing=false)")


def _apart(model: PreTrainedModel, gather: Callable[[Sequence[Fed]], dict[str, Any]]) -> bool:
    """Whether every sequence of the trial has the logits that it has alone, with room for half precision."""
    rows = [_row(lengths, 7 * number) for number, lengths in enumerate(PROBE)]
    packed = _logits(model, gather(rows))
    tolerance = 1e-3 if model.dtype == torch.float32 and not getattr(model, "is_quantized", False) else 0.05
    start = 0
    for number, row in enumerate(rows):
        for first, last in pairwise(row["bounds"].tolist()):
            alone = _logits(model, {"input_ids": torch.from_numpy(row["ids"][None, first:last].astype(np.int64))})[0]
            flat = packed.shape[0] == 1
            found = packed[0, start + first : start + last] if flat else packed[number, first:last]
            if not (found - alone).abs().max() <= tolerance * alone.abs().max():
                return False
        start += len(row["ids"])
    return True


def _row(lengths: tuple[int, ...], shift: int) -> Fed:
    ids = 2 + (np.arange(sum(lengths), dtype=np.int32) * 5 + shift) % 29
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return {"ids": ids, "labels": np.full_like(ids, IGNORED), "bounds": bounds}


def _logits(model: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    placed = {key: value.to(model.device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    placed.pop("labels", None)
    logits: torch.Tensor = model(**placed).logits
    return logits.float()


@contextmanager
def _computable(model: PreTrainedModel) -> Iterator[None]:
    """For the time of a trial, kernels of a GPU give way to what they compute: the model may not be there yet.

    In place of FlashAttention stands `varlen`: what is tried is whether the bounds of sequences reach the attention.
    """
    chosen = attention(model)
    if "flash" not in chosen:
        with uncompiled():
            yield
        return
    AttentionInterface.register(VARLEN, varlen)
    AttentionMaskInterface.register(VARLEN, flash_attention_mask)
    # Asking the model to change it would want the kernels to be there when it is changed back.
    config = model.config.get_text_config(decoder=True)
    config._attn_implementation = VARLEN
    try:
        yield
    finally:
        config._attn_implementation = chosen


@contextmanager
def uncompiled() -> Iterator[None]:
    """flex attention as torch defines it, which has no backward pass on a CPU; compiling it there takes a minute."""
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's parts of one another
        yield


def varlen(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """What FlashAttention's variable-length kernels compute, sequence by sequence; without bounds a row is one.

    `query`, `key` and `value` are (rows, heads, tokens, size), the result (rows, tokens, heads, size). Dropout, masks
    of padding, caps and sinks, which are the same for packed and single sequences, are left out.
    """
    bounds = [0, query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.tolist()
    pieces = []
    for first, last in pairwise(bounds):
        places = torch.arange(last - first, device=query.device)
        seen = places[:, None] >= places
        if sliding_window is not None:
            seen &= places[:, None] - places < sliding_window
        q, k, v = (states[:, :, first:last] for states in (query, key, value))
        pieces.append(scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scaling, enable_gqa=True))
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None
