"""Whether a merged model says what base and adapter say: their logits on a few prompts, both computed in float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train.base.quantise import is_quantised, unpacked

PROMPTS: Final = (
    "Give three tips for staying healthy, and say why each of them works.",
    "把下面的句子翻译成英文：春天来了，花园里的花都开了。",
    "Write a Python function that returns the n-th Fibonacci number.",
    "一个长方形的长是八米，宽是五米，它的面积是多少？请写出计算过程。",
)

MOST: Final = 128
"""Tokens of a prompt that are looked at."""

ALLOWED: Final = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""How far logits may lie apart, as a share of their spread over the vocabulary, when weights are written in a type.

Rounding each weight of random bases once gave 8e-4 in bfloat16 for two layers, and 9e-3 for sixteen.
"""

NOTHING: Final = 1e-4
"""A share of the spread that float32 itself may be off by."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two models compare: `error` is between them, `effect` between base with and without the adapter.

    Both are root mean squares of logit differences, as shares of the logits' spread. `same` of `places` have the same
    most likely next token.
    """

    error: float
    effect: float
    allowed: float
    same: int
    places: int

    @property
    def holds(self) -> bool:
        """Whether the error is allowed, and small beside what the adapter does."""
        return self.error <= NOTHING or (self.error <= self.allowed and self.error <= self.effect / 2)

    def told(self) -> str:
        """The comparison in a sentence."""
        return (
            f"On {len(PROMPTS)} prompts its logits differ by {self.error:.1e} of their spread from those of base and "
            f"adapter (allowed: {self.allowed:g}), where the adapter moves them by {self.effect:.1e}; the most likely "
            f"next token is the same at {self.same:,} of {self.places:,} places."
        )


def prompts(words: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """The prompts as a batch of ids with its mask, worded by the tokenizer's chat template."""
    texts = [
        words.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        for text in PROMPTS
    ]
    rows = [words(text, add_special_tokens=False)["input_ids"][:MOST] for text in texts]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def logits(model: PreTrainedModel | PeftModel, batch: dict[str, Tensor]) -> Tensor:
    """Logits in float32, [places, vocabulary], of the batch's real tokens; weights are widened a module at a time."""
    device = model.device
    with torch.no_grad(), _in_float32(model):
        found: Tensor = model(**{name: one.to(device) for name, one in batch.items()}, use_cache=False).logits
    return found[batch["attention_mask"].bool().to(device)].float().cpu()


def compare(merged: Tensor, adapted: Tensor, bare: Tensor, dtype: torch.dtype) -> Agreement:
    """How the logits of the merged model, written in `dtype`, compare to those of base with and without adapter.

    A vocabulary that grew has no counterpart in the bare base, so the effect is taken over the tokens that it knows.
    """
    spread = _root(adapted - adapted.mean(-1, keepdim=True))
    known = bare.shape[-1]
    return Agreement(
        error=_root(merged - adapted) / spread,
        effect=_root(adapted[:, :known] - bare) / spread,
        allowed=ALLOWED[dtype],
        same=int((merged.argmax(-1) == adapted.argmax(-1)).sum()),
        places=len(adapted),
    )


def _root(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


@contextmanager
def _in_float32(model: nn.Module) -> Iterator[None]:
    """While it lasts, each module computes in float32, by a copy of its weights that goes when it is done.

    So a 16-bit model that lies in its file stays there. Quantised layers multiply by the values they stand for; of
    themselves 8-bit layers would round what comes in as well.
    """
    hooks: list[Any] = []
    quantised: list[Any] = []
    for module in model.modules():
        if is_quantised(module):
            module.forward = partial(_multiplied, module)
            quantised.append(module)
        elif any(one is not None and one.dtype in (torch.float16, torch.bfloat16) for one in _own(module).values()):
            kept: dict[str, Any] = {}
            hooks.append(module.register_forward_pre_hook(partial(_widen, kept)))
            hooks.append(module.register_forward_hook(partial(_restore, kept), always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in quantised:
            del module.forward


def _multiplied(module: Any, rows: Tensor) -> Tensor:
    """What a quantised layer stands for, computed without further rounding."""
    bias = None if module.bias is None else module.bias.float()
    return nn.functional.linear(rows.float(), unpacked(module), bias)


def _own(module: nn.Module) -> dict[str, nn.Parameter | None]:
    return module._parameters


def _widen(kept: dict[str, Any], module: nn.Module, args: Any) -> None:
    kept.update(_own(module))
    for name, value in kept.items():
        if value is not None and value.is_floating_point():
            _own(module)[name] = nn.Parameter(value.float(), requires_grad=False)


def _restore(kept: dict[str, Any], module: nn.Module, args: Any, output: Any) -> None:
    _own(module).update(kept)
    kept.clear()
