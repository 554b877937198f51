"""ConvInteger and MatMulInteger, whose 32-bit results are scaled behind them, as float operators.

Such a model multiplies the accumulators, cast to float, by the product of the scales of both
operands.  The scale of the activations is that of their QuantizeLinear; the rest is the weights'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.frontend.qoperators import Rewriting

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOAT_OPERATORS: Final = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
"""What each is between dequantized operands."""

_CHANNEL_AXES: Final = {"ConvInteger": 0, "MatMulInteger": 1}
"""Axis of the output channels of each one's weights."""


def normalize_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float products between dequantized operands.

    Raises
    ------
    ModelError
        If a product's result is not scaled by a constant, or its activations are quantized at run
        time.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = Rewriting(made)
    users: dict[str, list[Any]] = {}
    makers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        for source in node.input:
            users.setdefault(source, []).append(node)
    gone: set[str] = set()
    for node in model.graph.node:
        if node.op_type in FLOAT_OPERATORS:
            gone |= _product(graph, node, makers, users)
        elif node.name not in gone:
            _refuse_cast(node)
            graph.nodes.append(node)
    nodes = list(graph.nodes)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    del made.graph.value_info[:]
    return made


def _product(
    graph: Rewriting, node: Any, makers: Mapping[str, Any], users: Mapping[str, list[Any]]
) -> set[str]:
    """Write a product, and return the names of the nodes behind it that it replaces."""
    cast = _only(users, node.output[0], "Cast")
    scaling = _only(users, cast.output[0], "Mul") if cast else None
    factor = None
    if scaling is not None:
        assert cast is not None
        other = next(one for one in scaling.input if one != cast.output[0])
        factor = graph.constant(other)
    quantize = makers.get(node.input[0])
    if scaling is None or factor is None:
        raise ModelError(
            f"The node '{node.name}' ({node.op_type}) has a 32-bit result that is not scaled by a "
            "constant; quantize the model statically, with QuantizeLinear and DequantizeLinear."
        )
    scale = graph.constant(quantize.input[1]) if quantize is not None else None
    if quantize is None or quantize.op_type != "QuantizeLinear" or scale is None:
        raise ModelError(
            f"The activations of the node '{node.name}' ({node.op_type}) do not come from a "
            "QuantizeLinear with a constant scale; quantize the model statically."
        )
    weights = graph.add_constant(
        f"{node.name}/weight_scale", (factor.reshape(-1) / scale).astype(np.float32)
    )
    zero_points = [*node.input[2:], "", ""][:2]
    inputs = [
        graph.dequantized(node.name, [node.input[0], quantize.input[1], zero_points[0]]),
        graph.dequantized(
            node.name, [node.input[1], weights, zero_points[1]], axis=_CHANNEL_AXES[node.op_type]
        ),
    ]
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    operator = FLOAT_OPERATORS[node.op_type]
    graph.emit(operator, node.name, inputs, scaling.output[0], **attributes)
    assert cast is not None
    return {cast.name, scaling.name}


def _only(users: Mapping[str, list[Any]], tensor: str, operator: str) -> Any | None:
    """Return the only user of a tensor, if it is such an operator."""
    found = users.get(tensor, [])
    return found[0] if len(found) == 1 and found[0].op_type == operator else None


def _refuse_cast(node: Any) -> None:
    if node.op_type == "Cast":
        raise ModelError(
            f"The node '{node.name}' is a Cast that does not stand behind ConvInteger or "
            "MatMulInteger; export the model without it."
        )
