"""The base `tiny-random-llama`: a small Llama with random weights and a tokenizer trained on the mixture.

It exists so that the whole way can be walked in seconds and without a download. Whatever is trained on it shows that
the loop runs, not that anything useful is learnt; the log and the card of every such run say so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline import folder
from train.mixture import Mixture
from train.recipe import TINY, Recipe

VERSION: Final = 1
"""Part of its fingerprint: raised when it would be made otherwise."""

SPECIAL: Final = ("<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")

HONESTY: Final = (
    "The base has random weights: this training shows that the loop runs, not that the model learns anything useful."
)


def fingerprint(mixture: Mixture, recipe: Recipe) -> str:
    """What decides the tiny base: the mixture its tokenizer learns from, its shape, the seed."""
    return folder.fingerprint(
        base=TINY, version=VERSION, mixture=mixture.fingerprint, tiny=recipe.tiny.model_dump(), seed=recipe.seed
    )


def make(place: Path, mixture: Mixture, recipe: Recipe) -> None:
    """Make the base `tiny-random-llama` as a checkpoint folder at `place`, unless this very one is there."""
    mark = fingerprint(mixture, recipe)
    if (folder.manifest(place) or {}).get("fingerprint") == mark:
        return
    words = _trained_tokenizer(mixture, recipe.tiny.vocabulary)
    special = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    settings = config(recipe, len(words), **special)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = LlamaForCausalLM(settings)
    with folder.building(place) as part:
        model.save_pretrained(part)
        words.save_pretrained(part)
        folder.write_manifest(part, {"name": TINY, "weights": "random", "fingerprint": mark})


def config(recipe: Recipe, vocabulary: int, **special: int) -> LlamaConfig:
    """Its shape; `special` are the ids of special tokens, where they are known."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.tiny.hidden,
        intermediate_size=4 * recipe.tiny.hidden,
        num_hidden_layers=recipe.tiny.layers,
        num_attention_heads=recipe.tiny.heads,
        max_position_embeddings=max(recipe.cutoff, 2048),
        **special,
    )


def _trained_tokenizer(mixture: Mixture, vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE (every text can be written in it) learnt from the mixture's training rows."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(_texts(mixture), trainer)
    pad, bos, eos, *others = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=pad, bos_token=bos, eos_token=eos, additional_special_tokens=others
    )


def _texts(mixture: Mixture, most: int = 20_000) -> Iterator[str]:
    """What the tokenizer learns from: the messages of the first rows, which is plenty for a vocabulary this small."""
    seen = 0
    for rows in mixture.rows("train"):
        for row in rows:
            yield from (message["content"] for message in row["messages"])
            seen += 1
            if seen == most:
                return
