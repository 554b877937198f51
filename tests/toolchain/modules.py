"""Scheduled modules that ask much of a compiler."""

from __future__ import annotations

from typing import Any

import tvm
from tvm.s_tir import Schedule
from tvm.script import tirx as S
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.intrin.kernel import Kernel
from vrmpy_tune.intrin.table import Scopes, instruction
from vrmpy_tune.target import LANES, VECTOR_BYTES


def add_one() -> tvm.IRModule:
    """Return a module that is no trouble."""
    return _elementwise(lambda value: value + 1)


def unselectable() -> tvm.IRModule:
    """Return a module that lowers, and at which LLVM's instruction selection aborts the process.

    The intrinsic is another architecture's.
    """
    foreign = S.llvm_lookup_intrinsic_id("llvm.amdgcn.workitem.id.x")
    return _elementwise(lambda value: value + tvm.tirx.call_llvm_pure_intrin("int32", foreign))


def unrolled(multiplies: int) -> tvm.IRModule:
    """Return a module of one loop body with that many vrmpy."""
    rows = 8
    kernel = Kernel(instruction("vrmpy.u8_u8"), Scopes(), rows=rows, words=multiplies // rows)
    schedule = Schedule(kernel.module())
    for extent in (rows, multiplies // rows):
        for loop in _loops_of_extent(schedule, extent):
            schedule.unroll(loop)
    return schedule.mod


def _loops_of_extent(schedule: Schedule, extent: int) -> list[Any]:
    (update,) = (
        block for block in schedule.get_child_blocks(schedule.get_sblock("root"))
        if schedule.get(block).name_hint not in {"start", "store"}
    )  # fmt: skip
    return [one for one in schedule.get_loops(update) if int(schedule.get(one).extent) == extent]


def _elementwise(change: Any) -> tvm.IRModule:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        source, output = (T.arg(n, T.buffer((LANES,), "int32", align=VECTOR_BYTES)) for n in "AC")
        with T.grid(LANES) as i, T.sblock("change"):
            lane = T.axis.spatial(LANES, i)
            T.buffer_store(output, change(source[lane]), [lane])
    return tvm.IRModule({"main": builder.get()})
