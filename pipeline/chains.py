"""What hangs together: numbers that are joined two by two, and the lowest of all that are joined by whatever steps.

A union-find (Tarjan 1975): in `links`, to begin with each number itself, a number leads to none that is higher, so that
the lowest of all that are joined leads to itself.
"""

import numpy as np
import numpy.typing as npt

from collectors.kernel import kernel

Numbers = npt.NDArray[np.uint32]


@kernel
def join(links: Numbers, one: Numbers, other: Numbers) -> None:
    """Join each number of `one` with that of `other` at its place."""
    for index in range(len(one)):
        left, right = one[index], other[index]
        while links[left] != left:
            links[left] = links[links[left]]
            left = links[left]
        while links[right] != right:
            links[right] = links[links[right]]
            right = links[right]
        if left < right:
            links[right] = left
        else:
            links[left] = right


@kernel
def settle(links: Numbers) -> None:
    """Have each number lead to the lowest of those that it is joined with."""
    # What a number leads to is lower, and settled before it.
    for index in range(len(links)):
        links[index] = links[links[index]]
