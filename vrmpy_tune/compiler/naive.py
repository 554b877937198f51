"""The program nobody scheduled: what TVM makes of a workload without a record or a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from search_spaces.aim import TOTAL
from search_spaces.space import Space
from vrmpy_tune.compiler.naive_operators import can_write, write_operator
from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.errors import BuildError
from vrmpy_tune.intrin.requantize import Element, Epilogue, Operands, store_requantized
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import NUMPY_TYPES, Contraction, Conv2d, Dense

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvm.s_tir import Schedule, Trace

    from search_spaces.aim import Aim
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload


def naive_module(workload: Workload) -> tvm.IRModule:
    """Return plain loops over plain operands, for LLVM to do its best with.

    Raises
    ------
    BuildError
        If no loops are known for the operator.
    """
    contracts = isinstance(workload, (Dense, Conv2d))
    if not contracts and not can_write(workload):
        raise BuildError(
            f"There are no plain loops for the operator '{workload.operator}', so that {workload} "
            "cannot be compiled without a schedule. They belong in "
            "vrmpy_tune/compiler/naive_operators.py."
        )
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        named = {
            one.name: T.arg(one.name, T.buffer(one.shape, one.numpy_type, align=VECTOR_BYTES))
            for one in (*workload.operands, workload.output)
        }
        if isinstance(workload, (Dense, Conv2d)):
            _contraction(workload, named)
        else:
            write_operator(workload, list(named.values()))
    return tvm.IRModule({"main": builder.get()})


class Unscheduled(Space):
    """The space of workloads that nothing covers: their program as it is, on plain operands."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return naive_module(workload)

    def generator(  # noqa: D102
        self, workload: Workload, target: HexagonTarget
    ) -> Callable[[Schedule], list[Schedule]]:
        return lambda schedule: [schedule]

    def estimate(self, workload: Workload, trace: Trace, aim: Aim = TOTAL) -> float:
        """Return the packet bound, for there is nothing to tell by."""
        return float(workload.packet_bound)

    def features(  # noqa: D102
        self, workload: Workload, trace: Trace, aim: Aim = TOTAL
    ) -> list[float]:
        return [self.estimate(workload, trace)]


def naive_inputs(workload: Workload) -> tuple[TensorSpec, ...]:
    """Return the specifications of the program's inputs."""
    return tuple(TensorSpec(one.shape, one.numpy_type) for one in workload.operands)


def naive_output(workload: Workload) -> TensorSpec:
    """Return the specification of the program's output."""
    return TensorSpec(workload.output.shape, workload.output.numpy_type)


def _contraction(workload: Dense | Conv2d, named: dict[str, Any]) -> None:
    sums = named["output"]
    if workload.out != "i32":
        sums = T.sblock_alloc_buffer(workload.output_shape, "int32", align=VECTOR_BYTES)
        IRBuilder.name("sums", sums)
    if isinstance(workload, Dense):
        _dense(workload, named, sums)
    else:
        _conv2d(workload, named, sums)
    if workload.out != "i32":
        _requantize(workload, named, sums)


def _dense(workload: Dense, named: dict[str, Any], sums: Any) -> None:
    with T.grid(workload.m, workload.n, workload.k) as (m, n, k), T.sblock("multiply"):
        row, column = T.axis.spatial(workload.m, m), T.axis.spatial(workload.n, n)
        depth = T.axis.reduce(workload.k, k)
        activation, weight = named["activations"][row, depth], named["weights"][column, depth]
        _accumulate(workload, named, sums, [row, column], (activation, weight))


def _conv2d(workload: Conv2d, named: dict[str, Any], sums: Any) -> None:
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
        border = tvm.tirx.const(workload.lzp, NUMPY_TYPES[workload.lhs])
        value = T.if_then_else(inside, named["activations"][index], border)
        target = [b, o, y, x] if nchw else [b, y, x, o]
        _accumulate(workload, named, sums, target, (value, named["weights"][o, dy, dx, c]))


def _accumulate(
    workload: Contraction, named: dict[str, Any], sums: Any, index: list[Any],
    factors: tuple[Any, Any],
) -> None:  # fmt: skip
    with T.init():
        start = named["bias"][index[workload.channel_axis]] if workload.bias else 0
        T.buffer_store(sums, start, index)
    lhs, rhs = (
        T.cast(factor, "int32") - zero_point
        for factor, zero_point in zip(factors, (workload.lzp, workload.rzp), strict=True)
    )
    T.buffer_store(sums, sums[tuple(index)] + lhs * rhs, index)


def _requantize(workload: Contraction, named: dict[str, Any], sums: Any) -> None:
    # Pixels and vectors matter to the rule only.
    epilogue = Epilogue(
        1, 1, workload.out, workload.requant == "channel", workload.act, bool(workload.residual)
    )
    operands = Operands(
        sums, named["multiplier"], named["requantize"], named.get("residual"), named.get("add"),
        named["output"],
    )  # fmt: skip
    with T.grid(*workload.output_shape) as loops, T.sblock("requantize"):
        index = tuple(
            T.axis.spatial(extent, loop)
            for extent, loop in zip(workload.output_shape, loops, strict=True)
        )
        multiplier = (index[workload.channel_axis] if epilogue.per_channel else 0,)
        store_requantized(epilogue, operands, Element(index, multiplier, index))
