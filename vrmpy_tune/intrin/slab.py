"""Rules that bring a slab, bytes that follow one another, into VTCM: by vectors or by the user DMA.

TVM's rule for the latter (``dma_read_128_u8``, PR 13719) moves 128 bytes at a time through a packed
function that needs Qualcomm's SDK; this one moves the whole slab, by the on-device runtime.
"""

from __future__ import annotations

import enum
import functools
from typing import Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin.registration import register
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.toolchain.storage import VTCM_SCOPE
from vrmpy_tune.toolchain.transfers import DMA_COPY, DMA_WAIT


class Mover(enum.StrEnum):
    """What moves the bytes."""

    VECTORS = "vectors"
    """The context itself, by ``memcpy`` in HVX."""
    DMA = "dma"
    """The DMA; the context waits until all is there."""


@functools.cache
def slab_load(mover: Mover, shape: tuple[int, ...], dtype: str) -> str:
    """Register the rule that copies a slab from ``global`` to ``global.vtcm``; return its name.

    Parameters
    ----------
    mover:
        What moves the bytes.
    shape:
        Extents of the slab; the first is above 1, for TVM drops the outer loops over 1.
    dtype:
        Data type of its elements.
    """
    size = tvm.DataType(dtype).itemsize
    for extent in shape:
        size *= extent

    def build(body: Any) -> tvm.tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("slab_load")
            plain = _operand("a", shape, dtype, "global")
            slab = _operand("b", shape, dtype, VTCM_SCOPE)
            with T.sblock("root"):
                T.reads(plain[tuple(slice(0, extent) for extent in shape)])
                T.writes(slab[tuple(slice(0, extent) for extent in shape)])
                body(plain, slab)
        return builder.get()

    def describe(plain: Any, slab: Any) -> None:
        extents = [extent for extent in shape if extent > 1]
        with T.grid(*extents) as loops, T.sblock("copy"):
            several = iter([loops] if isinstance(loops, tvm.tirx.Var) else loops)
            index = [T.axis.spatial(one, next(several)) if one > 1 else 0 for one in shape]
            T.buffer_store(slab, plain[tuple(index)], index)

    def implement(plain: Any, slab: Any) -> None:
        operands = (slab.access_ptr("w"), plain.access_ptr("r"), tvm.tirx.const(size, "int32"))
        if mover is Mover.VECTORS:
            T.evaluate(T.call_extern("handle", "memcpy", *operands))
        else:
            T.evaluate(T.call_extern("int32", DMA_COPY, 0, *operands))
            T.evaluate(T.call_extern("int32", DMA_WAIT, 0, 0))

    name = f"slab_load/{mover}/{'x'.join(map(str, shape))}/{dtype}"
    register(name, build(describe), build(implement))
    return name


def _operand(name: str, shape: tuple[int, ...], dtype: str, scope: str) -> Any:
    return T.arg(name, T.buffer(shape, dtype, scope=scope, align=VECTOR_BYTES, offset_factor=1))
