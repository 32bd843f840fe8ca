"""Evaluation sets: questions that models are scored on, and that no record should hold."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from collectors.licences import Licence, Term
from collectors.nodes import Node
from collectors.origin import Origin, choices

Names = str | list[str]


class Fields(Node):
    """Native columns of an item; of several names for the question the first that is present counts.

    `options` are the columns that hold the answers to choose from, one each or all in one.
    """

    question: Names
    options: list[str] = []
    answer: str | None = None


class Split(Node):
    """Files that one glob names, members of a zip as if it were unpacked where it lies.

    Items that are not `scored` are no leak: training splits, and what is no question.
    """

    glob: str
    scored: bool = True


class Suite(Node):
    """One evaluation set. `format` is that of all its files: `json` is an array or JSON Lines, whatever the name.

    A file named `.xlsx` is a workbook whatever `format` says, read by position: question, options, answer.
    """

    title: str
    about: str
    homepage: Annotated[str, Field(pattern=r"^https://\S+$")]
    origins: list[Origin]
    files: Annotated[list[Split], Field(min_length=1)]
    format: Literal["json", "csv"]
    columns: Fields
    license: Licence
    terms: list[Term] = []
    rows: int
    verified: bool = True

    @property
    def alternatives(self) -> list[list[Origin]]:
        """The origins by choice, the best first."""
        return choices(self.origins)

    @field_validator("files", mode="before")
    @classmethod
    def _globs(cls, files: object) -> object:
        return [{"glob": one} if isinstance(one, str) else one for one in files] if isinstance(files, list) else files
