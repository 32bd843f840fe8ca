"""The verdicts of a data folder, as far as they can be read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from collectors.errors import ArtefactError
from pipeline.judge.read import judged, verdicts
from pipeline.why.places import Place, Records, digits, digits_of, threaded

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of a data folder; `problems` says of each source why there are none of its records.

    `marks` has the fingerprints of the others.
    """

    records: Records
    problems: dict[str, str]
    marks: dict[str, str]
    _kept: dict[tuple[Path, str], pl.Series] = field(default_factory=dict)

    @staticmethod
    def of(records: Records) -> "Verdicts":
        """All that can be read."""
        problems, marks = {}, {}
        for source in records.manifests:
            try:
                if (book := judged(records.out, source)) is None:
                    problems[source] = f"{source} was not judged; run make judge"
                else:
                    marks[source] = str(book["fingerprint"])
            except ArtefactError as error:
                problems[source] = str(error)
        return Verdicts(records, problems, marks)

    def at(self, place: Place) -> Record:
        """The verdict of one record; `ArtefactError` when there is none, or it is another's."""
        if place.source in self.problems:
            raise ArtefactError(self.problems[place.source])
        frame = verdicts(self.records.out, place.source, place.shard)
        ident = self.records.read([place], ["id"])["id"][0]
        if place.at >= frame.height or frame["id"][place.at] != ident:
            folder = self.records.out / "verdicts" / place.source
            raise ArtefactError(f"{folder / place.shard}: is of other records; delete {folder} and run make judge")
        return frame.row(place.at, named=True)

    def column(self, name: str) -> Iterator[tuple[str, str, pl.Series]]:
        """Source, shard and one column that tells duplicates, of all shards; read once."""
        for source in self.records.manifests:
            if source not in self.problems:
                paths = self.records.shards(source)
                new = [path for path in paths if (path, name) not in self._kept]
                read = threaded(lambda path: verdicts(self.records.out, path.parent.name, path.name, [name])[name], new)
                self._kept.update(zip(((path, name) for path in new), read, strict=True))
                for path in paths:
                    yield source, path.name, self._kept[path, name]

    def count(self, name: str, ident: str) -> int:
        """How many records have this id in a column of their verdicts."""
        wanted = digits_of([ident])[0]

        def counted(path: Path) -> int:
            read = partial(verdicts, self.records.out, path.parent.name, path.name, [name])
            here = self.records.out / "verdicts" / path.parent.name / path.name
            return int((digits(here, name, lambda: read()[name]) == wanted).all(axis=1).sum())

        there = [source for source in self.records.manifests if source not in self.problems]
        return sum(threaded(counted, [path for source in there for path in self.records.shards(source)]))
