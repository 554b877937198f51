"""The kernels behind published measurements, rebuilt from their sources.

Each function gives the TIR of a benchmark in TVM's ``tests/python/contrib/test_hexagon`` of late
2022, as the pull request that published its figures had it.  Buffers are aligned to 64 bytes, as
TVM's were from PR 12586 on (August 2022), so that LLVM aligns loads by ``valign`` and stores by
``vmemu`` as it did then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm import s_tir
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.target import LANES, VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

ALIGNMENT: Final = 64
"""Bytes; TVM's default since PR 12586."""

_WORDS: Final = f"int32x{LANES}"


@dataclass(frozen=True)
class PublishedKernel:
    """A benchmark as it was measured.

    Attributes
    ----------
    module:
        Its scheduled program, function ``main``.
    inputs, output:
        Its arguments.
    """

    module: tvm.IRModule
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec


@dataclass(frozen=True)
class _Stream:
    """What one operation of a stream of PR 12654 is."""

    intrinsic: str
    dtype: str
    lanes: int


_STREAMS: Final = {
    "vrmpy": _Stream("vrmpyubv", "int32", LANES),
    "vmpy": _Stream("vmpybusv", "int16", VECTOR_BYTES),
    "vadd": _Stream("vaddubh", "int16", VECTOR_BYTES),
}


def stream(operation: str, count: int, tasks: int) -> PublishedKernel:
    """Return a stream of TVM PR 12654, ``test_parallel_hvx.py``.

    Parameters
    ----------
    operation:
        ``"vrmpy"``, ``"vmpy"`` or ``"vadd"``: which instruction is applied to each pair of vectors.
    count:
        Pairs of vectors.
    tasks:
        1 for the serial loop, else the factor of its parallel split.
    """
    kind = _STREAMS[operation]

    def body(a: Any, b: Any, c: Any) -> None:
        with T.serial(0, count) as n, T.sblock("c_buffer"):
            row = T.axis.spatial(count, n)
            value = _intrinsic(
                kind.intrinsic, f"{kind.dtype}x{kind.lanes}", _vector(a, row), _vector(b, row)
            )
            T.buffer_store(c, value, [row, T.ramp(0, 1, kind.lanes)])

    shapes = ((count, VECTOR_BYTES), (count, VECTOR_BYTES))
    kernel = _kernel(shapes, TensorSpec((count, kind.lanes), kind.dtype), body)
    if tasks == 1:
        return kernel
    schedule = s_tir.Schedule(kernel.module)
    (loop,) = schedule.get_loops(schedule.get_sblock("c_buffer"))
    outer, _ = schedule.split(loop, factors=[tasks, None])
    schedule.parallel(outer)
    return PublishedKernel(schedule.mod, kernel.inputs, kernel.output)


def convolution(rows: int, width: int) -> PublishedKernel:
    """Return the "conv approximation" of TVM PR 13005, ``test_async_dma_pipeline.py``.

    Parameters
    ----------
    rows, width:
        Vectors of activations and of weights; each of the first is multiplied by all of the second.
    """

    def body(a: Any, w: Any, c: Any) -> None:
        with T.grid(rows, width) as (n, i), T.sblock("c_buffer"):
            row, tap = T.axis.spatial(rows, n), T.axis.reduce(width, i)
            T.reads(a[row, 0:VECTOR_BYTES], w[tap, 0:VECTOR_BYTES], c[row, 0:LANES])
            T.writes(c[row, 0:LANES])
            with T.init(), T.serial(0, LANES) as x:
                T.buffer_store(c, 0, [row, x])
            sums = c.vload([row, 0], dtype=_WORDS)
            value = _intrinsic("vrmpyubv.acc", _WORDS, sums, _vector(a, row), _vector(w, tap))
            T.buffer_store(c, value, [row, T.ramp(0, 1, LANES)])

    shapes = ((rows, VECTOR_BYTES), (width, VECTOR_BYTES))
    return _kernel(shapes, TensorSpec((rows, LANES), "int32"), body)


def _kernel(
    shapes: tuple[tuple[int, int], ...],
    output: TensorSpec,
    body: Callable[[Any, Any, Any], None],
) -> PublishedKernel:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        buffers = [
            T.arg(name, T.buffer(shape, "uint8", align=ALIGNMENT))
            for name, shape in zip("ab", shapes, strict=True)
        ]
        buffers.append(T.arg("c", T.buffer(output.shape, output.dtype, align=ALIGNMENT)))
        body(*buffers)
    inputs = tuple(TensorSpec(shape, "uint8") for shape in shapes)
    return PublishedKernel(tvm.IRModule({"main": builder.get()}), inputs, output)


def _vector(buffer: Any, row: Any) -> Any:
    return T.reinterpret(_WORDS, buffer.vload([row, 0], dtype=f"uint8x{VECTOR_BYTES}"))


def _intrinsic(name: str, dtype: str, *operands: Any) -> Any:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.hexagon.V6.{name}.128B")
    return T.call_llvm_intrin(dtype, intrinsic, *operands)
