"""Pieces of the rules that copy in whole vectors: loops, aligned loads, and what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tvm.tirx.script import builder as T

from vrmpy_tune.intrin import hvx
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

UNROLLED: Final = 8
"""Vectors in the body of a loop over those of one item."""


def each(count: int, copy: Callable[[Any], None]) -> None:
    """Call ``copy`` with 0 to ``count - 1``, in a loop as far as whole bodies go."""
    loops, rest = divmod(count, UNROLLED)
    if loops:
        with T.serial(0, loops) as loop:
            for number in range(UNROLLED):
                copy(loop * UNROLLED + number)
    for number in range(rest):
        copy(loops * UNROLLED + number)


def whole_buffer(buffer: Any, extent: int) -> Any:
    """Return all ``extent`` elements behind a buffer: from their start it is known what is aligned.

    The start is at a multiple of 128 bytes.
    """
    return T.decl_buffer((extent,), buffer.dtype, data=buffer.data, align=VECTOR_BYTES)


def aligned_vector(whole: Any, vector: Any, lanes: int) -> Any:
    """Load one vector of a whole buffer by its number, as 32 words."""
    return T.reinterpret(hvx.VECTOR, whole[T.ramp(vector * lanes, 1, lanes)])


def copy_bytes(target: Any, source: Any, size: int) -> None:
    """Call ``memcpy``."""
    T.evaluate(T.call_extern("handle", "memcpy", target, source, hvx.word(size)))
