"""The YAML files of task templates: their keys, and what becomes of them.

    wordings: {en: [{prompt, target}, ...], zh: [...]}       # how a row is worded
    input_inversion: {en: [...], zh: [...]}                  # how it is with answer and request exchanged
    few_shot: {en: [{inputs, targets, ...}]}                 # the same behind solved examples, in a layout of its own
    few_shot_input_inversion: {en: [...]}

Only `wordings` must be there. `input_inversion` may also name a set of inversions.yaml that many tasks share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import polars as pl
from pydantic import Field, TypeAdapter

from collectors.errors import CatalogError, TemplateError, nearest
from collectors.nodes import Node, parsed, read_yaml
from templates.language import Language
from templates.text import Text

INVERSIONS: Final = Path(__file__).with_name("inversions.yaml")
"""Inversions by name and language, for the tasks that name them."""

KINDS: Final = ("wordings", "input_inversion", "few_shot", "few_shot_input_inversion")
"""The lists of a file, each by language."""

_MARKS: Final = {"input_inversion": "inverted-", "few_shot": "shots-", "few_shot_input_inversion": "inverted-shots-"}
"""What stands before the language in the ids of a list's wordings."""


class Pair(Node):
    """A wording as it stands in a file: two Jinja texts."""

    prompt: str
    target: str


class FewShot(Node):
    """How solved examples are strung together before a question, in the terms of FLAN's `FewShotPattern`.

    An example is inputs_prefix + inputs + x_y_delimiter + targets_prefix + targets + example_separator; `inputs` and
    `targets` are Jinja texts, the rest is taken as it is. Behind the examples stands the request, up to where its
    answer would begin, then final_suffix. `in_template_mix` is FLAN's and kept for it; rows draw from all patterns.
    """

    inputs: str
    targets: str
    inputs_prefix: str
    targets_prefix: str
    x_y_delimiter: str
    example_separator: str
    final_suffix: str
    in_template_mix: bool


class Sheet(Node):
    """One YAML file."""

    wordings: dict[Language, Annotated[list[Pair], Field(min_length=1)]] = Field(min_length=1)
    input_inversion: dict[Language, list[Pair]] | str = {}
    few_shot: dict[Language, list[FewShot]] = {}
    few_shot_input_inversion: dict[Language, list[FewShot]] = {}


@dataclass(frozen=True)
class Layout:
    """What stands around the request and the answer of an example, and around the request that follows the examples.

    As it is by itself, without labels: request, line break, answer, empty line, and so on to the last request.
    """

    before: str = ""
    between: str = "\n"
    after: str = "\n\n"
    ending: str | None = None

    def example(self, prompt: pl.Expr, target: pl.Expr) -> pl.Expr:
        """A solved example."""
        return pl.concat_str(pl.lit(self.before), prompt, pl.lit(self.between), target, pl.lit(self.after))

    def request(self, prompt: pl.Expr) -> pl.Expr:
        """The request behind the examples."""
        if self.ending is None:
            return prompt
        # FLAN strips the blanks, so that a model does not have to begin in the middle of a line's spacing.
        asked = pl.concat_str(pl.lit(self.before), prompt, pl.lit(self.between)).str.strip_chars_end(" ")
        return pl.concat_str(asked, pl.lit(self.ending))


PLAIN_LAYOUT: Final = Layout()
"""The layout of examples worded like the row they stand before."""


@dataclass(frozen=True)
class Wording:
    """A pair of texts, its name, such as `cot/gsm8k/en-03`, and the layout of examples before it."""

    id: str
    prompt: Text
    target: Text
    layout: Layout = PLAIN_LAYOUT

    @property
    def uses_rationale(self) -> bool:
        """Whether a record's chain of thought shows in it."""
        return "rationale" in self.prompt.names | self.target.names


Wordings = dict[str, dict[Language, tuple[Wording, ...]]]
"""The wordings of a task by the names in `KINDS` and by language."""


def read_sheet(file: Path) -> Sheet:
    """A YAML file, its keys and types checked; `TemplateError` names the file and the place in it."""
    try:
        return parsed(Sheet, read_yaml(file), str(file))
    except CatalogError as error:  # the fault is told right, but it lies in a template
        raise TemplateError(str(error)) from None


def read(file: Path, title: str) -> Wordings:
    """The checked wordings of a file; `title` begins their ids. Raises `TemplateError`, which names the place."""
    sheet = read_sheet(file)
    named: Mapping[str, Mapping[Language, Sequence[Pair | FewShot]] | str] = {
        kind: getattr(sheet, kind) for kind in KINDS
    }
    return {
        kind: {
            language: tuple(
                _wording(
                    pair, f"{title}/{_MARKS.get(kind, '')}{language}-{index + 1:02d}", f"{place}.{language}.{index}"
                )
                for index, pair in enumerate(pairs)
            )
            for language, pairs in listed.items()
            if pairs
        }
        for kind, given in named.items()
        for place, listed in [_listed(given, file, kind)]
    }


def _listed(
    given: Mapping[Language, Sequence[Pair | FewShot]] | str, file: Path, kind: str
) -> tuple[str, Mapping[Language, Sequence[Pair | FewShot]]]:
    """Where a list stands, and the list."""
    if not isinstance(given, str):
        return f"{file}: {kind}", given
    if given not in inversions():
        raise TemplateError(f"{file}: {kind}: there is no set {given!r}; {nearest(given, inversions())}")
    return f"{INVERSIONS}: {given}", inversions()[given]


@cache
def inversions() -> dict[str, dict[Language, list[Pair]]]:
    """Every shared set of inversions by name and language, as inversions.yaml lists them."""
    return TypeAdapter(dict[str, dict[Language, list[Pair]]]).validate_python(read_yaml(INVERSIONS))


def _wording(given: Pair | FewShot, name: str, place: str) -> Wording:
    """One entry of a list, its texts checked."""
    if isinstance(given, Pair):
        return Wording(name, Text(given.prompt, f"{place}.prompt"), Text(given.target, f"{place}.target"))
    layout = Layout(
        before=given.inputs_prefix,
        between=given.x_y_delimiter + given.targets_prefix,
        after=given.example_separator,
        ending=given.final_suffix,
    )
    return Wording(name, Text(given.inputs, f"{place}.inputs"), Text(given.targets, f"{place}.targets"), layout)
