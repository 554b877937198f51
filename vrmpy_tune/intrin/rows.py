"""Rules that copy and clear whole rows with ``memcpy`` and ``memset``.

Written as loops over bytes, a copy between padded rows costs LLVM one packet a byte; the C
library's functions, which the on-device runtime supplies for HVX, take one a vector.
"""

from __future__ import annotations

import functools
from typing import Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin.registration import register
from vrmpy_tune.target import VECTOR_BYTES


@functools.cache
def row_copy(width: int, depth: int, dtype: str, scope: str) -> str:
    """Register the rule ``row[x, 0, c] = plain[x, c]``; return its name.

    Parameters
    ----------
    width, depth:
        Extents of the row, both above 1: TVM drops loops over 1 before it matches.
    dtype:
        Data type of both.
    scope:
        Memory scope of the copy; the source is in ``global``.
    """
    size = width * depth * tvm.DataType(dtype).itemsize

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("row_copy")
            plain = _operand("a", (width, depth), dtype, "global")
            row = _operand("b", (width, 1, depth), dtype, scope)
            with T.sblock("root"):
                T.reads(plain[0:width, 0:depth])
                T.writes(row[0:width, 0:1, 0:depth])
                body(plain, row)
        return builder.get()

    def describe(plain: Any, row: Any) -> None:
        with T.grid(width, depth) as (x, c), T.sblock("copy"):
            i, k = T.axis.spatial(width, x), T.axis.spatial(depth, c)
            T.buffer_store(row, plain[i, k], [i, 0, k])

    def implement(plain: Any, row: Any) -> None:
        target, source = row.access_ptr("w"), plain.access_ptr("r")
        T.evaluate(T.call_extern("handle", "memcpy", target, source, tvm.tirx.const(size, "int32")))

    name = f"row_copy/{width}/{depth}/{dtype}/{scope}"
    register(name, build(describe), build(implement))
    return name


@functools.cache
def row_clear(width: int, depth: int, dtype: str, scope: str, fill: int = 0) -> str:
    """Register the rule ``row[x, 0, c] = fill``; return its name.

    The other parameters are those of :func:`row_copy`.
    """
    size = width * depth * tvm.DataType(dtype).itemsize

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("row_clear")
            row = _operand("b", (width, 1, depth), dtype, scope)
            with T.sblock("root"):
                T.reads()
                T.writes(row[0:width, 0:1, 0:depth])
                body(row)
        return builder.get()

    def describe(row: Any) -> None:
        with T.grid(width, depth) as (x, c), T.sblock("fill"):
            i, k = T.axis.spatial(width, x), T.axis.spatial(depth, c)
            T.buffer_store(row, tvm.tirx.const(fill, dtype), [i, 0, k])

    def implement(row: Any) -> None:
        value, count = tvm.tirx.const(fill, "int32"), tvm.tirx.const(size, "int32")
        T.evaluate(T.call_extern("handle", "memset", row.access_ptr("w"), value, count))

    name = f"row_clear/{width}/{depth}/{dtype}/{scope}" + (f"/{fill}" if fill else "")
    register(name, build(describe), build(implement))
    return name


@functools.cache
def row_widen(width: int, dtype: str, scope: str) -> str:
    """Register the rule ``row[x, 0, c] = plain[x, c]`` for rows of 3 channels kept as 4.

    Three words of the source hold four pixels; shifts and masks make four words of them, each
    with a zero behind its three channels.

    Parameters
    ----------
    width:
        Pixels of the row; a multiple of 4.
    dtype, scope:
        As in :func:`row_copy`; the source is aligned to words.

    Raises
    ------
    ValueError
        If ``width`` is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"rows of {width} pixels are not made of groups of four")

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("row_widen")
            plain = T.arg("a", T.buffer((width, 3), dtype, align=4, offset_factor=4))
            row = T.arg(
                "b",
                T.buffer(
                    (width, 1, 3), dtype, strides=(4, 4, 1), scope=scope, align=4, offset_factor=4
                ),
            )
            with T.sblock("root"):
                T.reads(plain[0:width, 0:3])
                T.writes(row[0:width, 0:1, 0:3])
                body(plain, row)
        return builder.get()

    def describe(plain: Any, row: Any) -> None:
        with T.grid(width, 3) as (x, c), T.sblock("copy"):
            i, k = T.axis.spatial(width, x), T.axis.spatial(3, c)
            T.buffer_store(row, plain[i, k], [i, 0, k])

    def implement(plain: Any, row: Any) -> None:
        with T.serial(0, width // 4) as group:
            first, second, third = (
                T.reinterpret("uint32", plain.vload([group * 4 + word, word], dtype=f"{dtype}x4"))
                for word in range(3)
            )
            pixels = (
                first & 0xFFFFFF,
                (first >> 24) | ((second & 0xFFFF) << 8),
                (second >> 16) | ((third & 0xFF) << 16),
                third >> 8,
            )
            for pixel, value in enumerate(pixels):
                T.buffer_store(
                    row, T.reinterpret(f"{dtype}x4", value), [group * 4 + pixel, 0, T.ramp(0, 1, 4)]
                )

    name = f"row_widen/{width}/{dtype}/{scope}"
    register(name, build(describe), build(implement))
    return name


def _operand(name: str, shape: tuple[int, ...], dtype: str, scope: str) -> Any:
    return T.arg(name, T.buffer(shape, dtype, scope=scope, align=VECTOR_BYTES, offset_factor=1))
