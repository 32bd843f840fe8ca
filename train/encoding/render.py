"""Conversations in their prompt format, cut at what the assistant writes.

transformers renders, as `apply_chat_template` does when serving. Formats that only pass texts on are rendered once for
each shape of conversation, with marks for the texts, and the texts are put where the marks are: when that is the same
is said in `train/encoding/transparent.py`, and a test compares the two.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Final, Literal

from jinja2.exceptions import TemplateError as JinjaError

from collectors.errors import TemplateError
from templates.prompt import Prompt
from train.encoding.transparent import Opacity, opacity

Message = Mapping[str, str]
Conversation = Sequence[Message]

Cut = list[str]
"""A rendered conversation in pieces: prompt, answer, prompt, answer, ..., the rest; an answer with its end token."""

Shape = tuple[tuple[str, bool, bool | None], ...]
"""Of each message: its role, whether it has content, and an input (None where the key is not there)."""

Skeleton = list[list[str | int]]
"""A `Cut` with numbers in place of texts: 2 * m is the content of message m, 2 * m + 1 its input."""

EXCHANGE: Final[Shape] = (("user", True, None), ("assistant", True, None))
USUAL: Final[list[Shape]] = [
    (*system, *(EXCHANGE * earlier), ("user", True, more), EXCHANGE[1])
    for system in ((), (("system", True, None),))
    for earlier in range(8)
    for more in (None, True)
]
"""Shapes known from the start, so that a worker which meets no others need not import transformers."""

ROLES: Final = frozenset({"system", "user", "assistant"})
KEYS: Final = ({"role", "content"}, {"role", "content", "input"})
MARKS: Final = re.compile("\ue000([0-9]+)\ue001")
SHAPES: Final = 4096
"""Skeletons kept; conversations of hundreds of messages hardly share any."""


class Renderer:
    """Renders conversations in one prompt format; `special` are the tokenizer's named tokens (`eos_token` and so on).

    `loss_on` says which answers are cut out: every one, or the last, with the others left in the prompt before it.
    """

    def __init__(self, prompt: Prompt, special: Mapping[str, str], loss_on: Literal["all", "last"] = "all") -> None:
        self.prompt, self.special, self.loss_on = prompt, dict(special), loss_on
        given = opacity(prompt)
        self._trims = given is Opacity.TRIMMED
        self._fills = given is not Opacity.OPAQUE and not MARKS.search("".join([prompt.text, *special.values()]))
        self._skeletons: dict[Shape, Skeleton | None] = {}
        for shape in USUAL if self._fills else ():
            self._skeletons[shape] = self._skeleton(shape)

    def cut(self, conversations: Sequence[Conversation]) -> list[Cut]:
        """The pieces of each conversation; `TemplateError` for one that the format refuses."""
        if not self._fills:
            return self._rendered(conversations)
        filled = [self._filled(conversation) for conversation in conversations]
        others = [place for place, cut in enumerate(filled) if cut is None]
        if others:
            for place, cut in zip(others, self._rendered([conversations[place] for place in others]), strict=True):
                filled[place] = cut
        return [cut for cut in filled if cut is not None]

    def _rendered(self, conversations: Sequence[Conversation]) -> list[Cut]:
        """As transformers renders each of them."""
        # Takes most of a second, see `USUAL`.
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            texts, spans = render_jinja_template(
                [list(messages) for messages in conversations],
                chat_template=self.prompt.text,
                return_assistant_tokens_mask=True,
                **self.special,
            )
        except (JinjaError, TypeError, ValueError, LookupError) as error:
            raise TemplateError(f"prompt format {self.prompt.name}: {error}") from None
        return [self._cut(text, found) for text, found in zip(texts, spans, strict=True)]

    def _cut(self, text: str, spans: list[tuple[int, int]]) -> Cut:
        ends = spans[-1:] if self.loss_on == "last" else spans
        return [text[start:end] for start, end in pairwise([0, *chain.from_iterable(ends), len(text)])]

    def _filled(self, conversation: Conversation) -> Cut | None:
        """The pieces from the skeleton of the conversation's shape; None where that cannot be relied on."""
        shape: list[tuple[str, bool, bool | None]] = []
        texts: list[str] = []
        for message in conversation:
            role, content, more = message["role"], message["content"], message.get("input")
            if type(content) is not str or role not in ROLES or message.keys() not in KEYS:
                return None
            if self._trims and (content.strip() != content or (more and more.strip() != more)):
                return None
            shape.append((role, content != "", None if more is None else more != ""))
            texts += (content, more or "")
        key = tuple(shape)
        if key not in self._skeletons:
            if len(self._skeletons) == SHAPES:
                self._skeletons.clear()
            self._skeletons[key] = self._skeleton(key)
        skeleton = self._skeletons[key]
        if skeleton is None:
            return None
        return ["".join([texts[part] if type(part) is int else part for part in piece]) for piece in skeleton]  # type: ignore[misc]  # mypy does not narrow by `type(...) is`

    def _skeleton(self, shape: Shape) -> Skeleton | None:
        """What a conversation of this shape is rendered to; None where the format refuses it."""
        marked: list[Message] = []
        for place, (role, has_content, has_input) in enumerate(shape):
            message = {"role": role, "content": _mark(2 * place) if has_content else ""}
            if has_input is not None:
                message["input"] = _mark(2 * place + 1) if has_input else ""
            marked.append(message)
        try:
            (pieces,) = self._rendered([marked])
        except TemplateError:  # told of the conversation itself, with its own texts
            return None
        # Split at a pattern with one group, literal text and numbers stand in turn.
        return [
            [int(part) if odd % 2 else part for odd, part in enumerate(MARKS.split(piece)) if odd % 2 or part]
            for piece in pieces
        ]


def _mark(number: int) -> str:
    return f"\ue000{number}\ue001"
