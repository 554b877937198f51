"""A small kernel for one tensorization rule: rows of accumulators, summed over words.

``output[r, i] = start[r, i] (+) sum over w, k of scalars[r, w, k] * vectors[w, i, k]``, where
``(+)`` is the row's own addition: it wraps, or clips once a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.device.protocol import Job, TensorSpec
from vrmpy_tune.intrin.registry import rule
from vrmpy_tune.intrin.rules import INT32_MAX, INT32_MIN
from vrmpy_tune.target import LANES, VECTOR_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.intrin.table import Instruction, Scopes

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Scalars, vectors, and what the accumulators start with."""


@dataclass(frozen=True)
class Kernel:
    """The kernel of one table row.

    Attributes
    ----------
    row, scopes:
        The instruction, and where its operands lie.
    rows, words:
        Vectors of accumulators, and instructions into each.
    staged:
        Whether operands in scope ``global`` are copied to workspace, not read from the arguments.
    unrolled:
        Whether the loop body holds one instruction for each row of accumulators, and two words.
    """

    row: Instruction
    scopes: Scopes
    rows: int = 3
    words: int = 7
    staged: bool = False
    unrolled: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of scalars, vectors and accumulators."""
        reduce = self.row.reduce
        return (
            (self.rows, self.words, reduce), (self.words, LANES, reduce), (self.rows, LANES),
        )  # fmt: skip

    @property
    def types(self) -> tuple[str, str, str]:
        """Data types of scalars, vectors and accumulators."""
        return self.row.scalar_type, self.row.vector_type, "int32"

    def module(self) -> tvm.IRModule:
        """Return the kernel with the rule in its innermost loop."""
        schedule = Schedule(tvm.IRModule({"main": self._function()}))
        if self.row.saturates:
            word, row, lanes = schedule.get_loops(schedule.get_sblock("multiply"))
        else:
            word, row, lanes, _ = schedule.get_loops(schedule.get_sblock("multiply"))
        schedule.tensorize(lanes, rule(self.row.name, self.scopes))
        for block in ("start", "store"):
            schedule.vectorize(schedule.get_loops(schedule.get_sblock(block))[-1])
        if self.unrolled:
            _, pair = schedule.split(word, [None, 2])
            for loop in (pair, row):
                schedule.unroll(loop)
            for block in ("start", "store"):
                schedule.unroll(schedule.get_loops(schedule.get_sblock(block))[0])
        return schedule.mod

    def job(self, object_file: Path) -> Job:
        """Return the job that runs the compiled kernel."""
        specs = [TensorSpec(*spec) for spec in zip(self.shapes, self.types, strict=True)]
        return Job(object_file, "main", tuple(specs), (specs[-1],))

    def reference(self, inputs: Arrays) -> np.ndarray:
        """Compute in 64 bits what the table says that the instruction computes."""
        scalars, vectors, start = (array.astype(np.int64) for array in inputs)
        total = start
        for word in range(self.words):
            total = total + np.einsum("rk,ik->ri", scalars[:, word], vectors[word])
            if self.row.saturates:
                total = total.clip(INT32_MIN, INT32_MAX)
        return total.astype(np.int32)

    def _function(self) -> Any:
        scopes, reduce = self.scopes, self.row.reduce
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"global_symbol": "main", "tirx.noalias": True})
            plain = [
                T.arg(name, T.buffer(shape, dtype, align=VECTOR_BYTES))
                for name, shape, dtype in zip("ABSC", (*self.shapes, self.shapes[-1]),
                                              (*self.types, "int32"), strict=True)
            ]  # fmt: skip
            scalars, vectors = (
                array if scope == "global" and not self.staged else _copy(name, array, scope)
                for name, array, scope in zip(("copy_scalars", "copy_vectors"), plain,
                                              (scopes.scalar, scopes.vector), strict=False)
            )  # fmt: skip
            sums = _copy("start", plain[2], scopes.accumulator)
            extents = (self.words, self.rows, LANES)
            if self.row.saturates:
                with T.grid(*extents) as (w, r, i), T.sblock("multiply"):
                    vr, vi = T.axis.spatial(self.rows, r), T.axis.spatial(LANES, i)
                    vw = T.axis.reduce(self.words, w)
                    _add_clipped(sums, [vr, vi], scalars, vectors, vw)
            else:
                with T.grid(*extents, reduce) as (w, r, i, k), T.sblock("multiply"):
                    vr, vi = T.axis.spatial(self.rows, r), T.axis.spatial(LANES, i)
                    vw, vk = T.axis.reduce(self.words, w), T.axis.reduce(reduce, k)
                    product = _int(scalars[vr, vw, vk]) * _int(vectors[vw, vi, vk])
                    T.buffer_store(sums, sums[vr, vi] + product, [vr, vi])
            with T.grid(*self.shapes[-1]) as (r, i), T.sblock("store"):
                vr, vi = T.axis.spatial(self.rows, r), T.axis.spatial(LANES, i)
                T.buffer_store(plain[3], sums[vr, vi], [vr, vi])
        return builder.get()


def _copy(name: str, source: Any, scope: str) -> Any:
    """Copy an argument into a buffer of a scope."""
    shape = [int(extent) for extent in source.shape]
    copied = T.sblock_alloc_buffer(shape, source.dtype, scope=scope, align=VECTOR_BYTES)
    IRBuilder.name(f"{name}_buffer", copied)
    with T.grid(*shape) as loops, T.sblock(name):
        index = [T.axis.spatial(extent, loop) for extent, loop in zip(shape, loops, strict=True)]
        T.buffer_store(copied, source[tuple(index)], index)
    return copied


def _add_clipped(sums: Any, index: list[Any], scalars: Any, vectors: Any, word: Any) -> None:
    row, lane = index
    T.reads(sums[row, lane], scalars[row, word, 0:2], vectors[word, lane, 0:2])
    T.writes(sums[row, lane])
    total = T.cast(sums[row, lane], "int64")
    for k in range(2):
        pair = scalars[row, word, k], vectors[word, lane, k]
        total = total + T.cast(pair[0], "int64") * T.cast(pair[1], "int64")
    clipped = T.max(T.min(total, T.int64(INT32_MAX)), T.int64(INT32_MIN))
    T.buffer_store(sums, T.cast(clipped, "int32"), index)


def _int(value: Any) -> Any:
    return T.cast(value, "int32")
