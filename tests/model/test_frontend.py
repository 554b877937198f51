"""Different spellings of one model become the same network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.model.quantized_models import INPUT, compared, write_model
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.onnx_import import import_onnx, normalized_model

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.zoo.writer import Writer

SHAPE = (1, 3, 8, 7)
PARAMETERS = {"conv.weight": (7, 3, 3, 3), "conv.bias": (7,)}


def convolution(writer: Writer) -> str:
    return writer.conv("conv", INPUT, 3, 2)


def changed(path: Path, change: Any) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def conv_of(model: onnx.ModelProto) -> Any:
    return next(one for one in model.graph.node if one.op_type == "Conv")


@pytest.mark.parametrize(
    ("mode", "pads"),
    [("SAME_UPPER", (0, 1, 1, 1)), ("SAME_LOWER", (1, 1, 0, 1)), ("VALID", (0, 0, 0, 0))],
)
def test_automatic_padding_becomes_rows_and_columns(
    tmp_path: Path, mode: str, pads: tuple[int, ...]
) -> None:
    path = write_model(tmp_path / "m.onnx", SHAPE, convolution, PARAMETERS)

    def automatic(model: onnx.ModelProto) -> None:
        conv = conv_of(model)
        kept = [one for one in conv.attribute if one.name != "pads"]
        del conv.attribute[:]
        conv.attribute.extend([*kept, helper.make_attribute("auto_pad", mode)])
        # The output's shape may change with the padding.
        model.graph.output[0].type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
        shape = onnx.shape_inference.infer_shapes(model).graph.output[0]
        model.graph.output[0].CopyFrom(shape)

    (layer,) = compared(changed(path, automatic), SHAPE).layers
    assert layer.workload.pad == pads


def test_constants_may_be_nodes_and_nodes_may_have_one_name_or_none(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", SHAPE, convolution, PARAMETERS)
    before = network_of(import_onnx(path))

    def respelled(model: onnx.ModelProto) -> None:
        nodes = [
            helper.make_node("Constant", [], [one.name], value=one)
            for one in model.graph.initializer
        ]
        del model.graph.initializer[:]
        for index, node in enumerate(model.graph.node):
            node.name = "" if index % 2 else "same"
        conv = conv_of(model)
        conv.input[0], between = "again", conv.input[0]
        identity = helper.make_node("Identity", [between], ["again"])
        every = [*nodes, *model.graph.node]
        every.insert(every.index(conv), identity)
        del model.graph.node[:]
        model.graph.node.extend(every)

    after = network_of(import_onnx(changed(path, respelled)))
    names = [node.name for node in normalized_model(path).graph.node]
    assert len(set(names)) == len(names)
    for mine, theirs in zip(after.layers, before.layers, strict=True):
        assert mine.workload == theirs.workload
        for name, values in theirs.constants.items():
            assert np.array_equal(mine.constants[name], values)


def test_a_sum_of_two_is_an_addition(tmp_path: Path) -> None:
    def build(writer: Writer) -> str:
        return writer.node("Add", "total", [writer.conv("conv", INPUT, 3), INPUT])

    parameters = {"conv.weight": (3, 3, 3, 3), "conv.bias": (3,)}
    path = write_model(tmp_path / "m.onnx", SHAPE, build, parameters)

    def respelled(model: onnx.ModelProto) -> None:
        next(one for one in model.graph.node if one.op_type == "Add").op_type = "Sum"

    (layer,) = compared(changed(path, respelled), SHAPE).layers
    assert layer.workload.residual == 1


def integer_product(
    path: Path, operator: str, weights: np.ndarray, scales: np.ndarray, shape: tuple[int, ...]
) -> Path:
    """Write a model with a product in 32 bits that is scaled behind."""
    scale, zero_point = np.float32(0.02), np.uint8(121)
    factor = scale * scales
    if operator == "ConvInteger":
        factor = factor.reshape(-1, 1, 1)
    constants = {
        "scale": scale, "zero": zero_point, "weights": weights, "factor": factor,
        "out_scale": np.float32(0.4), "out_zero": np.uint8(97), "zeros": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", [INPUT, "scale", "zero"], ["q"], "quantize"),
        helper.make_node(operator, ["q", "weights", "zero", "zeros"], ["sums"], "product"),
        helper.make_node("Cast", ["sums"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "factor"], ["scaled"], "scaled"),
        helper.make_node("Relu", ["scaled"], ["positive"], "relu"),
        helper.make_node("QuantizeLinear", ["positive", "out_scale", "out_zero"], ["r"], "last"),
        helper.make_node("DequantizeLinear", ["r", "out_scale", "out_zero"], ["y"], "result"),
    ]
    values = [
        helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    held = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), path)
    return path


@pytest.mark.parametrize("channels", [1, 5])
def test_integer_products_are_the_float_ones_of_their_scales(tmp_path: Path, channels: int) -> None:
    scales = np.linspace(0.01, 0.03, channels, dtype=np.float32)
    generator = np.random.default_rng(0)
    for operator, shape, weights in (
        ("ConvInteger", (1, 3, 6, 7), (5, 3, 3, 2)),
        ("MatMulInteger", (3, 31), (31, 5)),
    ):
        values = generator.integers(-128, 128, weights).astype(np.int8)
        path = integer_product(tmp_path / "m.onnx", operator, values, scales, shape)
        (layer,) = compared(path, shape).layers
        assert layer.name == "product"
        assert layer.workload.requant == ("channel" if channels > 1 else "tensor")


def test_a_product_that_stays_in_32_bits_is_refused(tmp_path: Path) -> None:
    values = np.ones((31, 5), np.int8)
    path = integer_product(tmp_path / "m.onnx", "MatMulInteger", values, np.float32([1]), (3, 31))

    def unscaled(model: onnx.ModelProto) -> None:
        model.graph.node[3].op_type = "Add"

    with pytest.raises(ModelError, match=r"'product' \(MatMulInteger\) has a 32-bit result"):
        import_onnx(changed(path, unscaled))


@pytest.mark.parametrize(("kind", "zero"), [("uint8", 121), ("int8", -7)])
def test_a_quantized_input_and_output_are_taken_as_they_are(
    tmp_path: Path, kind: str, zero: int
) -> None:
    path = write_model(tmp_path / "m.onnx", SHAPE, convolution, PARAMETERS)

    def integers(model: onnx.ModelProto) -> None:
        graph = model.graph
        first = next(one for one in graph.node if one.input[0] == INPUT)
        behind = next(one for one in graph.node if one.input[0] == first.output[0])
        last = next(one for one in graph.node if one.output[0] == graph.output[0].name)
        held = numpy_helper.from_array(np.asarray(zero, kind), "in_zero")
        graph.initializer.append(held)
        behind.input[:] = [INPUT, first.input[1], "in_zero"]
        graph.input[0].type.tensor_type.elem_type = held.data_type
        graph.output[0].name = last.input[0]
        graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
        graph.node.remove(first)
        graph.node.remove(last)
        del graph.value_info[:]

    network = network_of(import_onnx(changed(path, integers)))
    (given,), (result,) = network.inputs, network.outputs
    assert (given.dtype, given.zero_point) == (kind, zero + (128 if kind == "int8" else 0))
    assert given.integer_dtype == result.integer_dtype == result.dtype == "uint8"
