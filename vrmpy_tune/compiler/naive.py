"""The program nobody scheduled: what TVM makes of a workload without a record or a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import NUMPY_TYPES, Conv2d, Dense

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload


def naive_module(workload: Workload) -> tvm.IRModule:
    """Return plain loops over plain operands, for LLVM to do its best with."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        operands = [
            T.arg(one.name, T.buffer(one.shape, one.numpy_type, align=VECTOR_BYTES))
            for one in (*workload.operands, workload.output)
        ]
        if isinstance(workload, Dense):
            _dense(workload, *operands)
        elif isinstance(workload, Conv2d):
            _conv2d(workload, *operands)
    return tvm.IRModule({"main": builder.get()})


def naive_inputs(workload: Workload) -> tuple[TensorSpec, ...]:
    """Return the specifications of the program's inputs."""
    return tuple(TensorSpec(one.shape, one.numpy_type) for one in workload.operands)


def naive_output(workload: Workload) -> TensorSpec:
    """Return the specification of the program's output."""
    return TensorSpec(workload.output.shape, workload.output.numpy_type)


def _dense(workload: Dense, activations: Any, weights: Any, output: Any) -> None:
    with T.grid(workload.m, workload.n, workload.k) as (m, n, k), T.sblock("multiply"):
        row, column = T.axis.spatial(workload.m, m), T.axis.spatial(workload.n, n)
        depth = T.axis.reduce(workload.k, k)
        _accumulate(output, [row, column], activations[row, depth], weights[column, depth])


def _conv2d(workload: Conv2d, activations: Any, weights: Any, output: Any) -> None:
    height, width = workload.output_size
    depth, outputs = workload.ci // workload.groups, workload.co // workload.groups
    spatial = (workload.n, height, width, workload.co)
    reduced = (workload.kh, workload.kw, depth)
    with T.grid(*spatial, *reduced) as loops, T.sblock("multiply"):
        b, y, x, o = (T.axis.spatial(e, i) for e, i in zip(spatial, loops[:4], strict=True))
        dy, dx, c = (T.axis.reduce(e, i) for e, i in zip(reduced, loops[4:], strict=True))
        row = y * workload.stride[0] + dy * workload.dilation[0] - workload.pad[0]
        column = x * workload.stride[1] + dx * workload.dilation[1] - workload.pad[1]
        channel = o // outputs * depth + c
        nchw = workload.layout == "nchw"
        inside = tvm.tirx.all(row >= 0, row < workload.h, column >= 0, column < workload.w)
        index = (b, channel, row, column) if nchw else (b, row, column, channel)
        zero = tvm.tirx.const(0, NUMPY_TYPES[workload.lhs])
        value = T.if_then_else(inside, activations[index], zero)
        target = [b, o, y, x] if nchw else [b, y, x, o]
        _accumulate(output, target, value, weights[o, dy, dx, c])


def _accumulate(output: Any, index: list[Any], activation: Any, weight: Any) -> None:
    with T.init():
        T.buffer_store(output, 0, index)
    product = T.cast(activation, "int32") * T.cast(weight, "int32")
    T.buffer_store(output, output[tuple(index)] + product, index)
