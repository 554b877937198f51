"""How far the integer network is from onnxruntime's run of the same model.

Each layer is given onnxruntime's own tensors, so that differences do not add up; the outputs of
the whole network are compared besides, next to what separates two modes of onnxruntime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from vrmpy_tune.model.edge import SIGN_OFFSET, quantized
from vrmpy_tune.model.frontend.softmax import without_softmax
from vrmpy_tune.model.reference import interpret, run_layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vrmpy_tune.model.network import Layer, Network

ACTIVATIONS: Final = ("Relu", "Clip")
"""Operators that a layer takes in behind its own."""


@dataclass(frozen=True)
class LayerDifference:
    """How one layer's output differs from onnxruntime's, both given the same inputs.

    Attributes
    ----------
    layer:
        Its name.
    largest:
        The largest difference of an element.
    share:
        Of the elements that differ.
    """

    layer: str
    largest: int
    share: float


@dataclass(frozen=True)
class OutputDifference:
    """Largest differences of the network's outputs, in units of the last place.

    Attributes
    ----------
    unoptimized:
        Of the integer network from onnxruntime with all optimizations off.
    precise:
        Of the integer network from onnxruntime with ``session.x64quantprecision``.
    modes:
        Of the two modes from each other.
    """

    unoptimized: int
    precise: int
    modes: int


class Reference:
    """onnxruntime's run of a QDQ model, with every quantized tensor.

    Outputs that are softmaxes are what these take, as the device has it.

    Parameters
    ----------
    model:
        The normalized model; nodes have names.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        model, _ = without_softmax(model)
        self._graph = model.graph
        self._users: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for source in node.input:
                self._users.setdefault(source, []).append(node)
        self._nodes = {node.name: node for node in model.graph.node}
        self._outputs = [one.name for one in model.graph.output]
        self._plain = _session(model, precise=False)
        self._precise = _session(model, precise=True)
        self._watched = _session(with_outputs(model, self._tensors()), precise=False)

    def tensors(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all quantized tensors of a run by name, as the device holds them."""
        names = self._tensors()
        values = self._watched.run(names, dict(feed))
        return {name: _on_device(value) for name, value in zip(names, values, strict=True)}

    def outputs(self, feed: Mapping[str, np.ndarray], *, precise: bool) -> list[np.ndarray]:
        """Return the model's outputs in one of the two modes."""
        session = self._precise if precise else self._plain
        return [np.asarray(one) for one in session.run(self._outputs, dict(feed))]

    def input_tensor(self, name: str) -> str:
        """Return the quantized tensor of an input; the input itself if it is quantized."""
        return next(
            (one.output[0] for one in self._users[name] if one.op_type == "QuantizeLinear"), name
        )

    def tensor_of(self, layer: Layer) -> str | None:
        """Return the quantized tensor that a layer makes; ``None`` if it is not in the model."""
        node = self._nodes.get(layer.name)
        if node is None:
            return None
        tensor = self._quantized(node)
        if getattr(layer.workload, "residual", 0) and tensor is not None:
            (dequantize,) = self._users[tensor]
            (add,) = self._users[dequantize.output[0]]
            tensor = self._quantized(add)
        return tensor

    def _quantized(self, node: Any) -> str | None:
        users = self._users.get(node.output[0], [])
        while len(users) == 1 and users[0].op_type in ACTIVATIONS:
            users = self._users.get(users[0].output[0], [])
        return next((one.output[0] for one in users if one.op_type == "QuantizeLinear"), None)

    def _tensors(self) -> list[str]:
        """Return the names of all quantized activations."""
        constants = {one.name for one in self._graph.initializer}
        found = [
            node.output[0]
            for node in self._graph.node
            if node.op_type == "QuantizeLinear" and node.input[0] not in constants
        ]
        bytes_ = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
        inputs = [one.name for one in self._graph.input if one.type.tensor_type.elem_type in bytes_]
        return found + inputs


def layer_differences(
    network: Network, reference: Reference, feed: Mapping[str, np.ndarray]
) -> list[LayerDifference]:
    """Compare each layer, given onnxruntime's tensors; layers without any there are left out."""
    known = reference.tensors(feed)
    tensors = {
        one.tensor: known[reference.input_tensor(one.name)].reshape(one.integer_shape)
        for one in network.inputs
    }
    found = []
    for layer in network.layers:
        own = run_layer(layer, tensors)
        name = reference.tensor_of(layer)
        if name is None or name not in known:
            tensors[layer.output] = own
            continue
        theirs = known[name].reshape(own.shape)
        tensors[layer.output] = theirs
        difference = np.abs(own.astype(np.int32) - theirs)
        share = np.count_nonzero(difference) / difference.size
        found.append(LayerDifference(layer.name, int(difference.max()), share))
    return found


def output_difference(
    network: Network, reference: Reference, feed: Mapping[str, np.ndarray]
) -> OutputDifference:
    """Compare the outputs of the whole network."""
    start = {one.tensor: quantized(one, feed[one.name]) for one in network.inputs}
    tensors = interpret(network, start)
    own = [tensors[one.tensor] for one in network.outputs]
    plain, precise = (
        [
            quantized(port.before, value).reshape(mine.shape)
            for port, value, mine in zip(
                network.outputs, reference.outputs(feed, precise=mode), own, strict=True
            )
        ]
        for mode in (False, True)
    )
    return OutputDifference(_largest(own, plain), _largest(own, precise), _largest(plain, precise))


def leaders_shared(own: np.ndarray, reference: np.ndarray, number: int) -> int:
    """Return how many of the ``number`` largest values' places are the reference's, up to ties.

    Parameters
    ----------
    own, reference:
        Of the same number of classes.
    number:
        How many places, at least 1.  A place counts if its value in the reference is at least the
        ``number``-th largest there.
    """
    places = np.argsort(-own.reshape(-1).astype(np.float64), kind="stable")[:number]
    values = reference.reshape(-1)
    return int(np.count_nonzero(values[places] >= np.sort(values)[-number]))


def _largest(lhs: Sequence[np.ndarray], rhs: Sequence[np.ndarray]) -> int:
    return max(
        int(np.abs(one.astype(np.int32) - other.astype(np.int32)).max())
        for one, other in zip(lhs, rhs, strict=True)
    )


def _on_device(values: np.ndarray) -> np.ndarray:
    """Return a tensor of the model as the device holds it: unsigned, channels last."""
    if values.dtype == np.int8:
        values = (values.astype(np.int16) + SIGN_OFFSET).astype(np.uint8)
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _session(model: onnx.ModelProto, *, precise: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    else:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def with_outputs(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of the model with more tensors as outputs, those that are none yet."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    given = {one.name for one in (*made.graph.output, *made.graph.input)}
    for name in tensors:
        if name not in given:
            made.graph.output.append(onnx.ValueInfoProto(name=name))
    return made
