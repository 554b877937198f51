"""Sums of tensors whose scales are far from the result's, for all pairs of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.onnx_import import import_onnx
from vrmpy_tune.model.reference import interpret

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.network import Network

UNIT = np.float32(0.01)
LEFT, RIGHT = (one.reshape(1, -1) for one in np.meshgrid(np.arange(256), np.arange(256)))


def sum_of(
    path: Path, ratios: tuple[float, ...], zeros: tuple[int, int, int], nodes: tuple[str, ...]
) -> Network:
    """Import a sum of two inputs, or what `nodes` says of them, with scales in units of the result.

    Zero points are of the inputs, and of the result.
    """
    names = ("a", "b")[: len(ratios)]
    constants = {"t": UNIT, "u": np.uint8(zeros[2])}
    operators = []
    for name, ratio, zero in zip(names, ratios, zeros[:2], strict=False):
        constants |= {f"{name}s": np.float32(ratio * UNIT), f"{name}z": np.uint8(zero)}
        parameters = [f"{name}s", f"{name}z"]
        operators.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}q"]))
        operators.append(
            helper.make_node("DequantizeLinear", [f"{name}q", *parameters], [f"{name}d"])
        )
    result = "ad"
    if nodes:
        operators.append(helper.make_node("Add", list(nodes), ["sum"], name="add"))
        result = "sum"
    operators.append(helper.make_node("QuantizeLinear", [result, "t", "u"], ["yq"], name="y"))
    operators.append(helper.make_node("DequantizeLinear", ["yq", "t", "u"], ["y"]))
    graph = helper.make_graph(
        operators, "g",
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, [1, 65536]) for one in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 65536])],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return network_of(import_onnx(path))


def furthest(network: Network, exact: np.ndarray) -> float:
    """Return by how many units a result differs from that which is rounded and clipped."""
    values = (LEFT, RIGHT)
    given = {
        port.tensor: values[index].astype(np.uint8) for index, port in enumerate(network.inputs)
    }
    output = network.outputs[0]
    made = interpret(network, given)[output.tensor].astype(np.int64)
    return float(np.abs(made - np.clip(np.rint(exact), 0, 255)).max())


@pytest.mark.parametrize(
    ("ratios", "zeros", "layers"),
    [
        ((0.7, 1.2), (128, 3, 128), 1),
        ((5000, 0.73), (128, 128, 128), 2),
        ((30000, 0.51), (0, 255, 7), 2),
        ((0.73, 1000.3), (9, 100, 250), 2),
        ((1e9, 1e-9), (255, 0, 128), 2),
        ((61.7, 0.02), (128, 128, 128), 1),
        ((150.3, 7.9), (128, 0, 0), 2),
        ((1000.7, 20.3), (255, 255, 128), 2),
        ((33.3, 33.3), (128, 128, 128), 1),
        ((1000, 1000), (0, 0, 128), 1),
    ],
)
def test_scales_far_apart_are_within_a_unit(
    tmp_path: Path, ratios: tuple[float, float], zeros: tuple[int, int, int], layers: int
) -> None:
    network = sum_of(tmp_path / "m.onnx", ratios, zeros, ("ad", "bd"))
    (a, b), (left, right, target) = ratios, zeros
    assert furthest(network, (LEFT - left) * a + (RIGHT - right) * b + target) <= 1
    assert len(network.layers) == layers


@pytest.mark.parametrize("ratio", [0.9, 31.9, 77.7, 700.3, 40000.0])
def test_a_change_of_scale_and_a_double_are_within_a_unit(tmp_path: Path, ratio: float) -> None:
    network = sum_of(tmp_path / "m.onnx", (ratio,), (100, 0, 128), ())
    assert furthest(network, (LEFT - 100) * ratio + 128) <= 1
    network = sum_of(tmp_path / "m.onnx", (ratio,), (100, 0, 128), ("ad", "ad"))
    assert furthest(network, (LEFT - 100) * 2 * ratio + 128) <= 1


def test_what_no_multipliers_reach_is_refused_with_the_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'add' .* 1000, 700.3 times .* by up to \d"):
        sum_of(tmp_path / "m.onnx", (1000.3, 700.3), (128, 128, 128), ("ad", "bd"))
