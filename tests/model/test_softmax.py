"""A softmax at the model's end is the host's; elsewhere it is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.model.quantized_models import INPUT, compared, drawn, samples, write_model
from tests.model.tflite_models import Handle, TfliteWriter, interpreted
from tests.model.tflite_models import compared as compared_with_tflite
from vrmpy_tune.cli.application import run
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.comparison import Reference, output_difference
from vrmpy_tune.model.compiled import CompiledModel
from vrmpy_tune.model.edge import dequantized, quantized
from vrmpy_tune.model.network import Port, network_of
from vrmpy_tune.model.onnx_import import import_onnx, integer_module, normalized_model
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.softmax import Grid, Softmax
from vrmpy_tune.model.tflite_import import import_tflite
from vrmpy_tune.model.zoo.quantizer import Scheme

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.zoo.writer import Writer

SHAPE = (3, 33)
CLASSES = 7
PARAMETERS = {"fc.weight": (CLASSES, 33), "fc.bias": (CLASSES,)}
RESULT = "probabilities.output"
PORT = Port("p", (1, 4), "float32", "nc", 0.5, 10, "y", (1, 4), "uint8")


def ended(path: Path, scheme: Scheme | None = None, axis: int = -1, kind: str = "Softmax") -> Path:
    """Write a quantized matrix product with a softmax, which is quantized and dequantized again."""

    def build(writer: Writer) -> str:
        # Such that no class has all of it.
        writer.parameters = {name: one / 5 for name, one in writer.parameters.items()}
        return writer.node(kind, "probabilities", [writer.dense("fc", INPUT)], axis=axis)

    return write_model(path, SHAPE, build, PARAMETERS, scheme)


def producer(graph: Any, tensor: str) -> Any:
    return next(one for one in graph.node if tensor in one.output)


def shortened(path: Path, ending: str) -> Path:
    """Leave out what is behind the softmax (``"float"``), or the last node (``"integers"``)."""
    model = onnx.load(path)
    graph = model.graph
    last = producer(graph, graph.output[0].name)
    before = producer(graph, last.input[0])
    if ending == "float":
        producer(graph, before.input[0]).output[0] = RESULT
        graph.node.remove(before)
    elif ending == "integers":
        zero_point = next(one for one in graph.initializer if one.name == last.input[2])
        graph.output[0].type.tensor_type.elem_type = zero_point.data_type
        before.output[0] = RESULT
    if ending != "pair":
        graph.node.remove(last)
        del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def theirs(path: Path, values: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    # Without it, products of bytes saturate in 16 bits on machines without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(one) for one in session.run(None, {INPUT: values})]


@pytest.mark.parametrize(
    ("ending", "scheme", "types"),
    [
        ("float", Scheme(), ("float32", "")),
        ("pair", Scheme(), ("float32", "uint8")),
        ("pair", Scheme(operators=True), ("float32", "uint8")),
        ("integers", Scheme(), ("uint8", "uint8")),
        ("integers", Scheme(activations="i8"), ("int8", "int8")),
    ],
)
@pytest.mark.parametrize("axis", [1, -1])
def test_at_the_end_of_an_onnx_model_it_is_the_hosts(
    tmp_path: Path, ending: str, scheme: Scheme, types: tuple[str, str], axis: int
) -> None:
    dtype, grid = types
    path = shortened(ended(tmp_path / "m.onnx", scheme, axis), ending)
    network = compared(path, SHAPE)
    (port,) = network.outputs
    assert [layer.workload.operator for layer in network.layers] == ["dense"]
    assert (port.name, port.shape, port.dtype) == (RESULT, (3, CLASSES), dtype)
    assert port.after is not None
    assert (port.after.grid.dtype if port.after.grid else "") == grid
    reference = Reference(normalized_model(path))
    for values in samples(SHAPE):
        # The difference is that of what goes into the softmax.
        assert output_difference(network, reference, {INPUT: values}).unoptimized <= 1
        (logits,) = reference.outputs({INPUT: values}, precise=False)
        found = dequantized(port, quantized(port.before, logits))
        (wanted,) = theirs(path, values)
        assert found.dtype == wanted.dtype == dtype
        step = 1 if dtype != "float32" else port.after.grid.scale if port.after.grid else 0
        np.testing.assert_allclose(
            found.astype(float), wanted.astype(float), rtol=0, atol=step * 1.01 + 1e-6
        )
        assert len(np.unique(found)) >= CLASSES


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 0)])
@pytest.mark.parametrize("is_float", [False, True])
def test_at_the_end_of_a_tflite_model_it_is_within_a_unit_of_theirs(
    tmp_path: Path, dtype: str, zero_point: int, *, is_float: bool
) -> None:
    writer = TfliteWriter(dtype=dtype)
    source = writer.input((3, CLASSES), zero_point=zero_point + 123)
    result = classified(writer, source, zero_point)
    if is_float:
        floats = writer.tensor("floats", result.shape, "float32")
        result = writer.operator("DEQUANTIZE", [result], floats)
    path = writer.write(tmp_path / "m.tflite", [source], [result])
    (port,) = compared_with_tflite(path, (3, CLASSES), dtype).outputs
    grid = Grid(dtype, 1 / 256, zero_point)
    assert (port.dtype, port.after) == ("float32" if is_float else dtype, Softmax(grid))
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(low, high + 1, (3, CLASSES)).astype(dtype)
    known = interpreted(path, values)
    found = dequantized(port, known["logits"])
    wanted = known["floats"] if is_float else known["probabilities"].astype(int) - 128
    wanted = wanted * 256 if is_float else wanted - (zero_point if dtype == "uint8" else 0)
    mine = found * 256 if is_float else found.astype(int) - (128 if dtype == "uint8" else 0)
    assert np.abs(mine - wanted).max() <= 1
    assert len(np.unique(mine)) > CLASSES


def classified(writer: TfliteWriter, source: Handle, zero_point: int, beta: float = 1) -> Handle:
    logits = writer.add("logits", source, source)
    result = writer.tensor("probabilities", logits.shape, scale=1 / 256, zero_point=zero_point)
    return writer.operator("SOFTMAX", [logits], result, "SoftmaxOptions", beta=beta)


def test_another_factor_than_one_is_refused(tmp_path: Path) -> None:
    writer = TfliteWriter()
    source = writer.input(SHAPE)
    result = classified(writer, source, -128, beta=1.5)
    path = writer.write(tmp_path / "m.tflite", [source], [result])
    with pytest.raises(ModelError, match=r"SOFTMAX that makes .* multiplies by 1\.5 before"):
        import_tflite(path)


def both(path: Path) -> Path:
    """Make what the softmax takes an output as well: its integers, and their values."""
    model = onnx.load(path)
    graph = model.graph
    softmax = next(one for one in graph.node if one.op_type == "Softmax")
    values = producer(graph, softmax.input[0])
    for name, kind in ((values.output[0], TensorProto.FLOAT), (values.input[0], TensorProto.UINT8)):
        graph.output.append(helper.make_tensor_value_info(name, kind, (3, CLASSES)))
    onnx.save(model, path)
    return path


@pytest.mark.device
@pytest.mark.parametrize("ending", ["integers", "float"])
def test_logits_that_are_outputs_too_are_run_beside_it(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = both(shortened(ended(tmp_path / "m.onnx"), ending))
    network = network_of(import_onnx(path))
    assert [layer.workload.operator for layer in network.layers] == ["dense", "clip", "clip"]
    assert run(["compile", str(path), "-o", str(tmp_path / "net"), "--records", "records/"]) == 0
    model = CompiledModel(tmp_path / "net")
    assert model.manifest["schema"] == 2
    assert [one.after is None for one in model.outputs] == [False, True, True]
    values = drawn(SHAPE)
    found = model.profile({INPUT: values}, verify=True)
    (port,) = network.inputs
    tensors = interpret(network, {port.tensor: quantized(port, values)})
    probabilities, logits, integers = (
        found.outputs[name] for name in (one.name for one in network.outputs)
    )
    np.testing.assert_array_equal(integers, tensors[network.outputs[0].tensor])
    np.testing.assert_array_equal(logits, dequantized(network.outputs[1], integers))
    powers = np.exp(logits.astype(float))
    wanted = powers / powers.sum(axis=1, keepdims=True)
    after = model.outputs[0].after
    assert after is not None
    scale = after.grid.scale if after.grid else 1
    assert np.abs(probabilities * scale - wanted).max() <= (scale / 1.9 if after.grid else 1e-6)
    assert found.as_json()["outputs"][RESULT]["after"] == after.as_json()
    words = f"{RESULT}: softmax on the host behind the last dequantization"
    capsys.readouterr()
    assert run(["run", str(tmp_path / "net")]) == 0
    assert words in capsys.readouterr().out
    assert run(["explain", str(path), "--records", "records/"]) == 0
    assert words in capsys.readouterr().out


def test_a_model_without_it_says_nothing_of_it() -> None:
    assert "after" not in PORT.as_json()
    assert Port.of_json(PORT.as_json()).after is None


@pytest.mark.parametrize("after", [Softmax(), Softmax(Grid("int8", 1 / 256, -128))])
def test_a_port_with_it_survives_json(after: Softmax) -> None:
    port = Port("p", (1, 4), "float32", "nc", 0.5, 10, "y", (1, 4), "uint8", after)
    assert Port.of_json(json.loads(json.dumps(port.as_json()))) == port


def test_its_result_is_rounded_half_to_even_and_saturates() -> None:
    halves = Softmax(Grid("uint8", 1 / 2, 0))
    quarters = np.zeros((1, 4), np.float32)  # each 1/4: half a unit
    assert halves.of(quarters, "uint8").tolist() == [[0] * 4]
    assert halves.of(quarters[:, :2], "uint8").tolist() == [[1, 1]]
    usual = Softmax(Grid("int8", 1 / 256, -128))
    one = np.array([[1000.0, -1000.0]], np.float32)
    assert usual.of(one, "int8").tolist() == [[127, -128]], "1 is a unit beyond the largest"
    assert usual.of(one, "float32").tolist() == [[255 / 256, 0]]
    assert Softmax().of(one, "float32").tolist() == [[1, 0]]


def appended(path: Path, *nodes: tuple[str, list[str], str]) -> Path:
    """Append nodes behind the model's end, the last of which makes the output."""
    model = onnx.load(path)
    for operator, inputs, output in nodes:
        model.graph.node.append(helper.make_node(operator, inputs, [output], output))
    model.graph.output[0].name = nodes[-1][2]
    onnx.save(model, path)
    return path


MAY_STAND = "it may stand at the model's end only, over the last axis of a result of two dim"


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([("Relu", [RESULT], "r")], "behind it there is QuantizeLinear, then Deq.*, then Relu"),
        ([("Add", [RESULT, RESULT], "r")], "2 nodes take its result, which is no output"),
    ],
)
def test_in_the_middle_of_a_model_it_is_refused(
    tmp_path: Path, nodes: list[Any], reason: str
) -> None:
    path = appended(ended(tmp_path / "m.onnx"), *nodes)
    with pytest.raises(ModelError, match=f"'probabilities' is a Softmax.*{MAY_STAND}.*{reason}"):
        import_onnx(path)


def test_a_result_that_is_used_further_is_refused(tmp_path: Path) -> None:
    path = ended(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Relu", [RESULT], ["again"], "relu"))
    model.graph.output.append(helper.make_tensor_value_info("again", 1, (3, CLASSES)))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"the node 'relu' \(Relu\) takes its result, too; cut"):
        import_onnx(path)


def test_over_another_axis_or_in_other_dimensions_it_is_refused(tmp_path: Path) -> None:
    path = ended(tmp_path / "m.onnx", axis=0)
    with pytest.raises(ModelError, match=f"{MAY_STAND}.* Here it is over axis 0; cut"):
        import_onnx(path)

    def image(writer: Writer) -> str:
        conv = writer.conv("conv", INPUT, 1)
        return writer.node("Softmax", "map", [conv], axis=1)

    path = write_model(path, (1, 3, 5, 5), image, {"conv.weight": (4, 3, 1, 1), "conv.bias": (4,)})
    with pytest.raises(ModelError, match=f"{MAY_STAND}.* Here its input has 4 dimensions; cut"):
        import_onnx(path)


def test_a_pair_of_two_scales_is_refused(tmp_path: Path) -> None:
    path = ended(tmp_path / "m.onnx")
    model = onnx.load(path)
    other = numpy_helper.from_array(np.float32(0.5), "other")
    model.graph.initializer.append(other)
    producer(model.graph, RESULT).input[1] = "other"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="is dequantized otherwise than it is quantized"):
        import_onnx(path)


def test_a_logarithm_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a LogSoftmax, which has no integer kernel: cut"):
        import_onnx(ended(tmp_path / "m.onnx", kind="LogSoftmax"))


def test_what_it_takes_must_be_quantized(tmp_path: Path) -> None:
    path = ended(tmp_path / "m.onnx")
    model = onnx.load(path)
    softmax = next(one for one in model.graph.node if one.op_type == "Softmax")
    values = producer(model.graph, softmax.input[0])
    softmax.input[0] = producer(model.graph, values.input[0]).input[0]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"output comes from .* in floating point; quantize it"):
        integer_module(normalized_model(path))
