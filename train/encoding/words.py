"""Words that a tokenizer encodes one by one: each is encoded once, and its ids are looked up from then on.

What a tokenizer does for a word before it looks for tokens takes many times as long as looking the word up. Where a
text may be parted is a property of the tokenizer: `parts_at_blanks` says whether it is known of one that no token
reaches across the border before a blank. The ids of the parts, end to end, are then those of the text.
"""

import json
import re
from collections.abc import Sequence
from itertools import chain, filterfalse
from typing import Any, Final

from tokenizers import Tokenizer, models, normalizers

from train.encoding.coded import RawIds, raw

WORDS: Final = 200_000
"""Words whose ids are kept, well below 100 MB of them; once there are so many, no other is taken in."""

LONGEST: Final = 32
"""Characters of a word that is kept: longer ones, such as all that Chinese writes without a blank, come up once."""

BORDER: Final = re.compile(r" (?<=\S )")
"""A blank that stands behind anything but white space; a text is parted before it."""

ENDINGS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+"
MARKS: Final = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
BLANKS: Final = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
PATTERNS: Final = {
    "Llama 3, GLM 4": rf"{ENDINGS}|{LETTERS}|\p{{N}}{{1,3}}|{MARKS}|{BLANKS}",
    "Qwen 2 and 3": rf"{ENDINGS}|{LETTERS}|\p{{N}}|{MARKS}|{BLANKS}",
    "Qwen 3.5": (
        rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{BLANKS}"
    ),
    "Mistral": (
        rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"
        rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{BLANKS}"
    ),
}
"""The words of byte-level tokenizers, by whose they are, as transformers has them. What they share with GPT-2's:

- every character is in a word, so that nothing between two words is joined;
- only at its beginning, or among other white space, can a word hold a blank, so that one begins at every `BORDER`;
- whether a word ends is seen from the character behind it only where it ends in white space, which none does there.

So the words of a text that is parted at a `BORDER` are those of its parts."""


class Words:
    """Texts to ids for a tokenizer that `parts_at_blanks`."""

    def __init__(self, backend: Tokenizer) -> None:
        self.backend = backend
        self._known: dict[str, RawIds] = {}

    def ids(self, texts: Sequence[str]) -> list[RawIds]:
        """The ids of whole texts."""
        known = self._known
        parts = [parted(text) for text in texts]
        new = list(dict.fromkeys(filterfalse(known.__contains__, chain.from_iterable(parts))))
        known.update(zip(new, encoded(self.backend, new), strict=True))
        pieces = [b"".join(map(known.__getitem__, part)) for part in parts]
        for word in new:
            if len(word) > LONGEST or len(known) > WORDS:
                del known[word]
        return pieces


def parted(text: str) -> list[str]:
    """The parts of a text, from one `BORDER` to the next."""
    first, *rest = BORDER.split(text)  # which looks for the blank first, and so passes over other letters fast
    return [first, *[" " + part for part in rest]]


def encoded(backend: Tokenizer, texts: list[str]) -> list[RawIds]:
    """The ids of whole texts, as the tokenizer itself finds them."""
    return [raw(one.ids) for one in backend.encode_batch_fast(texts, add_special_tokens=False)]


def parts_at_blanks(backend: Tokenizer) -> bool:
    """Whether the ids of any text are known to be those of its parts between `BORDER`s, end to end.

    A normalizer must not look across a border, as NFC does not, nor may an added token hold one or take blanks along.
    """
    if isinstance(backend.model, models.BPE) and backend.model.dropout:
        return False
    if not (backend.normalizer is None or isinstance(backend.normalizer, normalizers.NFC)):
        return False
    for token in backend.get_added_tokens_decoder().values():
        if token.lstrip or token.rstrip or token.single_word or BORDER.search(token.content):
            return False
    return _known_words(json.loads(backend.pre_tokenizer.__getstate__()) if backend.pre_tokenizer else {})


def _known_words(settings: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer, as tokenizer.json has it, finds the words of GPT-2 or those of one of `PATTERNS`."""
    *splits, last = settings.get("pretokenizers", [settings])
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return False
    if last["use_regex"]:
        return not splits
    whole = {"type": "Split", "behavior": "Isolated", "invert": False}
    return splits in [[whole | {"pattern": {"Regex": pattern}}] for pattern in PATTERNS.values()]
