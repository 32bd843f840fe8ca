"""Isolation: whether packed sequences of a base stay apart, found out before anything is trained."""

import inspect

import torch
from transformers import PreTrainedModel

from collectors.errors import TrainingError


def check(model: PreTrainedModel, name: str) -> None:
    """Refuse to pack for a model whose packed sequences see each other, found out with two of them, apart and packed.

    `TrainingError` names the way out. Tolerances are relative to the largest logit, with room for bfloat16.
    """
    refusal = TrainingError(
        f"base {name}: cannot be packed, its attention does not keep packed sequences apart; set packing: false "
        "(--set packing=false)"
    )
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise refusal
    first, second = torch.arange(2, 10), torch.arange(11, 5, -1)
    places = torch.cat([torch.arange(len(first)), torch.arange(len(second))])
    training = model.training
    model.eval()
    with torch.no_grad():
        apart = model(second[None].to(model.device)).logits[0].float()
        packed = (
            model(torch.cat([first, second])[None].to(model.device), position_ids=places[None].to(model.device))
            .logits[0, len(first) :]
            .float()
        )
    model.train(training)
    tolerance = 0.05 if model.dtype == torch.bfloat16 else 1e-3
    if (packed - apart).abs().max() > tolerance * apart.abs().max():
        raise refusal
