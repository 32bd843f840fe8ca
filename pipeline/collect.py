"""collect: raw files to `data/records/<source>/`, with the books of what was left out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import collectors
from collectors.catalog import Catalog, Source
from collectors.choice import words
from collectors.errors import SourceError
from collectors.fetch import fetch
from collectors.fetched import fetched
from collectors.files import RawFile, claimed
from collectors.record import SCHEMA_NUMBER
from collectors.shapes import shape
from pipeline.cutter import Cutter
from pipeline.engine import Engine
from pipeline.folder import Hashes, building, fingerprint, manifest, restore, write_manifest
from pipeline.pieces import Built, build
from templates.tasks import wordings

VERSION: Final = 2
"""Part of every fingerprint of this stage: raised when the same raw bytes would give other records."""

BOOKS: Final = ("rejected", "dropped_parts", "dropped_turns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What `corpus` did for one source: its manifest, its folder, and whether that was built now or there already."""

    manifest: dict[str, Any]
    folder: Path
    fresh: bool


def corpus(
    catalog: Catalog,
    names: Iterable[str],
    raw: Path,
    out: Path,
    *,
    workers: int | None = None,
    limit: int | None = None,
) -> list[Collected]:
    """All of `collecting`, with an engine of its own."""
    with Engine(workers) as engine:
        return list(collecting(catalog, names, raw, out, engine, limit=limit))


def collecting(
    catalog: Catalog, names: Iterable[str], raw: Path, out: Path, engine: Engine, *, limit: int | None = None
) -> Iterator[Collected]:
    """Build the records of the named sources from `raw/<source>/` into `out/records/<source>/`; each one when done.

    `names` may hold globs and tags (see `choice.chosen`); of what they mean, and without names of all sources, those
    are built that have a folder in `raw`. `limit` takes that many raw rows of each file at
    most. A source whose fingerprint has not changed is left as it is. Raises `CatalogError`, `SourceError` or
    `ArtefactError`; what was finished before stays untouched. The caller holds the lock of `out`.
    """
    # Every source is looked at before any is built, so that a missing one costs no work.
    files = {name: claimed(name, source, raw / name) for name, source in present(catalog, list(names), raw).items()}
    for found, _ in files.values():
        for file in found:
            shape(file)
    hashes = Hashes(out)
    for name, (found, unclaimed) in files.items():
        origins = [brought.summary() for brought in fetched(raw / name).origins]
        step = _Step(name, catalog.sources[name], found, unclaimed, origins, out / "records" / name, limit)
        yield step.run(engine, hashes)
        hashes.save()


SAMPLES: Final = Path(collectors.__file__).parent / "samples"
"""The embedded raw files: hand-written rows in each source's native format."""


def raw_folder(
    catalog: Catalog,
    names: list[str],
    origin: str,
    out: Path,
    say: Callable[[str], None] = print,
    *,
    offline: bool = False,
) -> Path:
    """The folder that holds `<source>/<native files>` for an origin: `sample`, `hub` (fetched first) or a folder.

    `offline` leaves it at what was fetched before and says what is missing.
    """
    if origin == "sample":
        say("from the embedded samples: a few hand-written rows a source (--from hub or --from DIR for the real ones)")
        return SAMPLES
    if origin != "hub":
        return Path(origin)
    raw = out / "raw"
    fetch({name: catalog.sources[name] for name in names}, raw, offline=offline, say=say)
    return raw


def present(catalog: Catalog, names: list[str], raw: Path) -> dict[str, Source]:
    """The sources that `names` means: those named outright, and of those meant by globs and tags the ones in `raw`."""
    chosen, outright = catalog.chosen(names), set(words(names))
    if not raw.is_dir() and not outright & chosen.keys():
        example = raw / next(iter(chosen))
        raise SourceError(f"{raw}: no such folder; it should hold one folder a source, such as {example}")
    found = {name: source for name, source in chosen.items() if name in outright or (raw / name).is_dir()}
    if not found:
        raise SourceError(f"{raw}: holds no folder of a source; it should hold some of {', '.join(chosen)}")
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """One source on its way to its folder of records."""

    name: str
    source: Source
    files: list[RawFile]
    unclaimed: list[str]
    origins: list[dict[str, Any]]
    folder: Path
    limit: int | None

    def run(self, engine: Engine, hashes: Hashes) -> Collected:
        restore(self.folder)
        before = manifest(self.folder)
        if before is not None and before.get("fingerprint") == self.fingerprint(hashes):
            return Collected(manifest=before, folder=self.folder, fresh=False)
        with building(self.folder) as part:
            found = self.build(engine, hashes, part)
            write_manifest(part, found)
        return Collected(manifest=found, folder=self.folder, fresh=True)

    def fingerprint(self, hashes: Hashes) -> str:
        worded = self.wordings()
        return fingerprint(
            stage="collect",
            version=VERSION,
            schema=SCHEMA_NUMBER,
            entry=self.source.model_dump(mode="json"),
            files=[[file.subset, hashes.take(file.path)] for file in self.files],
            limit=self.limit,
            **({"wordings": worded} if worded else {}),
        )

    def wordings(self) -> dict[str, str]:
        """The task wordings that the collectors of the files may name: those filed under their modules' names."""
        modules = {file.collector.split(".")[0] for file in self.files if file.collector}
        return {name: text for name, text in wordings().items() if name.split("/")[0] in modules}

    def build(self, engine: Engine, hashes: Hashes, part: Path) -> dict[str, Any]:
        """Fill `part` with shards and rejects; the manifest."""
        stats = {file.subset: file.path.stat() for file in self.files}
        known = {file.subset: digest for file in self.files if (digest := hashes.get(file.path))}
        cutter = Cutter(part=part, known=known, digests={}, limit=self.limit)
        books, rows = Counter[str](), Counter[str]()
        reasons = {book: Counter[str]() for book in BOOKS}
        with (part / "rejects.jsonl").open("wb") as rejects:
            for built in engine.map(build, cutter.pieces(self.files)):
                rejects.write(built.rejects)
                cutter.digests.update(built.digests)
                _enter(built, books, rows, reasons)
        for file in self.files:
            hashes.put(file.path, stats[file.subset], cutter.digests[file.subset])
        if books["raw_rows"] != books["rows_with_records"] + reasons["rejected"].total():
            raise AssertionError(f"{self.name}: the books do not close: {books} {reasons}")
        return {
            "source": self.name,
            "raw_rows": books["raw_rows"],
            "rows_with_records": books["rows_with_records"],
            "records": books["records"],
            **{book: dict(sorted(reasons[book].items())) for book in BOOKS},
            "files": [
                {"path": file.subset, "sha256": cutter.digests[file.subset], "rows": rows[file.subset]}
                for file in self.files
            ],
            "unclaimed": self.unclaimed,
            "origins": self.origins,
            "limit": self.limit,
            "fingerprint": self.fingerprint(hashes),
        }


def _enter(built: Built, books: Counter[str], rows: Counter[str], reasons: dict[str, Counter[str]]) -> None:
    """Add one piece to the books."""
    books.update(raw_rows=sum(built.rows.values()), rows_with_records=built.rows_with_records, records=built.records)
    rows.update(built.rows)
    for book, counter in reasons.items():
        counter.update(getattr(built, book))
