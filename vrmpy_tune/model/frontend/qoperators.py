"""Quantized operators as float ones between DequantizeLinear and QuantizeLinear.

What a ``QLinear`` operator computes is by definition what this spelling does; the integer rewrite
then knows one spelling only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from vrmpy_tune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PER_CHANNEL_OPSET: Final = 13
"""The first operator set whose DequantizeLinear has an axis."""


class Rewriting:
    """A graph whose nodes are replaced one by one.

    Parameters
    ----------
    model:
        Changed in place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {one.name: one for one in self.graph.initializer}
        self.nodes: list[Any] = []
        self.taken = {
            *self.constants,
            *(one.name for one in self.graph.input),
            *(name for node in self.graph.node for name in (node.name, *node.output)),
        }
        """Names that are not to be given again."""
        self._number = 0

    def constant(self, name: str) -> np.ndarray | None:
        """Return the values of an initializer; ``None`` if there is none of that name."""
        found = self.constants.get(name)
        return None if found is None else np.asarray(numpy_helper.to_array(found))

    def add_constant(self, name: str, values: np.ndarray) -> str:
        """Add an initializer under a name of its own, and return that."""
        made = numpy_helper.from_array(values, self.fresh(name))
        self.graph.initializer.append(made)
        self.constants[made.name] = made
        return str(made.name)

    def fresh(self, name: str) -> str:
        """Return a name that nothing has."""
        while True:
            self._number += 1
            found = f"{name}/{self._number}"
            if found not in self.taken:
                return found

    def emit(
        self, operator: str, name: str, inputs: Sequence[str], output: str = "", **attributes: Any
    ) -> str:
        """Write a node and return its output."""
        result = output or self.fresh(name)
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name, **attributes))
        return result

    def dequantized(self, name: str, tensor: Sequence[str], axis: int = 0) -> str:
        """Write a DequantizeLinear of a tensor, its scale and its zero point."""
        scale = self.constant(tensor[1])
        channels = 1 if scale is None else scale.size
        attributes: dict[str, Any] = {"axis": axis} if channels > 1 else {}
        inputs = [tensor[0], *(self._shaped(one, channels) for one in tensor[1:] if one)]
        return self.emit("DequantizeLinear", self.fresh(name), inputs, **attributes)

    def quantized(self, name: str, value: str, parameters: Sequence[str], output: str) -> None:
        """Write a QuantizeLinear to a tensor of the old graph."""
        inputs = [value, *(self._shaped(one, 1) for one in parameters if one)]
        self.emit("QuantizeLinear", self.fresh(name), inputs, output)

    def _shaped(self, name: str, channels: int) -> str:
        """Return a parameter of shape ``[]``, or ``[channels]`` where there are several."""
        values = self.constant(name)
        shape = (channels,) if channels > 1 else ()
        if values is None or values.shape == shape or values.size > channels:
            return name
        return self.add_constant(name, np.full(shape, values.reshape(-1)[0]))


def normalize_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without quantized operators.

    Raises
    ------
    ModelError
        If scales of an operator are not constants, or its result stays in 32 bits.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    rewriting = Rewriting(made)
    for node in model.graph.node:
        write = _WRITERS.get(node.op_type)
        if write is None:
            rewriting.nodes.append(node)
        else:
            write(rewriting, node)
    nodes = list(rewriting.nodes)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    # Inferred types of removed tensors would contradict the new ones.
    del made.graph.value_info[:]
    return made


def _conv(graph: Rewriting, node: Any) -> None:
    x, weights, result, bias = (
        node.input[:3], node.input[3:6], node.input[6:8], node.input[8:9],
    )  # fmt: skip
    inputs = [graph.dequantized(node.name, x), graph.dequantized(node.name, weights)]
    inputs += [_bias(graph, node, one, x[1], weights[1]) for one in bias if one]
    value = graph.emit("Conv", node.name, inputs, **_attributes(node))
    graph.quantized(node.name, value, result, node.output[0])


def _matmul(graph: Rewriting, node: Any) -> None:
    inputs = [
        graph.dequantized(node.name, node.input[:3]),
        graph.dequantized(node.name, node.input[3:6], axis=1),
    ]
    value = graph.emit("MatMul", node.name, inputs)
    graph.quantized(node.name, value, node.input[6:8], node.output[0])


def _gemm(graph: Rewriting, node: Any) -> None:
    attributes = _attributes(node)
    axis = 0 if attributes.get("transB") else 1
    padded = [*node.input, "", "", ""]
    x, weights, bias, result = padded[:3], padded[3:6], padded[6], padded[7:9]
    inputs = [
        graph.dequantized(node.name, x),
        graph.dequantized(node.name, weights, axis=axis),
    ]
    if bias:
        # The factor of the product is also that of the bias's scale, and of nothing in between.
        factor = attributes.get("alpha", 1.0)
        inputs.append(_bias(graph, node, bias, x[1], weights[1], factor=factor))
    if not result[0]:
        graph.emit("Gemm", node.name, inputs, node.output[0], **attributes)
        return
    value = graph.emit("Gemm", node.name, inputs, **attributes)
    graph.quantized(node.name, value, result, node.output[0])


def _binary(graph: Rewriting, node: Any) -> None:
    operator = node.op_type.removeprefix("QLinear")
    inputs = [graph.dequantized(node.name, node.input[at : at + 3]) for at in (0, 3)]
    value = graph.emit(operator, node.name, inputs)
    graph.quantized(node.name, value, node.input[6:8], node.output[0])


def _pool(graph: Rewriting, node: Any) -> None:
    attributes = _attributes(node)
    if attributes.pop("channels_last", 0):
        raise ModelError(
            f"The node '{node.name}' ({node.op_type}) has its channels last; "
            "quantize the model without changing its layout."
        )
    operator = node.op_type.removeprefix("QLinear")
    value = graph.emit(
        operator, node.name, [graph.dequantized(node.name, node.input[:3])], **attributes
    )
    graph.quantized(node.name, value, node.input[3:5], node.output[0])


def _softmax(graph: Rewriting, node: Any) -> None:
    axis = _attributes(node).get("axis", -1)
    inputs = [graph.dequantized(node.name, node.input[:3])]
    value = graph.emit("Softmax", node.name, inputs, axis=axis)
    graph.quantized(node.name, value, node.input[3:5], node.output[0])


def _concat(graph: Rewriting, node: Any) -> None:
    starts = range(2, len(node.input), 3)
    inputs = [graph.dequantized(node.name, node.input[at : at + 3]) for at in starts]
    value = graph.emit("Concat", node.name, inputs, **_attributes(node))
    graph.quantized(node.name, value, node.input[:2], node.output[0])


def _bias(graph: Rewriting, node: Any, bias: str, *scales: str, factor: float = 1.0) -> str:
    """Write the bias, whose scale is that of the accumulators times a factor."""
    values = [graph.constant(one) for one in scales]
    if values[0] is None or values[1] is None:
        raise ModelError(
            f"The node '{node.name}' ({node.op_type}) has scales that are not constants; "
            "quantize the model statically."
        )
    exact = values[0].astype(np.float64) * values[1].astype(np.float64) * factor
    scale = exact.astype(np.float32)
    name = graph.add_constant(f"{node.name}/bias_scale", scale.reshape(-1))
    zero = graph.add_constant(f"{node.name}/bias_zero", np.zeros(scale.size, np.int32))
    return graph.dequantized(node.name, [bias, name, zero])


def _attributes(node: Any) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


_WRITERS: Final[dict[str, Callable[[Rewriting, Any], None]]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QLinearAdd": _binary,
    "QLinearMul": _binary,
    "QLinearGlobalAveragePool": _pool,
    "QLinearAveragePool": _pool,
    "QLinearConcat": _concat,
    "QLinearSoftmax": _softmax,
}
