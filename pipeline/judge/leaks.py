"""Leaks: questions of evaluation sets that stand in records, found by their runs of folded words.

An item is looked for by its needle: its question, together with its options where the question alone is short. The
needle's n-grams, runs of `WORDS` folded words (a Chinese character is one), stand in a table; a record leaks an item
when it holds at least `SHARE` of the needle's n-grams, all of them where the needle has few. A needle shorter than an
n-gram is found only where it is the whole request. N-grams that more than `COMMON` different needles share, such as
下列说法正确的是, say nothing and are left out. Letters that label options are read over, so that options match however
they are marked. bench/leaks.py measures what these figures are chosen by.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.errors import ArtefactError
from pipeline.judge.ngrams import rolled, search, table
from pipeline.judge.overlap import LABELS, WORDS
from pipeline.judge.tokens import Tokens, joined, keys, tokens

VERSION: Final = 1
"""Part of the fingerprint of what is judged: raised when the same records and items would give other leaks."""

SHARE: Final = 0.6
"""Share of a needle's n-grams that a record holds which leaks it."""
ENOUGH: Final = 12
"""Folded words from which a question is looked for without its options, if no item has it with others."""
WHOLE: Final = 16
"""N-grams below which a needle must be there whole."""
COMMON: Final = 8
"""Different needles that may share an n-gram which counts."""

_NONE: Final = np.int32(-1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Index:
    """N-grams of all needles, as arrays that any number of processes can map from one folder.

    `bits` (uint64) is a filter that most n-grams of most texts do not pass; `slots` (uint64) and `grams` (int32) a
    hash table with open addressing, of which a free slot has gram -1. Gram `g` stands in the needles
    `needles[starts[g]:starts[g + 1]]` (int32). Needle `k` has `totals[k]` grams that count, of which a record must
    hold `needed[k]` (int32), and is that of the items `items[bounds[k]:bounds[k + 1]]` (int32), which index `names`
    (bytes, `<suite>/<file>:<row>`, in the order of the items). `words` (int64, one entry) is the length of a gram,
    `unsought` (int32) are the items that have no gram which counts, and so are not looked for.
    """

    words: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.uint64]
    grams: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    needles: npt.NDArray[np.int32]
    totals: npt.NDArray[np.int32]
    needed: npt.NDArray[np.int32]
    bounds: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    names: npt.NDArray[np.bytes_]
    unsought: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        # As mapped arrays are: the loops are compiled for one kind, not for two.
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    @staticmethod
    def of(
        items: pl.DataFrame, *, words: int = WORDS, share: float = SHARE, enough: int = ENOUGH, common: int = COMMON
    ) -> "Index":
        """The index of evaluation items, a frame with `name`, `question` and `options` (texts; see `suites.ITEMS`)."""
        hashes, offsets = _needles(items, enough)
        _, firsts, group = np.unique(keys(hashes, offsets), return_index=True, return_inverse=True)
        grams, owners = _grams(hashes, offsets, firsts, words)
        distinct, place = np.unique(grams, return_inverse=True)
        rare = np.bincount(place, minlength=len(distinct)) <= common
        grams, owners = grams[rare[place]], owners[rare[place]]
        distinct, place = np.unique(grams, return_inverse=True)
        totals = np.bincount(owners, minlength=len(firsts)).astype(np.int32)
        needed = np.where(totals < WHOLE, totals, np.ceil(share * totals)).astype(np.int32)
        bits, slots, numbers = table(distinct)
        return Index(
            words=np.array([words]),
            bits=bits,
            slots=slots,
            grams=numbers,
            starts=_bounds(place, len(distinct)),
            needles=owners[np.argsort(place, kind="stable")],
            totals=totals,
            needed=needed,
            bounds=_bounds(group, len(firsts)),
            items=np.argsort(group, kind="stable").astype(np.int32),
            names=np.array([name.encode() for name in items["name"]], dtype=np.bytes_),
            unsought=np.flatnonzero(totals[group] == 0).astype(np.int32),
        )

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder that is there."""
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @staticmethod
    def load(folder: Path) -> "Index":
        """The index that was saved into a folder, mapped, not read; `ArtefactError` when it is not whole."""
        try:
            arrays = {
                field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
                for field in fields(Index)
            }
        except (OSError, ValueError) as error:
            raise ArtefactError(
                f"{folder}: the index of evaluation items cannot be read ({error}); delete the folder and judge again"
            ) from None
        return Index(**arrays)


class Hits(NamedTuple):
    """Needles found in records: the record's row, the needle, and how many of its n-grams are there, row by row."""

    rows: npt.NDArray[np.int64]
    needles: npt.NDArray[np.int32]
    matched: npt.NDArray[np.int32]


def leaks(request: Tokens, answer: Tokens, index: Index) -> pl.Series:
    """The names of the items that each record holds, sorted: `List[String]`, one entry a record."""
    found = hits(request, answer, index)
    counts = index.bounds[found.needles + 1] - index.bounds[found.needles]
    # Each needle gives all of its items: their places in `items` go on from its first one.
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    items = index.items[np.repeat(index.bounds[found.needles], counts) + steps]
    names = pl.Series([name.decode() for name in index.names[items]], dtype=pl.String)
    held = pl.DataFrame({"row": np.repeat(found.rows, counts), "leaks": names})
    lists = held.sort("row", "leaks").group_by("row", maintain_order=True).agg("leaks")
    every = pl.DataFrame({"row": np.arange(len(request.offsets) - 1)})
    none = pl.lit([], dtype=pl.List(pl.String))
    return (
        every.join(lists, on="row", how="left", maintain_order="left")["leaks"]
        .to_frame()
        .select(pl.col("leaks").fill_null(none))["leaks"]
    )


def hits(request: Tokens, answer: Tokens, index: Index) -> Hits:
    """The needles that each record holds; a record is a request and the answer to it."""
    rows, needles, matched = search(
        request.hashes,
        request.offsets,
        answer.hashes,
        answer.offsets,
        labels(),
        index.words[0],
        index.bits,
        index.slots,
        index.grams,
        index.starts,
        index.needles,
        index.needed,
    )
    return Hits(rows, needles, matched)


def labels() -> npt.NDArray[np.uint64]:
    """The hashes of the words that are read over."""
    return tokens(pl.Series(LABELS)).hashes


def _needles(items: pl.DataFrame, enough: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The words of each item's needle, labels left out: hashes, and where each needle begins and ends in them."""
    question, options = kept(tokens(items["question"])), kept(tokens(items["options"]))
    whole, offsets, _ = joined(question, options)
    used = (np.diff(question.offsets) < enough) | _shared(keys(question.hashes, question.offsets), keys(whole, offsets))
    counts = np.where(used, np.diff(options.offsets), 0)
    hashes = options.hashes[np.repeat(used, np.diff(options.offsets))]
    needles, offsets, _ = joined(question, options._replace(hashes=hashes, offsets=_ends(counts)))
    return needles, offsets


def _shared(questions: npt.NDArray[np.uint64], wholes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Whether an item's question also stands before other options: it says too little by itself."""
    pairs = np.unique(np.stack((questions, wholes)), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    return np.isin(questions, names[counts > 1])


def _ends(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where runs of these lengths begin and end, one behind the other."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def kept(words: Tokens) -> Tokens:
    """Words without those that label options."""
    keep = ~np.isin(words.hashes, labels())
    offsets = _ends(keep.astype(np.int64))[words.offsets]
    return Tokens(words.hashes[keep], words.starts[keep], words.ends[keep], offsets, words.alone)


def _grams(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], texts: npt.NDArray[np.int64], words: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """The different n-grams of each of the chosen texts, and the number of the text among them."""
    grams, rows = rolled(hashes, offsets, words)
    numbers = np.full(len(offsets) - 1, _NONE)
    numbers[texts] = np.arange(len(texts), dtype=np.int32)
    owners = numbers[rows]
    grams, owners = grams[owners >= 0], owners[owners >= 0]
    order = np.lexsort((grams, owners))
    grams, owners = grams[order], owners[order]
    first = np.ones(len(grams), np.bool_)
    first[1:] = (grams[1:] != grams[:-1]) | (owners[1:] != owners[:-1])
    return grams[first], owners[first]


def _bounds(groups: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Where each of `count` groups begins and ends when its members are put in order of their group."""
    return _ends(np.bincount(groups, minlength=count))
