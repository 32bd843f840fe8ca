"""What can be compared: a built mixture, or the records of one source or of a whole data folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from collectors.catalog import built_name
from collectors.errors import ArtefactError, CatalogError, nearest
from pipeline import shards
from pipeline.folder import manifest

Kind = Literal["mixture", "corpus"]

UNFINISHED: Final = {".part", ".old"}
"""The endings of folders that are being written or replaced."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared: its shards in order, and how many rows they hold together.

    `verdicts` are the folders of the verdicts on the records it was made of, where there are any.
    """

    name: str
    kind: Kind
    place: Path
    shards: tuple[Path, ...]
    rows: int
    verdicts: tuple[Path, ...]


def side(asked: str, out: Path) -> Side:
    """What `asked` names: a mixture or a source built in `out`, or the folder of one, or of a whole corpus.

    A mixture goes before a source of its name, and both before a folder. Raises `ArtefactError` for what is not built,
    or not to its end.
    """
    name = built_name(asked) if asked.endswith((".yaml", ".yml")) else asked
    if "/" not in name and name not in {"", ".", ".."}:
        for place in (out / "mixes" / name, out / "records" / name):
            if (book := manifest(place)) is not None:
                return _of(asked, place, book)
        for place, command in (
            (out / "mixes" / name, "make mix MIX="),
            (out / "records" / name, "make corpus SOURCES="),
        ):
            if place.is_dir() or place.with_name(f"{name}.part").is_dir():
                raise ArtefactError(f"{place}: is unfinished; run {command}{name}")
    place = Path(asked)
    if asked and place.is_dir():
        return _of(asked, place, manifest(place))
    built = [path.name for below in ("mixes", "records") for path in _finished(out / below)]
    raise ArtefactError(
        f"{asked or 'diff'}: neither a mixture nor a source is built under this name in {out}, and no folder has it; "
        f"{nearest(name, built)}"
    )


def _of(asked: str, place: Path, book: dict[str, Any] | None) -> Side:
    """The side in the folder `place`, which has this manifest or none."""
    if book is not None and "tree" in book:
        raise ArtefactError(f"{place}: is a mixture as it is published; name the one it was made of, in DATA/mixes")
    if book is not None and "mixture" in book:
        return _mixture(asked, place, book)
    if book is not None and "records" in book:
        return _corpus(asked, place, [place], place.parent.parent)
    sources = _finished(place / "records")
    if sources:
        return _corpus(asked, place, sources, place)
    if (place / "records").is_dir() or place.suffix in UNFINISHED or any(place.glob("*.arrow")):
        raise ArtefactError(f"{place}: holds nothing that is finished; run make mix or make corpus again")
    raise ArtefactError(f"{place}: is neither a built mixture, nor a source's records, nor a data folder")


def _mixture(asked: str, place: Path, book: dict[str, Any]) -> Side:
    data = place.parent.parent
    sources = book.get("counts", {}).get("source", {})
    return Side(
        name=asked,
        kind="mixture",
        place=place,
        shards=tuple(place / file["path"] for file in book["files"]),
        rows=sum(book["rows"].values()),
        verdicts=tuple(_judged(data, sources)) if place.parent.name == "mixes" else (),
    )


def _corpus(asked: str, place: Path, sources: list[Path], data: Path) -> Side:
    return Side(
        name=asked,
        kind="corpus",
        place=place,
        shards=tuple(path for source in sources for path in shards.paths(source)),
        rows=sum(int((manifest(source) or {})["records"]) for source in sources),
        verdicts=tuple(_judged(data, [source.name for source in sources])),
    )


def _finished(place: Path) -> list[Path]:
    """The finished folders in a folder, by name."""
    return [path for path in sorted(place.glob("*")) if path.suffix not in UNFINISHED and manifest(path) is not None]


def _judged(data: Path, sources: Any) -> Iterator[Path]:
    for source in sorted(sources):
        if manifest(data / "verdicts" / source) is not None:
            yield data / "verdicts" / source


def check_kinds(first: Side, second: Side) -> None:
    """Only like is compared with like: `CatalogError` for a mixture and a corpus."""
    if first.kind != second.kind:
        raise CatalogError(
            f"diff: {first.name} is a {first.kind} and {second.name} a {second.kind}; name two mixtures or two corpora"
        )
