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
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

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


def stream(operation: str, count: int, tasks: int, alignment: int = ALIGNMENT) -> PublishedKernel:
    """Return a stream of TVM PR 12654, ``test_parallel_hvx.py``.

    Parameters
    ----------
    operation:
        ``"vrmpy"``, ``"vmpy"`` or ``"vadd"``: which instruction is applied to each pair of vectors.
    count:
        Pairs of vectors.
    tasks:
        1 for the serial loop, else the factor of its parallel split.
    alignment:
        Alignment of all buffers, in bytes.
    """
    kind = _STREAMS[operation]

    def body(a: Any, b: Any, c: Any) -> None:
        with T.serial(0, count) as n, T.sblock("c_buffer"):
            row = T.axis.spatial(count, n)
            value = intrinsic(
                kind.intrinsic, f"{kind.dtype}x{kind.lanes}", _vector(a, row), _vector(b, row)
            )
            T.buffer_store(c, value, [row, T.ramp(0, 1, kind.lanes)])

    shapes = ((count, VECTOR_BYTES), (count, VECTOR_BYTES))
    kernel = program(_bytes(shapes), TensorSpec((count, kind.lanes), kind.dtype), body, alignment)
    if tasks == 1:
        return kernel
    schedule = s_tir.Schedule(kernel.module)
    (loop,) = schedule.get_loops(schedule.get_sblock("c_buffer"))
    outer, _ = schedule.split(loop, factors=[tasks, None])
    schedule.parallel(outer)
    return PublishedKernel(schedule.mod, kernel.inputs, kernel.output)


def convolution(rows: int, width: int, alignment: int = ALIGNMENT) -> PublishedKernel:
    """Return the "conv approximation" of TVM PR 13005, ``test_async_dma_pipeline.py``.

    Parameters
    ----------
    rows, width:
        Vectors of activations and of weights; each of the first is multiplied by all of the second.
    alignment:
        Alignment of all buffers, in bytes.
    """

    def body(a: Any, w: Any, c: Any) -> None:
        with T.grid(rows, width) as (n, i), T.sblock("c_buffer"):
            row, tap = T.axis.spatial(rows, n), T.axis.reduce(width, i)
            T.reads(a[row, 0:VECTOR_BYTES], w[tap, 0:VECTOR_BYTES], c[row, 0:LANES])
            T.writes(c[row, 0:LANES])
            with T.init(), T.serial(0, LANES) as x:
                T.buffer_store(c, 0, [row, x])
            sums = c.vload([row, 0], dtype=_WORDS)
            value = intrinsic("vrmpyubv.acc", _WORDS, sums, _vector(a, row), _vector(w, tap))
            T.buffer_store(c, value, [row, T.ramp(0, 1, LANES)])

    shapes = ((rows, VECTOR_BYTES), (width, VECTOR_BYTES))
    return program(_bytes(shapes), TensorSpec((rows, LANES), "int32"), body, alignment)


def dense(alignment: int = ALIGNMENT) -> PublishedKernel:
    """Return the dense layer of TVM PR 12854, 128x768x768 with weights packed beforehand.

    The schedule is the one that ``test_meta_schedule.py`` states for "440 GFLOPS on SD888": 512
    parallel tiles of 2 rows x 3 vectors, 192 words deep in 32 rounds of 6, inner loops unrolled.
    """
    rows, vectors, words = 128, 24, 192
    shapes = ((rows, words * REDUCE), (vectors, words * VECTOR_BYTES))
    output = TensorSpec((rows, vectors * LANES), "int32")
    unrolled = {"pragma_auto_unroll_max_step": 64, "pragma_unroll_explicit": 1}

    def body(x: Any, w: Any, c: Any) -> None:
        with T.parallel(0, 512, annotations=unrolled) as tile:
            row, vector = tile // 8 * 2, tile % 8 * 3
            with T.grid(2, 3) as (i, j), T.sblock("compute_o_init"):
                at = [T.axis.spatial(rows, row + i), T.axis.spatial(vectors, vector + j)]
                T.reads()
                T.writes(c[at[0], at[1] * LANES : at[1] * LANES + LANES])
                zeros = T.broadcast(tvm.tirx.const(0, "int32"), LANES)
                T.buffer_store(c, zeros, [at[0], T.ramp(at[1] * LANES, 1, LANES)])
            with T.grid(32, 2, 3, 6) as (ko, i, j, ki), T.sblock("compute_o_update"):
                at = [T.axis.spatial(rows, row + i), T.axis.spatial(vectors, vector + j)]
                word = T.axis.reduce(words, ko * 6 + ki)
                T.reads(
                    c[at[0], at[1] * LANES : at[1] * LANES + LANES],
                    x[at[0], word * REDUCE : word * REDUCE + REDUCE],
                    w[at[1], word * VECTOR_BYTES : word * VECTOR_BYTES + VECTOR_BYTES],
                )
                T.writes(c[at[0], at[1] * LANES : at[1] * LANES + LANES])
                scalar = T.reinterpret("int32", x.vload([at[0], word * REDUCE], dtype="uint8x4"))
                weights = w.vload([at[1], word * VECTOR_BYTES], dtype=f"uint8x{VECTOR_BYTES}")
                sums = c.vload([at[0], at[1] * LANES], dtype=_WORDS)
                value = intrinsic(
                    "vrmpyub.acc", _WORDS, sums, T.reinterpret(_WORDS, weights), scalar
                )
                T.buffer_store(c, value, [at[0], T.ramp(at[1] * LANES, 1, LANES)])

    return program(_bytes(shapes), output, body, alignment)


def program(
    inputs: tuple[TensorSpec, ...],
    output: TensorSpec,
    body: Callable[..., None],
    alignment: int = ALIGNMENT,
) -> PublishedKernel:
    """Return the program that ``body`` writes, given the inputs' buffers and the output's."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        buffers = [
            T.arg(f"p{number}", T.buffer(one.shape, one.dtype, align=alignment))
            for number, one in enumerate((*inputs, output))
        ]
        body(*buffers)
    return PublishedKernel(tvm.IRModule({"main": builder.get()}), inputs, output)


def _bytes(shapes: tuple[tuple[int, int], ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(shape, "uint8") for shape in shapes)


def _vector(buffer: Any, row: Any) -> Any:
    return T.reinterpret(_WORDS, buffer.vload([row, 0], dtype=f"uint8x{VECTOR_BYTES}"))


def intrinsic(name: str, dtype: str, *operands: Any) -> Any:
    """Return a call of one of LLVM's intrinsics of HVX."""
    number = T.llvm_lookup_intrinsic_id(f"llvm.hexagon.V6.{name}.128B")
    return T.call_llvm_intrin(dtype, number, *operands)
