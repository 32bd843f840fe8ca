"""Builds a mixture: the records of its parts, `data/records/<source>/`, become `data/mixes/<mixture>/`.

Three passes: the keys of all records are read and decided on (`keys`, `selection`), the chosen records of each shard
are worded and written aside, and the mixture's shards are gathered from those (`wording`).
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from collectors.catalog import Catalog, Source
from collectors.errors import ArtefactError
from collectors.licences import Key
from collectors.mixture import Mixture
from collectors.record import SCHEMA_NUMBER
from pipeline import decisions, folder, keys
from pipeline.applied import Applied, applied, line
from pipeline.books import Manifest, books, close
from pipeline.counts import Counter, counted, counter
from pipeline.engine import Engine
from pipeline.gathering import Gathering, gather
from pipeline.holdout import HOLDOUT
from pipeline.licences import stated
from pipeline.selection import Order, Selection, order, rows_of, seed_of, select
from pipeline.shards import ROWS
from pipeline.wording import Worded, Wording, pools, template_marks, word
from templates.suffix import suffixed, suffixes

VERSION: Final = 4
"""Part of every mixture's fingerprint: raised when this stage makes other rows of the same records."""


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A finished mixture: its folder and manifest, and whether it stood there already."""

    folder: Path
    manifest: Manifest
    up_to_date: bool

    @property
    def warnings(self) -> list[str]:
        """A line each: policies not applied, quotas not met, parts that gave no rows, and records of benchmarks."""
        gaps = self.manifest.get("not_applied")
        said = [line(gaps)] if gaps else []
        for one in self.manifest.get("shortfalls", []):
            given, asked = f"{one['given']:,} {one['unit']}", f"{one['asked']:,}"
            why = "near-duplicates stay together" if one["part"] == HOLDOUT else "there are no more"
            said.append(f"{one['part']} gives {given} of the {asked} asked for; {why}")
        parts = self.manifest["parts"]
        for part in parts:
            if not part["rows"]:
                losses = [f"{rows:,} left out as {reason}" for reason, rows in part["left_out"].items()]
                losses = [f"{part['candidates']:,} records", *losses]
                said.append(f"{part['source']} gives no rows: {', '.join(losses)}")
        said += [
            f"{part['source']} gives {part['evaluation']:,} records of benchmarks; a model that is trained on them "
            "must not be scored on them"
            for part in parts
            if part.get("evaluation")
        ]
        return [f"mixture {self.manifest['mixture']}: {one}" for one in said]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A mixture that can be decided on: its parts written out, their sources and records, what is asked of them."""

    name: str
    mixture: Mixture
    sources: list[Source]
    folders: list[Path]
    records: dict[str, Manifest]
    """The manifests of the records by source."""
    applied: Applied
    counter: Counter | None
    """What tokens are counted by, where any are."""
    out: Path

    def decide(self, engine: Engine) -> tuple[keys.Keys, Selection]:
        """The keys of all records, and which of them are taken; raises what `keys.read` and `select` do."""
        asked = self.applied.asked
        if self.counter is not None:
            measured = {part.source for part in self.mixture.parts if self.mixture.measures(part, "tokens")}
            places = {source: counted(self.counter, source, self.out, engine) for source in sorted(measured)}
            parts = zip(asked, self.mixture.parts, strict=True)
            asked = [replace(one, counts=places.get(part.source)) for one, part in parts]
        known = keys.read(
            self.mixture.parts,
            [source.marked for source in self.sources],
            self.folders,
            [self.records[part.source]["records"] for part in self.mixture.parts],
            engine,
            asked,
        )
        engine.renew()  # for what the workers hold on to is wanted here
        return known, select(self.name, self.mixture, known, self.applied.pairs)


def ready(catalog: Catalog, name: str, out: Path) -> Ready:
    """The mixture `name` (of the catalog, or the path of a mixture file), whose sources are built in `out`.

    Raises `CatalogError` for an unknown mixture, flag or evaluation set, `ArtefactError` for sources that are not
    built, and what `counts.counter` does for a tokenizer that is not there.
    """
    return of_recipe(*catalog.mixture(name), catalog, out)


def of_recipe(name: str, mixture: Mixture, catalog: Catalog, out: Path) -> Ready:
    """The same for a mixture that is written out; the errors are `ready`'s."""
    records = _records(name, mixture, out)
    # One that is named must be there, whether anything is counted by it or not.
    by = counter(mixture.tokenizer) if mixture.tokenizer is not None else None
    return Ready(
        name=name,
        mixture=mixture,
        sources=[catalog.sources[part.source] for part in mixture.parts],
        folders=[out / "records" / part.source for part in mixture.parts],
        records=records,
        applied=applied(name, mixture, catalog, out, characters="characters" in mixture.units),
        counter=by if "tokens" in mixture.units else None,
        out=out,
    )


def mix(catalog: Catalog, name: str, out: Path, engine: Engine, *, strict: bool = False) -> Mixed:
    """Build the mixture `name` (of the catalog, or the path of a mixture file) in the data folder `out`.

    The caller holds the folder's lock. A mixture that stands there with the same fingerprint is left as it is. Raises
    `CatalogError` for an unknown mixture and for one without training rows, `TemplateError` for an unknown template or
    suffix, `ArtefactError` for sources that are not built and, if `strict`, for policies that cannot be applied.
    """
    known_mixture = ready(catalog, name, out)
    name, mixture = known_mixture.name, known_mixture.mixture
    marks = template_marks(mixture.parts)
    if strict and known_mixture.applied.gaps:
        raise ArtefactError(f"mixture {name}: {line(known_mixture.applied.told())}, or leave out --strict")
    manifest = _head(known_mixture, marks, stated(catalog))
    place = out / "mixes" / name
    folder.restore(place)
    finished = folder.manifest(place)
    if finished is not None and finished.get("fingerprint") == manifest["fingerprint"]:
        return Mixed(folder=place, manifest=finished, up_to_date=True)
    known, selection = known_mixture.decide(engine)
    rows = order(mixture.seed, known, selection)
    with folder.building(place) as part:
        decided = decisions.keep(part, mixture, known, selection)
        known = known.decided()
        (part / "fragments").mkdir()
        jobs = partial(_wordings, mixture, known, rows, marks, part / "fragments")
        pools(jobs(), engine)
        worded = list(engine.map(word, jobs()))
        named = zip(mixture.parts, known_mixture.sources, strict=True)
        benchmarks = {part.source for part, source in named if source.evaluation}
        manifest |= books(mixture, known, selection, worded, benchmarks, stated(catalog))
        del known, selection, rows, jobs  # of single records nothing is asked any more, and shards take much memory
        engine.renew()
        manifest |= {"files": _gathered(part, worded, manifest["rows"], engine), "decisions": decided}
        shutil.rmtree(part / "fragments")
        close(manifest)
        folder.write_manifest(part, manifest)
    return Mixed(folder=place, manifest=manifest, up_to_date=False)


def _records(name: str, mixture: Mixture, out: Path) -> dict[str, Manifest]:
    """The manifest of each source; one `ArtefactError` names all those that are not built."""
    found = {part.source: folder.manifest(out / "records" / part.source) for part in mixture.parts}
    missing = [source for source, manifest in found.items() if manifest is None]
    if missing:
        wanted = missing[0] if len(missing) == 1 else f'"{" ".join(missing)}"'
        raise ArtefactError(
            f"mixture {name}: {out / 'records'} lacks {', '.join(missing)}; run make corpus SOURCES={wanted} first"
        )
    return {source: manifest for source, manifest in found.items() if manifest is not None}


def _head(known: Ready, marks: dict[str, str], licences: Mapping[str, Key]) -> Manifest:
    """What a manifest knows before any record is read; `marks` are the fingerprints of the templates.

    `licences` are those of the catalog's sources.
    """
    mixture, verdicts = known.mixture, known.applied.verdicts
    inputs = [
        {"source": source, "fingerprint": found["fingerprint"]}
        | ({"verdicts": verdicts[source]} if source in verdicts else {})
        for source, found in known.records.items()
    ]
    recipe = mixture.model_dump(mode="json", exclude_none=True)
    endings = {part.suffix: _ending(part.suffix) for part in mixture.parts if part.suffix is not None}
    fingerprint = folder.fingerprint(
        stage="mix",
        version=VERSION,
        schema=SCHEMA_NUMBER,
        inputs=inputs,
        recipe=recipe,
        templates=marks,
        suffixes=endings,
        evaluation=[[source.evaluation, source.marked] for source in known.sources],
        licences={source: licences[source] for source in known.records},
        gaps=known.applied.told(),
        tokenizer=known.counter.digest if known.counter is not None else None,
    )
    head: Manifest = {"mixture": known.name, "fingerprint": fingerprint, "inputs": inputs, "recipe": recipe}
    worded = [{"template": template, "fingerprint": mark} for template, mark in marks.items()]
    head |= {"licence": mixture.licence, "not_applied": known.applied.told(), "templates": worded}
    if known.counter is not None:
        head["counted_by"] = {"tokenizer": known.counter.name, "sha256": known.counter.digest}
    return head


def _ending(suffix: str) -> dict[Any, str]:
    """The texts of a suffix, of which there must be one."""
    suffixed(suffix)
    return dict(suffixes()[suffix])


def _wordings(mixture: Mixture, known: keys.Keys, rows: Order, marks: dict[str, str], place: Path) -> Iterator[Wording]:
    """The record shards that give rows, a few together, with the rows they give; fragments are put into `place`."""
    start = 0
    for index, pieces in enumerate(_together(known.pieces)):
        number = pieces[0][0]
        part, made = mixture.parts[number], [rows_of(rows.repeats[span]) for _, _, span in pieces]
        position = rows.position[start : (start := start + sum(len(record) for record, _ in made))]
        if len(position):
            yield Wording(
                shards=tuple((shard, record) for (_, shard, _), (record, _) in zip(pieces, made, strict=True)),
                fragment=place / f"{index:05d}.arrow",
                part=number,
                repeat=np.concatenate([repeat for _, repeat in made]),
                position=position,
                template=part.template,
                fingerprint=marks[part.template],
                suffix=part.suffix,
                seed=seed_of(part, mixture),
                train=rows.train,
                few_shot=part.few_shot,
                pool=place / f"examples-{number:04d}.arrow",
                inversion=part.input_inversion,
                system=part.system,
            )


def _together(pieces: Iterable[keys.Piece]) -> Iterator[list[keys.Piece]]:
    """Neighbouring shards of a part, as many as have no more records together than half a shard may."""
    kept: list[keys.Piece] = []
    for piece in pieces:
        if kept and (kept[0][0] != piece[0] or piece[2].stop - kept[0][2].start > ROWS // 2):
            yield kept
            kept = []
        kept.append(piece)
    if kept:
        yield kept


def _gathered(place: Path, worded: Sequence[Worded], rows: Mapping[str, int], engine: Engine) -> list[Manifest]:
    """Write the mixture's shards, of so many rows a split, into `place`: what its manifest says of each file."""
    files: list[Manifest] = []
    for split, count in rows.items():
        files += (
            {"path": f"{split}-{number:05d}.arrow", "rows": min(ROWS, count - number * ROWS)}
            for number in range(-(-count // ROWS))
        )
    jobs = (
        Gathering(
            path=place / file["path"],
            number=number,
            batches=tuple(found for one in worded if (found := one.fragment.batch(number)) is not None),
            rows=file["rows"],
        )
        for number, file in enumerate(files)
    )
    return [
        {"path": file["path"], "sha256": digest, "rows": file["rows"]}
        for file, digest in zip(files, engine.map(gather, jobs), strict=True)
    ]
