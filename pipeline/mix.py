"""Builds a mixture: the records of its parts, `data/records/<source>/`, become `data/mixes/<mixture>/`.

Three passes: the keys of all records are read and decided on (`keys`, `selection`), the chosen records of each shard
are worded and written aside, and the mixture's shards are gathered from those (`wording`).
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from collectors.catalog import Catalog, Source
from collectors.errors import ArtefactError
from collectors.mixture import Mixture
from collectors.record import SCHEMA_NUMBER
from pipeline import folder, keys
from pipeline.books import Manifest, books, close
from pipeline.engine import Engine
from pipeline.selection import Order, order, seed_of, select
from pipeline.shards import ROWS
from pipeline.wording import Gathering, Worded, Wording, gather, word
from templates import template
from templates.suffix import suffixed, suffixes

VERSION: Final = 1
"""Part of every mixture's fingerprint: raised when this stage makes other rows of the same records."""


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A finished mixture: its folder and manifest, and whether it stood there already."""

    folder: Path
    manifest: Manifest
    up_to_date: bool

    @property
    def warnings(self) -> list[str]:
        """One line for each part that gave no rows, and for each that gave records of benchmarks."""
        parts = self.manifest["parts"]
        return [
            f"mixture {self.manifest['mixture']}: {part['source']} gives no rows: "
            + ", ".join(
                [
                    f"{part['candidates']:,} records",
                    *(f"{rows:,} left out as {reason}" for reason, rows in part["left_out"].items()),
                ]
            )
            for part in parts
            if not part["rows"]
        ] + [
            f"mixture {self.manifest['mixture']}: {part['source']} gives {part['evaluation']:,} records of benchmarks; "
            "a model that is trained on them must not be scored on them"
            for part in parts
            if part.get("evaluation")
        ]


def mix(catalog: Catalog, name: str, out: Path, engine: Engine) -> Mixed:
    """Build the mixture `name` (of the catalog, or the path of a mixture file) in the data folder `out`.

    The caller holds the folder's lock. A mixture that stands there with the same fingerprint is left as it is. Raises
    `CatalogError` for an unknown mixture and for one without training rows, `TemplateError` for an unknown template or
    suffix, `ArtefactError` for sources that are not built.
    """
    name, mixture = catalog.mixture(name)
    marks = {part.template: template.load(part.template).fingerprint for part in mixture.parts}
    records = _records(name, mixture, out)
    sources = [catalog.sources[part.source] for part in mixture.parts]
    manifest = _head(name, mixture, records, marks, sources)
    place = out / "mixes" / name
    folder.restore(place)
    finished = folder.manifest(place)
    if finished is not None and finished.get("fingerprint") == manifest["fingerprint"]:
        return Mixed(folder=place, manifest=finished, up_to_date=True)
    folders = [out / "records" / part.source for part in mixture.parts]
    marked = [source.marked for source in sources]
    known = keys.read(mixture.parts, marked, folders, [found["records"] for found in records], engine)
    selection = select(name, mixture, known)
    rows = order(mixture.seed, known, selection)
    with folder.building(place) as part:
        (part / "fragments").mkdir()
        worded = list(engine.map(word, _wordings(mixture, known, rows, marks, part / "fragments")))
        files = _gathered(part, worded, rows, engine)
        shutil.rmtree(part / "fragments")
        benchmarks = {part.source for part, source in zip(mixture.parts, sources, strict=True) if source.evaluation}
        manifest |= books(mixture, known, selection, worded, benchmarks) | {"files": files}
        close(manifest)
        folder.write_manifest(part, manifest)
    return Mixed(folder=place, manifest=manifest, up_to_date=False)


def _records(name: str, mixture: Mixture, out: Path) -> list[Manifest]:
    """The manifest of each part's source; one `ArtefactError` names all those that are not built."""
    found = {part.source: folder.manifest(out / "records" / part.source) for part in mixture.parts}
    missing = [source for source, manifest in found.items() if manifest is None]
    if missing:
        wanted = missing[0] if len(missing) == 1 else f'"{" ".join(missing)}"'
        raise ArtefactError(
            f"mixture {name}: {out / 'records'} lacks {', '.join(missing)}; run make corpus SOURCES={wanted} first"
        )
    return [manifest for manifest in found.values() if manifest is not None]


def _head(
    name: str, mixture: Mixture, records: Iterable[Manifest], marks: dict[str, str], sources: Iterable[Source]
) -> Manifest:
    """What a manifest knows before any record is read; `marks` are the fingerprints of the templates."""
    inputs = [{"source": found["source"], "fingerprint": found["fingerprint"]} for found in records]
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
        evaluation=[[source.evaluation, source.marked] for source in sources],
    )
    return {"mixture": name, "fingerprint": fingerprint, "inputs": inputs, "recipe": recipe}


def _ending(suffix: str) -> dict[Any, str]:
    """The texts of a suffix, of which there must be one."""
    suffixed(suffix)
    return dict(suffixes()[suffix])


def _wordings(mixture: Mixture, known: keys.Keys, rows: Order, marks: dict[str, str], place: Path) -> Iterator[Wording]:
    """The record shards that give rows, each with the rows it gives; fragments are put into `place`."""
    for index, (number, shard, span) in enumerate(known.pieces):
        part = mixture.parts[number]
        first, end = np.searchsorted(rows.record, np.array([span.start, span.stop], np.uint32))
        if first < end:
            yield Wording(
                shard=shard,
                fragment=place / f"{index:05d}.arrow",
                part=number,
                record=rows.record[first:end] - np.uint32(span.start),
                repeat=rows.repeat[first:end],
                position=rows.position[first:end],
                template=part.template,
                fingerprint=marks[part.template],
                suffix=part.suffix,
                seed=seed_of(part, mixture),
            )


def _gathered(place: Path, worded: Iterable[Worded], rows: Order, engine: Engine) -> list[Manifest]:
    """Write the mixture's shards into `place`: what its manifest says of each file."""
    batches: dict[int, list[tuple[Path, int]]] = {}
    for one in worded:
        for batch, shard in enumerate(one.batches):
            batches.setdefault(shard, []).append((one.fragment, batch))
    files: list[Manifest] = []
    for split, count in (("train", rows.train), ("holdout", rows.holdout)):
        files += (
            {"path": f"{split}-{number:05d}.arrow", "rows": min(ROWS, count - number * ROWS)}
            for number in range(-(-count // ROWS))
        )
    jobs = [
        Gathering(shard=place / file["path"], batches=tuple(batches[shard]), rows=file["rows"])
        for shard, file in enumerate(files)
    ]
    return [
        {"path": file["path"], "sha256": digest, "rows": file["rows"]}
        for file, digest in zip(files, engine.map(gather, jobs), strict=True)
    ]
