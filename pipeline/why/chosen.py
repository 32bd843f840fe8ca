"""What each built mixture made of a record: its rows there, or the rule by which it was left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.catalog import Catalog
from collectors.errors import TemplateError
from collectors.globs import first_mark
from collectors.mixture import Mixture, Part
from pipeline import candidates, keys, selection, shards
from pipeline.folder import manifest
from pipeline.why.places import LINEAGE, Lineage, Place, Records, threaded

Record = dict[str, Any]

DRAWN: Final = ("max_rows", "weight")
"""The reasons that are decided by a draw in the part alone."""

TAGS: Final = ("lang", "task", "gen")
"""The keys of a `where` that a record answers by itself; `language` is the verdict's, where there is one."""

ALONE: Final = {"where", "evaluation", "duplicate", *DRAWN}
"""The reasons that can be told from a record, those of its id and its part; any other asks for the whole mixture."""

SAID: Final = {
    "licence": "its licence or a term beside it breaks the mixture's policy",
    "leak": "it holds an evaluation item of a set that the mixture drops",
    "flag": "it has a flag that the mixture refuses",
    "prompt": "an earlier record has the same request",
    "near": "it is a near-duplicate of a record that stands for it",
    "rows": "not drawn for the rows that its part asks for",
    "tokens": "not drawn for the tokens that its part asks for",
    "characters": "not drawn for the characters that its part asks for",
    "total": "not drawn for what parts share: the total, or the quota of a nested mixture",
    "where": "its part's where does not let it in",
    "evaluation": "its file is part of a benchmark, for which the part does not ask (evaluation: true)",
    "duplicate": "the same text was taken from an earlier record",
    "max_rows": "over its part's max_rows",
    "weight": "beyond the share that its part's weight gives it",
}
"""What each rule of a mixture means, where nothing nearer is known."""


def mixtures(catalog: Catalog, records: Records) -> "list[Built]":
    """Every mixture that is built, by name."""
    found = []
    for place in sorted((records.out / "mixes").glob("*")):
        if place.suffix not in {".part", ".old"} and (book := manifest(place)) is not None:
            recipe = Mixture.model_validate(book["recipe"])
            found.append(Built(catalog=catalog, records=records, folder=place, book=book, recipe=recipe))
    return found


@dataclass(frozen=True, kw_only=True)
class Built:
    """A built mixture: its folder, its manifest (`book`), and the recipe in that."""

    catalog: Catalog
    records: Records
    folder: Path
    book: Record
    recipe: Mixture
    _pools: dict[int, npt.NDArray[np.uint64]] = field(default_factory=dict)
    """The draws of the candidates of parts that were asked for."""

    def decision(self, lineage: Lineage, record: Record, same: Sequence[Place]) -> Record:
        """Whether the record was `taken`, by which `rule` it was not, and `said` in words; `same` have its id.

        With it `rows` (split, position, repeat), `worded` (the messages), `draw`, `template` and `suffix`, where there
        are such.
        """
        told: Record = {"mixture": self.folder.name, "taken": False, "rule": None, "said": ""}
        numbers = [at for at, part in enumerate(self.recipe.parts) if part.source == lineage.source]
        if not numbers:
            return told | {"rule": "source", "said": f"{lineage.source} is no part of it"}
        number, part = numbers[0], self.recipe.parts[numbers[0]]
        alone = len(numbers) == 1 and self._simple
        try:
            rows = self._rows(record["id"], lineage)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            said = str(error).splitlines()[0]
            return told | {"taken": None, "said": f"{self.folder}: cannot be read ({said}); run make mix again"}
        changed = self._changed()
        if not rows and changed:
            said = f"it was made of other records of {', '.join(changed)}, this one not among its rows; run make mix"
            return told | {"taken": None, "rule": "stale", "said": said}
        if rows:
            told |= {"taken": True, "said": f"{len(rows):,} rows" if len(rows) > 1 else "one row"}
            told |= {"rows": [{name: row[name] for name in ("split", "position", "repeat")} for row in rows]}
            told |= {"template": self._template(part, record, rows[0]["template"]), "worded": rows[0]["messages"]}
            told |= {"suffix": _suffix(part, record)}
        else:
            told |= self._barred(number, lineage, same) if alone else self._decided(numbers, lineage, same)
        if (
            alone
            and told["rule"] is None
            and not changed
            and set(DRAWN) & self.book["parts"][number]["left_out"].keys()
        ):
            told["draw"] = draw = self._draw(number, record["id"])
            if not rows and draw["rank"] > draw["taken"]:
                over = part.max_rows is not None and draw["rank"] > part.max_rows
                told["rule"] = "max_rows" if over else "weight"
                told["said"] = (
                    f"over the part's max_rows of {part.max_rows:,}"
                    if over
                    else f"beyond the share that weight {part.weight} gives its part"
                )
        if not rows and told["rule"] is None:
            told["said"] = "nothing leaves it out any more: the catalog has changed since; run make mix"
        return told

    def _changed(self) -> list[str]:
        """The parts whose records are not those that the mixture was made of."""
        now = {name: book["fingerprint"] for name, book in self.records.manifests.items()}
        return [one["source"] for one in self.book["inputs"] if now.get(one["source"]) != one["fingerprint"]]

    def _rows(self, ident: str, lineage: Lineage) -> list[Record]:
        """The rows of a record, in the order of their positions."""
        found: list[Record] = []
        for file in self.book["files"]:
            path = self.folder / file["path"]
            split, _, shard = path.stem.rpartition("-")
            ids = pl.DataFrame(pa.Table.from_batches(list(shards.batches(path, ["id"]))))["id"]
            places = (ids == ident).arg_true()
            if not places.len():
                continue
            names = [*LINEAGE, "repeat", "template", "messages"]
            rows = pl.DataFrame(pa.Table.from_batches(list(shards.batches(path, names))).select(names))[places]
            for place, row in zip(places, rows.iter_rows(named=True), strict=True):
                if Lineage(*(row[name] for name in LINEAGE[1:])) == lineage:
                    found.append(row | {"split": split, "position": int(shard) * shards.ROWS + place})
        return found

    def _barred(self, number: int, lineage: Lineage, same: Sequence[Place]) -> Record:
        """The rule without a draw that leaves the record out, and in words; nothing where there is none."""
        parts = self.recipe.parts
        frame = self.records.read(same, [*LINEAGE, *TAGS])
        frames = [frame.filter(pl.col("source") == part.source) for part in parts]
        known = keys.of(parts, [self._marks(part) for part in parts], frames)
        verdict = selection.barred(self.recipe, known)
        lineages = [Lineage(*values) for one in frames for values in one.select(LINEAGE[1:]).iter_rows()]
        mine = lineages.index(lineage)
        if verdict[mine] == selection.TAKEN:
            return {}
        rule = selection.REASONS[verdict[mine]]
        part = parts[number]
        if rule == "where":
            row = next(
                one.row(mine - span.start, named=True)
                for one, span in zip(frames, known.parts, strict=True)
                if span.start <= mine < span.stop
            )
            said = ", ".join(
                f"{name} is {row[name] or 'not declared'}, the part takes {' and '.join(values)}"
                for name, values in part.where.allowed().items()
                if row[name] not in values
            )
        elif rule == "evaluation":
            said = "its file is part of a benchmark, for which the part does not ask (evaluation: true)"
        else:
            taken = np.flatnonzero(verdict == selection.TAKEN)
            kept = lineages[taken[np.argmin(known.age[taken])]]
            said = f"the same text was taken from {kept}"
        return {"rule": rule, "said": said}

    def _decided(self, numbers: list[int], lineage: Lineage, same: Sequence[Place]) -> Record:
        """The rule that leaves the record out of its parts, told by deciding on the whole mixture again."""
        pieces, verdict = self._verdicts
        (place,) = (one for one in same if self._lineage(one) == lineage)
        found = [
            verdict[span.start + place.at]
            for number, path, span in pieces
            if number in numbers and path.name == place.shard
        ]
        if selection.TAKEN in found:
            return {}
        rule = selection.REASONS[max(found)]
        return {"rule": rule, "said": SAID[rule]}

    @cached_property
    def _simple(self) -> bool:
        """Whether its rules can be told from a record and those of its id: no policies, groups or verdicts."""
        asked = {name for part in self.recipe.parts for name in (*part.where.columns, *part.where.verdicts)}
        return self.book["left_out"].keys() <= ALONE and not self.recipe.groups and asked <= set(TAGS)

    @cached_property
    def _verdicts(self) -> tuple[tuple[tuple[int, Path, slice], ...], selection.Verdicts]:
        """The shards of all candidates, and the verdicts on them."""
        from pipeline.engine import Engine  # the whole of mixing, for the few mixtures that need it
        from pipeline.mix import of_recipe

        with Engine(1) as engine:
            known, chosen = of_recipe(self.folder.name, self.recipe, self.catalog, self.records.out).decide(engine)
        return known.pieces, chosen.verdict

    def _lineage(self, place: Place) -> Lineage:
        return Lineage(*self.records.read([place], LINEAGE[1:]).row(0))

    def _marks(self, part: Part) -> keys.Marks:
        source = self.catalog.sources.get(part.source)
        return source.marked if source else []

    def _draw(self, number: int, ident: str) -> Record:
        """The record's draw, its rank among the candidates of its part, how many were taken and the last one's draw."""
        pool = self._pools.get(number)
        if pool is None:
            pool = self._pools[number] = self._pool(number)
        seed = selection.seed_of(self.recipe.parts[number], self.recipe)
        mine = int(keys.draws_of(pl.Series([ident]), seed, "draw").item())
        taken = int(self.book["parts"][number]["taken"])
        return {
            "value": mine,
            "rank": int(np.searchsorted(pool, mine)) + 1,
            "of": len(pool),
            "taken": taken,
            "last": int(pool[taken - 1]) if 0 < taken <= len(pool) else None,
        }

    def _pool(self, number: int) -> npt.NDArray[np.uint64]:
        """The draws of a part's candidates ascending; equal records have one, those of earlier parts none."""
        seed = selection.seed_of(self.recipe.parts[number], self.recipe)
        pool = _ascending(self._drawn(number, seed))
        for earlier in range(number):
            theirs = _ascending(self._drawn(earlier, seed))
            places = np.minimum(np.searchsorted(pool, theirs), max(len(pool) - 1, 0))
            if len(pool):
                pool = np.delete(pool, places[pool[places] == theirs])
        return pool

    def _drawn(self, number: int, seed: int) -> list[npt.NDArray[np.uint64]]:
        """The draws of the records that a part lets in, shard by shard."""
        part = self.recipe.parts[number]
        where, marks = part.where.columns, self._marks(part)
        barring = bool(marks) and not part.evaluation

        def drawn(path: Path) -> npt.NDArray[np.uint64]:
            frame = keys.columns(path, ["id", *(["subset"] if barring else []), *where])
            if where:
                frame = frame.filter(pl.Series(candidates.admitted(part.where, frame)))
            if barring:
                marked = [name for name in frame["subset"].unique() if first_mark(name, marks)]
                frame = frame.filter(~pl.col("subset").is_in(marked))
            return keys.draws_of(frame["id"], seed, "draw").to_numpy()

        return threaded(drawn, self.records.shards(part.source))

    def _template(self, part: Part, record: Record, worn: str) -> Record:
        """The wording a row wears: by its template, and the draw that chose it among those of its task and language."""
        told: Record = {"name": part.template, "wording": worn}
        if part.template == "plain":
            return told
        from templates import template  # dear to load, and plain rows do without

        seed = selection.seed_of(part, self.recipe)
        told["draw"] = draw = int(keys.draws_of(pl.Series([record["id"]]), seed, "template").item())
        try:
            known = template.load(part.template)
            frame = _frame(record)
            now, drawn = (
                known.word(one, seed, inversion=part.input_inversion)["template"].item()
                for one in (frame, frame.with_columns(rationale=pl.col("rationale").fill_null("?")))
            )
        except TemplateError as error:
            return told | {"said": f"the draw cannot be followed: {error}"}
        if now != worn.partition("+")[0]:  # behind the plus stands the number of examples before it
            return told | {"said": "the template has changed since the mixture was made; run make mix"}
        if drawn == "plain":
            return told | {"said": "the template has no wording for this task and language"}
        kin = [one.id for one in known.all_wordings if one.id.rpartition("-")[0] == drawn.rpartition("-")[0]]
        told |= {"number": draw % len(kin) + 1, "of": len(kin)}
        return told if now == drawn else told | {"said": f"{drawn} was drawn and wants a rationale, which it lacks"}


def _ascending(draws: Iterable[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """All draws in ascending order, each once."""
    every = np.concatenate([np.empty(0, np.uint64), *draws])
    every.sort()
    first = np.ones(len(every), np.bool_)
    first[1:] = every[1:] != every[:-1]
    kept: npt.NDArray[np.uint64] = every[first]
    return kept


def _frame(record: Record) -> pl.DataFrame:
    names = ("id", "subset", "lang", "language", "instruction", "input", "rationale", "output")
    return pl.DataFrame([{name: record[name] for name in names}], schema=dict.fromkeys(names, pl.String))


def _suffix(part: Part, record: Record) -> Record | None:
    if part.suffix is None:
        return None
    from templates.suffix import suffixed

    try:
        worded = _frame(record).select(suffixed(part.suffix)).item()
    except TemplateError as error:
        return {"name": part.suffix, "text": None, "said": str(error)}
    return {"name": part.suffix, "text": worded.removeprefix(record["instruction"])}
