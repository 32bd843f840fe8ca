"""A corpus as the report counts it: its sources with their books, whether they are judged, and the counts of each."""

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from collectors.catalog import Catalog
from collectors.errors import ArtefactError
from pipeline import shards
from pipeline.engine import Engine
from pipeline.folder import manifest
from pipeline.judge.read import judged
from pipeline.page.counts import TAGS, Counted, Shard, count, nothing, together

State = Literal["judged", "unjudged", "stale"]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The sources that have records in the data folder `out`, in the catalog's order; others follow by name.

    By name: `books` are the manifests of the records, `states` tell of the verdicts (`stale`: they are of other
    records), `counted` is what was counted by group. Groups are numbered over all sources; `starts` are the numbers of
    each source's first one.
    """

    out: Path
    books: dict[str, dict[str, Any]]
    states: dict[str, State]
    counted: dict[str, Counted]
    starts: dict[str, int]

    def owners(self) -> list[int]:
        """The number of the source of each group."""
        heights = [one.groups.height for one in self.counted.values()]
        return [source for source, height in enumerate(heights) for _ in range(height)]


def gather(catalog: Catalog, out: Path, engine: Engine) -> Corpus:
    """Count every source in `out`, a shard a piece of work.

    Raises `ArtefactError` when there are no records, or a shard cannot be read.
    """
    books = _books(catalog, out)
    states = {name: _state(out, name) for name in books}
    pieces = {
        name: [Shard(out, name, path.name, states[name] == "judged") for path in shards.paths(out / "records" / name)]
        for name, book in books.items()
        if book["records"]
    }
    results = engine.map(count, [shard for every in pieces.values() for shard in every])
    counted = {
        name: together([next(results) for _ in pieces[name]]) if name in pieces else nothing(_tags(catalog, name))
        for name in books
    }
    ends = accumulate(one.groups.height for one in counted.values())
    starts = dict(zip(counted, [0, *ends], strict=False))
    return Corpus(out=out, books=books, states=states, counted=counted, starts=starts)


def _books(catalog: Catalog, out: Path) -> dict[str, dict[str, Any]]:
    there = sorted(path.name for path in (out / "records").glob("*") if path.suffix not in {".part", ".old"})
    known = [name for name in catalog.sources if name in there]
    others = [name for name in there if name not in catalog.sources]
    found = {name: book for name in known + others if (book := manifest(out / "records" / name)) is not None}
    if not found:
        raise ArtefactError(
            f"{out / 'records'}: holds no finished records; run make corpus, or name another data folder with --out"
        )
    return found


def _state(out: Path, source: str) -> State:
    try:
        return "unjudged" if judged(out, source) is None else "judged"
    except ArtefactError:
        return "stale"


def _tags(catalog: Catalog, name: str) -> dict[str, str]:
    source = catalog.sources.get(name)
    return {tag: str(getattr(source, tag, "")) for tag in TAGS}
