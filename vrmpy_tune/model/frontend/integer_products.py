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
    if cast is not None and scaling is not None:
        _check_cast(cast)
        others = [one for one in scaling.input if one != cast.output[0]]
        factor = graph.constant(others[0]) if others else None
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
    if scale.size != 1:
        raise ModelError(
            f"The activations of the node '{node.name}' ({node.op_type}) have a scale for each "
            "channel; quantize activations per tensor."
        )
    channel_factors = _channel_factors(graph, node, scaling, factor)
    weights = graph.add_constant(
        f"{node.name}/weight_scale", (channel_factors / scale.reshape(())).astype(np.float32)
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


def _channel_factors(graph: Rewriting, node: Any, scaling: Any, factor: np.ndarray) -> np.ndarray:
    """Return the factor, or one for each output channel, that a product is multiplied by.

    Raises
    ------
    ModelError
        If factors differ along another axis than the channels', or give the result more axes.
    """
    # A product of rows has its channels last, whatever its number of axes; an image has them first.
    images = node.op_type == "ConvInteger"
    behind = 2 if images else 0
    weights = graph.constant(node.input[1])
    channels = 0 if weights is None else weights.shape[_CHANNEL_AXES[node.op_type]]
    # Matrix products have two axes at least.
    rank = len(weights.shape) if images and weights is not None else 2
    axis = factor.ndim - 1 - behind
    sizes = [extent for at, extent in enumerate(factor.shape) if at != axis]
    own = factor.shape[axis] if 0 <= axis < factor.ndim else 1
    if any(one != 1 for one in sizes) or own not in (1, channels) or factor.ndim > rank:
        wanted = [channels, *[1] * behind]
        raise ModelError(
            f"The node '{scaling.name}' (Mul) scales the result of '{node.name}' "
            f"({node.op_type}) by a constant of shape {list(factor.shape)}; only one factor, or "
            f"one for each of the {channels} output channels (shape {wanted}), is supported."
        )
    return factor.reshape(-1)


def _check_cast(cast: Any) -> None:
    """Check that a product's result is cast to floats of 32 bits."""
    to = next((one.i for one in cast.attribute if one.name == "to"), None)
    if to != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(to) if to is not None else "nothing"
        raise ModelError(
            f"The node '{cast.name}' (Cast) makes {name} of a product's 32-bit result; only FLOAT "
            "is supported."
        )


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
