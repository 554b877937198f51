"""Channels with similar ranges: the same results, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from vrmpy_tune.model.zoo.equalization import equalized
from vrmpy_tune.model.zoo.writer import Writer

CHANNELS = 31
SIZE = 7


def _network(generator: np.random.Generator) -> onnx.ModelProto:
    """Return two blocks with a sum, whose channels have values of very different sizes."""
    sizes = np.exp2(np.linspace(-6, 3, CHANNELS)).reshape(-1, 1, 1, 1)
    parameters: dict[str, np.ndarray] = {}
    for name, (outputs, inputs, kernel) in {
        "first": (CHANNELS, 3, 3), "expand": (CHANNELS, CHANNELS, 1), "depth": (CHANNELS, 1, 3),
        "project": (CHANNELS, CHANNELS, 1), "last": (CHANNELS, CHANNELS, 1),
    }.items():  # fmt: skip
        drawn = generator.normal(size=(outputs, inputs, kernel, kernel)) / np.sqrt(inputs)
        parameters[f"{name}.weight"] = (drawn * sizes).astype(np.float32)
        parameters[f"{name}.bias"] = generator.normal(size=outputs).astype(np.float32)
    writer = Writer(parameters)
    start = writer.conv("first", "x", 3)
    value = writer.relu6("expand.act", writer.conv("expand", start, 1))
    value = writer.relu6("depth.act", writer.conv("depth", value, 3, groups=CHANNELS))
    value = writer.node("Add", "add", [start, writer.conv("project", value, 1)])
    value = writer.relu6("last.act", writer.conv("last", value, 1))
    return writer.model(("x", (1, 3, SIZE, SIZE)), [value])


def _run(model: onnx.ModelProto, x: np.ndarray, *names: str) -> list[Any]:
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=one) for one in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options)
    return list(session.run(None, {"x": x}))


def _spread(values: np.ndarray) -> float:
    """Return how many bits lie between the widest channel and the narrowest."""
    widths = np.abs(values).max(axis=(0, 2, 3))
    return float(np.log2(widths.max() / widths.min()))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_results_stay_the_same_and_ranges_become_alike(seed: int) -> None:
    generator = np.random.default_rng(seed)
    model = _network(generator)
    inputs = [generator.normal(size=(1, 3, SIZE, SIZE)).astype(np.float32) for _ in range(3)]
    before = model.SerializeToString()
    changed = equalized(model, inputs)
    assert model.SerializeToString() == before
    tensors = ("add.output", "expand.act.output")
    for x in inputs:
        plain, summed, clipped = _run(model, x, *tensors)
        same, alike, wider = _run(changed, x, *tensors)
        assert np.array_equal(same, plain)
        assert _spread(alike) < 0.75 * _spread(summed)
        assert (wider >= clipped).all()
        assert (wider > clipped).any()


def test_a_channel_without_values_stays_as_it_is() -> None:
    generator = np.random.default_rng(4)
    model = _network(generator)
    (first,) = (one for one in model.graph.initializer if one.name == "first.weight")
    values = numpy_helper.to_array(first).copy()
    values[3] = 0
    first.CopyFrom(numpy_helper.from_array(values, first.name))
    x = generator.normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    (expected,), (found,) = (_run(one, x) for one in (model, equalized(model, [x])))
    assert np.isfinite(found).all()
    assert np.array_equal(found, expected)


def test_factors_are_powers_of_two() -> None:
    generator = np.random.default_rng(3)
    model = _network(generator)
    changed = equalized(model, [generator.normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)])
    moved = 0
    for old, new in zip(model.graph.initializer, changed.graph.initializer, strict=True):
        lhs, rhs = numpy_helper.to_array(old), numpy_helper.to_array(new)
        ratios = np.log2(rhs[lhs != 0] / lhs[lhs != 0])
        assert np.array_equal(ratios, np.rint(ratios))
        moved += np.count_nonzero(ratios)
    assert moved
