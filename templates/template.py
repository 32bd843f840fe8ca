"""Task templates: how a record becomes the prompt a model reads and the target it learns to write.

    load("cot").word(records, seed=7)   # the records with columns prompt, target, template, rationale_used

A template is a set of wordings, one YAML file a task, by language (see `sheet` for the other lists of a file):

    wordings:
      en:
        - prompt: "{{ question }}\\nThink before you answer."
          target: "{{ rationale }}\\nSo the answer is {{ answer }}."
      zh: [...]

The variables are `question` (instruction), `context` (input), `rationale`, `answer` (output) and `options` (the lines
behind "Options:" in a question that lists them). What Jinja a wording may use is told in `text`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.errors import TemplateError, nearest
from collectors.record import keyed
from templates import sheet
from templates.language import WORDED_IN, Language
from templates.sheet import PLAIN_LAYOUT, Layout, Wording

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

_PLAIN: Final = ("question", "context", "rationale", "answer")
"""The variables that every row has at hand: for the plain wording, and to see where a rationale is lacking."""

PLAIN: Final = (
    pl.when(pl.col("context") == "").then("question").otherwise(pl.concat_str("question", pl.lit("\n"), "context"))
)

Sets = dict[tuple[str, Language], tuple[Wording, ...]]
"""Wordings by task and language."""


@dataclass(frozen=True, kw_only=True)
class Shots:
    """Solved examples for each row of a frame.

    `pool` are records that serve as examples, with the columns behind `VARIABLES`. `places` has the shape (rows, most
    examples a row): places in the pool, in the order they are shown in, and -1 behind the last one.
    """

    pool: pl.DataFrame
    places: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Template:
    """The wordings a mixture can name, by task and language.

    `task` is set where one file words every row, whatever its task. `others` are the other lists of the files, by the
    names in `sheet.KINDS`.
    """

    name: str
    task: str | None = None
    wordings: Sets = field(default_factory=dict)
    others: Mapping[str, Sets] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 over every wording's name and texts: part of the fingerprint of what was worded by it."""
        pages = [(each.id, each.prompt.source, each.target.source, each.layout) for each in self.all_wordings]
        return sha256(repr((self.task, pages)).encode()).hexdigest()

    @property
    def inverts(self) -> bool:
        """Whether it has wordings with request and answer exchanged."""
        return bool(self.others.get("input_inversion"))

    def word(self, frame: pl.DataFrame, seed: int, *, inversion: float = 0, shots: Shots | None = None) -> pl.DataFrame:
        """The frame with the columns `prompt`, `target`, `template` (a wording's id, or `plain`) and `rationale_used`.

        Needs the record columns id, subset, lang, language, instruction, input, rationale and output. A record wears
        the wording its keyed hash draws from the set for its task and language. Where there is no such set, and where
        the wording names a rationale that the record lacks, it is worded plainly: instruction and input, then output.
        A share of `inversion` is drawn from the sets with request and answer exchanged, where there are such sets.

        With `shots`, solved examples stand before the request: in the layouts that the files have for the task, else
        worded like the row itself. `template` then ends in `+` and their number.

        Raises `TemplateError` where a wording cannot be rendered for a record.
        """
        used = self._used if shots is None else VARIABLES
        rows = frame.select(
            "id",
            row=pl.int_range(pl.len()),
            choice=self._choices(frame, seed, inversion, shots is not None),
            **{name: VARIABLES[name] for name in used},
        )
        lacking = pl.col("rationale").is_null() & pl.col("choice").is_in(self._reasoned)
        rows = rows.with_columns(choice=pl.when(~lacking).then("choice"))
        if rows["choice"].null_count() == len(rows):
            return frame.hstack(_worn(rows, None, shots).drop("row"))
        groups = rows.partition_by("choice", as_dict=True)
        worn = [
            _worn(group, None if number is None else self.all_wordings[number], shots)
            for (number,), group in groups.items()
        ]
        return frame.hstack(pl.concat(worn).sort("row").drop("row"))

    @cached_property
    def all_wordings(self) -> list[Wording]:
        """Every wording, set after set; a row's choice is a number in this list."""
        every = [self.wordings, *self.others.values()]
        return [wording for sets in every for wordings in sets.values() for wording in wordings]

    @cached_property
    def _reasoned(self) -> list[int]:
        return [number for number, wording in enumerate(self.all_wordings) if wording.uses_rationale]

    @cached_property
    def _used(self) -> list[str]:
        """The variables that a wording names, or the plain one."""
        texts = [text for each in self.all_wordings for text in (each.prompt, each.target)]
        return [name for name in VARIABLES if name in _PLAIN or any(name in text.names for text in texts)]

    @cached_property
    def _places(self) -> dict[str, int]:
        """The number of each wording by its id."""
        return {wording.id: number for number, wording in enumerate(self.all_wordings)}

    def _choices(self, frame: pl.DataFrame, seed: int, inversion: float, shot: bool) -> pl.Series:
        """The number in `all_wordings` of each row's wording; null where no set fits the row."""
        if not self.all_wordings:
            return pl.repeat(None, len(frame), dtype=pl.UInt64, eager=True)
        drawn = frame.select(
            task=_tasks(frame["subset"]) if self.task is None else pl.lit(self.task),
            language=WORDED_IN,
            draw=keyed(seed, "template", "id"),
            turn=keyed(seed, "inversion", "id") < int(inversion * 2**64)
            if 0 < inversion < 1
            else pl.lit(inversion > 0),
        )
        straight = self._drawn(drawn, self.wordings, "few_shot" if shot else None)
        if not inversion:
            return straight
        inverted = self._drawn(
            drawn, self.others.get("input_inversion", {}), "few_shot_input_inversion" if shot else None
        )
        both = drawn.select("turn", straight=straight, inverted=inverted)
        return both.select(
            pl.when(pl.col("turn") & pl.col("inverted").is_not_null()).then("inverted").otherwise("straight")
        ).to_series()

    def _drawn(self, drawn: pl.DataFrame, sets: Sets, kind: str | None) -> pl.Series:
        """The number of the wording that each row draws from its set, of `kind` where there are such for its task."""
        sets = sets | self.others.get(kind or "", {})
        listed = [(*key, self._places[those[0].id], len(those)) for key, those in sets.items()]
        schema: dict[str, Any] = {"task": pl.String, "language": pl.String, "first": pl.UInt64, "count": pl.UInt64}
        fitting = drawn.join(
            pl.DataFrame(listed, schema, orient="row"), on=["task", "language"], how="left", maintain_order="left"
        )
        return fitting.select(choice=pl.col("first") + pl.col("draw") % pl.col("count"))["choice"]


def _tasks(subset: pl.Series) -> pl.Series:
    """The task of each row by its subset, of which there are few."""
    subsets = subset.unique()
    tasks = subsets.to_frame("subset").select(TASK).to_series()
    return subset.replace_strict(subsets, tasks, return_dtype=pl.String)


def _worn(rows: pl.DataFrame, wording: Wording | None, shots: Shots | None) -> pl.DataFrame:
    """One wording, or the plain one, on all the rows that wear it."""
    prompt, target = _rendered(rows, wording)
    name = pl.repeat(wording.id if wording else "plain", len(rows), dtype=pl.String, eager=True)
    if shots is not None:
        layout = wording.layout if wording else PLAIN_LAYOUT
        places = shots.places[rows["row"].to_numpy()]
        prompt = pl.select(
            pl.concat_str(_examples(places, shots.pool, wording, layout), layout.request(pl.lit(prompt)))
        ).to_series()
        count = pl.Series((places >= 0).sum(axis=1))
        name = pl.select(pl.when(count > 0).then(pl.format("{}+{}", name, count)).otherwise(name)).to_series()
    return rows.select(
        "row",
        prompt=prompt,
        target=target,
        template=name,
        rationale_used=pl.lit(bool(wording and wording.uses_rationale)),
    )


def _rendered(rows: pl.DataFrame, wording: Wording | None) -> tuple[pl.Series, pl.Series]:
    """Request and answer of rows that have the columns of `VARIABLES`."""
    if wording is None:
        return rows.select(PLAIN).to_series(), rows["answer"]
    return wording.prompt.render(rows), wording.target.render(rows)


def _examples(places: npt.NDArray[np.int32], pool: pl.DataFrame, wording: Wording | None, layout: Layout) -> pl.Series:
    """The examples of each row as one text; each record of the pool is worded once."""
    used, place = np.unique(places, return_inverse=True)
    shown = pool[used[used >= 0]].select("id", **VARIABLES)
    prompt, target = _rendered(shown, wording)
    texts = shown.select(layout.example(pl.lit(prompt), pl.lit(target))).to_series()
    # The place -1, of no example, comes first where it comes at all.
    texts = pl.concat([pl.Series([""] * int((used < 0).sum()), dtype=pl.String), texts])
    columns = [texts.gather(column) for column in place.reshape(places.shape).T]
    return pl.select(pl.concat_str([pl.lit(column) for column in columns])).to_series()


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
        return _template(name, path.stem, {path.stem: sheet.read(path, name if shipped else path.stem)})
    title = path.resolve().name
    return _template(name, None, {file.stem: sheet.read(file, f"{title}/{file.stem}") for file in files})


def _template(name: str, task: str | None, sheets: Mapping[str, sheet.Wordings]) -> Template:
    """The template that some files make, by task."""
    kinds: dict[str, Sets] = {
        kind: {(its, language): those for its, lists in sheets.items() for language, those in lists[kind].items()}
        for kind in sheet.KINDS
    }
    wordings = kinds.pop("wordings")
    return Template(name, task, wordings, kinds)
