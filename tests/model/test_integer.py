"""Every operator becomes an integer kernel within one unit of onnxruntime's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.model.quantized_models import INPUT, compared, operators, write_model
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.onnx_import import import_onnx
from vrmpy_tune.model.zoo.quantizer import Scheme
from vrmpy_tune.workload import Conv2d, Dense

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.quantized_models import Build
    from vrmpy_tune.model.zoo.writer import Writer

SCHEMES = (
    Scheme(),
    Scheme(per_channel=False),
    Scheme(activations="i8"),
    Scheme(operators=True),
    Scheme(operators=True, activations="i8"),
)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize(
    ("weights", "stride", "size"),
    [((7, 3, 3, 3), 2, 9), ((33, 31, 1, 1), 1, 5), ((129, 1, 3, 3), 1, 4)],
)
def test_convolutions_of_odd_sizes(
    tmp_path: Path, scheme: Scheme, weights: tuple[int, ...], stride: int, size: int
) -> None:
    outputs, channels, kernel, _ = weights
    shape = (1, channels, size, size + 2)
    parameters = {"conv.weight": weights, "conv.bias": (outputs,)}

    def build(writer: Writer) -> str:
        return writer.conv("conv", INPUT, kernel, stride)

    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)
    (layer,) = network.layers
    assert layer.name.removesuffix("_quant") == "conv"
    assert isinstance(layer.workload, Conv2d)
    assert layer.workload.requant == ("channel" if scheme.per_channel else "tensor")


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_depthwise_convolution_has_a_kernel_for_each_channel(
    tmp_path: Path, scheme: Scheme
) -> None:
    shape = (1, 33, 7, 7)

    def build(writer: Writer) -> str:
        return writer.conv("conv", INPUT, 3, 2, groups=33)

    parameters = {"conv.weight": (33, 1, 3, 3), "conv.bias": (33,)}
    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)
    assert operators(network) == ["depthwise_conv2d"]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("rows", [1, 3, 33])
def test_matrix_products(tmp_path: Path, scheme: Scheme, rows: int) -> None:
    shape = (rows, 31)

    def build(writer: Writer) -> str:
        return writer.dense("dense", INPUT)

    parameters = {"dense.weight": (129, 31), "dense.bias": (129,)}
    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)
    (layer,) = network.layers
    assert isinstance(layer.workload, Dense)
    assert (layer.workload.m, layer.workload.n, layer.workload.k) == (rows, 129, 31)


@pytest.mark.parametrize("operators_", [False, True])
def test_a_product_of_a_batch_of_rows_is_one_of_all_rows(tmp_path: Path, operators_: bool) -> None:
    shape = (2, 3, 32)

    def build(writer: Writer) -> str:
        return writer.node("MatMul", "matmul", [INPUT, writer.constant("matmul.weight")])

    path = write_model(
        tmp_path / "m.onnx", shape, build, {"matmul.weight": (32, 7)}, Scheme(operators=operators_)
    )
    (layer,) = compared(path, shape).layers
    assert str(layer.workload).startswith("dense:m=6,n=7,k=32,")


def _pool(kind: str, **attributes: object) -> Build:
    def build(writer: Writer, source: str) -> str:
        return writer.node(kind, "pool", [source], **attributes)

    return build


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize(
    ("build", "operator"),
    [
        (_pool("MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0]), "max_pool2d"),
        (_pool("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), "avg_pool2d"),
        (
            _pool("AveragePool", kernel_shape=[2, 3], strides=[2, 2], count_include_pad=1,
                  pads=[0, 1, 0, 1]),
            "avg_pool2d",
        ),
        (_pool("GlobalAveragePool"), "global_avg_pool2d"),
        (_pool("AveragePool", kernel_shape=[8, 7]), "global_avg_pool2d"),
        (_pool("ReduceMean", axes=[2, 3]), "global_avg_pool2d"),
    ],
)  # fmt: skip
def test_pooling(tmp_path: Path, scheme: Scheme, build: Build, operator: str) -> None:
    shape = (2, 5, 8, 7)
    parameters = {
        "first.weight": (5, 5, 1, 1), "first.bias": (5,),
        "last.weight": (3, 5, 1, 1), "last.bias": (3,),
    }  # fmt: skip

    def whole(writer: Writer) -> str:
        # At the ends onnxruntime leaves a pooling in float.
        return writer.conv("last", build(writer, writer.conv("first", INPUT, 1)), 1)

    network = compared(write_model(tmp_path / "m.onnx", shape, whole, parameters, scheme), shape)
    assert operators(network) == ["conv2d", operator, "conv2d"]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_two_convolutions_are_combined(tmp_path: Path, scheme: Scheme, kind: str) -> None:
    shape = (1, 3, 5, 7)

    def build(writer: Writer) -> str:
        first, second = (writer.conv(name, INPUT, 3) for name in ("first", "second"))
        total = writer.node(kind, "total", [first, second])
        return writer.node("Relu", "relu", [total])

    parameters = {
        "first.weight": (33, 3, 3, 3), "first.bias": (33,),
        "second.weight": (33, 3, 3, 3), "second.bias": (33,),
    }  # fmt: skip
    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)
    fused = ["conv2d", "conv2d"]
    assert operators(network) == ([*fused, "multiply"] if kind == "Mul" else fused)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenation_along_any_axis(tmp_path: Path, scheme: Scheme, axis: int) -> None:
    shape = (1, 3, 4, 5)

    def build(writer: Writer) -> str:
        parts = [writer.conv(name, INPUT, 1) for name in ("first", "second")]
        return writer.node("Concat", "concat", [*parts, INPUT], axis=axis)

    parameters = {
        "first.weight": (3, 3, 1, 1), "first.bias": (3,),
        "second.weight": (3, 3, 1, 1), "second.bias": (3,),
    }  # fmt: skip
    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)
    assert operators(network)[-1] == "concat"


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_flattened_pixels_keep_the_order_of_the_model(tmp_path: Path, scheme: Scheme) -> None:
    shape = (2, 3, 4, 5)

    def build(writer: Writer) -> str:
        value = writer.conv("conv", INPUT, 3)
        value = writer.node("Flatten", "flatten", [value])
        return writer.dense("dense", value)

    parameters = {
        "conv.weight": (7, 3, 3, 3), "conv.bias": (7,),
        "dense.weight": (10, 140), "dense.bias": (10,),
    }  # fmt: skip
    compared(write_model(tmp_path / "m.onnx", shape, build, parameters, scheme), shape)


@pytest.mark.parametrize("bounds", [(-0.5, 0.7), (0.0, 6.0)])
def test_a_clip_in_front_of_the_quantization_becomes_bounds(
    tmp_path: Path, bounds: tuple[float, float]
) -> None:
    import numpy as np

    shape = (1, 3, 5, 7)

    def build(writer: Writer) -> str:
        value = writer.conv("conv", INPUT, 3)
        ends = [
            writer.constant(name, np.asarray(one, np.float32))
            for name, one in zip(("low", "high"), bounds, strict=True)
        ]
        return writer.node("Clip", "clip", [value, *ends])

    parameters = {"conv.weight": (7, 3, 3, 3), "conv.bias": (7,)}
    for scheme in SCHEMES:
        path = write_model(tmp_path / "m.onnx", shape, build, parameters, scheme)
        compared(path, shape)


def test_an_average_may_drop_its_axes(tmp_path: Path) -> None:
    shape = (2, 5, 4, 3)

    def build(writer: Writer) -> str:
        value = writer.conv("conv", INPUT, 1)
        value = writer.node("ReduceMean", "mean", [value], axes=[2, 3], keepdims=0)
        return writer.dense("dense", value)

    parameters = {
        "conv.weight": (7, 5, 1, 1), "conv.bias": (7,), "dense.weight": (3, 7), "dense.bias": (3,),
    }  # fmt: skip
    network = compared(write_model(tmp_path / "m.onnx", shape, build, parameters), shape)
    assert operators(network) == ["conv2d", "global_avg_pool2d", "dense"]


def test_an_operator_without_a_kernel_is_named_with_its_node(tmp_path: Path) -> None:
    shape = (1, 3, 5, 7)

    def build(writer: Writer) -> str:
        value = writer.conv("conv", INPUT, 3)
        return writer.node("MaxPool", "pool", [value], kernel_shape=[2, 2], dilations=[2, 2])

    parameters = {"conv.weight": (7, 3, 3, 3), "conv.bias": (7,)}
    path = write_model(tmp_path / "m.onnx", shape, build, parameters)
    with pytest.raises(ModelError, match=r"the node 'pool' \(max_pool2d\) has dilation"):
        import_onnx(path)
