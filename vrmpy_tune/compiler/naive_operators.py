"""Plain loops of the operators around dense and convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.quantize import LIMITS, MULTIPLIER_BITS
from vrmpy_tune.workload import (
    NUMPY_TYPES,
    AvgPool2d,
    Clip,
    Concat,
    DepthwiseConv2d,
    Dequantize,
    GlobalAvgPool2d,
    Layout,
    MaxPool2d,
    Pad,
    Quantize,
    QuantizedAdd,
    QuantizedMultiply,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.workload import Workload


def can_write(workload: Workload) -> bool:
    """Return whether a workload's operator is one of this module."""
    return type(workload) in _WRITERS


def write_operator(workload: Workload, buffers: Sequence[Any]) -> None:
    """Write the loops of an operator into the function being built.

    Parameters
    ----------
    workload:
        What to compute: one that :func:`can_write` knows.
    buffers:
        Its plain operands, and its output.
    """
    _WRITERS[type(workload)](workload, *buffers)


def _elementwise(workload: Any, *buffers: Any) -> None:
    *operands, output = buffers
    with T.grid(*workload.shape) as loops, T.sblock("compute"):
        index = _spatial(workload.shape, loops)
        *tensors, parameters = operands
        values = [_wide(one[tuple(index)]) for one in tensors]
        if isinstance(workload, QuantizedAdd):
            total = values[0] * _wide(parameters[0]) + values[1] * _wide(parameters[1])
            shifted = _shifted(total + _wide(parameters[2]), parameters[3])
            result, bounds = shifted + _wide(parameters[4]), (parameters[5], parameters[6])
        elif isinstance(workload, QuantizedMultiply):
            product = (values[0] - _wide(parameters[0])) * (values[1] - _wide(parameters[1]))
            result = _scaled(product, parameters[2], parameters[3], parameters[4])
            bounds = (parameters[5], parameters[6])
        else:
            result, bounds = values[0], (parameters[0], parameters[1])
        T.buffer_store(output, T.cast(_clip(result, bounds), output.dtype), index)


def _depthwise(workload: DepthwiseConv2d, *buffers: Any) -> None:
    names = [one.name for one in (*workload.operands, workload.output)]
    named = dict(zip(names, buffers, strict=True))
    sums = named["output"]
    if workload.requant != "none":
        sums = _allocate("sums", workload.output_shape)

    def contribution(inside: Any, index: tuple[Any, ...], dy: Any, dx: Any) -> Any:
        # Outside it is the zero point, whose difference is nothing.
        value = T.if_then_else(inside, named["activations"][index], _zero(workload, workload.lzp))
        difference = T.cast(value, "int32") - workload.lzp
        weight = T.cast(named["weights"][index[3], dy, dx], "int32") - workload.rzp
        return difference * weight

    bias = named.get("bias")
    _windows(workload, sums, lambda c: 0 if bias is None else bias[c], contribution, "add")
    if workload.requant == "none":
        return
    factor, parameters, add = named["multiplier"], named["requantize"], named.get("add")
    with T.grid(*workload.output_shape) as loops, T.sblock("requantize"):
        index = _spatial(workload.output_shape, loops)
        multiplier = factor[index[3] if workload.requant == "channel" else 0]
        result = _scaled(_wide(sums[tuple(index)]), multiplier, parameters[0], parameters[1])
        result = _clip(result, (parameters[2], parameters[3]))
        if add is not None:
            total = result * _wide(add[0]) + _wide(named["residual"][tuple(index)]) * _wide(add[1])
            result = _shifted(total + _wide(add[2]), add[3]) + _wide(add[4])
            result = _clip(result, (add[5], add[6]))
        T.buffer_store(named["output"], T.cast(result, named["output"].dtype), index)


def _max_pool(workload: MaxPool2d, activations: Any, output: Any) -> None:
    smallest = LIMITS[workload.dtype][0]

    def value(inside: Any, index: tuple[Any, ...], _dy: Any, _dx: Any) -> Any:
        return T.if_then_else(inside, activations[index], _zero(workload, smallest))

    _windows(workload, output, lambda _: smallest, value, "max")


def _avg_pool(workload: AvgPool2d, *buffers: Any) -> None:
    activations, multiplier, average, output = buffers
    shape = workload.output.shape
    sums, counts = _allocate("sums", shape), _allocate("counts", shape)

    def value(inside: Any, index: tuple[Any, ...], _dy: Any, _dx: Any) -> Any:
        difference = T.cast(activations[index], "int32") - average[0]
        return T.if_then_else(inside, difference, 0)

    def one(inside: Any, _index: tuple[Any, ...], _dy: Any, _dx: Any) -> Any:
        return T.cast(inside, "int32")

    _windows(workload, sums, lambda _: 0, value, "add")
    if not workload.include_pad:
        _windows(workload, counts, lambda _: 0, one, "add")
    with T.grid(*shape) as loops, T.sblock("requantize"):
        index = _spatial(shape, loops)
        factor = multiplier[0 if workload.include_pad else counts[tuple(index)] - 1]
        result = _averaged(sums[tuple(index)], factor, average)
        T.buffer_store(output, T.cast(result, output.dtype), index)


def _global_avg_pool(workload: GlobalAvgPool2d, *buffers: Any) -> None:
    activations, multiplier, average, output = buffers
    shape = (workload.n, workload.c)
    sums = _allocate("sums", shape)
    with T.grid(*shape, workload.h, workload.w) as loops, T.sblock("sum"):
        b, c = _spatial(shape, loops[:2])
        y, x = T.axis.reduce(workload.h, loops[2]), T.axis.reduce(workload.w, loops[3])
        with T.init():
            T.buffer_store(sums, 0, [b, c])
        value = T.cast(activations[b, y, x, c], "int32") - average[0]
        T.buffer_store(sums, sums[b, c] + value, [b, c])
    with T.grid(*shape) as loops, T.sblock("requantize"):
        b, c = _spatial(shape, loops)
        result = _averaged(sums[b, c], multiplier[0], average)
        T.buffer_store(output, T.cast(result, output.dtype), [b, 0, 0, c])


def _pad(workload: Pad, activations: Any, output: Any) -> None:
    with T.grid(*workload.output.shape) as loops, T.sblock("pad"):
        b, y, x, c = _spatial(workload.output.shape, loops)
        row, column = y - workload.pad[0], x - workload.pad[1]
        inside = tvm.tirx.all(row >= 0, row < workload.h, column >= 0, column < workload.w)
        value = T.if_then_else(
            inside, activations[b, row, column, c], _zero(workload, workload.value)
        )
        T.buffer_store(output, value, [b, y, x, c])


def _layout(workload: Layout, activations: Any, output: Any) -> None:
    with T.grid(*workload.output.shape) as loops, T.sblock("transpose"):
        b, first, second, third = _spatial(workload.output.shape, loops)
        source = (b, third, first, second) if workload.to == "nhwc" else (b, second, third, first)
        T.buffer_store(output, activations[source], [b, first, second, third])


def _concat(workload: Concat, *buffers: Any) -> None:
    *parts, output = buffers
    for part, size, offset in zip(parts, workload.parts, workload.offsets, strict=True):
        with T.grid(workload.rows, size) as loops, T.sblock(f"copy_{part.name}"):
            row, column = _spatial((workload.rows, size), loops)
            T.buffer_store(output, part[row, column], [row, offset + column])


def _quantize(
    workload: Quantize, activations: Any, scale: Any, zero_point: Any, output: Any
) -> None:
    low, high = LIMITS[workload.dtype]
    with T.grid(*workload.shape) as loops, T.sblock("quantize"):
        index = _spatial(workload.shape, loops)
        far = T.float32(1024)
        quotient = T.max(T.min(activations[tuple(index)] / scale[0], far), -far)
        # The instruction that converts rounds halves to even; TVM's round goes through double.
        intrinsic = T.llvm_lookup_intrinsic_id("llvm.hexagon.F2.conv.sf2w")
        whole = T.call_llvm_pure_intrin("int32", intrinsic, quotient) + zero_point[0]
        T.buffer_store(output, T.cast(T.max(T.min(whole, high), low), output.dtype), index)


def _dequantize(
    workload: Dequantize, activations: Any, scale: Any, zero_point: Any, output: Any
) -> None:
    with T.grid(*workload.shape) as loops, T.sblock("dequantize"):
        index = _spatial(workload.shape, loops)
        whole = T.cast(activations[tuple(index)], "int32") - zero_point[0]
        T.buffer_store(output, T.cast(whole, "float32") * scale[0], index)


def _averaged(total: Any, multiplier: Any, average: Any) -> Any:
    scaled = _scaled(_wide(total), multiplier, average[1], average[2])
    return _clip(scaled, (average[3], average[4]))


def _windows(
    workload: Any, target: Any, start: Callable[[Any], Any], value: Callable[..., Any], how: str
) -> None:
    """Reduce over windows; ``value`` takes whether it is inside, its index, and the element."""
    spatial, reduced = workload.output.shape, (workload.kh, workload.kw)
    with T.grid(*spatial, *reduced) as loops, T.sblock(f"windows_{target.name}"):
        b, y, x, c = _spatial(spatial, loops[:4])
        dy, dx = (T.axis.reduce(e, i) for e, i in zip(reduced, loops[4:], strict=True))
        row = y * workload.stride[0] + dy * workload.dilation[0] - workload.pad[0]
        column = x * workload.stride[1] + dx * workload.dilation[1] - workload.pad[1]
        inside = tvm.tirx.all(row >= 0, row < workload.h, column >= 0, column < workload.w)
        with T.init():
            T.buffer_store(target, start(c), [b, y, x, c])
        one, before = value(inside, (b, row, column, c), dy, dx), target[b, y, x, c]
        T.buffer_store(target, before + one if how == "add" else T.max(before, one), [b, y, x, c])


def _spatial(extents: Sequence[int], loops: Any) -> list[Any]:
    several = [loops] if isinstance(loops, tvm.tirx.Var) else list(loops)
    return [T.axis.spatial(extent, loop) for extent, loop in zip(extents, several, strict=True)]


def _allocate(name: str, shape: tuple[int, ...]) -> Any:
    buffer = T.sblock_alloc_buffer(shape, "int32")
    IRBuilder.name(name, buffer)
    return buffer


def _zero(workload: Any, value: int) -> Any:
    return tvm.tirx.const(value, NUMPY_TYPES[workload.operands[0].dtype])


def _wide(value: Any) -> Any:
    return T.cast(value, "int64")


def _shifted(value: Any, shift: Any) -> Any:
    """Shift right, rounding halves up, as :func:`vrmpy_tune.quantize.round_shift`."""
    one = tvm.tirx.const(1, "int64")
    half = T.shift_right(T.shift_left(one, _wide(shift)), one)
    return T.shift_right(value + half, _wide(shift))


def _scaled(value: Any, multiplier: Any, shift: Any, zero_point: Any) -> Any:
    """Scale as :class:`vrmpy_tune.quantize.Requantize`, but for the clipping."""
    half = tvm.tirx.const(1 << (MULTIPLIER_BITS - 1), "int64")
    bits = tvm.tirx.const(MULTIPLIER_BITS, "int64")
    high_half = T.shift_right(value * _wide(multiplier) + half, bits)
    return _shifted(high_half, shift) + _wide(zero_point)


def _clip(value: Any, bounds: tuple[Any, Any]) -> Any:
    return T.max(T.min(value, _wide(bounds[1])), _wide(bounds[0]))


_WRITERS: Final[dict[type[Workload], Callable[..., None]]] = {
    QuantizedAdd: _elementwise,
    QuantizedMultiply: _elementwise,
    Clip: _elementwise,
    DepthwiseConv2d: _depthwise,
    MaxPool2d: _max_pool,
    AvgPool2d: _avg_pool,
    GlobalAvgPool2d: _global_avg_pool,
    Pad: _pad,
    Layout: _layout,
    Concat: _concat,
    Quantize: _quantize,
    Dequantize: _dequantize,
}
