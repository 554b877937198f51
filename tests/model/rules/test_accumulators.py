"""Layers whose sums could leave 32 bits compute what they would without a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.edge import dequantized, quantized
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.onnx_import import import_onnx
from vrmpy_tune.model.reading import Step
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.rules.accumulators import Accumulators, in_range, multipliers
from vrmpy_tune.model.scope import Target
from vrmpy_tune.quantize import Requantize

if TYPE_CHECKING:
    from pathlib import Path

STEP = Step("matmul", "product", (), None)
OUTPUT_SCALE = 0.1


def drawn(generator: np.random.Generator) -> tuple[Accumulators, Target]:
    """Draw a layer; biases, factors and depths up to what leaves 32 bits by far."""
    channels, depth = int(generator.integers(1, 5)), int(generator.choice((1, 9, 300, 5000)))
    weights = generator.integers(-127, 128, (channels, depth))
    weights[generator.random(channels) < 0.2] = 0
    exponents = generator.uniform(-33, 1, channels if generator.integers(2) else 1)
    bias = np.rint(generator.choice((-1, 1), channels) * 2 ** generator.uniform(0, 36, channels))
    zero_point, target = (int(one) for one in generator.integers(0, 256, 2))
    return (
        Accumulators(weights, bias, 2.0**exponents, zero_point),
        Target(OUTPUT_SCALE, target, (0, 255)),
    )


def activations(given: Accumulators, generator: np.random.Generator) -> np.ndarray:
    """Draw rows less their zero point; for each channel, those with its extreme sums."""
    rows = generator.integers(0, 256, (6, given.weights.shape[1]))
    extremes = [np.where(one * given.weights > 0, 255, 0) for one in (-1, 1)]
    return np.concatenate([rows, *extremes]) - given.zero_point


def outputs(made: Accumulators, target: Target, rows: np.ndarray) -> np.ndarray:
    """Compute as kernels do, in 32 bits that wrap."""
    multiplier, shift = multipliers(made)
    sums = rows @ made.weights.T + made.bias.astype(np.int32)
    requantize = Requantize(shift, target.zero_point, *target.bounds)
    return requantize(sums.astype(np.int32), multiplier)


def check(seed: int) -> bool:
    """Check the layer of a seed; return whether it was refused."""
    generator = np.random.default_rng(seed)
    given, target = drawn(generator)
    try:
        made = in_range(STEP, given, target)
    except ModelError as error:
        assert "'product'" in str(error)
        # A layer whose sums fit, and whose factors do, has no reason to be refused.
        lowest, highest = given.reach
        fits = min(lowest) >= -(2**31) and max(highest) < 2**31
        assert not fits or given.factors.max() >= 1, f"seed {seed}"
        return True
    rows = activations(given, generator)
    exact = (rows @ given.weights.T + given.bias) * given.factors
    expected = np.clip(np.rint(exact) + target.zero_point, *target.bounds)
    assert np.abs(outputs(made, target, rows) - expected).max() <= 1, f"seed {seed}"
    return False


def test_outputs_are_those_of_unlimited_sums_and_few_layers_are_refused() -> None:
    assert sum(check(seed) for seed in range(400)) < 40


def test_a_layer_in_range_stays_as_it_is() -> None:
    given = Accumulators(np.asarray([[5, -7]]), np.asarray([100.0]), np.asarray([0.01]), 3)
    assert in_range(STEP, given, Target(OUTPUT_SCALE, 0, (0, 255))) is given


def test_weights_that_lose_too_much_are_refused_with_the_error() -> None:
    depth = 100_000
    weights = np.full((1, depth), 255)
    given = Accumulators(weights, np.asarray([2.0**31]), np.asarray([1e-7]), 128)
    with pytest.raises(ModelError, match=r"channel 0, beyond the 32 bits .* by up to \d"):
        in_range(STEP, given, Target(OUTPUT_SCALE, 0, (0, 255)))


def test_a_bias_that_is_not_a_number() -> None:
    given = Accumulators(np.ones((1, 1)), np.asarray([np.nan]), np.asarray([0.1]), 0)
    with pytest.raises(ModelError, match="a bias that is not a number"):
        in_range(STEP, given, Target(OUTPUT_SCALE, 0, (0, 255)))


def _layer(
    path: Path, weights: np.ndarray, scales: np.ndarray, bias: np.ndarray
) -> onnx.ModelProto:
    """Write rows of x times weights plus a bias, all quantized, and return the model."""
    per_channel = {"axis": 0} if scales.size > 1 else {}
    zeros = np.zeros(scales.shape)
    constants = {
        "s": np.float32(0.03), "z": np.uint8(7), "t": np.float32(0.05), "u": np.uint8(40),
        "w": weights.astype(np.int8), "ws": scales, "wz": zeros.astype(np.int8),
        "b": bias.astype(np.int32), "bs": np.float32(0.03) * scales, "bz": zeros.astype(np.int32),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], **per_channel),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], **per_channel),
        helper.make_node("Gemm", ["xd", "wd", "bd"], ["g"], name="gemm", transB=1),
        helper.make_node("QuantizeLinear", ["g", "t", "u"], ["gq"]),
        helper.make_node("DequantizeLinear", ["gq", "t", "u"], ["y"]),
    ]
    rows = 5
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, weights.shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, weights.shape[0]])],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return model


BIG = 2**31 - 1


@pytest.mark.parametrize(
    ("scales", "bias", "empty"),
    [
        # A sum that wraps: the bias alone is 3.1, 62 units of the output.
        ([5e-8, 0.01, 0.01], [BIG, 5, -9], ()),
        ([5e-8, 0.01, 0.01], [-BIG - 1, 5, -9], ()),
        # It saturates whatever the activations are.
        ([0.002, 0.01, 0.01], [BIG, 5, -9], ()),
        # No weights, with a scale of one, none, or next to none.
        ([1.0, 1.0, 1.0], [40, 5, -9], (0, 1, 2)),
        ([0.0, 0.01, 0.02], [40, 5, -9], (0,)),
        ([0.0, 0.0, 0.0], [40, 5, -9], (0, 1, 2)),
        ([1e-38, 0.01, 1e30], [40, 5, -9], (0, 2)),
        ([0.0], [40, 5, -9], ()),
        ([1.0], [40, 5, -9], (0, 1, 2)),
    ],
)
def test_a_model_is_within_a_unit_of_onnxruntime(
    tmp_path: Path, scales: list[float], bias: list[int], empty: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(0)
    weights = generator.integers(-127, 128, (3, 70))
    weights[list(empty)] = 0
    path = tmp_path / "model.onnx"
    _layer(path, weights, np.asarray(scales, np.float32), np.asarray(bias, np.int64))
    x = generator.normal(0, 2, (5, 70)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    network = network_of(import_onnx(path))
    source, result = network.inputs[0], network.outputs[0]
    made = interpret(network, {source.tensor: quantized(source, x)})[result.tensor]
    actual = dequantized(result, made.reshape(result.integer_shape))
    assert np.rint(np.abs(actual - expected) / result.scale).max() <= 1
