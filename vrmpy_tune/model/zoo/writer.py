"""Writing float networks as ONNX graphs, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPSET: Final = 17
"""The last operator set whose ``ReduceMean`` has its axes as an attribute."""

IR_VERSION: Final = 8


class Writer:
    """A network of convolutions and what stands between them.

    Every method takes and returns names of tensors.  The weights of a layer ``name`` are
    ``name.weight`` and ``name.bias``.

    Parameters
    ----------
    parameters:
        Weights by name.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters = parameters
        self._nodes: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}

    def conv(self, name: str, source: str, kernel: int, stride: int = 1, groups: int = 1) -> str:
        """Write a square convolution that keeps ``size / stride``."""
        parts = [source, self.constant(f"{name}.weight"), self.constant(f"{name}.bias")]
        pads = [(kernel - 1) // 2] * 4
        return self.node(
            "Conv", name, parts, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads,
            group=groups,
        )  # fmt: skip

    def dense(self, name: str, source: str) -> str:
        """Write a matrix product with a bias; weights are ``[outputs, inputs]``."""
        parts = [source, self.constant(f"{name}.weight"), self.constant(f"{name}.bias")]
        return self.node("Gemm", name, parts, transB=1)

    def max_pool(self, name: str, source: str, kernel: int, stride: int) -> str:
        """Write the largest value of each window."""
        pads = [(kernel - 1) // 2] * 4
        return self.node(
            "MaxPool", name, [source], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads
        )

    def relu6(self, name: str, source: str) -> str:
        """Write a clip between 0 and 6."""
        bounds = [
            self.constant(f"{name}.{one}", np.asarray(value, np.float32))
            for one, value in (("low", 0), ("high", 6))
        ]
        return self.node("Clip", name, [source, *bounds])

    def constant(self, name: str, value: np.ndarray | None = None) -> str:
        """Add a constant; by default the parameter of that name."""
        found = self.parameters[name] if value is None else value
        self._constants[name] = np.asarray(found, np.float32)
        return name

    def node(self, operator: str, name: str, sources: list[str], **attributes: Any) -> str:
        """Write any operator with one result."""
        output = f"{name}.output"
        self._nodes.append(helper.make_node(operator, sources, [output], name, **attributes))
        return output

    def model(self, source: tuple[str, tuple[int, ...]], outputs: Sequence[str]) -> onnx.ModelProto:
        """Return the model.

        Parameters
        ----------
        source:
            Name and shape of the input.
        outputs:
            Names of the outputs.
        """
        taken = helper.make_tensor_value_info(source[0], TensorProto.FLOAT, source[1])
        given = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs]
        constants = [numpy_helper.from_array(one, name) for name, one in self._constants.items()]
        graph = helper.make_graph(self._nodes, "network", [taken], given, constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = IR_VERSION
        whole = onnx.shape_inference.infer_shapes(made, strict_mode=True)
        onnx.checker.check_model(whole)
        return whole


class Normalizing(Writer):
    """Writes layers without bias, their outputs normalized over the batch it is run on.

    Those of convolutions get mean 0 and deviation 1, those of matrix products mean 0 only.

    What was subtracted and divided by are outputs: run on pictures, they tell weights and biases
    with which a random network keeps its values in range and its inputs apart, as batch
    normalization does for a trained one.

    Parameters
    ----------
    parameters:
        Weights by name.
    deviations:
        Deviations other than 1, by the last part of a layer's name.
    """

    def __init__(
        self, parameters: Mapping[str, np.ndarray], deviations: Mapping[str, float]
    ) -> None:
        super().__init__(parameters)
        self._deviations = deviations
        self.statistics: list[str] = []
        """Names of the outputs: ``<layer>.mean``, and ``<layer>.deviation`` of convolutions."""

    def conv(  # noqa: D102
        self, name: str, source: str, kernel: int, stride: int = 1, groups: int = 1
    ) -> str:
        weight = self.constant(f"{name}.weight")
        found = self.node(
            "Conv", f"{name}.plain", [source, weight], kernel_shape=[kernel] * 2,
            strides=[stride] * 2, pads=[(kernel - 1) // 2] * 4, group=groups,
        )  # fmt: skip
        return self._normalized(name, found)

    def dense(self, name: str, source: str) -> str:  # noqa: D102
        weight = self.constant(f"{name}.weight")
        found = self.node("Gemm", f"{name}.plain", [source, weight], transB=1)
        mean = self.node("ReduceMean", f"{name}.mean", [found], axes=[0], keepdims=1)
        self.statistics.append(mean)
        return self.node("Sub", name, [found, mean])

    def _normalized(self, name: str, value: str) -> str:
        axes = [0, 2, 3]
        mean = self.node("ReduceMean", f"{name}.mean", [value], axes=axes, keepdims=1)
        centred = self.node("Sub", f"{name}.centred", [value, mean])
        squares = self.node("Mul", f"{name}.squares", [centred, centred])
        variance = self.node("ReduceMean", f"{name}.variance", [squares], axes=axes, keepdims=1)
        least = self.constant("least_variance", np.asarray(LEAST_VARIANCE))
        above = self.node("Add", f"{name}.above", [variance, least])
        wanted = self._deviations.get(name.rpartition(".")[2], 1.0)
        divisor = self.constant(f"{name}.wanted", np.asarray(wanted))
        root = self.node("Sqrt", f"{name}.root", [above])
        deviation = self.node("Div", f"{name}.deviation", [root, divisor])
        self.statistics += [mean, deviation]
        return self.node("Div", name, [centred, deviation])


LEAST_VARIANCE: Final = 1e-4
"""Added to variances, so that a channel that never varies is not divided by zero."""
