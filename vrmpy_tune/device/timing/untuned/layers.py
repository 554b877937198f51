"""An int8 network's layers as programs of October 2022, with inputs and what they must give.

Each layer is one or more operators: what Relay's fusion leaves apart is apart here.  The references
are numpy's, independent of the programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.timing.untuned import kernels
from vrmpy_tune.device.timing.untuned.arithmetic import (
    ChannelFactors,
    Factor,
    multiply_by_instructions,
)
from vrmpy_tune.errors import UsageError
from vrmpy_tune.target import LANES, REDUCE
from vrmpy_tune.workload import Conv2d, Dense, GlobalAvgPool2d, MaxPool2d
from vrmpy_tune.workload.inputs import INPUT_SETS, draw_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vrmpy_tune.device.timing.published import PublishedKernel
    from vrmpy_tune.workload import Workload

IMAGE_ZERO_POINT: Final = 114
SIGNED_ZERO_POINT: Final = 64
"""Zero points of the image, and of what no ReLU follows; what one follows has 0."""

OWN_FACTOR: Final = Factor.of(0.7)
OTHER_FACTOR: Final = Factor.of(0.45)
"""Factors of an addition's operands: one without a shift behind the multiplication, one with."""

SUMS_ALONE: Final = "conv2d, sums alone"
"""Name of a convolution without what is fused behind it, which is no part of the network."""

OFFSET: Final = 128
"""What made the weights of dense layers unsigned."""


@dataclass(frozen=True)
class Operator:
    """One compiled function of the network.

    Attributes
    ----------
    name:
        What it does.
    kernel:
        Its program.
    operands, expected:
        For each input set its arguments, and its output.
    in_network:
        Whether the network has it; else it tells what a part of another one takes.
    """

    name: str
    kernel: PublishedKernel
    operands: tuple[tuple[np.ndarray, ...], ...]
    expected: tuple[np.ndarray, ...]
    in_network: bool = True


def operators_of(workload: Workload) -> tuple[Operator, ...]:
    """Return the operators that a layer was compiled to, in order.

    Raises
    ------
    UsageError
        If it is none of an int8 ResNet's layers.
    """
    match workload:
        case Conv2d() if is_covered(workload):
            return tuple(_convolution(workload))
        case Dense(m=1) if workload.requant == "channel" and workload.k % REDUCE == 0:
            return tuple(_dense(workload))
        case MaxPool2d() if workload.c % LANES == 0 and workload.h == workload.w:
            return (_max_pool(workload),)
        case GlobalAvgPool2d() if workload.c % LANES == 0 and workload.h == workload.w:
            return (_global_average(workload),)
    raise UsageError(
        f"{workload} is no layer that TVM's schedules of 2022 are rebuilt for: convolutions of "
        "square u8 images by i8 in multiples of 32 channels, requantized per channel, a dense "
        "layer of one row, max pooling and global average pooling are."
    )


def is_covered(workload: Conv2d) -> bool:
    """Whether a convolution is one that the programs of 2022 are rebuilt for."""
    is_stem = workload.ci < REDUCE
    return (
        (workload.lhs, workload.rhs, workload.out) == ("u8", "i8", "u8")
        and workload.requant == "channel"
        and workload.n == workload.groups == 1
        and workload.h == workload.w
        and workload.kh == workload.kw
        and len({*workload.pad}) == len({*workload.stride}) == 1
        and workload.dilation == (1, 1)
        and workload.co % LANES == 0
        and (is_stem or workload.ci % LANES == 0)
    )


def _convolution(workload: Conv2d) -> Iterator[Operator]:
    border, is_stem = workload.pad[0], workload.ci < REDUCE
    zero = IMAGE_ZERO_POINT if is_stem else 0
    generators = [np.random.default_rng(index) for index in range(len(INPUT_SETS))]
    images = [
        draw_values(kind, "u8", workload.input_shape, generator)
        for kind, generator in zip(INPUT_SETS, generators, strict=True)
    ]
    around = ((0, 0), (border, border), (border, border), (0, 0))
    padded = [np.pad(one, around, constant_values=zero) for one in images]
    if is_stem:
        channels = ((0, 0), (0, 0), (0, 0), (0, REDUCE - workload.ci))
        padded = [np.pad(one, channels) for one in padded]
        yield Operator(
            "pad, layout",
            kernels.stem_input(workload.ci, workload.h, border, zero),
            tuple((np.ascontiguousarray(one[0].transpose(2, 0, 1)),) for one in images),
            tuple(blocked(one) for one in padded),
        )
    elif border:
        yield Operator(
            "pad",
            kernels.pad(workload.ci // LANES, workload.h, border, zero),
            tuple((blocked(one),) for one in images),
            tuple(blocked(one) for one in padded),
        )
    yield from _fused_convolution(workload, padded, generators)


def _fused_convolution(
    workload: Conv2d, padded: list[np.ndarray], generators: list[np.random.Generator]
) -> Iterator[Operator]:
    _, rows, columns, inputs = padded[0].shape
    plain = Conv2d(
        n=1, h=rows, w=columns, ci=inputs, co=workload.co,
        kh=workload.kh, kw=workload.kw, stride=workload.stride, lhs="u8", rhs="i8",
    )  # fmt: skip
    is_signed = workload.act == "none" or bool(workload.residual)
    layer = kernels.Convolution(
        rows, columns, workload.stride[0], workload.kh, inputs, workload.co,
        SIGNED_ZERO_POINT if is_signed else 0,
        kernels.Residual(OWN_FACTOR, OTHER_FACTOR, SIGNED_ZERO_POINT)
        if workload.residual else None,
    )  # fmt: skip
    operands, expected, sums = [], [], []
    for kind, image, generator in zip(INPUT_SETS, padded, generators, strict=True):
        weights = draw_values(kind, "i8", plain.weight_shape, generator)
        bias, factors = _parameters(workload.co, inputs * workload.kh * workload.kw, generator)
        sums.append(plain.accumulate(image, weights))
        output = _requantized(sums[-1], bias, factors, layer.zero_point)
        given = [blocked(image), packed(weights), *_constants(bias, factors)]
        if layer.residual is not None:
            other = draw_values(kind, "u8", output.shape, generator)
            given.append(blocked(other))
            output = _added(output, other)
        operands.append(tuple(given))
        expected.append(blocked(output))
    yield Operator("conv2d", kernels.convolution(layer), tuple(operands), tuple(expected))
    yield Operator(
        SUMS_ALONE, kernels.convolution(layer, fused=False),
        tuple(one[:2] for one in operands), tuple(blocked(one) for one in sums), in_network=False,
    )  # fmt: skip


def _dense(workload: Dense) -> Iterator[Operator]:
    units = -(-workload.n // LANES) * LANES
    rows, corrections, sums, finals = [], [], [], []
    weights_of, constants_of = [], []
    for index, kind in enumerate(INPUT_SETS):
        generator = np.random.default_rng(index)
        row = draw_values(kind, "u8", (workload.k,), generator)
        weights = draw_values(kind, "i8", (units, workload.k), generator)
        bias, factors = _parameters(units, workload.k, generator)
        product = weights.astype(np.int32) @ row.astype(np.int32)
        unsigned = (weights.astype(np.int32) + OFFSET).astype(np.uint8)
        shape = (units // LANES, LANES, workload.k // REDUCE, REDUCE)
        rows.append(row)
        weights_of.append(np.ascontiguousarray(unsigned.reshape(shape).transpose(0, 2, 1, 3)))
        corrections.append(np.array([-OFFSET * row.astype(np.int32).sum()], np.int32))
        sums.append(product)
        constants_of.append(_constants(bias, factors))
        output = _requantized(product, bias, factors, SIGNED_ZERO_POINT)
        finals.append(output[: workload.n])
    yield Operator(
        "sum of the row", kernels.row_sum(workload.k, -OFFSET),
        tuple((row,) for row in rows), tuple(corrections),
    )  # fmt: skip
    yield Operator(
        "dense", kernels.dense(workload.k, units),
        tuple(zip(rows, weights_of, corrections, strict=True)), tuple(sums),
    )  # fmt: skip
    yield Operator(
        "requantize", kernels.requantize_row(units, workload.n, SIGNED_ZERO_POINT),
        tuple((one, *more) for one, more in zip(sums, constants_of, strict=True)), tuple(finals),
    )  # fmt: skip


def _max_pool(workload: MaxPool2d) -> Operator:
    images = _images(workload)
    return Operator(
        "max pool",
        kernels.max_pool(
            workload.c // LANES, workload.h, workload.kh, workload.stride[0], workload.pad[0]
        ),
        tuple((blocked(one),) for one in images),
        tuple(blocked(workload.reference(one)) for one in images),
    )


def _global_average(workload: GlobalAvgPool2d) -> Operator:
    images = _images(workload)
    means = [one.astype(np.int32).sum(axis=(1, 2)) // (workload.h * workload.w) for one in images]
    return Operator(
        "global average",
        kernels.global_average(workload.c // LANES, workload.h),
        tuple((blocked(one),) for one in images),
        tuple(one.astype(np.uint8).reshape(-1, LANES) for one in means),
    )


def _images(workload: MaxPool2d | GlobalAvgPool2d) -> list[np.ndarray]:
    shape = workload.operands[0].shape
    return [
        draw_values(kind, "u8", shape, np.random.default_rng(index))
        for index, kind in enumerate(INPUT_SETS)
    ]


def blocked(image: np.ndarray) -> np.ndarray:
    """Return ``[1, height, width, channels]`` as ``[channels / block][height][width][block]``."""
    _, height, width, channels = image.shape
    block = min(channels, LANES)
    split = image.reshape(height, width, channels // block, block)
    return np.ascontiguousarray(split.transpose(2, 0, 1, 3))


def packed(weights: np.ndarray) -> np.ndarray:
    """Return ``[outputs, rows, columns, inputs]`` as a convolution's program reads it."""
    outputs, rows, columns, inputs = weights.shape
    block = min(inputs, LANES)
    split = weights.reshape(
        outputs // LANES, LANES, rows, columns, inputs // block, block // REDUCE, REDUCE
    )
    return np.ascontiguousarray(split.transpose(0, 4, 2, 3, 5, 1, 6))


def _parameters(
    outputs: int, depth: int, generator: np.random.Generator
) -> tuple[np.ndarray, ChannelFactors]:
    """Draw a bias, and factors with which sums of random products fill a byte."""
    spread = 128 / (depth**0.5 * 74 * 74)
    factors = ChannelFactors.of(spread * generator.uniform(0.1, 1.0, outputs))
    return generator.integers(-(1 << 15), 1 << 15, outputs).astype(np.int32), factors


def _constants(bias: np.ndarray, factors: ChannelFactors) -> tuple[np.ndarray, ...]:
    each = (bias, factors.multiplier, factors.rounding, factors.shift)
    return tuple(one.reshape(-1, LANES) for one in each)


def _requantized(
    sums: np.ndarray, bias: np.ndarray, factors: ChannelFactors, zero_point: int
) -> np.ndarray:
    return np.asarray(np.clip(factors(sums + bias) + zero_point, 0, 255), np.uint8)


def _added(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    total = multiply_by_instructions(own.astype(np.int32) - SIGNED_ZERO_POINT, OWN_FACTOR)
    total = total + multiply_by_instructions(other.astype(np.int32), OTHER_FACTOR)
    return np.asarray(np.clip(total, 0, 255), np.uint8)
