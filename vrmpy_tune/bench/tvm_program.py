"""The programs that TVM's own rules schedule: packed weights, one reduction, the rest behind it.

As TVM's tests wrote them, and as its fusion leaves a quantized layer: padding, products and sums,
bias, requantization, clipping and the residual are blocks of one function, on operands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm import te

from vrmpy_tune.layout import packed_shape
from vrmpy_tune.quantize import LIMITS, MULTIPLIER_BITS
from vrmpy_tune.target import LANES, REDUCE
from vrmpy_tune.workload import NUMPY_TYPES, Contraction, Conv2d, Dense

if TYPE_CHECKING:
    from collections.abc import Mapping


def program(workload: Contraction) -> tvm.IRModule:
    """Return the program of a dense layer or convolution.

    Its parameters are the workload's operands and its output; weights are packed, and the zero
    point of activations is in ``bias`` (:func:`vrmpy_tune.bench.metaschedule.operands_of`).
    """
    named = {
        one.name: te.placeholder(
            packed_shape(kernel_shape(workload), 1) if one.name == "weights" else one.shape,
            one.numpy_type,
            name=one.name,
        )
        for one in workload.operands
    }
    multiply = _dense if isinstance(workload, Dense) else _conv2d
    output = multiply(workload, named["activations"], named["weights"])
    if workload.bias or workload.requant != "none":
        output = _behind(workload, output, named)
    function = te.create_prim_func([*named.values(), output])
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def kernel_shape(workload: Contraction) -> tuple[int, int, int, int]:
    """Return the shape of the weights as of a convolution: ``[outputs, height, width, inputs]``."""
    outputs, *window, inputs = workload.weight_shape
    height, width = window or (1, 1)
    return outputs, height, width, inputs


def _dense(workload: Any, activations: Any, weights: Any) -> Any:
    assert isinstance(workload, Dense)
    k = te.reduce_axis((0, workload.k), name="k")
    return te.compute(
        (workload.m, workload.n),
        lambda m, n: te.sum(
            activations[m, k].astype("int32") * _weight(weights, n, 0, 0, k), axis=k
        ),
        name="compute",
    )


def _conv2d(workload: Any, activations: Any, weights: Any) -> Any:
    assert isinstance(workload, Conv2d)
    top, left, _, _ = workload.pad
    down, across = workload.stride
    padded = activations
    if any(workload.pad):
        border = tvm.tirx.const(workload.lzp, activations.dtype)

        def inside(n: Any, y: Any, x: Any, c: Any) -> Any:
            within = te.all(
                y >= top, y < workload.h + top, x >= left, x < workload.w + left
            )  # fmt: skip
            return te.if_then_else(within, activations[n, y - top, x - left, c], border)

        padded = te.compute((workload.n, *workload.padded_size, workload.ci), inside, name="padded")
    dy = te.reduce_axis((0, workload.kh), name="dy")
    dx = te.reduce_axis((0, workload.kw), name="dx")
    c = te.reduce_axis((0, workload.ci), name="c")
    return te.compute(
        workload.output_shape,
        lambda n, y, x, o: te.sum(
            padded[n, y * down + dy, x * across + dx, c].astype("int32")
            * _weight(weights, o, dy, dx, c),
            axis=[dy, dx, c],
        ),
        name="compute",
    )


def _weight(weights: Any, output: Any, row: Any, column: Any, depth: Any) -> Any:
    lane, byte = output % LANES, depth % REDUCE
    return weights[0, output // LANES, row, column, depth // REDUCE, lane, byte].astype("int32")


def _behind(workload: Contraction, sums: Any, named: Mapping[str, Any]) -> Any:
    """Return what follows the sums: :meth:`Contraction.reference`, element by element.

    Products are 64 bits wide and everything else 32, which is what LLVM makes vectors of.
    """

    def element(*index: Any) -> Any:
        channel = index[workload.channel_axis]
        value = sums[index]
        if "bias" in named:
            value = value + named["bias"][channel]
        if workload.requant == "none":
            return value
        factor = named["multiplier"][channel if workload.requant == "channel" else 0]
        half = tvm.tirx.const(1 << (MULTIPLIER_BITS - 1), "int64")
        product = value.astype("int64") * factor.astype("int64") + half
        high_half = (product >> tvm.tirx.const(MULTIPLIER_BITS, "int64")).astype("int32")
        shift, zero_point, low, high = (named["requantize"][at] for at in range(4))
        value = _rounded(high_half, shift) + zero_point
        if not workload.residual:
            return _clipped(workload, value, low, high)
        limits = (tvm.tirx.const(one, "int32") for one in LIMITS[workload.out])
        value = _limited(value, *limits)
        lhs, rhs, offset, shift, zero_point, low, high = (named["add"][at] for at in range(7))
        total = value * lhs + named["residual"][index].astype("int32") * rhs + offset
        return _clipped(workload, _rounded(total, shift) + zero_point, low, high)

    return te.compute(workload.output_shape, element, name="requantize")


def _rounded(value: Any, shift: Any) -> Any:
    """Return a value shifted right, halves rounded up."""
    one = tvm.tirx.const(1, "int32")
    return (value + ((one << shift) >> one)) >> shift


def _clipped(workload: Contraction, value: Any, low: Any, high: Any) -> Any:
    """Return a value clipped as the activation says, in the output's type."""
    least, most = (tvm.tirx.const(one, "int32") for one in LIMITS[workload.out])
    if workload.act in ("relu", "clip"):
        least = te.max(least, low)
    if workload.act == "clip":
        most = te.min(most, high)
    return _limited(value, least, most).astype(NUMPY_TYPES[workload.out])


def _limited(value: Any, low: Any, high: Any) -> Any:
    return te.max(te.min(value, high), low)
