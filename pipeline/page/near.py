"""Near-duplicates between sources: how many rows of one have a near-duplicate in another."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.errors import ArtefactError
from pipeline.folder import manifest
from pipeline.judge.read import pairs, read_pairs
from pipeline.judge.register import Hashes, Numbers
from pipeline.judge.signed import NOTIONS
from pipeline.judge.verdict import PAIRS
from pipeline.page.corpus import Corpus, State


def matrices(corpus: Corpus) -> dict[str, Any]:
    """The near-duplicates of every group, by notion: `sources` of (group, source, rows), `elsewhere` of (group, rows).

    `near_state` says whether they are known: `stale` where a judged source had no part in the last merge. Raises
    `ArtefactError` when the pairs cannot be read.
    """
    state, judged = _state(corpus), [name for name, state in corpus.states.items() if state == "judged"]
    if state != "judged":
        return {"near_state": state, "near": {}}
    keys = pl.concat(
        corpus.counted[name].keys.with_columns(group=pl.col("group") + corpus.starts[name]) for name in judged
    )
    owners, near = corpus.owners(), {}
    for notion in NOTIONS:
        listed = read_pairs(corpus.out / "verdicts" / PAIRS, notion, ["a_key", "b_key"])
        inside, outside = between(keys.select("group", key=notion), owners, listed)
        near[notion] = {"sources": inside, "elsewhere": outside}
    return {"near_state": state, "near": near}


def _state(corpus: Corpus) -> State:
    judged = {name for name, state in corpus.states.items() if state == "judged"}
    try:
        pairs(corpus.out)
    except ArtefactError:
        return "unjudged"
    merged = (manifest(corpus.out / "verdicts" / PAIRS) or {}).get("sources", {})
    return "unjudged" if not judged else "judged" if judged <= set(merged) else "stale"


Counts = list[tuple[int, ...]]


def between(keys: pl.DataFrame, owners: Sequence[int], pairs: Iterable[pl.DataFrame]) -> tuple[Counts, Counts]:
    """The rows of each group that have a near-duplicate in each source, and those that have one in another source.

    `keys` has a row a record: `group`, and the `key` of one notion; 0 has no words and no near-duplicates. `owners` are
    the source of each group, by its number. `pairs` are frames of `a_key` and `b_key`, keys that are near each other;
    records of equal keys are, too. Returns (group, source, rows) and (group, rows), in order and without zeros; a
    record is none of its own near-duplicates.
    """
    worded = keys.filter(pl.col("key") != 0)
    groups = worded["group"].to_numpy()
    known, numbers = np.unique(worded["key"].to_numpy(), return_inverse=True)
    numbers = numbers.astype(np.uint32)
    one, other = _numbered(known, pairs)
    owner, elsewhere = np.array(owners)[groups], np.zeros(len(groups), np.bool_)
    inside: Counts = []
    for source in np.unique(owner).tolist():
        own = owner == source
        copies = np.bincount(numbers[own], minlength=len(known))
        there, near = copies > 0, np.zeros(len(known), np.bool_)
        near[one[there[other]]] = True
        near[other[there[one]]] = True
        reached = near[numbers] | np.where(own, (copies > 1)[numbers], there[numbers])
        inside += [(group, source, rows) for group, rows in _counted(groups[reached])]
        elsewhere |= reached & ~own
    return sorted(inside), _counted(groups[elsewhere])


def _numbered(known: Hashes, pairs: Iterable[pl.DataFrame]) -> tuple[Numbers, Numbers]:
    """The pairs by the places of their keys among the `known` ones; those of which a key is not known are left out."""
    sides: list[tuple[Numbers, Numbers]] = [(np.empty(0, np.uint32), np.empty(0, np.uint32))]
    for frame in pairs if len(known) else ():
        both = [frame[name].to_numpy() for name in ("a_key", "b_key")]
        places = [np.minimum(np.searchsorted(known, side), len(known) - 1).astype(np.uint32) for side in both]
        held = (known[places[0]] == both[0]) & (known[places[1]] == both[1])
        sides.append((places[0][held], places[1][held]))
    return np.concatenate([one for one, _ in sides]), np.concatenate([other for _, other in sides])


def _counted(groups: npt.NDArray[np.uint32]) -> Counts:
    found, rows = np.unique(groups, return_counts=True)
    return list(zip(found.tolist(), rows.tolist(), strict=True))
