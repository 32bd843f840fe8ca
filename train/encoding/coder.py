"""Texts to ids: pieces of a rendered conversation, each as it is written where it stands."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from tokenizers import Tokenizer, models

from train.encoding.coded import WIDTH, RawIds, raw
from train.encoding.words import WORDS, Words, encoded, parts_at_blanks

UNWRITABLE: Final = raw([-1])
"""In place of the ids of a text that the tokenizer cannot write."""

PROBES: Final = ("x", "X", "1", ".", " x", "\n", "你", "🦊")
NEUTRAL: Final = ("\ue000", "\n", "\t", "|", "¶")
"""Characters that hardly any tokenizer joins to what follows."""


class Behind(IntEnum):
    """What a piece of text stands behind: some tokenizers put a blank before a text, or behind a special token."""

    NOTHING = 0
    TOKEN = 1
    TEXT = 2


Text = tuple[str, Behind]
Plain = Callable[[list[str]], list[RawIds]]
"""Texts to ids as a tokenizer encodes them when each is a whole text; special tokens come only from the text."""


class Anchor(NamedTuple):
    """What a piece is encoded behind, and its ids, which are taken off again; empty where a piece needs none."""

    text: str = ""
    ids: RawIds = b""


class Coder:
    """Encodes with a tokenizer's backend; `special` is one of its special tokens, if it has any."""

    def __init__(self, backend: Tokenizer, special: str | None) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.words = Words(backend) if parts_at_blanks(backend) else None
        if self.words is None and isinstance(backend.model, models.BPE | models.Unigram):
            # It keeps words of its own, which are looked up before they are cut, but too few: those that fit are soon
            # the long runs of letters that Chinese has between two marks, and met no more.
            backend.model._resize_cache(WORDS)
        self.backend, self.special = backend, special
        self.anchors = anchors(self.plain, special)

    def __reduce__(self) -> tuple[type["Coder"], tuple[Tokenizer, str | None]]:
        return Coder, (self.backend, self.special)  # a backend does not take its words along

    def plain(self, texts: list[str]) -> list[RawIds]:
        """The ids of whole texts."""
        return encoded(self.backend, texts) if self.words is None else self.words.ids(texts)

    def ids(self, texts: Sequence[Text]) -> list[RawIds]:
        """The ids of each piece."""
        return anchored(self.plain, self.anchors, texts)

    def barrier(self, token: str) -> bool:
        """Whether a text on one side of the special `token` has the same ids whatever stands on the other side."""
        for known in self.backend.get_added_tokens_decoder().values():
            if known.content == token:
                return not (known.lstrip or known.rstrip or known.single_word or known.normalized)
        return False


class SlowCoder:
    """Encodes with a tokenizer that has no backend of tokenizers."""

    def __init__(self, listed: Callable[[list[str]], list[list[int]]], special: str | None) -> None:
        self.listed = listed
        self.anchors = anchors(self.plain, special)

    def plain(self, texts: list[str]) -> list[RawIds]:
        """The ids of whole texts."""
        return [raw(ids) for ids in self.listed(texts)]

    def ids(self, texts: Sequence[Text]) -> list[RawIds]:
        """The ids of each piece."""
        return anchored(self.plain, self.anchors, texts) if texts else []

    def barrier(self, token: str) -> bool:
        """Not known."""
        return False


def anchors(plain: Plain, special: str | None) -> list[Anchor]:
    """An anchor for each `Behind`."""
    (alone,) = plain(["x"])
    after_text = next(filter(None, (_neutral(plain, text) for text in NEUTRAL)), Anchor())
    (behind_text,) = plain([f"{after_text.text}x"])
    behind_text = behind_text[len(after_text.ids) :]
    if behind_text == alone:
        after_text = Anchor()
    after_token = Anchor()
    if special is not None:
        before, behind = plain([special, f"{special}x"])
        if len(before) == WIDTH and behind.startswith(before) and behind[WIDTH:] != alone:
            after_token = Anchor(special, before)
            if behind[WIDTH:] == behind_text:
                after_text = after_token
    return [Anchor(), after_token, after_text]


def _neutral(plain: Plain, text: str) -> Anchor | None:
    """The anchor of this text, if whatever follows has ids of its own."""
    (ids,) = plain([text])
    for probed in plain([text + probe for probe in PROBES]):
        if len(probed) <= len(ids) or not probed.startswith(ids):
            return None
    return Anchor(text, ids)


def anchored(plain: Plain, anchors: Sequence[Anchor], texts: Sequence[Text]) -> list[RawIds]:
    """The ids of each piece, none of an empty one; `UNWRITABLE` for one that joins what it is encoded behind."""
    found = iter(plain([anchors[behind].text + text for text, behind in texts if text]))
    if not any(anchor.text for anchor in anchors):
        return [next(found) if text else b"" for text, _ in texts]
    cut: list[RawIds] = []
    for text, behind in texts:
        ids, before = next(found) if text else b"", anchors[behind].ids if text else b""
        cut.append(ids.removeprefix(before) if ids.startswith(before) else UNWRITABLE)
    return cut
