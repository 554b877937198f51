"""Gemm without the factors ``alpha`` and ``beta``: they become part of constants.

``alpha * A * B + beta * C`` is the product of A with weights of another scale, plus another bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.frontend.qoperators import Rewriting

if TYPE_CHECKING:
    from collections.abc import Mapping


def fold_factors(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model whose Gemm nodes have factors of 1.

    Raises
    ------
    ModelError
        If a factor belongs to what is not a constant; the message names the node.
    """
    if not any(node.op_type == "Gemm" and _factors(node) != (1, 1) for node in model.graph.node):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = Rewriting(made)
    makers = {node.output[0]: node for node in model.graph.node}
    for node in made.graph.node:
        if node.op_type == "Gemm":
            _fold(graph, node, makers)
        graph.nodes.append(node)
    nodes = list(graph.nodes)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _factors(node: Any) -> tuple[float, float]:
    found = {one.name: one.f for one in node.attribute}
    return found.get("alpha", 1.0), found.get("beta", 1.0)


def _fold(graph: Rewriting, node: Any, makers: Mapping[str, Any]) -> None:
    alpha, beta = _factors(node)
    kept = [one for one in node.attribute if one.name not in ("alpha", "beta")]
    if alpha != 1:
        weights = _times(graph, node.input[1], alpha, makers)
        if weights is None:
            raise ModelError(
                f"The node '{node.name}' (Gemm) multiplies by alpha = {alpha:g}, and its weights "
                "are not constants with constant scales that could take it in; export the model "
                "without alpha."
            )
        node.input[1] = weights
    if beta != 1 and len(node.input) > 2 and node.input[2]:
        bias = _floats(graph, node.input[2], makers)
        if bias is None:
            raise ModelError(
                f"The node '{node.name}' (Gemm) multiplies by beta = {beta:g} what is not a "
                "constant bias; export the model without beta."
            )
        values = (bias * beta).astype(np.float32)
        node.input[2] = graph.add_constant(f"{node.name}/bias", values)
    del node.attribute[:]
    node.attribute.extend(kept)


def _times(graph: Rewriting, name: str, factor: float, makers: Mapping[str, Any]) -> str | None:
    """Write dequantized weights times a factor; ``None`` if they are something else."""
    maker = makers.get(name)
    if maker is None:
        return None
    attributes = {one.name: helper.get_attribute_value(one) for one in maker.attribute}
    if maker.op_type == "Transpose":
        before = _times(graph, maker.input[0], factor, makers)
        if before is None:
            return None
        return graph.emit("Transpose", graph.fresh(maker.name), [before], **attributes)
    scale = graph.constant(maker.input[1]) if maker.op_type == "DequantizeLinear" else None
    inputs: list[str] | None = list(maker.input)
    if factor < 0 and scale is not None:
        inputs = _negated(graph, maker)
    if scale is None or inputs is None or not _is_constant(graph, maker.input[0], makers):
        return None
    scaled = (scale.astype(np.float64) * abs(factor)).astype(np.float32)
    inputs[1] = graph.add_constant(f"{name}/scale", scaled)
    return graph.emit("DequantizeLinear", graph.fresh(maker.name), inputs, **attributes)


def _is_constant(graph: Rewriting, name: str, makers: Mapping[str, Any]) -> bool:
    """Whether bytes are constants, or constants that are quantized in the graph."""
    maker = makers.get(name)
    if maker is not None and maker.op_type == "QuantizeLinear":
        name = maker.input[0]
    return graph.constant(name) is not None


def _negated(graph: Rewriting, maker: Any) -> list[str] | None:
    """Return the inputs of a dequantization to the negative values; ``None`` if not constant.

    ``-(w - z)`` is ``~w - ~z``, which fits the type whatever the values are.
    """
    values, scale, *rest = (graph.constant(one) for one in maker.input if one)
    if values is None or scale is None or rest == [None]:
        return None
    zero_point = rest[0] if rest else None
    if zero_point is None:
        zero_point = np.zeros(scale.shape, values.dtype)
    return [
        graph.add_constant(f"{maker.name}/negated", np.invert(values)),
        maker.input[1],
        graph.add_constant(f"{maker.name}/negated_zero", np.invert(zero_point)),
    ]


def _floats(graph: Rewriting, name: str, makers: Mapping[str, Any]) -> np.ndarray | None:
    """Return the values of a constant, dequantized if need be; ``None`` if it is none."""
    found = graph.constant(name)
    maker = makers.get(name)
    if found is not None or maker is None or maker.op_type != "DequantizeLinear":
        return found
    values, scale = (graph.constant(one) for one in maker.input[:2])
    if values is None or scale is None or values.ndim > 1:
        return None
    zero_point = graph.constant(maker.input[2]) if len(maker.input) > 2 else None
    whole = values.astype(np.int64) - (0 if zero_point is None else zero_point.astype(np.int64))
    return np.asarray(whole * scale.astype(np.float64))
