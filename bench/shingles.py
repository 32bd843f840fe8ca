"""How many words a shingle should have: what lengths and thresholds find among real rows, against the edit distance.

    python bench/shingles.py [--pairs 60000] [--rows-from ../shared/raw]

Pairs of real rows that share some words (the three smallest hashes of single words, sixteen times over), so many at
most for scripts with blanks between words and for those without; rows of fewer than 400 words, no two of equal ones.
Their truth is the Levenshtein distance of their words, in which no shingle has a part: `found` is the share of the
pairs at most a tenth apart that a length finds at a threshold, `right` the share of what it finds that is at most a
fifth apart, and `loose` the number of pairs of a similarity of 0.4, which banding has to tell apart.
"""

import argparse
import os
import tempfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import numpy.typing as npt
from merge import real_rows

from collectors.kernel import kernel
from pipeline.judge.tokens import keys, mixed, tokens

Words = npt.NDArray[np.uint64]
LENGTHS = (1, 2, 3, 4, 5)
THRESHOLDS = (0.6, 0.7, 0.8)


@kernel
def closeness(one: Words, other: Words) -> float:
    """One less the Levenshtein distance of two texts over the words of the longer."""
    above = np.arange(len(other) + 1)
    row = np.zeros(len(other) + 1, np.int64)
    for left in range(len(one)):
        row[0] = left + 1
        for right in range(len(other)):
            changed = above[right] + (one[left] != other[right])
            row[right + 1] = min(changed, above[right + 1] + 1, row[right] + 1)
        above, row = row, above
    return float(1 - above[len(other)] / max(len(one), len(other)))


def related(texts: list[Words], most: int) -> list[tuple[int, int]]:
    """Some pairs of texts that share words, at most so many, in an order that a hash gives."""
    found: set[tuple[int, int]] = set()
    for turn in range(16):
        seeds = [mixed(np.uint64(3 * turn + number + 1)) | np.uint64(1) for number in range(3)]
        buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, words in enumerate(texts):
            buckets[tuple(int((words * seed).min()) for seed in seeds)].append(number)
        for bucket in buckets.values():
            found |= set(combinations(bucket[:60], 2))
    return sorted(found, key=lambda pair: int(mixed(np.uint64(pair[0] << 32 | pair[1]))))[:most]


def shingles(words: list[int], length: int) -> frozenset[tuple[int, ...]]:
    """The runs of so many words; of a shorter text the whole of it."""
    return frozenset(tuple(words[at : at + length]) for at in range(max(1, len(words) - length + 1)))


def compare(texts: list[Words], most: int) -> None:
    """Print the table of some texts."""
    pairs = related(texts, most)
    close = np.array([closeness(texts[one], texts[other]) for one, other in pairs])
    print(f"{len(texts):,} texts, {len(pairs):,} pairs, {(close >= 0.9).sum():,} at most a tenth apart")
    for length in LENGTHS:
        sets = {row: shingles(texts[row].tolist(), length) for row in sorted({row for pair in pairs for row in pair})}
        alike = np.array([len(sets[one] & sets[other]) / len(sets[one] | sets[other]) for one, other in pairs])
        cells: list[Any] = []
        for least in THRESHOLDS:
            found = alike >= least
            share = found[close >= 0.9].mean() if (close >= 0.9).any() else 0.0
            right = (close[found] >= 0.8).mean() if found.any() else 0.0
            cells.append(f"{least}: found {share:.3f} right {right:.3f} ({found.sum():,})")
        print(f"  {length}  {'   '.join(cells)}   loose {(alike >= 0.4).sum():,}")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = tokens(real_rows(given.rows_from, Path(folder)))
    _, first = np.unique(keys(found.hashes, found.offsets), return_index=True)
    sizes = np.diff(found.offsets)
    fit = first[(sizes[first] > 0) & (sizes[first] < 400)]
    unspaced = 2 * found.alone >= sizes
    for name, kind in (("with blanks", ~unspaced), ("without blanks", unspaced)):
        print(f"scripts {name}: ", end="")
        compare([found.hashes[found.offsets[row] : found.offsets[row + 1]] for row in fit[kind[fit]]], given.pairs)


if __name__ == "__main__":
    main()
