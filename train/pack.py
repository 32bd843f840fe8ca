"""Packing: which rows share a training sequence. Best fit over the whole mixture, longest rows first.

A packed row holds whole sequences only; what keeps them from seeing each other is said in `train/feed.py`.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray


def best_fit(lengths: NDArray[np.integer[Any]], capacity: int) -> list[list[int]]:
    """The bins of `best-fit decreasing`: lists of indices into `lengths`, each bin's sum at most `capacity`.

    Every length must lie in 1..capacity. Equal lengths keep their order, bins stand in the order of their earliest
    index, and the result depends on nothing else. Time is O(n log n + n log capacity): open bins are kept by the room
    left in them, of which there are at most `capacity` different values.
    """
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= capacity:
        raise ValueError(f"lengths must lie between 1 and {capacity}")
    bins: list[list[int]] = []
    open_bins: defaultdict[int, list[int]] = defaultdict(list)
    rooms: list[int] = []
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        place = bisect_left(rooms, length)
        if place == len(rooms):
            room, chosen = capacity, len(bins)
            bins.append([])
        else:
            room = rooms[place]
            chosen = open_bins[room].pop()
            if not open_bins[room]:
                del rooms[place]
        bins[chosen].append(index)
        left = room - length
        if left:
            if not open_bins[left]:
                insort(rooms, left)
            open_bins[left].append(chosen)
    for members in bins:
        members.sort()
    return sorted(bins)


def singly(lengths: NDArray[np.integer[Any]]) -> list[list[int]]:
    """Every row in a bin of its own: what is fed when packing is off."""
    return [[index] for index in range(len(lengths))]


def fill(lengths: NDArray[np.integer[Any]], bins: int, capacity: int) -> float:
    """The share of the packed rows' places that hold a token, 0 to 1."""
    return float(lengths.sum()) / (bins * capacity) if bins else 0.0
