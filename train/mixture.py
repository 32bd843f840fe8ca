"""A built mixture as training reads it: its manifest and its rows, batch by batch."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from collectors.errors import ArtefactError, nearest
from collectors.licences import Key, Licensed
from pipeline import folder, licences, shards, staleness

READ: Final = 512
"""Rows rendered and encoded at a time: what is made of them on the way stays in the processor's caches."""

COLUMNS: Final = ["messages", "instruction", "input", "template"]

Row = dict[str, Any]
Part = str
"""`train` or `holdout`: which shards of the mixture are meant."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """`DATA/mixes/<name>`: where it is and what its manifest says."""

    name: str
    folder: Path
    fingerprint: str
    counts: dict[str, dict[str, int]]
    licensed: Licensed
    """The rows by licence and terms, and of these by source."""
    policy: str | list[str] | None
    """The licence policy that it declares, and keeps to."""

    def rows(self, part: Part) -> Iterator[list[Row]]:
        """The rows of one part in training order, at most `READ` at a time; only the columns that wording needs."""
        for stretch in self.stretches(part):
            yield from read(stretch)

    def stretches(self, part: Part, rows: int | None = None) -> Iterator["Stretch"]:
        """One part cut into stretches of so many rows of a shard, or less at its end; whole shards without a number."""
        first = 0
        for path in shards.paths(self.folder, f"{part}-*.arrow"):
            count = _counted(path)
            for start in range(0, count, rows or max(count, 1)):
                stop = min(count, start + (rows or count))
                yield Stretch(path=path, start=start, stop=stop, first=first + start)
            first += count


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The rows `start` to `stop` of a mixture's shard, of which the first is row `first` of its part."""

    path: Path
    start: int
    stop: int
    first: int


def read(stretch: Stretch) -> Iterator[list[Row]]:
    """The rows of a stretch, at most `READ` at a time; only the columns that wording needs.

    The shard is kept unpacked for its next stretch, until another is read or `release` is called.
    """
    passed = 0
    with _reading(stretch.path):
        stat = stretch.path.stat()
        batches = _unpacked(stretch.path, stat.st_size, stat.st_mtime_ns)
    for batch in batches:
        start, stop = (min(max(0, place - passed), batch.num_rows) for place in (stretch.start, stretch.stop))
        passed += batch.num_rows
        for place in range(start, stop, READ):
            yield _read(batch.slice(place, min(READ, stop - place)))


def release() -> None:
    """Give back the memory of the shard that was read last."""
    _unpacked.cache_clear()


@functools.lru_cache(maxsize=1)
def _unpacked(path: Path, size: int, moment: int) -> list[pa.RecordBatch]:
    return list(shards.batches(path, COLUMNS))


def _read(batch: pa.RecordBatch) -> list[Row]:
    """The rows of a batch; several times as fast as `to_pylist`, which makes an object for every value."""
    messages = batch.column("messages")
    roles, contents = (_listed(messages.flatten().field(name)) for name in ("role", "content"))
    made = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    ends = [end - messages.offsets[0].as_py() for end in messages.offsets.tolist()]
    talks = [made[start:end] for start, end in pairwise(ends)]
    others = [_listed(batch.column(name)) for name in COLUMNS[1:]]
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(talks, *others, strict=True)]


def _listed(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values


def _counted(path: Path) -> int:
    with _reading(path), pa.memory_map(str(path)) as source:
        return int(pa.ipc.open_file(source).count_rows())


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell a shard that is cut short or missing as an `ArtefactError`."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowIOError, OSError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtefactError(f"{path}: is no whole shard of a mixture ({said}); run `make mix` again") from None


def find(out: Path, name: str, sources: Mapping[str, Key] | None = None) -> Mixture:
    """The finished mixture `name` below the data folder `out`.

    `sources` is what the catalog says of their licences; the terms of those that are not there are not known.

    `ArtefactError` when it was never built or is unfinished, with the names that are near and the command to run, or is
    of an older corpus; `CatalogError` when it breaks the licence policy that it declares.
    """
    place = out / "mixes" / name
    manifest = folder.manifest(place) if name and Path(name).name == name else None
    if manifest is None:
        built = [path.parent.name for path in (out / "mixes").glob(f"*/{folder.MANIFEST}")]
        near = f" ({nearest(name, built)})" if built else ""
        raise ArtefactError(f"mixture {name}: not built in {out}{near}; run `make mix MIX={name}` first")
    missing = {"fingerprint", "counts"} - manifest.keys()
    if missing:
        raise ArtefactError(
            f"{place}: its manifest lacks {', '.join(sorted(missing))}; run `make mix MIX={name}` again"
        )
    staleness.check(name, manifest, out)
    known = sources or {}
    licences.check(name, manifest, place, known)
    return Mixture(
        name=name,
        folder=place,
        fingerprint=manifest["fingerprint"],
        counts=manifest["counts"],
        licensed=licences.licensed(manifest, place, known),
        policy=licences.declared(name, manifest),
    )
