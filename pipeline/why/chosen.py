"""What each built mixture made of a record: its rows there, or the rule by which it was left out.

A mixture keeps what it decided (see `pipeline.decisions`), so nothing is decided here.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from collectors.errors import ArtefactError
from collectors.mixture import Mixture
from pipeline import decisions, keys
from pipeline.folder import manifest
from pipeline.judge.verdict import REPRESENTATIVE
from pipeline.selection import seed_of
from pipeline.why.near import paired
from pipeline.why.places import Lineage, Place, Records
from pipeline.why.rules import SAID, STANDS, said
from pipeline.why.taken import Rows, ending, wording, worn
from pipeline.why.verdicts import Verdicts

Record = dict[str, Any]

STATES: Final = (*SAID, *decisions.SPLITS)
"""What a record may have come to, in the order in which it is decided; each rules out those before it."""


class Asked(NamedTuple):
    """A record that is asked about: where it lies and comes from, what it holds, its verdict if there is one.

    `same` are the places of all records of its id.
    """

    place: Place
    lineage: Lineage
    record: Record
    verdict: Record | None
    same: Sequence[Place]


class State(NamedTuple):
    """What a part of a mixture, by its number, made of a record."""

    part: int
    place: Place
    outcome: str


def mixtures(records: Records, known: Verdicts) -> "list[Built]":
    """Every mixture that is built, by name."""
    found = []
    for place in sorted((records.out / "mixes").glob("*")):
        if place.suffix not in {".part", ".old"} and (book := manifest(place)) is not None:
            recipe = Mixture.model_validate(book["recipe"])
            found.append(Built(records=records, known=known, folder=place, book=book, recipe=recipe))
    return found


@dataclass(frozen=True, kw_only=True)
class Built:
    """A built mixture: its folder, its manifest (`book`), and the recipe in that."""

    records: Records
    known: Verdicts
    folder: Path
    book: Record
    recipe: Mixture

    def decision(self, asked: Asked) -> Record:
        """Whether the record was `taken`, by which `rule` it was not, and `said` in words.

        With it `rows` (split, position, repeat), `worded` (the messages), `draw`, `template` and `suffix`, where there
        are such. `taken` is None where it is not known.
        """
        told: Record = {"mixture": self.folder.name, "taken": False, "rule": None, "said": ""}
        parts = self._parts(asked.place.source)
        if not parts:
            return told | {"rule": "source", "said": f"{asked.place.source} is no part of it"}
        if "decisions" not in self.book:
            return told | {"taken": None, "said": "built before decisions were kept; run make mix again"}
        try:
            if self.records.manifests[asked.place.source]["fingerprint"] != self._input(asked)["fingerprint"]:
                return told | self._stale(asked, parts[0])
            return told | self._decided(asked)
        except ArtefactError as error:
            return told | {"taken": None, "said": f"{error}; delete {self.folder} and run make mix again"}

    def _parts(self, source: str) -> list[int]:
        return [number for number, part in enumerate(self.recipe.parts) if part.source == source]

    def _input(self, asked: Asked) -> Record:
        """What the manifest tells of the records and verdicts that the mixture was made of."""
        found: Record = next(one for one in self.book["inputs"] if one["source"] == asked.place.source)
        return found

    def _stale(self, asked: Asked, number: int) -> Record:
        """What is told where the decisions are on other records: the rows, if this one is among them."""
        if rows := [row for split in decisions.SPLITS for row in self._rows(asked, split)]:
            return self._taken(asked, rows, number)
        source = asked.place.source
        line = f"it was made of other records of {source}, this one not among its rows; run make mix"
        return {"taken": None, "rule": "stale", "said": line}

    def _decided(self, asked: Asked) -> Record:
        """What is told of a decision: of several parts that of the one which let the record come furthest."""
        state = max(self._states([asked.place]), key=lambda one: (STATES.index(one.outcome), -one.part))
        draw = self._draw(state, asked.record["id"])
        told: Record = {} if draw is None else {"draw": draw}
        if state.outcome not in decisions.SPLITS:
            line = self._stands(state.outcome, asked) or self._said(state, asked)
            return told | {"rule": state.outcome, "said": line}
        rows = self._rows(asked, state.outcome)
        if not rows:
            raise ArtefactError(f"{self.folder}: lacks the row that its decisions tell of")
        return self._taken(asked, rows, state.part) | told

    def _states(self, places: Sequence[Place]) -> list[State]:
        """What each part made of these records."""
        starts = list(accumulate((part["candidates"] for part in self.book["parts"]), initial=0))
        whose = {place.source: self._parts(place.source) for place in places}
        numbered = zip(places, self.records.numbers(places), strict=True)
        listed = [(place, number, part) for place, number in numbered for part in whose[place.source]]
        found = decisions.outcomes(self.folder, [starts[part] + number for _, number, part in listed])
        return [State(part, place, one) for (place, _, part), one in zip(listed, found, strict=True)]

    def _rows(self, asked: Asked, split: str) -> list[Record]:
        """The rows of the record in a split, in their order."""
        names = [file["path"] for file in self.book["files"] if file["path"].startswith(f"{split}-")]
        rows = Rows(split=split, paths=[self.folder / name for name in names], seed=self.recipe.seed)
        quotas = [*self.recipe.parts, *(self.recipe.groups or {}).values()]
        most = max(one.max_repeat for one in quotas) if split == decisions.TRAIN else 1
        return sorted(rows.of(asked.lineage, asked.record["id"], most), key=lambda row: row["position"])

    def _taken(self, asked: Asked, rows: list[Record], number: int) -> Record:
        part = self.recipe.parts[number]
        row = worn(rows[0])
        return {
            "taken": True,
            "said": f"{len(rows):,} rows" if len(rows) > 1 else "one row",
            "rows": [{name: one[name] for name in ("split", "position", "repeat")} for one in rows],
            "template": wording(part, self.recipe, asked.record, row["template"]),
            "worded": row["messages"],
            "suffix": ending(part, asked.record),
        }

    def _said(self, state: State, asked: Asked) -> str:
        """The rule in words, with what of the record met it, as far as that is as it was."""
        part, rule, used = self.recipe.parts[state.part], state.outcome, self._input(asked).get("verdicts")
        fresh = used is not None and used == self.known.marks.get(asked.place.source)
        if rule == "where" and part.where.verdicts and used is not None and not fresh:
            return SAID[rule]
        return said(rule, self.recipe, part, asked.record, asked.verdict if fresh else None)

    def _stands(self, rule: str, asked: Asked) -> str | None:
        """Which record stands for this one, by a rule that takes one for several; None where that is not known."""
        if rule not in STANDS:
            return None
        later = STATES.index(rule) + 1
        for places in self._likely(rule, asked):
            found = [one for one in self._states(places) if STATES.index(one.outcome) >= later]
            if found:
                first = found[0] if len(found) == 1 else min(found, key=self._rank)
                itself = "" if first.outcome in decisions.SPLITS else f" (itself left out, {first.outcome})"
                return STANDS[rule].format(self.records.lineages([first.place])[0]) + itself
        return None

    def _likely(self, rule: str, asked: Asked) -> Iterator[list[Place]]:
        """The records of which one stands for this, those first that do before others."""
        if rule == "duplicate":
            yield [place for place in asked.same if self._parts(place.source)]
        elif asked.verdict is not None:
            name = "prompt_id" if rule == "prompt" else f"{self.recipe.notion}_key"
            own = asked.verdict[name]
            yield self._having(name, [own])
            if rule == "near":
                yield self._having(name, [key for _, key, _ in paired(self.records.out, self.recipe.notion, own)[0]])

    def _having(self, name: str, values: Collection[Any]) -> list[Place]:
        """The records of this mixture's sources whose verdicts have one of these values."""
        wanted = pl.Series(sorted(values)).implode()
        return [
            Place(source, shard, at)
            for source, shard, column in self.known.column(name)
            if self._parts(source)
            for at in column.is_in(wanted).arg_true()
        ]

    def _rank(self, state: State) -> tuple[int, int, int]:
        """By what the record that stands for others is picked among those that do (see `pipeline.near`)."""
        draw = keys.draws_of(self.records.read([state.place], ["id"])["id"], *REPRESENTATIVE).item()
        return state.part, draw, self.records.numbers([state.place])[0]

    def _draw(self, state: State, ident: str) -> Record | None:
        """The record's draw, and how far those went that were taken; None where none had to be drawn."""
        every = [one for one in self.book["decisions"]["draws"] if state.part in one["parts"]]
        if state.outcome not in decisions.SPLITS:
            every = [one for one in every if one["rule"] == state.outcome]
        if not every:
            return None
        last = every[-1]
        seed = seed_of(self.recipe.parts[last["parts"][0]], self.recipe)
        mine = int(keys.draws_of(pl.Series([ident]), seed, "draw").item())
        return {"value": mine} | {name: last[name] for name in ("of", "taken", "last")}
