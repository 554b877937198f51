"""Files that cannot become integer networks are refused in a sentence that says what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.model.damage import refusals
from tests.model.quantized_models import INPUT, write_model
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.frontend.operators import PLAIN, QUANTIZED, REMEDIES
from vrmpy_tune.model.frontend.tflite_file import read_tflite
from vrmpy_tune.model.onnx_import import import_onnx
from vrmpy_tune.model.zoo.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (1, 3, 5, 7)
PARAMETERS = {"conv.weight": (7, 3, 3, 3), "conv.bias": (7,)}


def convolution(writer: Writer) -> str:
    return writer.conv("conv", INPUT, 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.onnx", SHAPE, convolution, PARAMETERS)


def refused(path: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        import_onnx(path)
    assert caught.value.exit_code == 13
    assert str(caught.value).rstrip().endswith((".", ":", "`."))


def test_a_sound_file_is_accepted(file: Path) -> None:
    assert import_onnx(file)["main"] is not None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "does not exist; name an ONNX file")


def test_a_directory(tmp_path: Path) -> None:
    refused(tmp_path, "cannot be read")


def test_an_empty_file(file: Path) -> None:
    file.write_bytes(b"")
    refused(file, "is empty; export the model again")


@pytest.mark.parametrize("content", [b"\xff" * 64, b"PK\x03\x04 not a model", b"\x08\x08"])
def test_another_kind_of_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    refused(file, "another kind of file")


def test_a_tflite_file_is_told_from_others(file: Path) -> None:
    file.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    refused(file, "is a TFLite model; give it a name that ends in .tflite")


def test_a_truncated_file_is_refused_wherever_it_is_cut(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(1, len(whole), max(1, len(whole) // 60)):
        file.write_bytes(whole[:size])
        refused(file, r"cut short|not a valid ONNX model|float model|operator set|static")


def test_bytes_that_are_no_text_in_a_name(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"conv.weight_quantized") + 2] = 0xC1
    file.write_bytes(bytes(content))
    refused(file, "not a valid ONNX model|cannot be read")


def test_whatever_is_damaged_the_refusal_is_a_sentence(file: Path) -> None:
    assert refusals(file, import_onnx, 80) > 20


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_positive(file: Path, value: float) -> None:
    model = onnx.load(file)
    scale = next(one for one in model.graph.initializer if one.name.endswith("output_scale"))
    scale.CopyFrom(onnx.numpy_helper.from_array(np.asarray(value, np.float32), scale.name))
    onnx.save(model, file)
    refused(file, "has a scale that is not a positive number")


def test_a_float_model(tmp_path: Path) -> None:
    writer = Writer({name: np.ones(shape, np.float32) for name, shape in PARAMETERS.items()})
    path = tmp_path / "float.onnx"
    onnx.save(writer.model((INPUT, SHAPE), [convolution(writer)]), path)
    refused(path, "is a float model; quantize it first")


@pytest.mark.parametrize("extent", ["batch", None, 0])
def test_dynamic_shapes(file: Path, extent: str | int | None) -> None:
    model = onnx.load(file)
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    first.Clear()
    if isinstance(extent, str):
        first.dim_param = extent
    elif extent is not None:
        first.dim_value = extent
    onnx.save(model, file)
    refused(file, rf"the input 'x' has the shape \[{extent or '.'} x 3 x 5 x 7\]; .* static")


@pytest.mark.parametrize("opset", [7, 9, 99])
def test_an_unsupported_operator_set(file: Path, opset: int) -> None:
    model = onnx.load(file)
    model.opset_import[0].version = opset
    onnx.save(model, file)
    refused(file, f"uses operator set {opset}; supported are 10 to 23")


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("LogSoftmax", "cut the model before it"), ("Sigmoid", "it would need a workload"),
     ("BatchNormalization", "fold it into the convolution")],
)  # fmt: skip
def test_an_unsupported_operator_is_named_with_its_node_and_what_would_help(
    file: Path, kind: str, remedy: str
) -> None:
    model = onnx.load(file)
    output = model.graph.output[0].name
    extra = ["s", "b", "m", "v"] if kind == "BatchNormalization" else []
    node = helper.make_node(kind, [output, *extra], ["behind"], "the/last.one")
    model.graph.node.append(node)
    onnx.save(model, file)
    refused(file, f"The node 'the/last.one' is a {kind}, which has no integer kernel: {remedy}")


def test_a_float_operator_at_the_end_is_not_left_in_float(file: Path) -> None:
    model = onnx.load(file)
    output = model.graph.output[0]
    model.graph.node.append(helper.make_node("Mul", [output.name] * 2, ["behind"], "square"))
    output.name = "behind"
    onnx.save(model, file)
    refused(file, r"output comes from the node 'square' \(multiply\) in floating point")


def test_weights_in_float_are_refused_by_their_node(file: Path) -> None:
    model = onnx.load(file)
    conv = next(one for one in model.graph.node if one.op_type == "Conv")
    weights = next(one for one in model.graph.node if one.output[0] == conv.input[1])
    conv.input[1] = "plain"
    model.graph.node.remove(weights)
    values = np.ones(PARAMETERS["conv.weight"], np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "plain"))
    onnx.save(model, file)
    refused(file, "The weights of the node 'conv' .* are not quantized")


def test_external_data_that_is_missing(file: Path) -> None:
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights.bin",
              size_threshold=0)  # fmt: skip
    assert import_onnx(file)["main"] is not None
    (file.parent / "weights.bin").unlink()
    refused(file, "weights.bin")


def test_an_input_that_goes_elsewhere_before_it_is_quantized(file: Path) -> None:
    model = onnx.load(file)
    first = next(one for one in model.graph.node if one.input[0] == INPUT)
    model.graph.node.insert(0, helper.make_node("Relu", [INPUT], ["front"], "front"))
    first.input[0] = "front"
    onnx.save(model, file)
    refused(file, r"The input 'x' goes into the node 'front' \(relu\) before it is quantized")


def test_a_scale_computed_at_run_time(file: Path) -> None:
    model = onnx.load(file)
    first = next(one for one in model.graph.node if one.op_type == "QuantizeLinear")
    scale = helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1])
    model.graph.input.append(scale)
    first.input[1] = "scale"
    onnx.save(model, file)
    refused(file, "computes its scale or zero point at run time")


def test_what_is_supported_needs_no_remedy() -> None:
    assert not set(REMEDIES) & {*PLAIN, *QUANTIZED}


def test_pipes_and_devices_are_refused_at_once(file: Path, tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.onnx", tmp_path / "zero.onnx"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        refused(path, "no regular file")
        with pytest.raises(ModelError, match="no regular file"):
            read_tflite(path)
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights.bin",
              size_threshold=0)  # fmt: skip
    (file.parent / "weights.bin").unlink()
    os.mkfifo(file.parent / "weights.bin")
    refused(file, "no regular file")
