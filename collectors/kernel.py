"""Loops over bytes and numbers that run as machine code."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def kernel(function: Kernel) -> Kernel:
    """`function` compiled at its first call, the result kept on disk where that can be written.

    Typed arrays and numbers go in and out, nothing else; bounds are not checked.
    """
    try:
        return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither beside the module nor in the user's cache folder may a file be written
        return cast(Kernel, numba.njit(nogil=True)(function))
