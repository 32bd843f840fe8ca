"""Loops over bytes and numbers that run as machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def kernel(function: Kernel) -> Kernel:
    """`function` compiled at its first call, the result kept on disk where that can be written.

    Typed arrays and numbers go in and out, nothing else; bounds are not checked.
    """
    try:
        return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither beside the module nor in the user's cache folder may a file be written
        return cast(Kernel, numba.njit(nogil=True)(function))


@intrinsic  # type: ignore[untyped-decorator]  # numba is untyped
def word(typing: Any, held: Any, at: Any) -> Any:
    """The eight bytes from `at` on of a byte array as one number, the first lowest; they must lie within the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        found = builder.load(place)
        found.align = 1
        return found

    return types.uint64(held, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba is untyped
def put_word(typing: Any, held: Any, at: Any, value: Any) -> Any:
    """Write eight bytes to a byte array from `at` on, as `word` reads them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments), align=1)
        return context.get_dummy_value()

    return types.void(held, types.intp, types.uint64), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The address of the byte at `at`, as one of 64 bits."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
