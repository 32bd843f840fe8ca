"""Task templates: how a record becomes the prompt a model reads and the target it learns to write.

    load("cot").word(records, seed=7)   # the records with columns prompt, target, template, rationale_used

A template is a set of wordings, one YAML file a task, by language:

    wordings:
      en:
        - prompt: "{{ question }}\\nThink before you answer."
          target: "{{ rationale }}\\nSo the answer is {{ answer }}."
      zh: [...]

The variables are `question` (instruction), `context` (input), `rationale`, `answer` (output) and `options` (the lines
behind "Options:" in a question that lists them). What Jinja a wording may use is told in `text`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import polars as pl
from pydantic import Field

from collectors.errors import CatalogError, TemplateError, nearest
from collectors.nodes import Node, parsed, read_yaml
from collectors.record import keyed
from templates.language import WORDED_IN, Language
from templates.text import Text

HOME: Final = Path(__file__).parent
"""Where the templates that come with the program lie."""

TASK: Final = pl.col("subset").cast(pl.String).str.extract(r"(?:^|/)([^/]*?)_train[^/]*$")
"""The task a record belongs to: the name of its raw file before `_train`, else null."""

OPTIONS: Final = pl.col("instruction").str.splitn("\nOptions:\n", 2).struct.field("field_1")
"""The option lines of a question, or null."""

VARIABLES: Final = {
    "question": pl.col("instruction"),
    "context": pl.col("input"),
    "rationale": pl.col("rationale").cast(pl.String),
    "answer": pl.col("output"),
    "options": OPTIONS,
}

PLAIN: Final = (
    pl.when(pl.col("context") == "").then("question").otherwise(pl.concat_str("question", pl.lit("\n"), "context"))
)


class Pair(Node):
    """A wording as it stands in a file: two Jinja texts."""

    prompt: str
    target: str


class FewShot(Node):
    """How solved examples are strung together before a question, in the terms of FLAN's `FewShotPattern`.

    An example is inputs_prefix + inputs + x_y_delimiter + targets_prefix + targets + example_separator; `inputs` and
    `targets` are Jinja texts, the rest is taken as it is.
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
    """One YAML file. Only `wordings` are worn by `Template.word`; the other lists are checked and kept."""

    wordings: dict[Language, Annotated[list[Pair], Field(min_length=1)]] = Field(min_length=1)
    input_inversion: tuple[Pair, ...] = ()
    few_shot: tuple[FewShot, ...] = ()
    few_shot_input_inversion: tuple[FewShot, ...] = ()


@dataclass(frozen=True)
class Wording:
    """A pair of texts and its name, such as `cot/gsm8k/en-03`."""

    id: str
    prompt: Text
    target: Text

    @property
    def uses_rationale(self) -> bool:
        """Whether a record's chain of thought shows in it."""
        return "rationale" in self.prompt.names | self.target.names


@dataclass(frozen=True)
class Template:
    """The wordings a mixture can name, by task and language.

    `task` is set where one file words every row, whatever its task.
    """

    name: str
    task: str | None = None
    wordings: dict[tuple[str, Language], tuple[Wording, ...]] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 over every wording's name and texts: part of the fingerprint of what was worded by it."""
        pages = [(each.id, each.prompt.source, each.target.source) for each in self.all_wordings]
        return sha256(repr((self.task, pages)).encode()).hexdigest()

    def word(self, frame: pl.DataFrame, seed: int) -> pl.DataFrame:
        """The frame with the columns `prompt`, `target`, `template` (a wording's id, or `plain`) and `rationale_used`.

        Needs the record columns id, subset, lang, language, instruction, input, rationale and output. A record wears
        the wording its keyed hash draws from the set for its task and language. Where there is no such set, and where
        the wording names a rationale that the record lacks, it is worded plainly: instruction and input, then output.
        Raises `TemplateError` where a wording cannot be rendered for a record.
        """
        rows = frame.select("id", row=pl.int_range(pl.len()), choice=self._choices(frame, seed), **VARIABLES)
        lacking = pl.col("rationale").is_null() & pl.col("choice").is_in(self._reasoned)
        rows = rows.with_columns(choice=pl.when(~lacking).then("choice"))
        plain = rows.filter(pl.col("choice").is_null()).select(
            "row", prompt=PLAIN, target="answer", template=pl.lit("plain"), rationale_used=pl.lit(False)
        )
        groups = rows.drop_nulls("choice").partition_by("choice", as_dict=True)
        worn = [_worn(group, self.all_wordings[number]) for (number,), group in groups.items()]
        return frame.hstack(pl.concat([plain, *worn]).sort("row").drop("row"))

    @cached_property
    def all_wordings(self) -> list[Wording]:
        """Every wording, set after set; a row's choice is a number in this list."""
        return [wording for wordings in self.wordings.values() for wording in wordings]

    @cached_property
    def _reasoned(self) -> list[int]:
        return [number for number, wording in enumerate(self.all_wordings) if wording.uses_rationale]

    def _choices(self, frame: pl.DataFrame, seed: int) -> pl.Series:
        """The number in `all_wordings` of each row's wording; null where no set fits the row."""
        sets, first = [], 0
        for (task, language), wordings in self.wordings.items():
            sets.append((task, language, first, len(wordings)))
            first += len(wordings)
        schema = {"task": pl.String, "language": pl.String, "first": pl.UInt64, "count": pl.UInt64}
        drawn = frame.select(
            task=TASK if self.task is None else pl.lit(self.task),
            language=WORDED_IN,
            draw=keyed(seed, "template", "id"),
        ).join(pl.DataFrame(sets, schema, orient="row"), on=["task", "language"], how="left", maintain_order="left")
        return drawn.select(choice=pl.col("first") + pl.col("draw") % pl.col("count"))["choice"]


def _worn(rows: pl.DataFrame, wording: Wording) -> pl.DataFrame:
    """One wording on all the rows that wear it."""
    return rows.select(
        "row",
        prompt=wording.prompt.render(rows),
        target=wording.target.render(rows),
        template=pl.lit(wording.id),
        rationale_used=pl.lit(wording.uses_rationale),
    )


def names() -> list[str]:
    """The templates that come with the program."""
    return ["plain", "cot", *(f"cot/{file.stem}" for file in sorted((HOME / "cot").glob("*.yaml")))]


def load(name: str) -> Template:
    """The template of a name in `names()`, of a YAML file, or of a folder of YAML files named after their tasks.

    Raises `TemplateError` for an unknown name and for anything in a file that is not as it should be.
    """
    if name == "plain":
        return Template(name)
    shipped = name in names()
    path = HOME / (name if name == "cot" else f"{name}.yaml") if shipped else Path(name)
    try:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path] if path.is_file() else None
    except OSError as error:  # such as a name no file system takes
        raise TemplateError(f"template {name!r}: {error.strerror}; {nearest(name, names())}") from None
    if files is None:
        raise TemplateError(f"template {name!r}: neither a template nor a file; {nearest(name, names())}")
    if not files:
        raise TemplateError(f"template {name!r}: the folder holds no .yaml file")
    if files == [path]:
        sheet = _wordings(path, name if shipped else path.stem)
        return Template(name, path.stem, {(path.stem, key): sheet[key] for key in sheet})
    title = path.resolve().name
    sheets = {file.stem: _wordings(file, f"{title}/{file.stem}") for file in files}
    return Template(name, None, {(task, key): sheet[key] for task, sheet in sheets.items() for key in sheet})


def read_sheet(file: Path) -> Sheet:
    """A YAML file, its keys and types checked; `TemplateError` names the file and the place in it."""
    try:
        return parsed(Sheet, read_yaml(file), str(file))
    except CatalogError as error:  # the fault is told right, but it lies in a template
        raise TemplateError(str(error)) from None


def _wordings(file: Path, title: str) -> dict[Language, tuple[Wording, ...]]:
    """The checked wordings of a file by language; `title` begins their ids."""
    sheet = read_sheet(file)
    _texts(file, "input_inversion", sheet.input_inversion, "prompt", "target")
    _texts(file, "few_shot", sheet.few_shot, "inputs", "targets")
    _texts(file, "few_shot_input_inversion", sheet.few_shot_input_inversion, "inputs", "targets")
    return {
        language: tuple(
            Wording(f"{title}/{language}-{number:02d}", prompt, target)
            for number, (prompt, target) in enumerate(
                _texts(file, f"wordings.{language}", pairs, "prompt", "target"), start=1
            )
        )
        for language, pairs in sheet.wordings.items()
    }


def _texts(file: Path, key: str, entries: Sequence[Pair | FewShot], ask: str, answer: str) -> list[tuple[Text, Text]]:
    """The two Jinja texts of each entry in a list of a file, checked."""
    return [
        (
            Text(getattr(entry, ask), f"{file}: {key}.{index}.{ask}"),
            Text(getattr(entry, answer), f"{file}: {key}.{index}.{answer}"),
        )
        for index, entry in enumerate(entries)
    ]
