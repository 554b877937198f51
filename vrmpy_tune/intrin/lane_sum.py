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
import math
from typing import Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin import hvx
from vrmpy_tune.intrin.registration import register
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

ONES: Final = 0x01010101

_VRMPY: Final = {
    # vector of u8 times scalar ones
    "uint8": "vrmpyub.acc",
    # vector of u8 ones times vector of i8
    "int8": "vrmpybusv.acc",
}


@functools.cache
def word_sum(dtype: str, scope: str, row: tuple[int, ...], *, aligned: bool) -> str:
    """Register the rule ``words[i] += sum of activations[4 i .. 4 i + 3]``; return its name.

    Parameters
    ----------
    dtype:
        ``"uint8"`` or ``"int8"``.
    scope:
        Memory scope of the activations; the 32 int32 words are in ``local``.
    row:
        Shape of the 128 activations: ``(128,)``, or pixels (and 1) x channels.
    aligned:
        Whether they begin at a multiple of 128 bytes, or of 4.
    """
    pixel_words = LANES // row[0] if len(row) > 1 else LANES

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("word_sum")
            values = _operand("a", row, dtype, scope, VECTOR_BYTES if aligned else REDUCE)
            words = _operand("c", (LANES,), "int32", "local")
            with T.sblock("root"):
                T.reads(words[0:LANES], values[tuple(slice(0, extent) for extent in row)])
                T.writes(words[0:LANES])
                body(values, words)
        return builder.get()

    def describe(values: Any, words: Any) -> None:
        with T.grid(LANES, REDUCE) as (i, k), T.sblock("update"):
            lane, byte = T.axis.spatial(LANES, i), T.axis.reduce(REDUCE, k)
            index = [lane * REDUCE + byte]
            if len(row) > 1:
                channel = lane % pixel_words * REDUCE + byte
                index = [lane // pixel_words, *[0] * (len(row) - 2), channel]
            T.buffer_store(words, words[lane] + T.cast(values[tuple(index)], "int32"), [lane])

    def implement(values: Any, words: Any) -> None:
        loaded = values.vload([0] * len(row), dtype=f"{dtype}x{VECTOR_BYTES}")
        vector = T.reinterpret("int32x32", loaded)
        every = T.ramp(0, 1, LANES)
        operands = words[every], *_times_ones(dtype, vector)
        T.buffer_store(words, hvx.call(_VRMPY[dtype], *operands), [every])

    name = f"word_sum/{dtype}/{scope}/{'x'.join(str(extent) for extent in row)}"
    name += "" if aligned else "/unaligned"
    register(name, build(describe), build(implement))
    return name


def add_pixel(
    words: Any, index: list[Any], pixel: Any, depth: int, at: tuple[Any, Any, Any]
) -> None:
    """Write the body of a block that adds one activation to the words of its pixel.

    The last vector ends with the pixel, and its lanes that the vector before it has count nothing.

    Parameters
    ----------
    words, index:
        The words, and the index of the lane's.
    pixel:
        The pixel's first activation; the others follow it.
    depth:
        Activations of the pixel: a multiple of 4, above 128.
    at:
        Vector, lane, and byte in it.
    """
    vector, lane, byte = at
    first = T.min(vector * VECTOR_BYTES, depth - VECTOR_BYTES)
    *before, start = pixel.indices
    T.reads(words[tuple(index)], pixel.source[(*before, slice(start, start + depth))])
    T.writes(words[tuple(index)])
    value = T.cast(pixel.source[(*before, start + first + lane * REDUCE + byte)], "int32")
    last = depth // VECTOR_BYTES
    again = LANES - depth % VECTOR_BYTES // REDUCE
    counted = tvm.tirx.any(vector < last, lane >= again)
    value = T.if_then_else(counted, value, tvm.tirx.const(0, "int32"))
    T.buffer_store(words, words[tuple(index)] + value, index)


@functools.cache
def pixel_sum(dtype: str, scope: str, depth: int) -> str:
    """Register the rule that adds up a pixel into 32 words (:func:`add_pixel`); return its name.

    Parameters
    ----------
    dtype, scope:
        As in :func:`word_sum`; the pixel begins at a multiple of 4 bytes.
    depth:
        Activations of the pixel.
    """
    vectors = -(-depth // VECTOR_BYTES)

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("pixel_sum")
            values = _operand("a", (depth,), dtype, scope, REDUCE)
            words = _operand("c", (LANES,), "int32", "local")
            with T.sblock("root"):
                T.reads(words[0:LANES], values[0:depth])
                T.writes(words[0:LANES])
                body(values, words)
        return builder.get()

    def describe(values: Any, words: Any) -> None:
        with T.grid(vectors, LANES, REDUCE) as (v, i, k), T.sblock("update"):
            lane = T.axis.spatial(LANES, i)
            vector, byte = T.axis.reduce(vectors, v), T.axis.reduce(REDUCE, k)
            add_pixel(words, [lane], values[0], depth, (vector, lane, byte))

    def implement(values: Any, words: Any) -> None:
        every = T.ramp(0, 1, LANES)
        total = words[every]
        for vector in range(vectors):
            first = min(vector * VECTOR_BYTES, depth - VECTOR_BYTES)
            loaded = values.vload([first], dtype=f"{dtype}x{VECTOR_BYTES}")
            loaded = T.reinterpret("int32x32", loaded)
            if first < vector * VECTOR_BYTES:
                again = vector * VECTOR_BYTES - first
                nothing, everything = hvx.splat(hvx.word(0)), hvx.splat(hvx.word(-1))
                counted = hvx.align_left(everything, nothing, again)
                loaded = hvx.call("vand", loaded, counted)
            total = hvx.call(_VRMPY[dtype], total, *_times_ones(dtype, loaded))
        T.buffer_store(words, total, [every])

    name = f"pixel_sum/{dtype}/{scope}/{depth}"
    register(name, build(describe), build(implement))
    return name


def _times_ones(dtype: str, vector: Any) -> tuple[Any, Any]:
    """Return the factors of :data:`_VRMPY`."""
    ones = tvm.tirx.const(ONES, "int32")
    return (vector, ones) if dtype == "uint8" else (T.broadcast(ones, LANES), vector)


@functools.cache
def lane_sum(pixels: int) -> str:
    """Register the rule that adds up the words of 32 pixels; return its name.

    ``sums[i] += sum over k of words[i // pixels, i % pixels x words_each + k]``, where
    ``words_each`` is ``32 / pixels``.

    Parameters
    ----------
    pixels:
        Pixels in one vector of words: 1, 2 or 4.
    """
    rows = each = LANES // pixels

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("lane_sum")
            words = _operand("a", (rows, LANES), "int32", "local")
            sums = _operand("c", (LANES,), "int32", "local")
            with T.sblock("root"):
                T.reads(sums[0:LANES], words[0:rows, 0:LANES])
                T.writes(sums[0:LANES])
                body(words, sums)
        return builder.get()

    def describe(words: Any, sums: Any) -> None:
        with T.grid(LANES, each) as (i, k), T.sblock("update"):
            lane, word = T.axis.spatial(LANES, i), T.axis.reduce(each, k)
            value = words[lane // pixels, lane % pixels * each + word]
            T.buffer_store(sums, sums[lane] + value, [lane])

    def implement(words: Any, sums: Any) -> None:
        every = T.ramp(0, 1, LANES)
        half = rows // 2
        while half:
            for row in range(half):
                low, high = _shuffle(words[row + half, every], words[row, every], half * 4)
                T.buffer_store(words, low + high, [row, every])
            half //= 2
        # Lanes now hold pixel i % pixels of vector i // pixels in order (i % pixels, i // pixels);
        # each perfect shuffle of the words moves one bit of that index to the other end.
        for _ in range(pixels.bit_length() - 1):
            upper = hvx.call("vror", words[0, every], hvx.word(VECTOR_BYTES // 2))
            low, _high = _shuffle(upper, words[0, every], -REDUCE)
            T.buffer_store(words, low, [0, every])
        T.buffer_store(sums, sums[every] + words[0, every], [every])

    name = f"lane_sum/{pixels}"
    register(name, build(describe), build(implement))
    return name


def _shuffle(upper: Any, lower: Any, control: int) -> tuple[Any, Any]:
    """Return the halves of ``vshuff(upper, lower, control)``."""
    both = hvx.pair("vshuffvdd", upper, lower, hvx.word(control))
    return hvx.low(both), hvx.high(both)


def _operand(
    name: str, shape: tuple[int, ...], dtype: str, scope: str, align: int = VECTOR_BYTES
) -> Any:
    size = align
    if align == VECTOR_BYTES:
        size = math.prod(shape)
    return T.arg(name, T.buffer(shape, dtype, scope=scope, align=align, offset_factor=size))
