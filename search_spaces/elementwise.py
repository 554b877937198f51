"""Search spaces of the elementwise operators: one loop over vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from search_spaces.blocks import allocate, argument
from search_spaces.nests import Nest, NestSpace, block, function, module
from vrmpy_tune.intrin import hvx
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import Clip, QuantizedAdd, QuantizedMultiply
from vrmpy_tune.workload.base import ceildiv, product

if TYPE_CHECKING:
    import tvm

    from vrmpy_tune.workload import Workload

GROUP: Final = 16
"""Vectors that the main loop's count is a multiple of, so that bodies of many sizes divide it."""

MAX_BODY: Final = 16
"""Vectors in one unrolled body."""

LOOP_PACKETS: Final = 3
"""Packets that an iteration adds: addresses and the loop itself; read off generated code."""

BODY_PACKETS: Final = {"add": 5.0, "multiply": 12.0, "clip": 1.2}
"""Packets of one vector in a long body; read off generated code."""


@dataclass(frozen=True)
class ElementwiseSpace(NestSpace):
    """Vectors of 128 elements, several in an unrolled body.

    What does not fill a group of vectors goes through a buffer of whole vectors, from which as
    many bytes are copied as the output has.
    """

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        main, tail = _counts(workload)
        size = product(workload.output.shape)
        with function(workload) as builder:
            buffers = [
                argument(one.name, one.shape, one.numpy_type)
                for one in (*workload.operands, workload.output)
            ]
            *operands, output = buffers
            if main:
                with block(self.nests(workload)[0], operands, output) as (index,):
                    at = index * VECTOR_BYTES
                    hvx.store(output, at, _value(workload, operands, at))
            if tail:
                rest = allocate("rest", (tail * VECTOR_BYTES,), workload.output.numpy_type)
                with block(Nest("rest", (tail,), (1,)), operands, rest) as (index,):
                    at = index * VECTOR_BYTES
                    value = _value(workload, operands, main * VECTOR_BYTES + at)
                    hvx.store(rest, at, value)
                with block(Nest("crop", (1,), (1,)), [rest], output):
                    start = main * VECTOR_BYTES
                    hvx.copy_bytes(output, start, rest, 0, size - start)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        main, tail = _counts(workload)
        nests = [Nest("vectors", (main,), (MAX_BODY,))] if main else []
        if tail:
            nests.append(Nest("rest", (tail,), (1,)))
        return tuple(nests)

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        main, tail = _counts(workload)
        each = BODY_PACKETS[workload.operator] + LOOP_PACKETS / tile[0]
        return main * each + tail * (BODY_PACKETS[workload.operator] + LOOP_PACKETS)


def _counts(workload: Workload) -> tuple[int, int]:
    """Return the vectors of the main loop, and those behind it."""
    size = product(workload.output.shape)
    main = size // (GROUP * VECTOR_BYTES) * GROUP
    return main, ceildiv(size - main * VECTOR_BYTES, VECTOR_BYTES)


def _value(workload: Workload, operands: list[Any], at: Any) -> Any:
    """Return 128 elements of the output."""
    *tensors, parameters = operands
    vectors = [hvx.load(one, at) for one in tensors]
    if isinstance(workload, Clip):
        dtype = workload.operands[0].numpy_type
        return hvx.clamped(vectors[0], (parameters[0], parameters[1]), "clip", dtype)
    assert isinstance(workload, QuantizedAdd | QuantizedMultiply)
    lhs, rhs, _ = (one.numpy_type for one in workload.operands)
    out = workload.output.numpy_type
    if isinstance(workload, QuantizedAdd):
        both = ((vectors[0], lhs), (vectors[1], rhs))
        return hvx.added(*both, parameters, out, workload.act)
    return _multiplied((vectors[0], lhs), (vectors[1], rhs), parameters, out, workload.act)


def _multiplied(
    lhs: tuple[Any, str], rhs: tuple[Any, str], parameters: Any, out: str, act: str
) -> Any:
    left, right = (
        [hvx.call("vsubh", half, hvx.splat_half(parameters[index])) for half in hvx.halves(*one)]
        for index, one in enumerate((lhs, rhs))
    )
    factor = hvx.splat(parameters[2])
    words = []
    for one, other in zip(left, right, strict=True):
        products = hvx.pair("vmpyhv", one, other)
        words += [hvx.high_half(part(products), factor) for part in (hvx.low, hvx.high)]
    return hvx.clamped(
        hvx.narrowed_words(words, parameters[3], parameters[4], out),
        (parameters[5], parameters[6]), act, out,
    )  # fmt: skip


SPACES: Final = tuple(
    ElementwiseSpace(operator, 1, "vectors of 128 elements, several in an unrolled body")
    for operator in ("add", "multiply", "clip")
)
