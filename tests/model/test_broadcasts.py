"""Constants, permutations and reshapes that layers take in are read along their own axes."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.model.qdq_graphs import Graph, units_off
from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.opening import open_model

if TYPE_CHECKING:
    from pathlib import Path

X_SCALE, Y_SCALE = 0.05, 0.8
# So that a constant for each row, column or image has as many elements as one for each channel.
SIZE = 6


def conv(graph: Graph, **attributes: Any) -> str:
    source = graph.both(graph.input((1, SIZE, SIZE, SIZE)), X_SCALE)
    weights = graph.weights((SIZE, SIZE, 3, 3))
    return graph.node("Conv", [source, weights], pads=[1] * 4, **attributes)


def rows(graph: Graph, shape: tuple[int, ...] = (SIZE, 16)) -> list[str]:
    source = graph.both(graph.input(shape), X_SCALE)
    return [source, graph.weights((shape[-1], SIZE))]


def summand(graph: Graph, shape: tuple[int, ...]) -> str:
    return graph.constant(graph.generator.normal(0, 30, shape).astype(np.float32), "summand")


def finished(graph: Graph, path: Path, value: str, scale: float = Y_SCALE) -> Path:
    return graph.write(path / "m.onnx", [graph.both(value, scale)])


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        open_model(path)
    for one in words:
        assert one in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (SIZE, 1, 1), (1, SIZE, 1, 1), (1, 1, 1)])
def test_a_convolution_adds_a_constant_for_each_channel(
    tmp_path: Path, shape: tuple[int, ...], *, swapped: bool
) -> None:
    graph = Graph()
    pair = [conv(graph), summand(graph, shape)]
    value = graph.node("Add", pair[::-1] if swapped else pair)
    assert units_off(finished(graph, tmp_path, value)) <= 1


@pytest.mark.parametrize(
    "shape", [(SIZE,), (SIZE, 1), (1, 1, SIZE), (SIZE, SIZE), (1, SIZE, SIZE, 1), (SIZE, 1, 1, 1)]
)
def test_a_constant_for_each_row_or_column_is_no_bias(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    graph = Graph()
    value = graph.node("Add", [conv(graph), summand(graph, shape)])
    path = finished(graph, tmp_path, value)
    refused(path, value, f"shape {list(shape)}", f"[{SIZE}, 1, 1]")


def test_a_constant_that_repeats_a_number_for_each_channel_is_a_bias(tmp_path: Path) -> None:
    graph = Graph()
    every = np.broadcast_to(graph.generator.normal(0, 30, (SIZE, 1, 1)), (SIZE, SIZE, SIZE))
    value = graph.node("Add", [conv(graph), graph.constant(every.astype(np.float32))])
    assert units_off(finished(graph, tmp_path, value)) <= 1


@pytest.mark.parametrize("shape", [(), (SIZE,), (1, SIZE)])
@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_a_product_adds_a_constant_for_each_column(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    graph = Graph()
    inputs = [*rows(graph), summand(graph, shape)]
    if kind == "Gemm":
        value = graph.node("Gemm", inputs)
    else:
        value = graph.node("Add", [graph.node("MatMul", inputs[:2]), inputs[2]])
    assert units_off(finished(graph, tmp_path, value)) <= 1


@pytest.mark.parametrize("shape", [(SIZE, 1), (SIZE, SIZE)])
@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_a_constant_for_each_row_of_a_product_is_no_bias(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    graph = Graph()
    inputs = [*rows(graph), summand(graph, shape)]
    if kind == "Gemm":
        value = graph.node("Gemm", inputs)
    else:
        value = graph.node("Add", [graph.node("MatMul", inputs[:2]), inputs[2]])
    refused(finished(graph, tmp_path, value), value, f"shape {list(shape)}")


def test_a_constant_for_each_product_of_a_batch_is_no_bias(tmp_path: Path) -> None:
    graph = Graph()
    value = graph.node("MatMul", rows(graph, (SIZE, 2, 16)))
    value = graph.node("Add", [value, summand(graph, (SIZE, 1, 1))])
    refused(finished(graph, tmp_path, value), value, f"shape [{SIZE}, 1, 1]")


def test_a_quantized_summand_is_read_along_its_axis(tmp_path: Path) -> None:
    """A bias of bytes with a scale for each of its elements, transposed and reshaped."""
    graph = Graph()
    value = conv(graph)
    elements = graph.generator.integers(-127, 128, (2, SIZE // 2)).astype(np.int8)
    scales = graph.generator.uniform(0.1, 0.9, SIZE // 2)
    bias = graph.floats(graph.constant(elements), scales, np.zeros(SIZE // 2, np.int8), axis=1)
    bias = graph.node("Transpose", [bias], perm=[1, 0])
    bias = graph.node("Reshape", [bias, graph.constant(np.asarray([SIZE, 1, 1]))])
    assert units_off(finished(graph, tmp_path, graph.node("Add", [value, bias]))) <= 1


@pytest.mark.parametrize("shape", [(), (1,), (SIZE, 1, 1), (1, SIZE, 1, 1)])
def test_integer_convolutions_are_scaled_by_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    graph, value = _scaled_convolution(shape)
    assert units_off(finished(graph, tmp_path, value)) <= 1


@pytest.mark.parametrize("shape", [(SIZE,), (SIZE, 1), (SIZE, 1, 1, 1), (1, 1, SIZE, 1, 1)])
def test_scales_along_other_axes_of_an_integer_convolution_are_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    graph, value = _scaled_convolution(shape)
    refused(finished(graph, tmp_path, value), value, f"shape {list(shape)}", f"[{SIZE}, 1, 1]")


def _scaled_convolution(shape: tuple[int, ...]) -> tuple[Graph, str]:
    graph = Graph()
    source = graph.bytes(graph.input((1, SIZE, SIZE, SIZE)), X_SCALE)
    values = graph.generator.integers(-127, 128, (SIZE, SIZE, 3, 3)).astype(np.int8)
    zero = graph.constant(np.uint8(128))
    value = graph.node("ConvInteger", [source, graph.constant(values), zero], pads=[1] * 4)
    return graph, _scaled(graph, value, shape)


def _scaled(graph: Graph, value: str, shape: tuple[int, ...]) -> str:
    factors = graph.generator.uniform(0.0003, 0.0008, shape).astype(np.float32)
    value = graph.node("Cast", [value], to=1)
    return graph.node("Mul", [value, graph.constant(factors)])


@pytest.mark.parametrize("shape", [(), (SIZE,), (1, SIZE), (SIZE, 1)])
def test_integer_products_are_scaled_by_column(tmp_path: Path, shape: tuple[int, ...]) -> None:
    graph = Graph()
    source = graph.bytes(graph.input((SIZE, 16)), X_SCALE)
    values = graph.generator.integers(-127, 128, (16, SIZE)).astype(np.int8)
    zero = graph.constant(np.uint8(128))
    value = graph.node("MatMulInteger", [source, graph.constant(values), zero])
    value = _scaled(graph, value, shape)
    path = finished(graph, tmp_path, value)
    if shape == (SIZE, 1):
        refused(path, value, f"shape [{SIZE}, 1]")
    else:
        assert units_off(path) <= 1


def test_a_product_cast_to_another_type_is_refused(tmp_path: Path) -> None:
    graph = Graph()
    source = graph.bytes(graph.input((SIZE, 16)), X_SCALE)
    values = graph.generator.integers(-127, 128, (16, SIZE)).astype(np.int8)
    zero = graph.constant(np.uint8(128))
    value = graph.node("MatMulInteger", [source, graph.constant(values), zero])
    cast = graph.node("Cast", [value], to=10)
    factor = graph.constant(np.float16(0.0005))
    value = graph.node("Cast", [graph.node("Mul", [cast, factor])], to=1)
    refused(finished(graph, tmp_path, value), cast, "FLOAT16")


@pytest.mark.parametrize("perm", [*permutations(range(4)), None], ids=str)
def test_weights_may_be_transposed_in_any_order(
    tmp_path: Path, perm: tuple[int, ...] | None
) -> None:
    order = perm or (3, 2, 1, 0)
    wanted = (5, 4, 3, 2)
    stored = tuple(wanted[order.index(axis)] for axis in range(4))
    graph = Graph()
    source = graph.both(graph.input((1, 4, 7, 6)), X_SCALE)
    attributes = {} if perm is None else {"perm": perm}
    weights = graph.node("Transpose", [graph.weights(stored)], **attributes)
    path = finished(graph, tmp_path, graph.node("Conv", [source, weights]), 0.4)
    assert units_off(path) <= 1


@pytest.mark.parametrize("perms", [[(0, 1)], [(1, 0)], [(1, 0), (1, 0)], [None]], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_matrices_may_be_transposed_or_not(
    tmp_path: Path, perms: list[tuple[int, int] | None], *, per_channel: bool
) -> None:
    graph = Graph()
    source = graph.both(graph.input((3, SIZE)), X_SCALE)
    turned = sum(one != (0, 1) for one in perms) % 2
    values = graph.generator.integers(-127, 128, (SIZE, SIZE)).astype(np.int8)
    scale = graph.generator.uniform(0.005, 0.015, SIZE) if per_channel else 0.01
    zero = np.zeros(SIZE, np.int8) if per_channel else np.int8(0)
    axis = {"axis": 0 if turned else 1} if per_channel else {}
    weights = graph.floats(graph.constant(values), scale, zero, **axis)
    for perm in perms:
        weights = graph.node("Transpose", [weights], **({} if perm is None else {"perm": perm}))
    path = finished(graph, tmp_path, graph.node("MatMul", [source, weights]), 0.2)
    assert units_off(path) <= 1


def test_scales_along_a_summed_axis_of_transposed_weights_are_refused(tmp_path: Path) -> None:
    graph = Graph()
    source = graph.both(graph.input((1, SIZE, 7, 6)), X_SCALE)
    values = graph.generator.integers(-127, 128, (SIZE, SIZE, 3, 3)).astype(np.int8)
    scale, zero = graph.generator.uniform(0.005, 0.015, SIZE), np.zeros(SIZE, np.int8)
    weights = graph.floats(graph.constant(values), scale, zero, axis=0)
    weights = graph.node("Transpose", [weights], perm=[1, 0, 2, 3])
    value = graph.node("Conv", [source, weights])
    refused(finished(graph, tmp_path, value), value, "axis 0", "summed")


def test_weights_that_are_quantized_in_the_model_have_the_scale_they_are_quantized_with(
    tmp_path: Path,
) -> None:
    graph = Graph()
    source = graph.both(graph.input((3, SIZE)), X_SCALE)
    values = graph.generator.normal(0, 0.5, (SIZE, SIZE)).astype(np.float32)
    elements = graph.bytes(graph.constant(values), 0.02, np.int8(0))
    weights = graph.floats(elements, 0.01, np.int8(0))
    path = finished(graph, tmp_path, graph.node("MatMul", [source, weights]), 0.05)
    assert units_off(path) <= 1


@pytest.mark.parametrize(
    "shape", [(1, -1, 1, 4), (1, 5, 6, 12), (1, 90, 4), (1, -1), (2, 5, 9, 4), (30, 3, 2, 2)]
)
def test_a_head_in_channels_last_is_reshaped_to_any_rank(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    graph = Graph()
    source = graph.both(graph.input((1, 8, 5, 6)), X_SCALE)
    value = graph.node("Conv", [source, graph.weights((12, 8, 1, 1))])
    value = graph.node("Transpose", [graph.both(value, 0.3)], perm=[0, 2, 3, 1])
    value = graph.node("Reshape", [value, graph.constant(np.asarray(shape, np.int64))])
    assert units_off(graph.write(tmp_path / "m.onnx", [value])) <= 1


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_batched_products_are_joined_along_their_own_axes(tmp_path: Path, axis: int) -> None:
    graph = Graph()
    source = graph.both(graph.input((2, 3, 16)), X_SCALE)
    parts = [
        graph.both(graph.node("MatMul", [source, graph.weights((16, SIZE))]), 0.4) for _ in range(2)
    ]
    path = finished(graph, tmp_path, graph.node("Concat", parts, axis=axis), 0.4)
    assert units_off(path) <= 1
