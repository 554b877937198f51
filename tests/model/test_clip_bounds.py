"""A bound of a Clip between two elements of its tensor is right behind it, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.model.qdq_graphs import Graph, units_off
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.opening import open_model

if TYPE_CHECKING:
    from pathlib import Path

SCALE = 0.4
SHAPE = (1, 3, 6, 6)
WINDOW = {"kernel_shape": [2, 2], "strides": [1, 1]}


def clipped(graph: Graph, bound: float) -> str:
    """Clip a dequantized input from -100 to a bound."""
    value = graph.both(graph.input(SHAPE), SCALE)
    low, high = graph.constant(np.float32(-100)), graph.constant(np.float32(bound))
    return graph.node("Clip", [value, low, high])


def network(path: Path, kind: str, bound: float, scale: float) -> Path:
    """Write an operator behind the Clip, whose result has some scale."""
    graph = Graph()
    value = clipped(graph, bound)
    if kind == "Conv":
        value = graph.node("Conv", [value, graph.weights((4, 3, 3, 3))])
    elif kind == "Concat":
        value = graph.node("Concat", [value, value], axis=1)
    elif kind == "Add":
        value = graph.node("Add", [value, value])
    elif kind == "Relu":
        value = graph.node("Relu", [value])
    else:
        value = graph.node(kind, [value], **WINDOW)
    return graph.write(path, [graph.both(value, scale)])


@pytest.mark.parametrize(
    ("kind", "scale"), [("MaxPool", 0.05), ("MaxPool", SCALE), ("Relu", 0.05), ("Relu", SCALE),
    ("AveragePool", SCALE), ("Concat", SCALE)],
)  # fmt: skip
def test_it_is_rounded_to_the_results_scale(tmp_path: Path, kind: str, scale: float) -> None:
    # 1.8 lies in the middle between the elements 1.6 and 2.0.
    assert units_off(network(tmp_path / "m.onnx", kind, 1.8, scale)) <= 1


@pytest.mark.parametrize("kind", ["Conv", "AveragePool", "Add", "Concat"])
def test_it_is_refused_where_that_is_more_than_rounding(tmp_path: Path, kind: str) -> None:
    path = network(tmp_path / "m.onnx", kind, 1.8, 0.35 if kind == "AveragePool" else 0.1)
    with pytest.raises(ModelError, match="clipped at a bound between two of its elements"):
        open_model(path)


@pytest.mark.parametrize("kind", ["Conv", "AveragePool", "Add", "Concat"])
def test_a_bound_that_is_an_element_stays(tmp_path: Path, kind: str) -> None:
    assert units_off(network(tmp_path / "m.onnx", kind, 2.4, 1.0)) <= 1


def test_a_bound_beyond_all_elements_is_refused(tmp_path: Path) -> None:
    graph = Graph()
    value = graph.both(graph.input(SHAPE), SCALE, np.uint8(0))
    bounds = [graph.constant(np.float32(one)) for one in (-100, -50)]
    value = graph.node("Clip", [value, *bounds])
    with pytest.raises(ModelError, match="clipped at a bound between two of its elements"):
        open_model(graph.write(tmp_path / "m.onnx", [value]))
