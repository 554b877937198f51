"""Small quantized ONNX graphs written node by node, and onnxruntime's results of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from vrmpy_tune.model.edge import quantized
from vrmpy_tune.model.frontend.operators import PLAIN
from vrmpy_tune.model.opening import open_model
from vrmpy_tune.model.reference import interpret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPREAD = 74
"""Standard deviation of bytes that are all equally likely."""

WANTED = 45
"""Standard deviation of a layer's outputs in units of their scale."""

IR_VERSION = 9
MIDDLE = np.uint8(128)


class Graph:
    """Writes a graph; every method that adds a node returns the name of its result."""

    def __init__(self, seed: int = 0, opset: int = 17) -> None:
        self.generator = np.random.default_rng(seed)
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        """Those of the constants."""
        self._number = 0

    def name(self, hint: str) -> str:
        self._number += 1
        return f"{hint}{self._number}"

    def input(self, shape: Sequence[int], name: str = "x", dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, values: Any, name: str = "") -> str:
        name = name or self.name("c")
        self.shapes[name] = np.shape(values)
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = self.name(kind.lower())
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], f"{output}_node", **attributes)
        )
        return output

    def bytes(self, value: str, scale: float, zero_point: Any = MIDDLE) -> str:
        """Quantize a value to a scale."""
        return self.node(
            "QuantizeLinear",
            [value, self.constant(np.float32(scale)), self.constant(zero_point)],
        )

    def floats(self, value: str, scale: Any, zero_point: Any = MIDDLE, **axis: int) -> str:
        return self.node(
            "DequantizeLinear",
            [value, self.constant(np.asarray(scale, np.float32)), self.constant(zero_point)],
            **axis,
        )

    def both(self, value: str, scale: float, zero_point: Any = MIDDLE) -> str:
        """Quantize a value, and dequantize it."""
        return self.floats(self.bytes(value, scale, zero_point), scale, zero_point)

    def weights(self, shape: Sequence[int], scale: float = 0.01, name: str = "") -> str:
        values = self.generator.integers(-127, 128, shape).astype(np.int8)
        return self.floats(self.constant(values, name), scale, np.int8(0))

    def write(self, path: Path, outputs: Sequence[str]) -> Path:
        """Write the file; types of the outputs are inferred."""
        results = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs]
        for one in results:
            one.ClearField("type")
        self.save(path, results)
        onnx.save(onnx.shape_inference.infer_shapes(onnx.load(path)), path)
        return path

    def save(self, path: Path, results: Sequence[Any]) -> Path:
        """Write the file with outputs as they are given."""
        graph = helper.make_graph(self.nodes, "graph", self.inputs, results, self.constants)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION), path)
        return path


def drawn(path: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw inputs of a model: floats, or bytes where it takes bytes."""
    generator = np.random.default_rng(seed)
    found = {}
    for one in onnx.load(path).graph.input:
        shape = [extent.dim_value for extent in one.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type)
        if dtype == np.float32:
            found[one.name] = generator.normal(0, 3, shape).astype(np.float32)
        else:
            limits = np.iinfo(dtype)
            found[one.name] = generator.integers(limits.min, limits.max + 1, shape).astype(dtype)
    return found


def units_off(path: Path) -> int:
    """Return how many units of its scale an output is from onnxruntime's at most."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    kinds = {one.op_type for one in onnx.load(path).graph.node}
    if kinds <= set(PLAIN):
        options.graph_optimization_level = levels.ORT_DISABLE_ALL
    else:
        # Products of bytes saturate in 16 bits on machines without VNNI, save in this mode, which
        # is an optimization of its own.
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    network, _ = open_model(path)
    given = drawn(path)
    tensors = interpret(
        network, {one.tensor: quantized(one, given[one.name]) for one in network.inputs}
    )
    largest = 0
    for port, wanted in zip(network.outputs, session.run(None, given), strict=True):
        assert wanted.shape == port.shape
        theirs = quantized(port, wanted).astype(np.int32)
        assert theirs.std() > 1, "all elements are alike"
        own = tensors[port.tensor].reshape(port.integer_shape)
        largest = max(largest, int(np.abs(own - theirs).max()))
    return largest
