"""The imported network is compared with onnxruntime or LiteRT, layer by layer."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.model.qdq_graphs import Graph
from tests.model.tflite_models import TfliteWriter
from vrmpy_tune.errors import VerificationError
from vrmpy_tune.model import opening
from vrmpy_tune.model.agreement import agreement_text, compare_with_runtime
from vrmpy_tune.model.opening import import_plain, open_model

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.agreement import Agreement

SHAPE = (1, 6, 7, 5)


def network(path: Path, *, softmax: bool = False) -> Path:
    graph = Graph()
    value = graph.both(graph.input(SHAPE), 0.05)
    for channels in (6, 4):
        weights = graph.weights((channels, 6, 3, 3))
        value = graph.both(graph.node("Conv", [value, weights], pads=[1] * 4), 1.0)
    value = graph.both(graph.node("GlobalAveragePool", [value]), 0.3)
    value = graph.node("Flatten", [value])
    if softmax:
        value = graph.node("Softmax", [value])
    return graph.write(path / "m.onnx", [value])


def compared(path: Path) -> Agreement:
    return compare_with_runtime(path, open_model(path)[0])


def test_each_tensor_of_the_file_is_compared_with_onnxruntime(tmp_path: Path) -> None:
    found = compared(network(tmp_path))
    # The input, two convolutions and the average.
    assert (found.layers, found.inputs, found.reason) == (4, 2, "")
    assert found.largest_layer <= 1
    assert found.runtime is not None
    assert found.runtime.startswith("onnxruntime 1.")
    text = agreement_text(found.as_json())
    assert text.startswith(f"interpreter against {found.runtime} on 2 inputs: largest difference ")
    assert "4 tensors" in text


def test_a_softmax_on_the_host_is_compared_too(tmp_path: Path) -> None:
    found = compared(network(tmp_path, softmax=True))
    assert found.layers == 4
    assert found.largest_output is None


def test_quantized_operators_are_compared_in_the_mode_that_does_not_saturate(
    tmp_path: Path,
) -> None:
    graph = Graph()
    value = graph.bytes(graph.input((3, 64)), 0.05)
    values = graph.constant(np.full((64, 4), 127, np.int8))
    middle, scale = graph.constant(np.uint8(128)), graph.constant(np.float32(0.05))
    weights = [values, graph.constant(np.float32(0.01)), graph.constant(np.int8(0))]
    inputs = [value, scale, middle, *weights, graph.constant(np.float32(0.5)), middle]
    value = graph.floats(graph.node("QLinearMatMul", inputs), 0.5)
    assert compared(graph.write(tmp_path / "m.onnx", [value])).largest_layer <= 1


def test_the_first_layer_that_was_misread_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two layers are: the second is given the runtime's tensors, and is not blamed."""
    path = network(tmp_path)
    plain, tensors = import_plain(path)
    first, second, *others = plain.layers
    turned = [
        replace(one, constants={**one.constants, "weights": one.constants["weights"][:, ::-1]})
        for one in (first, second)
    ]
    found = (
        replace(plain, layers=(turned[0], second, *others)),
        replace(plain, layers=(first, turned[1], *others)),
    )
    for layer, misread in zip((first, second), found, strict=True):
        monkeypatch.setattr(opening, "import_plain", lambda _, one=misread: (one, tensors))
        with pytest.raises(VerificationError, match=f"The layer '{layer.name}' ") as caught:
            compared(path)
        assert "given the same inputs" in str(caught.value)
        assert caught.value.exit_code == 10


def test_an_output_that_no_layer_of_the_file_makes_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reshape behind the last quantization."""
    graph = Graph()
    value = graph.both(graph.input(SHAPE), 0.05)
    value = graph.both(graph.node("Conv", [value, graph.weights((6, 6, 1, 1))]), 1.0)
    value = graph.node("Reshape", [value, graph.constant(np.asarray([1, 7, 6, 5]))])
    path = graph.write(tmp_path / "m.onnx", [value])
    assert compared(path).largest_layer <= 1
    plain, tensors = import_plain(path)
    output = replace(plain.outputs[0], tensor=plain.layers[0].output, integer_shape=(1, 5, 6, 7))
    # As if images were not brought to the file's order of elements before.
    misread = replace(plain, layers=plain.layers[:1], outputs=(output,))
    monkeypatch.setattr(opening, "import_plain", lambda _: (misread, tensors))
    with pytest.raises(VerificationError, match=f"The output '{value}' is up to"):
        compared(path)


@pytest.mark.parametrize(
    ("name", "wanted"), [("m.onnx", r"vrmpy-tune\[zoo\]"), ("m.tflite", "ai-edge-litert")]
)
def test_without_a_runtime_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wanted: str
) -> None:
    opened, _ = open_model(network(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = compare_with_runtime(tmp_path / name, opened)
    assert found.runtime is None
    assert re.search(wanted, found.reason)
    assert agreement_text(found.as_json()).startswith("interpreter compared with no other runtime")


def test_a_model_that_the_runtime_does_not_take_is_not_called_wrong(tmp_path: Path) -> None:
    graph = Graph(opset=10)
    value = graph.bytes(graph.input((3, 64)), 0.05, np.int8(0))
    scale, zero = graph.constant(np.float32(0.05)), graph.constant(np.int8(0))
    weights = graph.constant(graph.generator.integers(-127, 128, (64, 4)).astype(np.int8))
    inputs = [value, scale, zero, weights, scale, zero, graph.constant(np.float32(2)), zero]
    value = graph.floats(graph.node("QLinearMatMul", inputs), 2, np.int8(0))
    found = compared(graph.write(tmp_path / "m.onnx", [value]))
    assert found.runtime is None
    assert found.reason.startswith("onnxruntime does not run the model: ")


def test_each_tensor_of_a_tflite_file_is_compared_with_litert(tmp_path: Path) -> None:
    writer = TfliteWriter()
    source = writer.input((1, 9, 7, 5))
    value = writer.conv("conv", source, 7)
    value = writer.dense("dense", writer.mean("mean", value), 4)
    found = compared(writer.write(tmp_path / "m.tflite", [source], [value]))
    assert found.runtime is not None
    assert found.runtime.startswith("LiteRT ")
    assert found.layers >= 3
    assert found.largest_layer <= 1
