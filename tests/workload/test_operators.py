"""The operators around dense and convolution: their text, what is refused, their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.operators import WORKLOADS
from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload import (
    AvgPool2d,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Dequantize,
    GlobalAvgPool2d,
    Layout,
    MaxPool2d,
    Pad,
    Quantize,
    QuantizedAdd,
    QuantizedMultiply,
    parse_workload,
)
from vrmpy_tune.workload.inputs import INPUT_SETS

SEED = 5


def drawn(workload: Any, kind: str = "random") -> tuple[np.ndarray, ...]:
    return tuple(workload.draw(kind, np.random.default_rng(SEED)))


def rounded(value: float) -> int:
    """Round halves up, in exact arithmetic on values below 2**50."""
    return int(np.floor(value + 0.5))


@pytest.mark.parametrize("text", WORKLOADS)
def test_the_text_of_an_operator_parses_and_prints_back(text: str) -> None:
    assert str(parse_workload(text)) == text


@pytest.mark.parametrize("text", WORKLOADS)
def test_drawn_operands_and_references_are_as_stated(text: str) -> None:
    workload = parse_workload(text)
    assert 0 < workload.packet_bound <= 32 * workload.macs
    for kind in INPUT_SETS:
        operands = drawn(workload, kind)
        for one, array in zip(workload.operands, operands, strict=True):
            assert (array.shape, array.dtype) == (one.shape, one.numpy_type)
        result = workload.reference(*operands)
        assert (result.shape, result.dtype) == (workload.output.shape, workload.output.numpy_type)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_pool2d:n=1,h=4,w=4,c=3,kh=2,kw=2,stride=2,pad=2,dtype=u8", "windows are empty"),
        ("max_pool2d:n=1,h=4,w=4,c=3,kh=7,kw=2,stride=2,pad=0,dtype=u8", "kernel reaches"),
        ("max_pool2d:n=1,h=4,w=4,c=3,kh=2,kw=2,stride=2,pad=0,dtype=i32", "dtype=i32"),
        ("avg_pool2d:n=1,h=4,w=4,c=3,kh=2,kw=2,stride=2,pad=0,dtype=u8,include_pad=2", "range"),
        ("global_avg_pool2d:n=1,h=0,w=4,c=3,dtype=u8", "h=0 is out of range"),
        ("add:shape=4x0,lhs=u8,rhs=u8,out=u8", "shape=0 is out of range"),
        ("add:shape=4,lhs=u8,rhs=i32,out=u8", "rhs=i32"),
        ("multiply:shape=4,lhs=u8,rhs=u8,out=i32", "out=i32"),
        ("clip:shape=4,dtype=f32", "dtype=f32"),
        ("pad:n=1,h=4,w=4,c=3,pad=1,dtype=u8,value=-1", "value=-1 is out of range"),
        ("layout:n=1,h=4,w=4,c=3,to=hwcn,dtype=u8", "to=hwcn is not a layout"),
        ("concat:rows=4,parts=3x0,dtype=u8", "parts=0 is out of range"),
        ("concat:rows=4x2,parts=3,dtype=u8", "rows=4x2 must be one"),
        ("quantize:shape=4,dtype=i32", "dtype=i32"),
        ("depthwise_conv2d:n=1,h=4,w=4,c=3,kh=3,kw=3,stride=0,pad=0,lhs=u8,rhs=i8", "stride=0"),
        (
            "depthwise_conv2d:n=1,h=4,w=4,c=3,kh=3,kw=3,stride=1,pad=1x1x1,lhs=u8,rhs=i8",
            "pad takes",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        parse_workload(text)


def test_a_shape_is_printed_in_full() -> None:
    for shape in ((4, 4, 4, 4), (2, 3, 2, 3), (5,)):
        workload = QuantizedAdd(shape)
        assert parse_workload(str(workload)) == workload


def test_a_depthwise_convolution_is_a_convolution_in_groups() -> None:
    size = {"n": 2, "h": 7, "w": 6, "kh": 3, "kw": 2, "lhs": "u8", "rhs": "i8", "lzp": 5, "rzp": -3}
    more = {"stride": (2, 1), "pad": (1, 0, 2, 1), "dilation": (1, 2), "out": "u8", "bias": 1}
    depthwise = DepthwiseConv2d(c=5, requant="channel", act="relu", **size, **more)  # type: ignore[arg-type]
    grouped = Conv2d(ci=5, co=5, groups=5, requant="channel", act="relu", **size, **more)  # type: ignore[arg-type]
    activations, weights, *others = drawn(depthwise)
    expected = grouped.reference(activations, weights[..., None], *others)
    assert np.array_equal(depthwise.reference(activations, weights, *others), expected)


def test_a_maximum_is_never_padding() -> None:
    pool = MaxPool2d(1, 3, 3, 2, 2, 2, stride=(2, 2), pad=(1, 1, 1, 1), dtype="i8")
    values = np.arange(-120, -120 + 18, dtype=np.int8).reshape(1, 3, 3, 2)
    result = pool.reference(values)
    assert np.array_equal(result[0, :, :, 0], [[-120, -116], [-108, -104]])


def test_averages_are_the_rounded_means_of_what_they_cover() -> None:
    shape = (1, 5, 4, 3)
    values = np.random.default_rng(SEED).integers(0, 256, shape).astype(np.uint8)
    parameters = np.asarray([10, 4, 20, 0, 255], np.int32)
    for include in (0, 1):
        pool = AvgPool2d(*shape, 3, 3, pad=(1, 1, 1, 1), dtype="u8", include_pad=include)
        counts = np.asarray([9]) if include else np.arange(1, 10)
        # Scales of one to the number of values, as 31-bit fractions shifted by 4 bits.
        multiplier = np.minimum(np.rint(2.0**35 / counts / 16), 2**31 - 1).astype(np.int32)
        result = pool.reference(values, multiplier, parameters)
        for y in range(5):
            for x in range(4):
                window = values[0, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].astype(int) - 10
                number = 9 if include else window.shape[0] * window.shape[1]
                for c in range(3):
                    mean = int(window[..., c].sum()) * int(multiplier[0 if include else number - 1])
                    high_half = (mean + (1 << 30)) >> 31
                    expected = min(max(((high_half + 8) >> 4) + 20, 0), 255)
                    assert result[0, y, x, c] == expected


def test_a_global_average_is_the_average_of_one_window() -> None:
    whole, window = GlobalAvgPool2d(2, 5, 3, 4, "i8"), AvgPool2d(2, 5, 3, 4, 5, 3, dtype="i8")
    operands = drawn(whole)
    assert np.array_equal(whole.reference(*operands), window.reference(*operands))


def test_products_are_taken_of_the_distances_from_the_zero_points() -> None:
    workload = QuantizedMultiply((3,), "u8", "i8", "u8")
    lhs, rhs = np.asarray([12, 0, 255], np.uint8), np.asarray([-3, -128, 127], np.int8)
    parameters = np.asarray([2, -5, 1 << 29, 3, 100, 0, 255], np.int32)
    result = workload.reference(lhs, rhs, parameters)
    # A quarter of the product, halves up; then an eighth, halves up.
    products = [(12 - 2) * 2, -2 * -123, 253 * 132]
    quarters = [rounded(product / 4) for product in products]
    expected = [min(255, rounded(quarter / 8) + 100) for quarter in quarters]
    assert result.tolist() == expected


def test_padding_is_the_value_and_the_rest_is_the_input() -> None:
    values = np.arange(6, dtype=np.int8).reshape(1, 1, 2, 3)
    result = Pad(1, 1, 2, 3, (1, 0, 0, 1), "i8", -7).reference(values)
    assert result.shape == (1, 2, 3, 3)
    assert np.array_equal(result[:, 1:, :2], values)
    assert (np.delete(result.ravel(), np.arange(9, 15)) == -7).all()


def test_concatenation_keeps_every_part_in_its_columns() -> None:
    workload = Concat(5, (3, 1, 3, 1))
    parts = drawn(workload)
    result = workload.reference(*parts)
    assert result.shape == (5, 8)
    for part, offset in zip(parts, workload.offsets, strict=True):
        assert np.array_equal(result[:, offset : offset + part.shape[1]], part)


def test_a_change_of_layout_and_back_is_no_change() -> None:
    there, back = Layout(2, 3, 5, 7, "nchw"), Layout(2, 3, 5, 7, "nhwc")
    (values,) = drawn(there)
    moved = there.reference(values)
    assert moved[1, 6, 2, 4] == values[1, 2, 4, 6]
    assert np.array_equal(back.reference(moved), values)


def test_quantization_rounds_halves_to_even_and_saturates() -> None:
    values = np.asarray([0.25, 0.75, 1.25, -0.25, 1e30, -np.inf], np.float32)
    scale, zero_point = np.asarray([0.5], np.float32), np.asarray([100], np.int32)
    result = Quantize((6,), "u8").reference(values, scale, zero_point)
    assert result.tolist() == [100, 102, 102, 100, 255, 0]
    exact = Dequantize((6,), "u8").reference(result, scale, zero_point)
    assert exact.tolist() == [0.0, 1.0, 1.0, 0.0, 77.5, -50.0]
