"""Prompts: the wire format a model sees, as Hugging Face chat templates.

    load("alpaca").render([{"role": "user", "content": "Name a colour."}], add_generation_prompt=True, eos_token="</s>")

The text of a prompt is saved into the tokenizer, where transformers renders it. Here it is rendered without
transformers, in an environment with the same settings, so both give the same bytes. A user message may carry the key
`input`. Between `{% generation %}` and `{% endgeneration %}` stands what the model learns to write.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from collectors.errors import TemplateError, nearest
from templates.text import bounded

HOME: Final = Path(__file__).parent / "prompts"

LIMIT: Final = 16_000_000
"""Characters a rendered conversation may have."""

Message = Mapping[str, str | None]
"""`role` and `content`, and for a user's message perhaps `input`."""


class _Generation(Extension):
    """`{% generation %}`: renders its body and nothing else; transformers also notes where the body lies."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """A scope of its own, as in transformers: what is set inside is not seen outside."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _Dict:
    """`dict(...)` and `dict.fromkeys(...)`, without the type behind them."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """As `dict.fromkeys`."""
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """Jinja's `namespace`, closed to names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that `self` stays free for a keyword
        self, *given = args
        attributes = dict(*given, **kwargs)
        for name in attributes:
            _refuse_private(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot hold {name!r}: the name begins with an underscore")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON with nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise JinjaError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _environment() -> ImmutableSandboxedEnvironment:
    """The settings of `transformers.utils.chat_template_utils`; a test compares the two on many conversations."""
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    sandbox.filters["tojson"] = _tojson
    sandbox.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return sandbox


SANDBOX: Final = _environment()


@dataclass(frozen=True)
class Prompt:
    """A chat template: `text` is what a tokenizer's `chat_template` is set to."""

    name: str
    text: str

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 of the text: part of the fingerprint of what was rendered by it."""
        return sha256(self.text.encode()).hexdigest()

    @cached_property
    def _jinja(self) -> Template:
        try:
            return SANDBOX.from_string(self.text)
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
    return sorted(file.stem for file in HOME.glob("*.jinja"))


@cache
def load(name: str) -> Prompt:
    """The prompt of a name in `names()`; `TemplateError` for any other."""
    if name not in names():
        raise TemplateError(f"prompt {name!r}: there is none of this name; {nearest(name, names())}")
    return Prompt(name, (HOME / f"{name}.jinja").read_text(encoding="utf-8"))
