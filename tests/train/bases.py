"""Tiny random checkpoints of every architecture that is trained here, each with a tokenizer, made on the spot.

Two layers 32 wide, with weights large enough that attention decides the logits: sequences that saw each other, or a
wrong mask, would change them by whole units. Local windows are shorter than the sequences of the tests.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    Glm4Config,
    GlmConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.internlm3 import InternLM3Config

WINDOW = 4
"""How far a token of a local layer sees."""

COMMON = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
LOCAL = {"sliding_window": WINDOW}


class Base(NamedTuple):
    """How a tiny base is made: its configuration class, what is set in it, and its special tokens by role."""

    config: type[PreTrainedConfig]
    settings: dict[str, Any]
    end: str = "</s>"
    begin: str | None = "<s>"
    pad: str | None = None
    more: tuple[str, ...] = ()
    packs: bool = True


CHATML = ("<|im_start|>", "<|im_end|>")
GLM = ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>")
BLOOM = {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}

BASES: dict[str, Base] = {
    "llama": Base(LlamaConfig, COMMON),
    "bloom": Base(BloomConfig, BLOOM, pad="<pad>", packs=False),
    "qwen2": Base(Qwen2Config, COMMON, end="<|im_end|>", begin=None, pad="<|endoftext|>", more=CHATML),
    "qwen3": Base(Qwen3Config, COMMON, end="<|im_end|>", begin=None, pad="<|endoftext|>", more=CHATML),
    "mistral": Base(MistralConfig, COMMON | LOCAL, more=("[INST]", "[/INST]")),
    "gemma3": Base(
        Gemma3TextConfig,
        COMMON | LOCAL | {"layer_types": ["sliding_attention", "full_attention"], "tie_word_embeddings": True},
        end="<eos>",
        begin="<bos>",
        pad="<pad>",
        more=("<start_of_turn>", "<end_of_turn>"),
    ),
    "glm": Base(GlmConfig, COMMON, end="<|endoftext|>", begin=None, pad="<|endoftext|>", more=GLM),
    "glm4": Base(Glm4Config, COMMON, end="<|endoftext|>", begin=None, pad="<|endoftext|>", more=GLM),
    "internlm3": Base(InternLM3Config, COMMON, pad="</s>", more=CHATML),
}
"""The architectures that transformers knows natively; `glm` is GLM-4's first form, InternLM 3 is built as a Llama."""

PACKED = [name for name, base in BASES.items() if base.packs]


@cache
def _learnt() -> str:
    """A small byte-level BPE, the same one for every base, as JSON."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    words.train_from_iterator(["the number of the word in the instruction, the response: 今天天气很好。"] * 2, trainer)
    return words.to_str()


def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a tiny base, with that architecture's special tokens."""
    base = BASES[name]
    special = dict.fromkeys(token for token in (base.pad, base.begin, base.end, *base.more) if token)
    words = Tokenizer.from_str(_learnt())
    words.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=base.begin,
        eos_token=base.end,
        pad_token=base.pad,
        additional_special_tokens=[token for token in base.more if token != base.end],
    )


def model(name: str, *, attention: str | None = None, vocabulary: int = 320) -> PreTrainedModel:
    """The tiny base with its random weights, in evaluation mode, the same at every call; no cache is kept."""
    base = BASES[name]
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = base.config(vocab_size=vocabulary, **base.settings, **ids)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    made.config.use_cache = False
    return made.eval()


def write(place: Path, name: str) -> Path:
    """Write the tiny base and its tokenizer as a checkpoint folder; the folder."""
    words = tokenizer(name)
    made = model(name, vocabulary=len(words))
    for settings in (made.config, made.generation_config):
        settings.bos_token_id, settings.eos_token_id = words.bos_token_id, words.eos_token_id
        settings.pad_token_id = words.pad_token_id
    made.save_pretrained(place)
    words.save_pretrained(place)
    return place
