"""Packing: which sequences share a training row, by best fit over the whole mixture.

A packed row holds whole sequences only; what keeps them from seeing each other is said in `train/fitting/feed.py`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collectors.kernel import kernel

Places = NDArray[np.int64]


class Bins(NamedTuple):
    """Packed rows: `members` are sequences, bin after bin, and bin b has those from `edges[b]` to `edges[b + 1]`."""

    members: Places
    edges: Places

    def __len__(self) -> int:
        return len(self.edges) - 1


def best_fit(lengths: NDArray[np.integer[Any]], capacity: int) -> Bins:
    """Bins of indices into `lengths`, each bin's sum at most `capacity`.

    Sequences longer than a quarter of `capacity` are placed longest first, each where it leaves the least room. Then
    one bin after another, the fullest first, is filled from the shorter ones, longest first and preferring what fills
    it to the last place; what is left makes bins of its own in the same way. Best fit alone leaves in every bin a few
    places that nothing is short enough for.

    Every length must lie in 1..capacity. Equal lengths keep their order, members stand in order, bins in the order of
    their earliest member, and the result depends on nothing else.
    """
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= capacity:
        raise ValueError(f"lengths must lie between 1 and {capacity}")
    whole = lengths.astype(np.int64)
    order = np.argsort(-whole, kind="stable")
    bins = np.empty(len(whole), np.int64)
    long = int(np.count_nonzero(whole > capacity // 4))
    rooms = _fit(order[:long], whole, capacity, bins)
    fullest = np.argsort(rooms, kind="stable")
    count = _fill(order[long:], whole, capacity, fullest, rooms[fullest], bins)
    members, edges = np.empty(len(whole), np.int64), np.zeros(count + 1, np.int64)
    _gather(bins, count, members, edges)
    return Bins(members, edges)


def singly(lengths: NDArray[np.integer[Any]]) -> Bins:
    """Every sequence in a bin of its own: what is fed when packing is off."""
    return Bins(np.arange(len(lengths)), np.arange(len(lengths) + 1))


def fill(lengths: NDArray[np.integer[Any]], bins: int, capacity: int) -> float:
    """The share of the packed rows' places that hold a token, 0 to 1."""
    return float(lengths.sum()) / (bins * capacity) if bins else 0.0


@kernel
def _fit(order: Places, lengths: Places, capacity: int, bins: Places) -> Places:
    """Put sequences in this order where they leave the least room (`bins[index]`); the room left in every bin.

    Bins with the same room left are a stack, linked through `below`; a bit for every room says whether there is any.
    """
    one = np.uint64(1)
    rooms = np.zeros(capacity // 64 + 1, np.uint64)
    top = np.full(capacity + 1, -1, np.int64)
    below = np.empty(len(order), np.int64)
    lefts = np.empty(len(order), np.int64)
    count = 0
    for index in order:
        length = lengths[index]
        room = capacity
        word = length >> 6
        bits = rooms[word] >> np.uint64(length & 63) << np.uint64(length & 63)
        while bits == 0 and word + 1 < len(rooms):
            word += 1
            bits = rooms[word]
        if bits == 0:
            chosen = count
            count += 1
        else:
            place = 0
            while bits & one == 0:
                bits >>= one
                place += 1
            room = word * 64 + place
            chosen = top[room]
            top[room] = below[chosen]
            if top[room] < 0:
                rooms[word] ^= one << np.uint64(place)
        bins[index] = chosen
        left = room - length
        lefts[chosen] = left
        if left:
            below[chosen] = top[left]
            top[left] = chosen
            rooms[left >> 6] |= one << np.uint64(left & 63)
    return lefts[:count]


@kernel
def _fill(order: Places, lengths: Places, capacity: int, names: Places, rooms: Places, bins: Places) -> int:
    """Fill the bins `names`, which have `rooms` left, and then new ones, from sequences in descending order.

    How many bins there are then. `left[length]` sequences of a length are not placed, the next of them at `next_at`.
    """
    left = np.zeros(capacity + 1, np.int64)
    next_at = np.zeros(capacity + 1, np.int64)
    for place in range(len(order) - 1, -1, -1):
        left[lengths[order[place]]] += 1
        next_at[lengths[order[place]]] = place
    longest, shortest = capacity, 1
    placed, turn = 0, 0
    while placed < len(order):
        room = rooms[turn] if turn < len(names) else capacity
        name = names[turn] if turn < len(names) else turn
        turn += 1
        while room and placed < len(order):
            while left[longest] == 0:
                longest -= 1
            while left[shortest] == 0:
                shortest += 1
            if room < shortest:
                break
            length = _best(left, longest, shortest, room)
            bins[order[next_at[length]]] = name
            next_at[length] += 1
            left[length] -= 1
            room -= length
            placed += 1
    return max(turn, len(names))


@kernel
def _best(left: Places, longest: int, shortest: int, room: int) -> int:
    """The length to put into a room of at least the shortest.

    The one that fills it; else the longer of two that fill it together; else the longest that leaves a place for
    another; else the longest that fits.
    """
    if room <= longest and left[room]:
        return room
    if room <= 2 * longest:
        length = min(longest, room - shortest)
        while 2 * length >= room:
            if left[length] and left[room - length] > (2 * length == room):
                return length
            length -= 1
    length = min(longest, room - shortest)
    while length >= shortest:
        if left[length]:
            return length
        length -= 1
    length = min(longest, room)
    while left[length] == 0:
        length -= 1
    return length


@kernel
def _gather(bins: Places, count: int, members: Places, edges: Places) -> None:
    """Number the bins anew by their earliest member, and list the members of each."""
    names = np.full(count, -1, np.int64)
    known = 0
    for index in range(len(bins)):
        if names[bins[index]] < 0:
            names[bins[index]] = known
            known += 1
        edges[names[bins[index]] + 1] += 1
    for place in range(count):
        edges[place + 1] += edges[place]
    filled = edges[:-1].copy()
    for index in range(len(bins)):
        name = names[bins[index]]
        members[filled[name]] = index
        filled[name] += 1
