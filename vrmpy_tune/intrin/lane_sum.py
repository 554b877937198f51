"""Rules that add up activations with vectors: words of a pixel, then the lanes of 32 pixels.

A vector of 128 activations times ones leaves 32 partial sums.  Adding those up for one pixel takes
five dependent steps; for 32 pixels at once a tree of ``vshuff`` and ``vadd`` takes 31 of each, and
the sums come out in the lanes of one vector, in order.

``vshuff(Vu, Vv, Rt)`` with one bit ``Rt = 4 x h`` set leaves in its low half the words of ``Vv``
whose index has bit ``h`` clear, each followed ``h`` words later by the word of ``Vu`` of that
index, and in its high half those with the bit set (*Hexagon V66 HVX Programmer's Reference
Manual*, "Shuffle vectors").
"""

from __future__ import annotations

import functools
from typing import Any, Final

import tvm
from tvm.s_tir import TensorIntrin
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

ONES: Final = 0x01010101

_VRMPY: Final = {
    # vector of u8 times scalar ones
    "uint8": "llvm.hexagon.V6.vrmpyub.acc.128B",
    # vector of u8 ones times vector of i8
    "int8": "llvm.hexagon.V6.vrmpybusv.acc.128B",
}


@functools.cache
def word_sum(dtype: str, scope: str = "global") -> str:
    """Register the rule ``words[i] += sum of activations[4 i .. 4 i + 3]``; return its name.

    Parameters
    ----------
    dtype:
        ``"uint8"`` or ``"int8"``; 128 activations.
    scope:
        Their memory scope; the 32 int32 words are in ``local``.
    """

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("word_sum")
            values = _operand("a", (VECTOR_BYTES,), dtype, scope)
            words = _operand("c", (LANES,), "int32", "local")
            with T.sblock("root"):
                T.reads(words[0:LANES], values[0:VECTOR_BYTES])
                T.writes(words[0:LANES])
                body(values, words)
        return builder.get()

    def describe(values: Any, words: Any) -> None:
        with T.grid(LANES, REDUCE) as (i, k), T.sblock("update"):
            lane, byte = T.axis.spatial(LANES, i), T.axis.reduce(REDUCE, k)
            value = T.cast(values[lane * REDUCE + byte], "int32")
            T.buffer_store(words, words[lane] + value, [lane])

    def implement(values: Any, words: Any) -> None:
        vector = T.reinterpret("int32x32", values.vload([0], dtype=f"{dtype}x{VECTOR_BYTES}"))
        ones = tvm.tirx.const(ONES, "int32")
        operands = (vector, ones) if dtype == "uint8" else (T.broadcast(ones, LANES), vector)
        every = T.ramp(0, 1, LANES)
        T.buffer_store(words, _call(_VRMPY[dtype], "int32x32", words[every], *operands), [every])

    name = f"vrmpy.word_sum_{dtype}.{scope}"
    TensorIntrin.register(name, build(describe), build(implement))
    return name


@functools.cache
def lane_sum() -> str:
    """Register the rule ``sums[i] += sum of words[i, 0 .. 31]`` for 32 pixels; return its name."""

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("lane_sum")
            words = _operand("a", (LANES, LANES), "int32", "local")
            sums = _operand("c", (LANES,), "int32", "local")
            with T.sblock("root"):
                T.reads(sums[0:LANES], words[0:LANES, 0:LANES])
                T.writes(sums[0:LANES])
                body(words, sums)
        return builder.get()

    def describe(words: Any, sums: Any) -> None:
        with T.grid(LANES, LANES) as (i, k), T.sblock("update"):
            lane, word = T.axis.spatial(LANES, i), T.axis.reduce(LANES, k)
            T.buffer_store(sums, sums[lane] + words[lane, word], [lane])

    def implement(words: Any, sums: Any) -> None:
        every = T.ramp(0, 1, LANES)
        half = LANES // 2
        while half:
            for row in range(half):
                pair = _call(
                    "llvm.hexagon.V6.vshuffvdd.128B",
                    "int32x64",
                    words[row + half, every],
                    words[row, every],
                    tvm.tirx.const(half * 4, "int32"),
                )
                low = _call("llvm.hexagon.V6.lo.128B", "int32x32", pair)
                high = _call("llvm.hexagon.V6.hi.128B", "int32x32", pair)
                T.buffer_store(words, low + high, [row, every])
            half //= 2
        T.buffer_store(sums, sums[every] + words[0, every], [every])

    name = "vrmpy.lane_sum"
    TensorIntrin.register(name, build(describe), build(implement))
    return name


def _operand(name: str, shape: tuple[int, ...], dtype: str, scope: str) -> Any:
    size = 1
    for extent in shape:
        size *= extent
    return T.arg(name, T.buffer(shape, dtype, scope=scope, align=VECTOR_BYTES, offset_factor=size))


def _call(llvm: str, dtype: str, *operands: Any) -> Any:
    return T.call_llvm_pure_intrin(dtype, T.llvm_lookup_intrinsic_id(llvm), *operands)
