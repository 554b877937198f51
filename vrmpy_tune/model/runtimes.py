"""Other implementations of a model file: onnxruntime of ONNX, LiteRT of TFLite.

Neither is needed to compile.  Where one is installed, it says what the file means.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vrmpy_tune.model.frontend.operators import QUANTIZED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


Run = tuple[list["np.ndarray"], dict[str, "np.ndarray"]]
"""Outputs of a model in order, and its tensors by name, as the file has them."""


class Runtime(Protocol):
    """A model file, ready to run.

    Attributes
    ----------
    name:
        Of the runtime, with its version.
    """

    name: str

    def run(self, feed: Mapping[str, np.ndarray]) -> Run:
        """Return the model's outputs in order, and its tensors by name, as the file has them.

        Parameters
        ----------
        feed:
            The inputs by name, in the order of the model.
        """


class OnnxRuntime:
    """onnxruntime.

    Models of float operators between quantizations run as they are written.  On machines without
    VNNI its products of bytes saturate in 16 bits: ConvInteger and MatMulInteger run as products of
    floats, which hold their sums, and other quantized operators in the one mode, which is an
    optimization, in which they do not.

    Parameters
    ----------
    path:
        The model.
    tensors:
        Those that are wanted besides the outputs.
    """

    def __init__(self, path: Path, tensors: Sequence[str]) -> None:
        import onnxruntime

        self.name = f"onnxruntime {onnxruntime.__version__}"
        model = onnx.load(path)
        self._outputs = [one.name for one in model.graph.output]
        _without_integer_products(model)
        made = {name for node in model.graph.node for name in node.output}
        self._tensors = [one for one in dict.fromkeys(tensors) if one in made]
        given = {one.name for one in (*model.graph.output, *model.graph.input)}
        for name in self._tensors:
            if name not in given:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = levels.ORT_DISABLE_ALL
        if any(node.op_type in QUANTIZED for node in model.graph.node):
            options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
            options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(  # noqa: D102
        self, feed: Mapping[str, np.ndarray]
    ) -> Run:
        values = self._session.run([*self._outputs, *self._tensors], dict(feed))
        number = len(self._outputs)
        return values[:number], dict(zip(self._tensors, values[number:], strict=True))


def _without_integer_products(model: onnx.ModelProto) -> None:
    """Write integer products as float ones of the differences from their zero points."""
    ranks = {one.name: len(one.dims) for one in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        operator = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}.get(node.op_type)
        if operator is None:
            nodes.append(node)
            continue
        result = node.output[0]
        operands = []
        for at, tensor in enumerate(node.input[:2]):
            name = f"{result}/operand{at}"
            nodes.append(helper.make_node("Cast", [tensor], [name], to=TensorProto.FLOAT))
            zero_point = node.input[at + 2] if at + 2 < len(node.input) else ""
            if zero_point:
                nodes.append(helper.make_node("Cast", [zero_point], [f"{name}/zero"], to=1))
                wanted = f"{name}/zero"
                if at == 1 and operator == "Conv" and ranks.get(zero_point):
                    # One for each of the output channels, which are the first axis.
                    shape = np.asarray([-1, *[1] * (ranks.get(tensor, 4) - 1)], np.int64)
                    model.graph.initializer.append(numpy_helper.from_array(shape, f"{name}/shape"))
                    nodes.append(
                        helper.make_node("Reshape", [wanted, f"{name}/shape"], [f"{name}/each"])
                    )
                    wanted = f"{name}/each"
                nodes.append(helper.make_node("Sub", [name, wanted], [f"{name}/difference"]))
                name = f"{name}/difference"
            operands.append(name)
        product = helper.make_node(operator, operands, [f"{result}/floats"])
        product.attribute.extend(node.attribute)
        nodes.append(product)
        nodes.append(helper.make_node("Cast", [f"{result}/floats"], [result], to=TensorProto.INT32))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class LiteRt:
    """LiteRT, the runtime of TFLite, without delegates.

    Parameters
    ----------
    path:
        The model.
    tensors:
        Those that are wanted besides the outputs.
    """

    def __init__(self, path: Path, tensors: Sequence[str]) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.name = f"LiteRT {importlib.metadata.version(LITERT)}"
        self._interpreter = Interpreter(
            str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        named: dict[str, list[int]] = {}
        for one in self._interpreter.get_tensor_details():
            named.setdefault(one["name"], []).append(one["index"])
        self._tensors = {name: named[name][0] for name in tensors if len(named.get(name, ())) == 1}

    def run(  # noqa: D102
        self, feed: Mapping[str, np.ndarray]
    ) -> Run:
        one = self._interpreter
        for given, values in zip(one.get_input_details(), feed.values(), strict=True):
            one.set_tensor(given["index"], values)
        one.invoke()
        outputs = [one.get_tensor(found["index"]) for found in one.get_output_details()]
        return outputs, {name: one.get_tensor(index) for name, index in self._tensors.items()}


LITERT: Final = "ai-edge-litert"

INSTALL: Final = {
    "onnxruntime": "onnxruntime is not installed (pip install 'vrmpy-tune[zoo]')",
    "ai_edge_litert": f"LiteRT is not installed (pip install {LITERT})",
}
"""What is missing, by the package that would be imported."""


def missing(tflite: bool) -> str | None:
    """Return what to install to run such models; ``None`` if it is there."""
    package = "ai_edge_litert" if tflite else "onnxruntime"
    return INSTALL[package] if importlib.util.find_spec(package) is None else None


def open_runtime(path: Path, tensors: Sequence[str], *, tflite: bool) -> Runtime:
    """Return the runtime of a model; what it raises of models that it refuses is its own."""
    kind: Any = LiteRt if tflite else OnnxRuntime
    runtime: Runtime = kind(path, tensors)
    return runtime
