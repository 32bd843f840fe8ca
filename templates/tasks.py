"""Task wordings: the request of a source that has texts and answers but words no question of its own.

    instructed(frame)   # the frame with `instruction` filled where the column `wording` says `csl/title`

One YAML file a source, `tasks/<source>.yaml`, with exactly one wording a task. Unlike a template's wordings these are
part of the record and of its id, so a wording is fixed: text, or Jinja by the rules of `text` without any variable.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Final

import polars as pl
from pydantic import Field

from collectors.errors import CatalogError, TemplateError, nearest
from collectors.nodes import Node, parsed, read_yaml
from templates.text import Text

HOME: Final = Path(__file__).parent / "tasks"
"""Where the task wordings that come with the program lie."""


class Sheet(Node):
    """One YAML file: a wording for each task of a source."""

    wordings: Annotated[dict[str, str], Field(min_length=1)]


def instructed(frame: pl.DataFrame) -> pl.DataFrame:
    """A collector's frame with every null `instruction` filled by the wording that the column `wording` names.

    A name is `<source>/<task>`; a null one fills nothing. The column is dropped; a frame without it is left as it is.
    Raises `TemplateError` for a name that no file in `tasks/` has.
    """
    if "wording" not in frame.columns:
        return frame
    known = wordings()
    for name in frame["wording"].drop_nulls().unique().sort():
        if name not in known:
            raise TemplateError(f"task wording {name!r}: is not there; {nearest(name, known)}")
    worded = pl.col("wording").cast(pl.String).replace_strict(known, default=None, return_dtype=pl.String)
    return frame.with_columns(instruction=pl.coalesce(pl.col("instruction").cast(pl.String), worded)).drop("wording")


@cache
def wordings() -> dict[str, str]:
    """Every task wording that comes with the program, by `<source>/<task>`."""
    files = sorted(HOME.glob("*.yaml"))
    return {f"{file.stem}/{task}": text for file in files for task, text in read_tasks(file).items()}


def read_tasks(file: Path) -> dict[str, str]:
    """The rendered wording of each task in a YAML file; `TemplateError` names the file and the place in it."""
    try:
        sheet = parsed(Sheet, read_yaml(file), str(file))
    except CatalogError as error:  # the fault is told right, but it lies in a template
        raise TemplateError(str(error)) from None
    return {task: _rendered(source, f"{file}: wordings.{task}") for task, source in sheet.wordings.items()}


def _rendered(source: str, where: str) -> str:
    text = Text(source, where)
    for name in sorted(text.names):
        raise TemplateError(f"{where}: names {name!r}; a task's wording is the same for every record, so it names none")
    rendered = text.render(pl.DataFrame({"id": [None]}, schema={"id": pl.String}))
    if not rendered.item().strip():
        raise TemplateError(f"{where}: is empty; give the words of the request")
    return str(rendered.item())
