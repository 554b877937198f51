"""Channels of one tensor given similar ranges, before a network is quantized.

All channels of a quantized tensor share one scale, so that those with small values lose bits to
those with large ones.  A factor on a channel's weights and bias, and its reciprocal on what reads
the channel, changes no result of the float network (Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction", 2019).  Factors are powers of two, so that float results
stay the same to the last bit.  Ranges are those of calibration:

- Tensors that convolutions make and nothing clips, and all that are added to them, get ranges that
  are the square roots of what they were: half of the differences is left to the weights behind.
- Channels between a convolution and a depthwise one that never come near the upper bound of the
  clip between them are enlarged.  The depthwise weights have a scale for each channel and lose
  nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import numpy_helper

from vrmpy_tune.model.comparison import with_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_DOUBLINGS: Final = 3
"""A clipped channel is enlarged by at most ``2**3``, however small its values are."""


def equalized(model: onnx.ModelProto, inputs: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Return a network of the same results, up to float rounding, with similar ranges of channels.

    Parameters
    ----------
    model:
        Of Conv, Clip and Add, and what else has no weights that read channels.
    inputs:
        What ranges are measured on.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    network = _Network(made)
    ranges = _ranges(made, inputs)
    for tensors in network.linear_groups():
        widths = np.max([ranges[one] for one in tensors], axis=0)
        # A channel without values gets no factor that matters.
        least = max(float(widths.mean()) / 4**LARGEST_DOUBLINGS, float(np.finfo(np.float32).tiny))
        widths = np.maximum(widths, least)
        doublings = np.log2(widths.mean() / widths) / 2
        for one in tensors:
            network.multiply(one, np.exp2(np.rint(doublings)))
    for tensor, upper in network.clipped_before_depthwise():
        widths = np.maximum(ranges[tensor], upper / 2**LARGEST_DOUBLINGS)
        network.multiply(tensor, np.exp2(np.floor(np.log2(upper / widths))))
    network.write()
    return made


class _Network:
    """A graph, and its weights to change."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._makers = {node.output[0]: node for node in self._graph.node}
        self._users: dict[str, list[Any]] = {}
        for node in self._graph.node:
            for source in node.input:
                self._users.setdefault(source, []).append(node)
        self._weights = {
            one.name: numpy_helper.to_array(one).copy() for one in self._graph.initializer
        }

    def linear_groups(self) -> list[list[str]]:
        """Return the tensors that nothing clips; those that are added to each other together."""
        groups: list[set[str]] = []
        for node in self._graph.node:
            convolution = node.op_type == "Conv" and not self._clips(node.output[0])
            if not convolution and node.op_type != "Add":
                continue
            own = {node.output[0], *(node.input if node.op_type == "Add" else ())}
            touched = [one for one in groups if one & own]
            groups = [one for one in groups if not one & own]
            groups.append(own.union(*touched))
        return [sorted(one) for one in groups]

    def clipped_before_depthwise(self) -> list[tuple[str, float]]:
        """Return clipped convolutions that one depthwise one reads, each with the upper bound."""
        found = []
        for node in self._graph.node:
            users = self._users.get(node.output[0], [])
            if node.op_type != "Clip" or [one.op_type for one in users] != ["Conv"]:
                continue
            depthwise = self._weights[users[0].input[1]].shape[1] == 1
            if depthwise and self._makers[node.input[0]].op_type == "Conv":
                found.append((node.output[0], float(self._weights[node.input[2]])))
        return found

    def multiply(self, tensor: str, factors: np.ndarray) -> None:
        """Multiply the channels of a tensor, in the convolutions that make and read it."""
        made_by = self._makers[tensor]
        if made_by.op_type == "Clip":
            made_by = self._makers[made_by.input[0]]
        if made_by.op_type == "Conv":
            self._scale(made_by.input[1], factors.reshape(-1, 1, 1, 1))
            self._scale(made_by.input[2], factors)
        for node in self._users.get(tensor, []):
            if node.op_type == "Conv":
                depthwise = self._weights[node.input[1]].shape[1] == 1
                shape = (-1, 1, 1, 1) if depthwise else (1, -1, 1, 1)
                self._scale(node.input[1], (1 / factors).reshape(shape))

    def write(self) -> None:
        """Write the weights into the graph."""
        for one in self._graph.initializer:
            one.CopyFrom(numpy_helper.from_array(self._weights[one.name], one.name))

    def _scale(self, name: str, factors: np.ndarray) -> None:
        self._weights[name] = self._weights[name] * factors.astype(np.float32)

    def _clips(self, tensor: str) -> bool:
        return any(one.op_type == "Clip" for one in self._users.get(tensor, []))


def _ranges(model: onnx.ModelProto, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the largest magnitude of each channel of each convolution, clip and sum."""
    import onnxruntime

    names = [one.output[0] for one in model.graph.node if one.op_type in ("Conv", "Clip", "Add")]
    session = onnxruntime.InferenceSession(
        with_outputs(model, names).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (taken,) = model.graph.input
    ranges: dict[str, np.ndarray] = {}
    for one in inputs:
        for name, values in zip(names, session.run(names, {taken.name: one}), strict=True):
            own = np.abs(values).max(axis=(0, 2, 3))
            ranges[name] = np.maximum(ranges.get(name, 0), own)
    return ranges
