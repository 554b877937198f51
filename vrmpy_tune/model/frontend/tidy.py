"""One spelling for what ONNX spells in several ways, none of which concerns quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx
from onnx import helper

from vrmpy_tune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOWED: Final = ("Conv", "MaxPool", "AveragePool", "ConvInteger", "QLinearConv",
                   "QLinearAveragePool")  # fmt: skip
"""Operators that may leave their padding to ``auto_pad``."""


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with constants as initializers, explicit padding, and names of its own.

    Raises
    ------
    ModelError
        If padding depends on a shape that ONNX cannot infer.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _constants(made.graph)
    _sums(made.graph)
    _names(made.graph)
    if any(_attribute(node, "auto_pad", b"NOTSET") != b"NOTSET" for node in made.graph.node):
        _padding(made)
    return made


def _constants(graph: Any) -> None:
    """Turn Constant nodes into initializers, and drop Identity nodes."""
    renamed: dict[str, str] = {}
    kept = []
    results = {one.name for one in graph.output}
    for node in graph.node:
        node.input[:] = [renamed.get(one, one) for one in node.input]
        value = _attribute(node, "value", None)
        if node.op_type == "Constant" and value is not None:
            constant = graph.initializer.add()
            constant.CopyFrom(value)
            constant.name = node.output[0]
        elif node.op_type == "Identity" and node.output[0] not in results:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _sums(graph: Any) -> None:
    """Turn sums of two tensors into additions."""
    for node in graph.node:
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"


def _names(graph: Any) -> None:
    """Give every node a name that no other has."""
    used: set[str] = set()
    for index, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{index}"
        node.name = name if name not in used else f"{name}_{index}"
        used.add(node.name)


def _padding(model: onnx.ModelProto) -> None:
    """Replace ``auto_pad`` by the rows and columns it means."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        one.name: [extent.dim_value for extent in one.type.tensor_type.shape.dim]
        for one in (*graph.value_info, *graph.input, *graph.output)
    }
    weights = {one.name: list(one.dims) for one in graph.initializer}
    for node in model.graph.node:
        mode = _attribute(node, "auto_pad", b"NOTSET")
        if node.op_type not in WINDOWED or mode == b"NOTSET":
            continue
        shape = shapes.get(node.input[0], [])
        kernel = list(_attribute(node, "kernel_shape", ()))
        kernel = kernel or _kernel(node, shapes | weights)
        if len(shape) != len(kernel) + 2 or not all(shape):
            raise ModelError(
                f"The padding of the node '{node.name}' ({node.op_type}) depends on a shape that "
                "cannot be inferred; export the model with explicit padding."
            )
        pads = _pads(node, mode, shape[2:], kernel)
        kept = [one for one in node.attribute if one.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _kernel(node: Any, shapes: dict[str, list[int]]) -> list[int]:
    """Return the kernel's size, which a convolution's weights tell."""
    weights = node.input[3 if node.op_type == "QLinearConv" else 1]
    return shapes.get(weights, [0, 0])[2:]


def _pads(node: Any, mode: bytes, extents: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return rows and columns before, then those behind."""
    if mode == b"VALID":
        return [0] * (2 * len(kernel))
    strides = _attribute(node, "strides", [1] * len(kernel))
    dilations = _attribute(node, "dilations", [1] * len(kernel))
    less, more = [], []
    for extent, size, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        reach = (size - 1) * dilation + 1
        total = max(0, (-(-extent // stride) - 1) * stride + reach - extent)
        less.append(total // 2)
        more.append(total - total // 2)
    return more + less if mode == b"SAME_LOWER" else less + more


def _attribute(node: Any, name: str, default: Any) -> Any:
    found = next((one for one in node.attribute if one.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
