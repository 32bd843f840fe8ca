"""From raw files to pieces of work, each of which becomes one shard; where one ends follows from the files alone."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from pathlib import Path
from typing import BinaryIO, Final, cast

from collectors import blocks
from collectors.archives import is_archive
from collectors.blocks import Block
from collectors.cut import cut
from collectors.errors import SourceError
from collectors.files import GZIP, ZSTD, Hashing, RawFile, opened
from collectors.shapes import shape

SMALL: Final = 1 << 20
"""Bytes of a file that is cut by whoever builds it; there may be thousands of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What becomes one shard: a block or some that follow on one another, each with its file; or small files, uncut.

    Of the latter `known` has the sha256 where that is known, and `limit` ends each behind so many rows.
    """

    shard: Path
    blocks: tuple[tuple[RawFile, Block], ...] = ()
    files: tuple[RawFile, ...] = ()
    known: dict[str, str] = field(default_factory=dict)
    limit: int | None = None


@dataclass(kw_only=True, slots=True)
class Cutter:
    """Cuts large files into pieces; each is read once, to be cut and, unless `known` has its sha256, hashed.

    Once the pieces of such a file are drawn, `digests` has its sha256 by subset; small ones are cut and hashed by
    whoever builds them.
    """

    part: Path
    known: dict[str, str]
    digests: dict[str, str]
    limit: int | None = None

    def pieces(self, files: list[RawFile]) -> Iterator[Piece]:
        """The pieces of all files, in order. `SourceError` for what is no file of its kind."""
        numbers = count()
        for small, run in groupby(files, key=_is_small):
            for piece in self._files(run) if small else self._blocks(run):
                yield replace(piece, shard=self.part / f"{next(numbers):05d}.arrow")

    def _files(self, files: Iterable[RawFile]) -> Iterator[Piece]:
        """Pieces of small files, about as many bytes in each as a block has."""
        waiting: list[RawFile] = []
        length = 0
        for file in files:
            size = file.path.stat().st_size
            if waiting and length + size > blocks.BYTES:
                yield self._of(waiting)
                waiting, length = [], 0
            waiting.append(file)
            length += size
        yield self._of(waiting)

    def _of(self, files: list[RawFile]) -> Piece:
        known = {file.subset: self.known[file.subset] for file in files if file.subset in self.known}
        return Piece(shard=self.part, files=tuple(files), known=known, limit=self.limit)

    def _blocks(self, files: Iterable[RawFile]) -> Iterator[Piece]:
        """Pieces of the blocks of large files."""
        waiting: list[tuple[RawFile, Block]] = []
        length = rows = 0
        for file in files:
            for block in blocks_of(file, self.known.get(file.subset), self.limit, self.digests):
                length, rows = length + block.length, rows + block.rows
                if waiting and (length > blocks.BYTES or rows > blocks.ROWS):
                    yield Piece(shard=self.part, blocks=tuple(waiting))
                    waiting, length, rows = [], block.length, block.rows
                waiting.append((file, block))
        if waiting:
            yield Piece(shard=self.part, blocks=tuple(waiting))


def _is_small(file: RawFile) -> bool:
    """Whether a file is small, and so are its contents: a packed one may hold a thousand times its size."""
    try:
        with file.path.open("rb", buffering=0) as handle:
            small = os.fstat(handle.fileno()).st_size < SMALL and not is_archive(file.path)
            return small and not handle.read(len(ZSTD)).startswith((GZIP, ZSTD))
    except OSError as error:
        raise SourceError(f"{file.source}: {file.path}: cannot be read: {error.strerror}") from None


def blocks_of(file: RawFile, known: str | None, limit: int | None, digests: dict[str, str]) -> Iterator[Block]:
    """The blocks of a file; when they are drawn, `digests` has its sha256, which is taken unless it is `known`."""
    try:
        handle = file.path.open("rb", buffering=0)
    except OSError as error:
        raise SourceError(f"{file.source}: {file.path}: cannot be read: {error.strerror}") from None
    with handle:
        hashing = None if known else Hashing(cast(BinaryIO, handle))
        with opened(file, cast(BinaryIO, hashing or handle)) as (stream, packed):
            yield from cut(file, shape(file), stream, packed, limit)
        digests[file.subset] = known if hashing is None else hashing.drained()  # type: ignore[assignment]
