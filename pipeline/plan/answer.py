"""Planning a mixture: decided on its records where that is quick, reckoned from counts where it is not."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from collectors.catalog import Catalog
from collectors.errors import CatalogError
from collectors.mixture import Mixture
from pipeline import counts, folder
from pipeline.applied import Applied, applied
from pipeline.counts import Counter, counter
from pipeline.engine import Engine
from pipeline.mix import of_recipe
from pipeline.plan import cells
from pipeline.plan.by_counts import reckoned
from pipeline.plan.by_records import decided
from pipeline.plan.figures import figures
from pipeline.plan.outcome import COUNTED, Outcomes
from pipeline.plan.steps import recipe as read_recipe
from pipeline.plan.steps import steps
from pipeline.plan.stock import Stock, expected, repeated, verdicts_on
from pipeline.wording import template_marks
from templates.suffix import suffixed

Record = dict[str, Any]

EXACT: Final = 500_000
"""Records that are decided on one by one; of a mixture of more, counts are enough unless it is asked for."""


def plan(
    catalog: Catalog,
    name: str,
    out: Path,
    starting: Callable[[], Engine],
    *,
    tokenizer: str | None = None,
    recipe: str | None = None,
    exact: bool | None = None,
    say: Callable[[str], None] = print,
) -> Record:
    """What the mixture `name` (of the catalog, or the path of a mixture file) will be, by what is in `out`.

    Where all of its sources are built and small, its records are decided on as `mix` does; else the plan goes by
    counts, which are made where they are not kept, and by what the catalog expects of sources that are not built;
    `exact` chooses either, whatever there is. `tokenizer` counts tokens, in place of the mixture's own; `recipe` is one
    to tell the steps of. `starting` gives the engine, asked for when there is enough to do; what takes long is told to
    `say`. Raises what `mix` raises for a mixture, template or
    tokenizer that cannot be, but for a licence policy that lets nothing in, which is told; `ArtefactError` for `exact`
    where sources are not built.
    """
    name, mixture = catalog.mixture(name)
    mixture = mixture.model_copy(update={"tokenizer": tokenizer or mixture.tokenizer})
    keys = read_recipe(recipe) if recipe is not None else None
    template_marks(mixture.parts)
    for suffix in dict.fromkeys(part.suffix for part in mixture.parts if part.suffix is not None):
        suffixed(suffix)
    by = counter(mixture.tokenizer) if mixture.tokenizer is not None else None
    planning = _Planning(catalog=catalog, name=name, mixture=mixture, out=out, by=by, starting=starting, say=say)
    found = planning.by_records() if (planning.small if exact is None else exact) else planning.by_counts()
    told = figures(name, mixture, catalog, found)
    return told | {"not_applied": planning.gaps()} | ({"recipe": _trained(recipe, keys, told)} if keys else {})


def _trained(recipe: str | None, keys: Record, told: Record) -> Record:
    """The keys of a recipe that its length depends on, and how long that is for what is told of a mixture."""
    return {"name": recipe, **keys, "training": steps(keys, told["rows"]["train"], told["tokens"]["train"])}


@dataclass(frozen=True, kw_only=True)
class _Planning:
    """A mixture that is written out, and what is asked for; `by` counts its tokens."""

    catalog: Catalog
    name: str
    mixture: Mixture
    out: Path
    by: Counter | None
    starting: Callable[[], Engine]
    say: Callable[[str], None]

    @cached_property
    def engine(self) -> Engine:
        """What counts, or decides on many records; to start it takes longer than most plans."""
        return self.starting()

    @cached_property
    def asked(self) -> Applied:
        """What is asked of the records of each part."""
        characters = "characters" in self.mixture.units
        return applied(self.name, self.mixture, self.catalog, self.out, characters=characters)

    @cached_property
    def records(self) -> Mapping[str, Record]:
        """The manifests of the sources that have records."""
        every = {part.source: folder.manifest(self.out / "records" / part.source) for part in self.mixture.parts}
        return {source: found for source, found in every.items() if found is not None}

    @property
    def small(self) -> bool:
        """Whether all records are there, and so few that they are decided on in a moment."""
        sizes = [self.records[part.source]["records"] for part in self.mixture.parts if part.source in self.records]
        return len(sizes) == len(self.mixture.parts) and sum(sizes) <= EXACT

    def gaps(self) -> list[Record]:
        """The policies that cannot be applied to what is built, as a manifest has them."""
        return replace(self.asked, gaps=[gap for gap in self.asked.gaps if gap.source in self.records]).told()

    def by_records(self) -> Outcomes:
        """The plan by records; by counts, where the licence policy lets none in and so there is nothing to decide."""
        ready = of_recipe(self.name, self.mixture, self.catalog, self.out)
        if self.by is not None:
            self._count_tokens(self.by)
        try:
            return decided(ready, self.by, Engine(1) if self.small else self.engine)
        except CatalogError:
            found = self.by_counts() if self.mixture.licence is not None else None
            if found is None or found.total("rows"):
                raise
            return found

    def by_counts(self) -> Outcomes:
        """The plan by counts; those that are not kept are made."""
        books = {source: verdicts_on(self.out, source) for source in self.records}
        found = {
            source: cells.kept(source, records, books[source], self.by, self.out)
            for source, records in self.records.items()
        }
        lacking = [source for source, one in found.items() if one is None]
        with folder.lock(self.out) if lacking else nullcontext():
            for source in lacking:
                self._tell("records", source)
                found[source] = cells.counted(
                    source, self.records[source], books[source], self.by, self.out, self.engine
                )
        stocks = {
            source: Stock(
                known=COUNTED,
                rows=self.records[source]["records"],
                cells=one,
                repeated=repeated(self.mixture, books[source] or {}, self.out),
            )
            for source, one in found.items()
            if one is not None
        }
        others = {part.source for part in self.mixture.parts} - stocks.keys()
        stocks |= {source: expected(source, self.catalog.sources[source]) for source in others}
        return reckoned(self.name, self.mixture, self.catalog.sources, stocks, self.asked.asked)

    def _count_tokens(self, by: Counter) -> None:
        """Have the tokens of all records counted."""
        lacking = [
            source
            for source, found in self.records.items()
            if not counts.are_kept(by, source, found["fingerprint"], self.out)
        ]
        with folder.lock(self.out) if lacking else nullcontext():
            for source in lacking:
                self._tell("tokens", source)
                counts.counted(by, source, self.out, self.engine)

    def _tell(self, what: str, source: str) -> None:
        """Tell of counting that takes more than a moment."""
        if (records := self.records[source]["records"]) > EXACT // 10:
            self.say(f"counting the {what} of {source}, once: {records:,} records")
