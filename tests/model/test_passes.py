"""Passes over the integer module change kernels, never a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.model.quantized_models import INPUT, samples, write_model
from vrmpy_tune.model.edge import quantized
from vrmpy_tune.model.network import Network, network_of
from vrmpy_tune.model.onnx_import import import_onnx
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.zoo.quantizer import Scheme
from vrmpy_tune.workload import Clip, Contraction, QuantizedAdd

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.model.zoo.writer import Writer

SHAPE = (1, 3, 9, 7)


def results(network: Network) -> list[np.ndarray]:
    """Return the network's first output for each sample."""
    (port,) = network.inputs
    found = []
    for values in samples(SHAPE):
        tensors = interpret(network, {port.tensor: quantized(port, values)})
        found.append(tensors[network.outputs[0].tensor])
    return found


def same_results(path: Path) -> tuple[Network, Network]:
    """Return a file's network before and after fusion; both compute the same, bit for bit."""
    before, after = (network_of(import_onnx(path, fuse=fuse)) for fuse in (False, True))
    for one, other in zip(results(before), results(after), strict=True):
        assert one.size > 1
        assert np.array_equal(one.ravel(), other.ravel())
    return before, after


def block(writer: Writer, *, shortcut_last: bool) -> str:
    """Write a residual block with a shortcut, in either order."""
    value = writer.node("Relu", "stem.relu", [writer.conv("stem", INPUT, 3)])
    shortcut = "" if shortcut_last else writer.conv("shortcut", value, 1)
    branch = writer.node("Relu", "reduce.relu", [writer.conv("reduce", value, 1)])
    branch = writer.conv("expand", branch, 1)
    shortcut = shortcut or writer.conv("shortcut", value, 1)
    total = writer.node("Add", "add", [shortcut, branch])
    return writer.node("Relu", "relu", [total])


PARAMETERS = {
    "stem.weight": (8, 3, 3, 3), "stem.bias": (8,),
    "reduce.weight": (5, 8, 1, 1), "reduce.bias": (5,),
    "expand.weight": (33, 5, 1, 1), "expand.bias": (33,),
    "shortcut.weight": (33, 8, 1, 1), "shortcut.bias": (33,),
}  # fmt: skip


@pytest.mark.parametrize("scheme", [Scheme(), Scheme(activations="i8"), Scheme(operators=True)])
@pytest.mark.parametrize("shortcut_last", [False, True])
def test_the_deeper_convolution_takes_the_addition_whatever_the_order(
    tmp_path: Path, scheme: Scheme, shortcut_last: bool
) -> None:
    path = write_model(
        tmp_path / "m.onnx", SHAPE, lambda one: block(one, shortcut_last=shortcut_last),
        PARAMETERS, scheme,
    )  # fmt: skip
    before, after = same_results(path)
    assert any(isinstance(one.workload, QuantizedAdd) for one in before.layers)
    named = {one.name.removesuffix("_quant"): one.workload for one in after.layers}
    assert set(named) == {"stem", "reduce", "expand", "shortcut"}
    residuals = {
        name for name, one in named.items() if isinstance(one, Contraction) and one.residual
    }
    assert residuals == {"expand"}
    assert getattr(named["expand"], "act", None) == "relu"


def test_a_tensor_that_is_used_twice_is_not_fused_away(tmp_path: Path) -> None:
    def build(writer: Writer) -> str:
        first = writer.conv("first", INPUT, 3)
        total = writer.node("Add", "add", [first, first])
        other = writer.conv("second", first, 1)
        return writer.node("Mul", "multiply", [total, other])

    parameters = {
        "first.weight": (7, 3, 3, 3), "first.bias": (7,),
        "second.weight": (7, 7, 1, 1), "second.bias": (7,),
    }  # fmt: skip
    _, after = same_results(write_model(tmp_path / "m.onnx", SHAPE, build, parameters))
    assert [one.workload.operator for one in after.layers].count("add") == 1


@pytest.mark.parametrize("kind", ["Conv", "Add", "Mul", "AveragePool"])
def test_a_relu_of_its_own_joins_the_kernel_before_it(tmp_path: Path, kind: str) -> None:
    def build(writer: Writer) -> str:
        value = writer.conv("first", INPUT, 3)
        if kind in ("Add", "Mul"):
            value = writer.node(kind, "total", [value, writer.conv("second", INPUT, 3)])
        elif kind == "AveragePool":
            value = writer.node(kind, "pool", [value], kernel_shape=[2, 2])
        return writer.node("Relu", "relu", [value])

    parameters = {
        "first.weight": (7, 3, 3, 3), "first.bias": (7,),
        "second.weight": (7, 3, 3, 3), "second.bias": (7,),
    }  # fmt: skip
    path = write_model(tmp_path / "m.onnx", SHAPE, build, parameters, Scheme(activations="i8"))
    before, after = same_results(path)
    # With symmetric scales onnxruntime gives ReLU its own, which may differ from its input's.
    clips = sum(isinstance(one.workload, Clip) for one in before.layers)
    assert not any(isinstance(one.workload, Clip) for one in after.layers)
    assert len(after.layers) <= len(before.layers) - clips


def test_zero_points_are_folded_where_nothing_is_padded(tmp_path: Path) -> None:
    def build(writer: Writer) -> str:
        value = writer.conv("padded", INPUT, 3)
        value = writer.conv("plain", value, 1)
        return writer.dense("dense", writer.node("Flatten", "flatten", [value]))

    parameters = {
        "padded.weight": (8, 3, 3, 3), "padded.bias": (8,),
        "plain.weight": (4, 8, 1, 1), "plain.bias": (4,),
        "dense.weight": (10, 4 * 63), "dense.bias": (10,),
    }  # fmt: skip
    path = write_model(tmp_path / "m.onnx", SHAPE, build, parameters)
    network = network_of(import_onnx(path))
    zero_points = {
        one.name: one.workload.lzp
        for one in network.layers
        if isinstance(one.workload, Contraction)
    }
    assert zero_points == {"padded": network.inputs[0].zero_point, "plain": 0, "dense": 0}
    assert zero_points["padded"] > 0
