"""HVX instructions as expressions, for programs that are written in whole vectors.

A vector is of type ``int32x32`` whatever it holds; a pair of vectors is ``int32x64``.  Sums and
products of bytes widen in HVX by parity: the low vector of a pair has the even elements, the high
one the odd.  Four vectors of words made of 128 bytes therefore hold the elements whose index
modulo 4 is :data:`WORD_ORDER`, and narrowing twice by the same rule puts them back in order, so
that no instruction is spent on order (*Hexagon V66 HVX Programmer's Reference Manual*, "Multiply",
"Shift while narrowing", "Saturate and pack").
"""

from __future__ import annotations

from typing import Any, Final

import tvm
from tvm.tirx.script import builder as T

from vrmpy_tune.target import LANES, VECTOR_BYTES

WORD_ORDER: Final = (0, 2, 1, 3)
"""Which of four neighbouring bytes each of the four vectors of words has."""

VECTOR: Final = "int32x32"
PAIR: Final = "int32x64"


def call(name: str, *operands: Any, dtype: str = VECTOR) -> Any:
    """Return the instruction that LLVM calls ``llvm.hexagon.V6.<name>.128B``."""
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.hexagon.V6.{name}.128B")
    return T.call_llvm_pure_intrin(dtype, intrinsic, *operands)


def pair(name: str, *operands: Any) -> Any:
    """Return an instruction whose result is a pair of vectors."""
    return call(name, *operands, dtype=PAIR)


def low(both: Any) -> Any:
    """Return the low vector of a pair."""
    return call("lo", both)


def high(both: Any) -> Any:
    """Return the high vector of a pair."""
    return call("hi", both)


def word(value: int) -> Any:
    """Return a scalar constant of 32 bits."""
    return tvm.tirx.const(value, "int32")


def splat(value: Any) -> Any:
    """Return a vector with a 32-bit scalar in every lane."""
    return T.broadcast(value, LANES)


def splat_byte(value: Any) -> Any:
    """Return a vector with the low byte of a scalar in every byte."""
    return call("lvsplatb", value)


def splat_half(value: Any) -> Any:
    """Return a vector with the low half of a scalar in every halfword."""
    return call("lvsplath", value)


def load(buffer: Any, offset: Any) -> Any:
    """Load 128 bytes that begin ``offset`` elements behind the start of a buffer."""
    dtype = str(buffer.dtype)
    lanes = VECTOR_BYTES // tvm.DataType(dtype).itemsize
    values = buffer.vload(_flat(buffer, offset), dtype=f"{dtype}x{lanes}")
    return values if dtype == "int32" else T.reinterpret(VECTOR, values)


def store(buffer: Any, offset: Any, vector: Any) -> None:
    """Store 128 bytes ``offset`` elements behind the start of a buffer."""
    dtype = str(buffer.dtype)
    lanes = VECTOR_BYTES // tvm.DataType(dtype).itemsize
    value = vector if dtype == "int32" else T.reinterpret(f"{dtype}x{lanes}", vector)
    *outer, start = _flat(buffer, offset)
    T.buffer_store(buffer, value, [*outer, T.ramp(start, 1, lanes)])


def _flat(buffer: Any, offset: Any) -> list[Any]:
    """Index an element by its distance from the start, which is what a row-major index sums to."""
    return [0] * (len(buffer.shape) - 1) + [offset]


def copy_bytes(target: Any, offset: Any, source: Any, start: Any, count: Any) -> Any:
    """Copy ``count`` elements between buffers of one type; the runtime's memcpy is HVX."""
    size = count * tvm.DataType(str(source.dtype)).itemsize
    pointers = (target.access_ptr("w", offset=offset), source.access_ptr("r", offset=start))
    return T.evaluate(T.call_extern("handle", "memcpy", *pointers, size))


def fill_bytes(target: Any, offset: Any, value: Any, count: Any) -> Any:
    """Set ``count`` bytes of a buffer to one value; the runtime's memset is HVX."""
    pointer = target.access_ptr("w", offset=offset)
    return T.evaluate(T.call_extern("handle", "memset", pointer, value, count))


def align_right(upper: Any, lower: Any, offset: Any) -> Any:
    """Return 128 bytes of two vectors: those of ``lower`` from ``offset`` on, then of ``upper``.

    Parameters
    ----------
    upper, lower:
        Vectors.
    offset:
        Bytes, as an expression of type int32 or a number; it counts modulo 128.
    """
    return call("valignb", upper, lower, _modulo_vector(offset))


def align_left(upper: Any, lower: Any, offset: Any) -> Any:
    """Return 128 bytes of two vectors: the last ``offset`` of ``lower``, then those of ``upper``.

    The parameters are those of :func:`align_right`.
    """
    return call("vlalignb", upper, lower, _modulo_vector(offset))


def _modulo_vector(offset: Any) -> Any:
    """Return the bits of an offset that the instruction reads.

    The instruction ignores the others itself, but LLVM 22 must not see them: it selects
    ``vlalign`` by 0 for ``valign`` by a constant of exactly 128, and the reverse, which returns
    the other vector.  Offsets become constants also where LLVM unrolls a loop.
    """
    if isinstance(offset, int):
        return word(offset % VECTOR_BYTES)
    return T.bitwise_and(T.cast(offset, "int32"), word(VECTOR_BYTES - 1))


def high_half(words: Any, factor: Any) -> Any:
    """Return ``(words * factor + 2**30) >> 31`` of 32 lanes: the product as a 31-bit fraction."""
    return call("vmpyowh.rnd.sacc", call("vmpyewuh", words, factor), words, factor)


def narrowed_words(words: list[Any], shift: Any, zero_point: Any, dtype: str) -> Any:
    """Shift four vectors of words right, add a zero point, and saturate to 128 bytes in order.

    Parameters
    ----------
    words:
        Vectors in :data:`WORD_ORDER`.
    shift, zero_point:
        Scalars; the shift rounds halves up and is at most 15.
    dtype:
        ``"uint8"`` or ``"int8"``.
    """
    offset = splat_half(zero_point)
    even, odd = (
        call("vaddhsat", call("vasrwhrndsat", words[first + 1], words[first], shift), offset)
        for first in (0, 2)
    )
    if dtype == "uint8":
        return call("vsathub", odd, even)
    return call("vasrhbrndsat", odd, even, word(0))


def clamped(values: Any, bounds: tuple[Any, Any], act: str, dtype: str) -> Any:
    """Apply the clipping bounds that an activation has: ``"relu"`` the lower, ``"clip"`` both."""
    suffix = "ub" if dtype == "uint8" else "b"
    if act in ("relu", "clip"):
        values = call(f"vmax{suffix}", values, splat_byte(bounds[0]))
    if act == "clip":
        values = call(f"vmin{suffix}", values, splat_byte(bounds[1]))
    return values


def halves(values: Any, dtype: str) -> tuple[Any, Any]:
    """Widen 128 bytes to halfwords: the even ones, the odd ones."""
    both = pair("vzb" if dtype == "uint8" else "vsb", values)
    return low(both), high(both)


def added(lhs: tuple[Any, str], rhs: tuple[Any, str], parameters: Any, out: str, act: str) -> Any:
    """Return :class:`vrmpy_tune.quantize.Add` of two vectors of bytes.

    Parameters
    ----------
    lhs, rhs:
        Vectors, and the data types of their bytes.
    parameters:
        Buffer of the operand ``add``.
    out, act:
        Data type of the sum, and its activation.
    """
    offset = splat(parameters[2])
    start = pair("vcombine", offset, offset)
    factors = [_twice(parameters[index]) for index in (0, 1)]
    words = []
    for one, other in zip(halves(*lhs), halves(*rhs), strict=True):
        total = pair("vmpyhsat.acc", start, one, factors[0])
        total = pair("vmpyhsat.acc", total, other, factors[1])
        words += [low(total), high(total)]
    return clamped(
        narrowed_words(words, parameters[3], parameters[4], out),
        (parameters[5], parameters[6]), act, out,
    )  # fmt: skip


def _twice(value: Any) -> Any:
    """Return a scalar with the low half of ``value`` in both halves."""
    intrinsic = T.llvm_lookup_intrinsic_id("llvm.hexagon.A2.combine.ll")
    return T.call_llvm_pure_intrin("int32", intrinsic, value, value)
