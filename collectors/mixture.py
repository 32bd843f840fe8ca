"""A mixture: which records are taken, how often, and how they are worded. One node a key of the YAML."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from collectors.nodes import Node

Names = str | list[str]


class Where(Node):
    """Which of a part's records are candidates: each key names the values that are let in."""

    lang: Names | None = None
    task: Names | None = None
    gen: Names | None = None
    language: Names | None = None

    def allowed(self) -> dict[str, list[str]]:
        """The keys that are set, each with its list of values."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: [value] if isinstance(value, str) else value for name, value in given.items() if value is not None
        }


class Part(Node):
    """One source's share of a mixture.

    Without `weight` a part gives every candidate, at most `max_rows` of them. Parts with weights stand to each other
    as their weights do, as large as the scarcest of them allows at `max_repeat` copies of a row. `evaluation` lets in
    the records of files that the catalog marks as part of a benchmark.
    """

    source: str
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    max_repeat: Annotated[int, Field(ge=1)] = 1
    where: Where = Where()
    evaluation: bool = False
    template: str = "plain"
    suffix: str | None = None
    seed: int | None = None


class Holdout(Node):
    """How many of the rows taken are held out of training: a number of rows, or a share of them."""

    rows: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Holdout":
        if (self.rows is None) == (self.share is None):
            raise ValueError("give either rows or share")
        return self


class Mixture(Node):
    """What `make mix` builds: parts in order (of equal rows the earlier part's is kept), one seed, one holdout."""

    about: str
    parts: Annotated[list[Part], Field(min_length=1)]
    seed: int = 0
    holdout: Holdout | None = None
    version: Literal[1] = 1

    @model_validator(mode="after")
    def _sources_once(self) -> "Mixture":
        names = [part.source for part in self.parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands in two parts; merge them")
        return self
