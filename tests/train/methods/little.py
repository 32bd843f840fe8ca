"""Tiny random bases of the architectures that methods are put on, made in memory."""

from typing import Any

import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Glm4Config,
    Glm4ForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 64
HIDDEN = 16
INNER = 24

SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

KINDS: dict[str, Any] = {
    "llama": lambda more: LlamaForCausalLM(LlamaConfig(**(SHAPE | more))),
    "mistral": lambda more: MistralForCausalLM(MistralConfig(**(SHAPE | more))),
    "qwen2": lambda more: Qwen2ForCausalLM(Qwen2Config(**(SHAPE | more))),
    "qwen3": lambda more: Qwen3ForCausalLM(Qwen3Config(**(SHAPE | more))),
    "gemma3_text": lambda more: Gemma3ForCausalLM(Gemma3TextConfig(**(SHAPE | more))),
    "glm": lambda more: GlmForCausalLM(GlmConfig(**(SHAPE | more))),
    "glm4": lambda more: Glm4ForCausalLM(Glm4Config(**(SHAPE | more))),
    "phi3": lambda more: Phi3ForCausalLM(Phi3Config(**(SHAPE | more))),
    "bloom": lambda more: BloomForCausalLM(
        BloomConfig(**({"vocab_size": VOCABULARY, "hidden_size": HIDDEN, "n_layer": 2, "n_head": 2} | more))
    ),
}


def base(kind: str = "llama", *, dtype: torch.dtype = torch.float32, **more: Any) -> PreTrainedModel:
    """A tiny base of that architecture; its weights are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model: PreTrainedModel = KINDS[kind](more).to(dtype)
    model.config.use_cache = False
    return model


def batch() -> dict[str, torch.Tensor]:
    """Two rows of eight tokens, the second one shorter; four tokens of each are trained."""
    ids = torch.arange(3, 19).reshape(2, 8)
    mask = torch.ones_like(ids)
    labels = ids.clone()
    labels[:, :4] = -100
    mask[1, 6:], labels[1, 6:] = 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
