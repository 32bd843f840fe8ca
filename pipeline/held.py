"""What the records that a mixture took hold, by the verdicts on them: evaluation items, flags, near-duplicates."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError
from pipeline import folder, shards
from pipeline.judge.read import verdicts
from pipeline.judge.verdict import PAIRS
from pipeline.keys import Flags, Halves, halves

Hashes = npt.NDArray[np.uint64]

KEYS: Final = {"request": "request_key", "row": "row_key"}
"""The notions of near-duplicates, and the column of the verdicts that each is told by."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Of the records that a mixture took from one source, each counted once however often it is repeated.

    `leaks` are those that hold an item, by evaluation set; `flags` those that have a flag; `near` those that are
    near-duplicates of another record of the mixture which stands for them, by notion.
    """

    taken: int
    leaks: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """The ids that a mixture took from a source, ascending, how many records each has, and the keys of their verdicts.

    `run` is how many of them share an upper half at most. `judged` says of which ids a verdict was found.
    """

    ids: Halves
    records: npt.NDArray[np.int64]
    run: int
    keys: dict[str, Hashes]
    judged: Flags

    def places(self, ids: Halves) -> tuple[npt.NDArray[np.int64], Flags]:
        """Where each of these ids stands among the taken ones, and whether it is one of them."""
        last = len(self.ids) - 1
        at = np.searchsorted(self.ids[:, 0], ids[:, 0])
        found = np.zeros(len(ids), np.bool_)
        for _ in range(self.run):
            found |= (self.ids[np.minimum(at, last)] == ids).all(axis=1)
            at = np.where(found, at, at + 1)
        return np.minimum(at, last), found


def held(out: Path, paths: Iterable[Path], sources: Sequence[str]) -> dict[str, Held]:
    """What the mixture in these shards took from each source: what it holds of those `sources` that are judged.

    Their verdicts, in the data folder `out`, must be on the records that the mixture was made of. Near-duplicates are
    looked for among the records of all of them. Raises `ArtefactError` when a shard cannot be read.
    """
    taken = _taken(paths)
    judged = [name for name in sources if name in taken]
    counted = {name: _counted(out, name, taken[name]) for name in judged}
    near = _near(out / "verdicts" / PAIRS, [taken[name] for name in judged])
    return {
        name: Held(
            taken=int(one.records.sum()),
            leaks=counted[name][0] if name in counted else {},
            flags=counted[name][1] if name in counted else {},
            near=near[judged.index(name)] if name in counted else {},
        )
        for name, one in sorted(taken.items())
    }


def _taken(paths: Iterable[Path]) -> dict[str, _Taken]:
    """What a mixture took from each source, without the repeats."""
    found: dict[str, list[Halves]] = {}
    for path in paths:
        try:
            for batch in shards.batches(path, ["id", "source", "repeat"]):
                plain = pa.table(
                    {name: batch[name].cast(pa.large_string()) for name in ("id", "source")}
                    | {"repeat": batch["repeat"]}
                )
                frame = pl.DataFrame(plain).filter(pl.col("repeat") == 0)
                for (source,), rows in frame.group_by("source"):
                    found.setdefault(str(source), []).append(halves(rows["id"]))
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise ArtefactError(
                f"{path}: is no whole shard of a mixture ({str(error).splitlines()[0]}); "
                f"run make mix MIX={path.parent.name} again"
            ) from None
    return {source: _grouped(np.concatenate(ids)) for source, ids in found.items()}


def _grouped(ids: Halves) -> _Taken:
    ids = ids[np.lexsort((ids[:, 1], ids[:, 0]))]
    starts = np.flatnonzero(np.r_[True, (ids[1:] != ids[:-1]).any(axis=1)])
    records = np.diff(starts, append=len(ids))
    ids = ids[starts]
    tops = np.flatnonzero(np.r_[True, ids[1:, 0] != ids[:-1, 0]])
    return _Taken(
        ids=ids,
        records=records,
        run=int(np.diff(tops, append=len(ids)).max()),
        keys={notion: np.zeros(len(ids), np.uint64) for notion in KEYS},
        judged=np.zeros(len(ids), np.bool_),
    )


def _counted(out: Path, source: str, taken: _Taken) -> tuple[dict[str, int], dict[str, int]]:
    """The records that hold items, by evaluation set, and those that have flags; the keys are put in place."""
    leaks, flags = Counter[str](), Counter[str]()
    for path in shards.paths(out / "verdicts" / source):
        frame = verdicts(out, source, path.name, ["id", "leaks", "flags", *KEYS.values()]).unique(
            "id", maintain_order=True
        )
        at, ours = taken.places(halves(frame["id"]))
        # A record that stands twice in its source has one verdict twice.
        ours = ours & ~taken.judged[at]
        at, frame = at[ours], frame.filter(pl.Series(ours))
        taken.judged[at] = True
        for notion, column in KEYS.items():
            taken.keys[notion][at] = frame[column].to_numpy()
        frame = frame.select("leaks", "flags", records=pl.Series(taken.records[at]))
        suites = pl.col("leaks").list.eval(pl.element().str.extract("^([^/]*)/").unique())
        for names, counter in ((suites, leaks), (pl.col("flags"), flags)):
            each = frame.select("records", name=names).explode("name").drop_nulls("name")
            counter.update(dict(each.group_by("name").agg(pl.col("records").sum()).iter_rows()))
    return dict(sorted(leaks.items())), dict(sorted(flags.items()))


def _near(pairs: Path, taken: Sequence[_Taken]) -> list[dict[str, int]]:
    """The records of each source that another record of the mixture stands for, by notion; none without `pairs`."""
    if folder.manifest(pairs) is None or not taken:
        return [{} for _ in taken]
    from pipeline.judge.clusters import mixture_clusters  # these load a compiler, and many cards do without
    from pipeline.judge.register import representative_draws

    records = np.concatenate([one.records for one in taken])
    source = np.repeat(np.arange(len(taken)), [len(one.records) for one in taken])
    drawn = representative_draws(np.concatenate([one.ids for one in taken]))
    order = np.lexsort((drawn, source))
    found: list[dict[str, int]] = [{} for _ in taken]
    for notion in KEYS:
        keys = np.concatenate([one.keys[notion] for one in taken])
        alone = np.empty(len(keys), np.bool_)
        alone[order] = mixture_clusters(keys[order], pairs, notion) == np.arange(len(keys))
        # Further records of one id repeat the first.
        repeats = np.where(alone, records - 1, records)
        sums = np.bincount(source, repeats, len(taken))
        for told, count in zip(found, sums.tolist(), strict=True):
            told[notion] = int(count)
    return found
