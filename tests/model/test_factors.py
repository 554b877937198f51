"""Bounds of Clip and factors of Gemm, however a file gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.model.qdq_graphs import Graph, units_off
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.onnx_import import import_onnx

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("opset", "low", "high"),
    [(opset, low, high) for opset in (10, 17) for low in (None, -1) for high in (None, 2)]
    # onnxruntime refuses these as attributes.
    + [(13, 3, -1)],
)
def test_a_clip_may_have_bounds_on_either_side(
    tmp_path: Path, opset: int, low: float | None, high: float | None
) -> None:
    graph = Graph(opset=opset)
    value = graph.both(graph.input((1, 64)), 0.05)
    if opset == 10:
        given = {"min": low, "max": high}
        value = graph.node(
            "Clip", [value], **{k: float(v) for k, v in given.items() if v is not None}
        )
    else:
        bounds = ["" if one is None else graph.constant(np.float32(one)) for one in (low, high)]
        value = graph.node("Clip", [value, *bounds])
    value = graph.node("Add", [value, graph.both(graph.input((1, 64), "other"), 0.02)])
    assert units_off(graph.write(tmp_path / "m.onnx", [graph.both(value, 0.05)])) <= 1


def test_of_two_clips_the_last_one_has_the_last_word(tmp_path: Path) -> None:
    graph = Graph()
    summed = graph.node("Add", [graph.both(graph.input((1, 64)), 0.05)] * 2)
    for bounds in ((0, 1), (2, 3)):
        summed = graph.node("Clip", [summed, *(graph.constant(np.float32(one)) for one in bounds)])
    other = graph.both(graph.input((1, 64), "other"), 0.05)
    value = graph.node("Add", [graph.both(summed, 0.05), other])
    assert units_off(graph.write(tmp_path / "m.onnx", [graph.both(value, 0.05)])) <= 1


@pytest.mark.parametrize("alpha", [1.0, 0.5, 3.0, -1.7])
@pytest.mark.parametrize("beta", [1.0, 0.25, -2.0, 0.0])
@pytest.mark.parametrize("transposed", [0, 1])
def test_factors_of_a_gemm(tmp_path: Path, alpha: float, beta: float, transposed: int) -> None:
    graph = Graph()
    source = graph.both(graph.input((3, 33)), 0.05)
    weights = graph.weights((7, 33) if transposed else (33, 7))
    bias = graph.floats(
        graph.constant(graph.generator.integers(-9000, 9000, 7).astype(np.int32)),
        0.0005,
        np.int32(0),
    )
    value = graph.node("Gemm", [source, weights, bias], alpha=alpha, beta=beta, transB=transposed)
    assert units_off(graph.write(tmp_path / "m.onnx", [graph.both(value, 0.1)])) <= 1


def test_a_gemm_whose_weights_are_transposed_before_and_whose_bias_is_in_floats(
    tmp_path: Path,
) -> None:
    graph = Graph()
    source = graph.both(graph.input((3, 33)), 0.05)
    weights = graph.node("Transpose", [graph.weights((7, 33))], perm=[1, 0])
    bias = graph.constant(graph.generator.normal(0, 2, 7).astype(np.float32))
    value = graph.node("Gemm", [source, weights, bias], alpha=-0.6, beta=1.5)
    assert units_off(graph.write(tmp_path / "m.onnx", [graph.both(value, 0.1)])) <= 1


def test_a_factor_of_what_is_no_constant_is_refused_by_its_node(tmp_path: Path) -> None:
    graph = Graph()
    lhs, rhs = (graph.both(graph.input((8, 8), name), 0.05) for name in "ab")
    value = graph.both(graph.node("Gemm", [lhs, rhs], alpha=0.5), 0.1)
    with pytest.raises(ModelError, match=r"'gemm\d+_node' \(Gemm\) multiplies by alpha = 0.5"):
        import_onnx(graph.write(tmp_path / "m.onnx", [value]))


def test_a_part_of_a_node_is_called_by_the_node(tmp_path: Path) -> None:
    graph = Graph()
    source = graph.both(graph.input((8, 8)), 0.05)
    value = graph.both(graph.node("Gemm", [source, graph.weights((8, 8))], transA=1), 0.1)
    with pytest.raises(ModelError, match=r"the node 'gemm\d+_node' \(Gemm\)") as refusal:
        import_onnx(graph.write(tmp_path / "m.onnx", [value]))
    assert "lv" not in str(refusal.value)
    assert "permute_dims" not in str(refusal.value)
