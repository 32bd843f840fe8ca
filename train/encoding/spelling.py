"""Text of a data set that only looks like a special token."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from tokenizers import AddedToken, Tokenizer

from train.encoding.coded import RawIds, flat, raw
from train.encoding.coder import UNWRITABLE, Anchor, Coder, Text, anchored
from train.encoding.render import Conversation
from train.encoding.words import encoded

SPELT, MEANT = 0xF0000, 0x100000
"""Characters from here on, of Unicode's private use planes, stand for special tokens: as mere text, and as such."""
PRIVATE: Final = re.compile("[\U000f0000-\U0010ffff]")
DISGUISED: Final = re.compile("[\U000f0000-\U000fffff]")


class Spelling:
    """Texts that spell a special token (`</s>`, say), which a tokenizer would take for that token.

    They are `disguised` before they go into the prompt format, so that the format's own special tokens can be told
    from theirs, and are then encoded by a copy of the tokenizer that knows its special tokens by other names,
    characters for private use, and takes their spellings for ordinary text.

    `unknown` is the token that stands for what the tokenizer does not know, if it has one.
    """

    def __init__(self, tokens: Iterable[str], coder: Coder | None, unknown: str | None = None) -> None:
        self.tokens = sorted(set(tokens) - {""}, key=lambda token: (-len(token), token))
        self.coder, self.unknown = coder, unknown
        self._pattern = re.compile("|".join(map(re.escape, self.tokens)) or "(?!)")
        self._copy: Tokenizer | None = None
        self._meant: dict[int, int] = {}

    def __reduce__(self) -> tuple[type["Spelling"], tuple[list[str], Coder | None, str | None]]:
        return Spelling, (self.tokens, self.coder, self.unknown)  # the copy is made where it is needed

    def found(self, text: str) -> bool:
        """Whether a text spells a special token."""
        return self._pattern.search(text) is not None

    def disguised(self, conversation: Conversation) -> tuple[Conversation, bool]:
        """The conversation with one character in place of each spelling, and whether these can be told from its own."""
        texts = [text for message in conversation for key, text in message.items() if key != "role"]
        hidden = [
            {key: text if key == "role" else self._disguised(text) for key, text in message.items()}
            for message in conversation
        ]
        return hidden, not any(PRIVATE.search(text) for text in texts)

    def _disguised(self, text: str) -> str:
        return self._pattern.sub(self._as(SPELT), PRIVATE.sub("\ufffd", text))

    def ids(self, texts: Sequence[Text]) -> list[RawIds]:
        """The ids of texts whose spellings are disguised; `UNWRITABLE` where the spelling is the token all the same.

        Tokenizers without a backend cannot be told to take a special token for text.
        """
        if self.coder is None:
            return [UNWRITABLE] * len(texts)
        copy = self._copy or self._renamed(self.coder.backend)
        named = [(self._named(text), behind) for text, behind in texts]
        renamed = [self._renamed_anchor(copy, anchor) for anchor in self.coder.anchors]
        # Where a tokenizer does not know a character, the token for that is no spelling.
        special = {copy.token_to_id(token) for token in self.tokens if token != self.unknown}
        written = []
        for found, (text, _) in zip(anchored(partial(encoded, copy), renamed, named), named, strict=True):
            ids = flat([found]).tolist()
            wanted = sum(ord(character) >= MEANT for character in text)
            whole = special.isdisjoint(ids) and sum(token in self._meant for token in ids) == wanted
            written.append(raw([self._meant.get(token, token) for token in ids]) if whole else UNWRITABLE)
        return written

    def barrier(self, token: str) -> bool:
        """As for the tokenizer itself."""
        return self.coder is not None and self.coder.barrier(token)

    def _as(self, plane: int) -> Callable[[re.Match[str]], str]:
        return lambda match: chr(plane + self.tokens.index(match[0]))

    def _named(self, text: str) -> str:
        """The format's special tokens by their other names, the disguised spellings as they were."""
        meant = self._pattern.sub(self._as(MEANT), text)
        return DISGUISED.sub(lambda match: self.tokens[ord(match[0]) - SPELT], meant)

    def _renamed_anchor(self, copy: Tokenizer, anchor: Anchor) -> Anchor:
        text = self._pattern.sub(self._as(MEANT), anchor.text)
        return Anchor(text, raw(copy.encode(text, add_special_tokens=False).ids))

    def _renamed(self, backend: Tokenizer) -> Tokenizer:
        copy = Tokenizer.from_str(backend.to_str())
        known = {token.content: token for token in backend.get_added_tokens_decoder().values()}
        copy.add_special_tokens(self.tokens)
        copy.encode_special_tokens = True
        for place, name in enumerate(self.tokens):
            flags = known.get(name, AddedToken(name, normalized=False))
            also = {flag: getattr(flags, flag) for flag in ("single_word", "lstrip", "rstrip", "normalized")}
            copy.add_tokens([AddedToken(chr(MEANT + place), special=False, **also)])
            new, old = copy.token_to_id(chr(MEANT + place)), backend.token_to_id(name)
            assert new is not None  # it was just added
            assert old is not None  # it is a special token of this tokenizer
            self._meant[new] = old
        self._copy = copy
        return copy
