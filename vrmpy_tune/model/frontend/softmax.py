"""Taking a softmax at the model's end off the graph, for the host to compute."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.network import PASSED
from vrmpy_tune.model.softmax import Grid, Softmax

RANK: Final = 2
"""Of what a softmax takes; over the second axis all versions of the operator are the same."""

ENDINGS: Final[tuple[list[str], ...]] = (
    [],
    ["QuantizeLinear"],
    ["QuantizeLinear", "DequantizeLinear"],
)
"""What may stand between a softmax and the model's output."""

Endings = dict[str, tuple[Softmax, str]]
"""Softmaxes, and the types of their results, by the output's name."""


def without_softmax(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Endings]:
    """Return a normalized model that gives what its softmaxes take, and these.

    Outputs keep their names.

    Raises
    ------
    ModelError
        If a softmax stands elsewhere than at the model's end; the message says where it may.
    """
    if not any(node.op_type == "Softmax" for node in model.graph.node):
        return model, {}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made, _Removal(made).endings()


class _Removal:
    """Removes softmaxes from a model in place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._constants = {one.name: one for one in model.graph.initializer}
        self._outputs = {one.name: one for one in model.graph.output}
        self._users: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._types: dict[str, Any] = {
            one.name: one.type.tensor_type
            for one in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def endings(self) -> Endings:
        found: Endings = {}
        kept: list[Any] = []
        removed: set[str] = set()
        for node in self._graph.node:
            if node.op_type == "Softmax":
                self._check_axis(node)
                behind = self._behind(node)
                removed |= {one.output[0] for one in behind}
                output = (behind or [node])[-1].output[0]
                found[output] = self._ending(node, behind)
                self._outputs[output].type.tensor_type.elem_type = TensorProto.FLOAT
                kept.append(helper.make_node("Identity", node.input[:1], [output], node.name))
            elif node.output[0] not in removed:
                kept.append(node)
        del self._graph.node[:]
        self._graph.node.extend(kept)
        return found

    def _check_axis(self, node: Any) -> None:
        """Check that a softmax is over the last of two axes."""
        shaped = (self._types.get(one) for one in (node.input[0], node.output[0]))
        ranks = [len(one.shape.dim) for one in shaped if one is not None and one.HasField("shape")]
        if not ranks or ranks[0] != RANK:
            raise _misplaced(node, f"its input has {ranks[0] if ranks else 'unknown'} dimensions")
        axis = next((one.i for one in node.attribute if one.name == "axis"), -1)
        if axis not in (-1, RANK - 1):
            raise _misplaced(node, f"it is over axis {axis}")

    def _behind(self, node: Any) -> list[Any]:
        """Return the nodes from a softmax to the model's output."""
        behind: list[Any] = []
        tensor = node.output[0]
        while tensor not in self._outputs:
            users = self._users.get(tensor, [])
            if len(users) != 1:
                raise _misplaced(node, f"{len(users)} nodes take its result, which is no output")
            behind += users
            tensor = users[0].output[0]
        for user in self._users.get(tensor, []):
            raise _misplaced(node, f"the node '{user.name}' ({user.op_type}) takes its result, too")
        kinds = [one.op_type for one in behind if one.op_type != "Identity"]
        if kinds not in ENDINGS:
            raise _misplaced(node, f"behind it there is {', then '.join(kinds)}")
        return behind

    def _ending(self, node: Any, behind: list[Any]) -> tuple[Softmax, str]:
        """Return the softmax with the quantization behind it, and the type of its result."""
        grids = [self._grid(node, one) for one in behind if one.op_type != "Identity"]
        if not grids:
            return Softmax(), "float32"
        if grids[-1] != grids[0]:
            raise _misplaced(node, "its result is dequantized otherwise than it is quantized")
        return Softmax(grids[0]), grids[0].dtype if len(grids) == 1 else "float32"

    def _grid(self, node: Any, quantization: Any) -> Grid:
        """Return the integers of a QuantizeLinear, or of a DequantizeLinear."""
        values = [
            numpy_helper.to_array(self._constants[one]).reshape(-1)
            for one in quantization.input[1:]
            if one in self._constants
        ]
        integers = quantization.output if quantization.op_type == "QuantizeLinear" else (
            quantization.input
        )  # fmt: skip
        found = self._types.get(integers[0])
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(found.elem_type)).name if found else "?"
        named = sum(map(bool, quantization.input[1:]))
        if len(values) != named or any(one.size != 1 for one in values) or dtype not in PASSED:
            raise _misplaced(
                node,
                f"the node '{quantization.name}' behind it ({dtype}) has not one constant scale "
                "and 8 bits",
            )
        zero_point = int(values[1][0]) if len(values) > 1 else 0
        return Grid(dtype, float(values[0][0]), zero_point)


def _misplaced(node: Any, reason: str) -> ModelError:
    return ModelError(
        f"The node '{node.name}' is a Softmax, which the host computes behind the network: it may "
        "stand at the model's end only, over the last axis of a result of two dimensions, with at "
        f"most a QuantizeLinear and a DequantizeLinear behind it. Here {reason}; cut the model "
        "before it and compute the rest on the host."
    )
