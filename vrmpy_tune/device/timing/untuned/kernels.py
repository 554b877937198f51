"""The programs that TVM's schedules of October 2022 made of an int8 network's operators.

Loops, layouts and instructions are those of TVM PR 12911 and of the schedules around it
(``topi/hexagon``: convolutions and dense layers by ``vrmpy``, everything else as TE's defaults had
it), stated anew for today's TIR:

- Activations are ``[channels / 32][height][width][32]``, weights
  ``[outputs / 32][inputs / 32][rows][columns][8][32][4]``.
- A convolution is computed where its fused output wants it, which is pixel by pixel: one vector of
  sums, to which each ``vrmpy`` of a splat activation is added by an instruction of its own.
  Channel blocks and rows are parallel.
- Borders are padded by an operator of its own, which like pooling is neither parallel nor
  vectorized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.device.timing.published import PublishedKernel, intrinsic, program
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

if TYPE_CHECKING:
    from vrmpy_tune.device.timing.untuned.arithmetic import Factor

PIXEL_TILE: Final = 31
"""Most pixels of a row that the schedule took at once."""

_WORDS: Final = f"int32x{LANES}"
_WIDE: Final = f"int64x{LANES}"
_BYTE_LIMITS: Final = (0, 255)


@dataclass(frozen=True)
class Residual:
    """A tensor that is added behind the requantization, as ``qnn.add`` was lowered.

    Attributes
    ----------
    own, other:
        Factors of the convolution's output and of the tensor that is added.
    own_zero_point:
        That of the convolution's output; the others are 0.
    """

    own: Factor
    other: Factor
    own_zero_point: int


@dataclass(frozen=True)
class Convolution:
    """Sizes of a convolution of a padded input, and what follows it.

    Attributes
    ----------
    rows, columns, stride, kernel:
        Of the padded input, in pixels; the stride; rows, and columns, of the kernel.
    inputs, outputs:
        Channels.
    zero_point:
        Of the requantized output.
    residual:
        What is added.
    """

    rows: int
    columns: int
    stride: int
    kernel: int
    inputs: int
    outputs: int
    zero_point: int
    residual: Residual | None = None

    @property
    def block(self) -> int:
        """Input channels that lie side by side."""
        return min(self.inputs, LANES)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of the padded activations."""
        return (self.inputs // self.block, self.rows, self.columns, self.block)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the packed weights."""
        taps = (self.kernel, self.kernel)
        words = self.block // REDUCE
        outer = (self.outputs // LANES, self.inputs // self.block)
        return (*outer, *taps, words, LANES, REDUCE)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        height, width = (
            (extent - self.kernel) // self.stride + 1 for extent in (self.rows, self.columns)
        )
        return (self.outputs // LANES, height, width, LANES)


def convolution(layer: Convolution, *, fused: bool = True) -> PublishedKernel:
    """Return a convolution of u8 by i8 with all that Relay fused behind it.

    Arguments are activations, weights, bias, the three constants of
    :class:`~vrmpy_tune.device.timing.untuned.arithmetic.ChannelFactors`, and the residual.
    Without what is fused, to tell what that costs, they are activations and weights.
    """
    blocks, height, width, _ = layer.output_shape
    depth, *_ = layer.data_shape
    tile = next(one for one in range(PIXEL_TILE, 0, -1) if width % one == 0)
    words, step, residual = layer.block // REDUCE, layer.stride, layer.residual

    def body(data: Any, weights: Any, *rest: Any) -> None:
        *constants, output = rest
        with T.parallel(0, blocks * height) as row:
            block, y = row // height, row % height
            with T.grid(width // tile, tile) as (far, near):
                x = far * tile + near
                with T.sblock("pixel"):
                    sums = T.sblock_alloc_buffer((LANES,), "int32", align=VECTOR_BYTES)
                    T.buffer_store(sums, _splat(0), [T.ramp(0, 1, LANES)])
                    with T.grid(depth, layer.kernel, layer.kernel, words) as (c, ky, kx, word):
                        scalar = T.reinterpret(
                            "int32",
                            data.vload(
                                [c, y * step + ky, x * step + kx, word * REDUCE], dtype="uint8x4"
                            ),
                        )
                        packed = weights.vload(
                            [block, c, ky, kx, word, 0, 0], dtype=f"int8x{VECTOR_BYTES}"
                        )
                        _accumulate(sums, "vrmpybusv.acc", T.broadcast(scalar, LANES), packed)
                    at = [block, y, x, T.ramp(0, 1, LANES)]
                    value = _words(sums)
                    if fused:
                        value = _requantized(value, block, constants[:4], layer.zero_point)
                    if fused and residual is not None:
                        value = _added(value, constants[4], at, residual)
                    T.buffer_store(output, value, at)

    inputs = [TensorSpec(layer.data_shape, "uint8"), TensorSpec(layer.weight_shape, "int8")]
    if not fused:
        return program(tuple(inputs), TensorSpec(layer.output_shape, "int32"), body)
    inputs += _constants(layer.outputs)
    if residual is not None:
        inputs.append(TensorSpec(layer.output_shape, "uint8"))
    return program(tuple(inputs), TensorSpec(layer.output_shape, "uint8"), body)


def dense(inputs: int, outputs: int) -> PublishedKernel:
    """Return a dense layer of one row, u8 by u8, its weights' offset taken out by a sum.

    Arguments are activations, weights ``[outputs / 32][inputs / 4][32][4]`` and the correction.
    """

    def body(data: Any, weights: Any, correction: Any, output: Any) -> None:
        with T.parallel(0, outputs // LANES) as block, T.sblock("row"):
            sums = T.sblock_alloc_buffer((LANES,), "int32", align=VECTOR_BYTES)
            T.buffer_store(sums, _splat(0), [T.ramp(0, 1, LANES)])
            with T.serial(0, inputs // REDUCE) as word:
                scalar = T.reinterpret("int32", data.vload([word * REDUCE], dtype="uint8x4"))
                packed = weights.vload([block, word, 0, 0], dtype=f"uint8x{VECTOR_BYTES}")
                _accumulate(sums, "vrmpyub.acc", T.reinterpret(_WORDS, packed), scalar)
            corrected = _words(sums) + T.broadcast(correction[0], LANES)
            T.buffer_store(output, corrected, [T.ramp(block * LANES, 1, LANES)])

    specs = (
        TensorSpec((inputs,), "uint8"),
        TensorSpec((outputs // LANES, inputs // REDUCE, LANES, REDUCE), "uint8"),
        TensorSpec((1,), "int32"),
    )
    return program(specs, TensorSpec((outputs,), "int32"), body)


def row_sum(inputs: int, factor: int) -> PublishedKernel:
    """Return the sum of a row of u8, times a factor: what corrects a dense layer."""

    def body(data: Any, output: Any) -> None:
        total = T.sblock_alloc_buffer((1,), "int32")
        with T.sblock("sum"):
            T.buffer_store(total, 0, [0])
            with T.serial(0, inputs) as index:
                T.buffer_store(total, total[0] + data[index].astype("int32"), [0])
            T.buffer_store(output, total[0] * factor, [0])

    return program((TensorSpec((inputs,), "uint8"),), TensorSpec((1,), "int32"), body)


def requantize_row(padded: int, outputs: int, zero_point: int) -> PublishedKernel:
    """Return the requantization of a row of sums, of which ``outputs`` are kept.

    An operator of its own behind the slice: parallel over 128 outputs, the last of which are fewer,
    so that none are vectors.
    """

    def body(sums: Any, bias: Any, *rest: Any) -> None:
        *factors, output = rest
        with (
            T.parallel(0, -(-outputs // VECTOR_BYTES)) as task,
            T.serial(0, VECTOR_BYTES) as near,
        ):
            index = task * VECTOR_BYTES + near
            with T.If(index < outputs), T.Then():
                block, lane = index // LANES, index % LANES
                multiplier, rounding, shift = (one[block, lane] for one in factors)
                wide = (sums[index] + bias[block, lane]).astype("int64")
                value = T.shift_right(wide * multiplier + rounding, shift).astype("int32")
                T.buffer_store(output, _clipped(value + zero_point, "uint8"), [index])

    specs = (TensorSpec((padded,), "int32"), *_constants(padded))
    return program(specs, TensorSpec((outputs,), "uint8"), body)


def pad(blocks: int, size: int, border: int, value: int) -> PublishedKernel:
    """Return the padding of a square tensor: serial, byte by byte, as 32 is no multiple of 128."""
    padded = size + 2 * border

    def body(data: Any, output: Any) -> None:
        with T.grid(blocks, padded, padded, LANES) as (block, y, x, lane):
            inside = _inside(y, x, border, size)
            element = T.if_then_else(
                inside, data[block, y - border, x - border, lane], tvm.tirx.const(value, "uint8")
            )
            T.buffer_store(output, element, [block, y, x, lane])

    specs = (TensorSpec((blocks, size, size, LANES), "uint8"),)
    return program(specs, TensorSpec((blocks, padded, padded, LANES), "uint8"), body)


def stem_input(channels: int, size: int, border: int, value: int) -> PublishedKernel:
    """Return what Relay fuses before a stem: padding to 4 channels and all round, and the layout.

    From ``[channels][size][size]`` to ``[1][padded][padded][4]``, 128 elements a task.
    """
    padded = size + 2 * border
    count = padded * padded * REDUCE

    def body(data: Any, output: Any) -> None:
        with (
            T.parallel(0, -(-count // VECTOR_BYTES)) as task,
            T.serial(0, VECTOR_BYTES) as near,
        ):
            index = task * VECTOR_BYTES + near
            with T.If(index < count), T.Then():
                y, x = index // (padded * REDUCE), index // REDUCE % padded
                channel = index % REDUCE
                inside = _inside(y, x, border, size)
                element = T.if_then_else(
                    channel < channels,
                    T.if_then_else(
                        inside,
                        data[channel, y - border, x - border],
                        tvm.tirx.const(value, "uint8"),
                    ),
                    tvm.tirx.const(0, "uint8"),
                )
                T.buffer_store(output, element, [0, y, x, channel])

    specs = (TensorSpec((channels, size, size), "uint8"),)
    return program(specs, TensorSpec((1, padded, padded, REDUCE), "uint8"), body)


def max_pool(blocks: int, size: int, kernel: int, stride: int, border: int) -> PublishedKernel:
    """Return max pooling of a square tensor: serial, one element and one tap after another."""
    height = (size + 2 * border - kernel) // stride + 1

    def body(data: Any, output: Any) -> None:
        zero = tvm.tirx.const(0, "uint8")
        with T.grid(blocks, height, height, LANES) as (block, y, x, lane), T.sblock("pool"):
            T.buffer_store(output, zero, [block, y, x, lane])
            with T.grid(kernel, kernel) as (ky, kx):
                row, column = y * stride + ky, x * stride + kx
                inside = _inside(row, column, border, size)
                element = T.if_then_else(
                    inside, data[block, row - border, column - border, lane], zero
                )
                value = T.max(output[block, y, x, lane], element)
                T.buffer_store(output, value, [block, y, x, lane])

    specs = (TensorSpec((blocks, size, size, LANES), "uint8"),)
    return program(specs, TensorSpec((blocks, height, height, LANES), "uint8"), body)


def global_average(blocks: int, size: int) -> PublishedKernel:
    """Return the average of each channel, rounded down: Relay pooled in int32, one by one."""

    def body(data: Any, output: Any) -> None:
        sums = T.sblock_alloc_buffer((blocks, LANES), "int32")
        with T.grid(blocks, LANES) as (block, lane), T.sblock("sum"):
            T.buffer_store(sums, 0, [block, lane])
            with T.grid(size, size) as (y, x):
                value = sums[block, lane] + data[block, y, x, lane].astype("int32")
                T.buffer_store(sums, value, [block, lane])
        with T.grid(blocks, LANES) as (block, lane), T.sblock("average"):
            value = tvm.tirx.truncdiv(sums[block, lane], size * size)
            T.buffer_store(output, value.astype("uint8"), [block, lane])

    specs = (TensorSpec((blocks, size, size, LANES), "uint8"),)
    return program(specs, TensorSpec((blocks, LANES), "uint8"), body)


def _requantized(sums: Any, block: Any, constants: list[Any], zero_point: int) -> Any:
    """Return a vector of sums as 32 bytes: bias, then 64-bit arithmetic, channel by channel."""
    bias, multiplier, rounding, shift = (
        one.vload([block, 0], dtype=_WORDS if number == 0 else _WIDE)
        for number, one in enumerate(constants)
    )
    wide = (sums + bias).astype(_WIDE) * multiplier + rounding
    return _clipped(
        T.shift_right(wide, shift).astype(_WORDS) + _splat(zero_point), f"uint8x{LANES}"
    )


def _added(value: Any, other: Any, at: list[Any], residual: Residual) -> Any:
    own = value.astype(_WORDS) - _splat(residual.own_zero_point)
    added = other.vload([*at[:-1], 0], dtype=f"uint8x{LANES}").astype(_WORDS)
    total = _multiplied(own, residual.own) + _multiplied(added, residual.other)
    return _clipped(total, f"uint8x{LANES}")


def _multiplied(value: Any, factor: Factor) -> Any:
    """Return ``q_multiply_shift`` in the instructions that TVM's Hexagon target had for it."""
    if factor.exponent > 0:
        value = value * _splat(1 << factor.exponent)
    multiplier = _splat(factor.multiplier)
    low = intrinsic("vmpyewuh", _WORDS, value, multiplier)
    product = intrinsic("vmpyowh.rnd.sacc", _WORDS, low, value, multiplier)
    if factor.exponent >= 0:
        return product
    rounded = product + T.bitwise_and(product, _splat(-factor.exponent))
    return intrinsic("vaslwv", _WORDS, rounded, _splat(factor.exponent))


def _inside(row: Any, column: Any, border: int, size: int) -> Any:
    """Return whether a pixel of a padded square is one of the square's own."""
    end = size + border
    return tvm.tirx.all(row >= border, row < end, column >= border, column < end)


def _accumulate(sums: Any, name: str, lhs: Any, rhs: Any) -> None:
    operands = [one if one.ty.dtype == "int32" else _as_words(one) for one in (lhs, rhs)]
    product = intrinsic(name, _WORDS, _splat(0), *operands)
    T.buffer_store(sums, product + _words(sums), [T.ramp(0, 1, LANES)])


def _constants(outputs: int) -> tuple[TensorSpec, ...]:
    shape = (outputs // LANES, LANES)
    return (TensorSpec(shape, "int32"), *(TensorSpec(shape, "int64") for _ in range(3)))


def _words(buffer: Any) -> Any:
    return buffer.vload([0], dtype=_WORDS)


def _as_words(vector: Any) -> Any:
    return T.reinterpret(_WORDS, vector)


def _splat(value: int) -> Any:
    return T.broadcast(tvm.tirx.const(value, "int32"), LANES)


def _clipped(value: Any, dtype: str) -> Any:
    low, high = (tvm.tirx.const(one, value.ty.dtype) for one in _BYTE_LIMITS)
    return T.max(T.min(value, high), low).astype(dtype)
