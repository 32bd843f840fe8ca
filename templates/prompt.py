"""Prompts: the wire format a model sees, as Hugging Face chat templates.

    load("alpaca").render([{"role": "user", "content": "Name a colour."}], add_generation_prompt=True, eos_token="</s>")

The text of a prompt is saved into the tokenizer, where transformers renders it. Here it is rendered without
transformers, in an environment with the same settings, so both give the same bytes. A user message may carry the key
`input`. Between `{% generation %}` and `{% endgeneration %}` stands what the model learns to write.

A file of `prompts/` begins with a comment of `key: value` lines (`cuts`, `special`, `answers`; see `Prompt`), then says
where the format is from. `_turns.jinja` is put before each of them. docs/prompts.md lists them all.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.meta import find_undeclared_variables

from collectors.errors import TemplateError, nearest
from templates.sandbox import SANDBOX
from templates.text import bounded

HOME: Final = Path(__file__).parent / "prompts"

SAME: Final = {"internlm2": "chatml", "internlm3": "chatml"}
"""Names of bases whose conversations are worded, byte for byte, by a prompt of another name."""

LIMIT: Final = 16_000_000
"""Characters a rendered conversation may have."""

Message = Mapping[str, str | None]
"""`role` and `content`, and for a user's message perhaps `input`."""

GIVEN: Final = frozenset({"messages", "add_generation_prompt", "bos_token", "eos_token"})
"""What a prompt is rendered with; a chat template that takes more (tools, say) can do more than ours."""


@dataclass(frozen=True)
class Prompt:
    """A chat template: `text` is what a tokenizer's `chat_template` is set to.

    What the file of a prompt declares is read from its text. One that declares nothing promises nothing.
    """

    name: str
    text: str

    @cached_property
    def cuts(self) -> Literal["safe", "inside"]:
        """Where answers begin: `safe` is at a special token, a line break, or between two words; else `inside` a word.

        Behind a safe cut an answer that begins with a letter has the same ids whether it is encoded with the text
        before it or by itself. Behind a cut `inside` a word it may have others.
        """
        return "safe" if self._declared("cuts") == "safe" else "inside"

    @cached_property
    def special(self) -> frozenset[str]:
        """The special tokens that the format writes by name, which a tokenizer must hold as single tokens."""
        return frozenset(self._declared("special").split())

    @cached_property
    def apart(self) -> bool:
        """Whether the published format encodes an answer as a text of its own, with the blank some tokenizers add."""
        return self._declared("answers") == "apart"

    def __reduce__(self) -> tuple[type["Prompt"], tuple[str, str]]:
        return Prompt, (self.name, self.text)  # what was compiled of it is compiled again elsewhere

    def _declared(self, key: str) -> str:
        found = re.search(rf"^{key}: (.*)$", self.text, re.MULTILINE)
        return found[1].strip() if found else ""

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 of the text: part of the fingerprint of what was rendered by it."""
        return sha256(self.text.encode()).hexdigest()

    @cached_property
    def tree(self) -> nodes.Template:
        """The parsed text; `TemplateError` where it is no Jinja."""
        try:
            return SANDBOX.parse(self.text)
        except (JinjaError, RecursionError) as error:
            raise TemplateError(f"prompt {self.name!r}: {error}") from None

    @cached_property
    def _jinja(self) -> Template:
        try:
            return SANDBOX.from_string(self.tree)
        except (JinjaError, RecursionError, SyntaxError, ValueError) as error:
            raise TemplateError(f"prompt {self.name!r}: {error}") from None

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = False,
        bos_token: str | None = None,
        eos_token: str | None = None,
    ) -> str:
        """A conversation as the model sees it, up to where the assistant has to speak with `add_generation_prompt`.

        A token that the tokenizer lacks is left out (None). Raises `TemplateError` for messages the prompt refuses.
        """
        tokens = {"bos_token": bos_token, "eos_token": eos_token}
        given = {name: token for name, token in tokens.items() if token is not None}
        stream = self._jinja.generate
        try:
            return bounded(stream(messages=messages, add_generation_prompt=add_generation_prompt, **given), LIMIT)
        except (JinjaError, TypeError, ValueError, LookupError, OverflowError) as error:
            raise TemplateError(f"prompt {self.name!r}: {error}") from None


def names() -> list[str]:
    """The prompts that come with the program."""
    return sorted(file.stem for file in HOME.glob("[!_]*.jinja"))


@cache
def load(name: str) -> Prompt:
    """The prompt of a name in `names()` or `SAME`; `TemplateError` for any other."""
    known = SAME.get(name, name)
    if known not in names():
        raise TemplateError(f"prompt {name!r}: there is none of this name; {nearest(name, [*names(), *SAME])}")
    return Prompt(known, "".join((HOME / f"{part}.jinja").read_text(encoding="utf-8") for part in ("_turns", known)))


def own(text: str | Mapping[str, str] | None, *, bos_token: str | None = None, eos_token: str | None = None) -> Prompt:
    """The chat template that comes with a base's tokenizer (one text, or several by name), as the prompt `own`.

    One without `{% generation %}` is replaced by the prompt of this program that renders the same, with the base's
    start and end tokens, and takes all that it takes. `TemplateError` where there is none.
    """
    if isinstance(text, Mapping):
        text = text.get("default")
    if not text:
        raise TemplateError(f"prompt 'own': the base comes with no chat template; name one of {', '.join(names())}")
    given = Prompt("own", text)
    if given.tree.find(nodes.Scope):
        return given
    tokens = {"bos_token": bos_token, "eos_token": eos_token}
    served = [name for name in names() if _equal(given, load(name), tokens, asked=True)]
    named = find_undeclared_variables(given.tree) - set(SANDBOX.globals)
    plain = named <= GIVEN and not _takes_parts(given, tokens)
    for name in served:
        if plain and _equal(given, load(name), tokens, asked=False):
            return Prompt("own", load(name).text)
    instead = f"prompt: {served[0]}, which serves plain conversations as it does" if served else ", ".join(names())
    raise TemplateError(
        "prompt 'own': the base's chat template does not mark with {% generation %} what the assistant writes; "
        f"put the marks into it, or name {instead}"
    )


PLAIN: Final[list[list[tuple[str, str]]]] = [
    [("user", "Name a colour."), ("assistant", "蓝色 🦊.")],
    [("user", " a\n\n"), ("assistant", "\n b "), ("user", "c"), ("assistant", "d"), ("user", "e"), ("assistant", "f")],
    [("user", "a"), ("assistant", "<think>\nb\n</think>\n\nc"), ("user", "d"), ("assistant", "<think>\n</think>\n\ne")],
    [("system", " Be brief.\n"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    [("system", ""), ("user", ""), ("assistant", "")],
]
"""Conversations that tell chat templates apart: by what they trim, cut out or add."""


def _takes_parts(given: Prompt, tokens: dict[str, str | None]) -> bool:
    """Whether a chat template takes contents in parts, as those for images do, and does more than print the list."""
    parts: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    text = _rendered(given, parts, tokens, asked=False)
    return text is not None and "'type'" not in text


def _equal(given: Prompt, known: Prompt, tokens: dict[str, str | None], *, asked: bool) -> bool:
    """Whether `known` renders as `given` does wherever that renders: `asked` for the last answers, or with them."""
    for number, talk in enumerate(PLAIN):
        messages: list[Any] = [{"role": role, "content": content} for role, content in talk]
        told = messages[:-1] if asked else messages
        wanted, found = (_rendered(prompt, told, tokens, asked=asked) for prompt in (given, known))
        if (wanted is None and number == 0) or (wanted is not None and wanted != found):
            return False
    return True


def _rendered(prompt: Prompt, messages: list[Any], tokens: dict[str, str | None], *, asked: bool) -> str | None:
    """None where the prompt refuses the messages."""
    try:
        return prompt.render(messages, add_generation_prompt=asked, **tokens)
    except TemplateError:
        return None
