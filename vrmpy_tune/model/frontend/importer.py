"""From an ONNX graph to Relax, with the names of its nodes.

TVM's importer drops the names.  This one binds the result of each node to a variable of the
node's name, so that every layer and every message can say which node it is about.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tvm import ir, relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.kernels import bind
from vrmpy_tune.model.reading import NODES, OPERATORS

if TYPE_CHECKING:
    import onnx
    import tvm

CLIP_INPUTS_OPSET: Final = 11
"""The first operator set whose Clip has its bounds as inputs."""


class _NamedImporter(ONNXGraphImporter):  # type: ignore[misc]
    def _convert_operator(
        self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int
    ) -> Any:
        # TVM writes Clip as functions of tensor expressions, which no pass can read.
        bounds = _bounds(inputs, attrs, opset) if op_name == "Clip" else None
        if bounds is not None:
            found = relax.op.clip(inputs[0], *bounds)
        else:
            found = super()._convert_operator(op_name, inputs, attrs, opset)
        if not isinstance(found, relax.Call):
            return found
        return bind(self.bb, attrs["tvm_custom"]["name"] or op_name, found)


def _bounds(inputs: Any, attrs: dict[str, Any], opset: int) -> tuple[float, float] | None:
    """Return the bounds of a Clip, either of which may be missing; ``None`` if one is computed."""
    bounds = [-np.inf, np.inf]
    if opset < CLIP_INPUTS_OPSET:
        bounds = [float(attrs.get("min", -np.inf)), float(attrs.get("max", np.inf))]
    else:
        for index, one in enumerate([*inputs[1:3], None, None][:2]):
            if isinstance(one, ir.GenericConst):
                value = float(one.value.numpy().reshape(()))
                # A bound that is not a number is none, as onnxruntime has it.
                bounds[index] = bounds[index] if np.isnan(value) else value
            elif one is not None:
                return None
    low, high = bounds
    return min(low, high), high


def to_relax(model: onnx.ModelProto, opset: int) -> tvm.IRModule:
    """Import a checked model whose nodes all have names.

    Raises
    ------
    ModelError
        If TVM's importer refuses a node.
    """
    importer = _NamedImporter({}, "float32", keep_params_in_input=False)
    printed = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            made = importer.from_onnx(model.graph, opset)
    except Exception as error:
        with contextlib.suppress(Exception):
            # A block left open has TVM print a warning beside the error.
            importer.bb._end_block()
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"TVM cannot import the model: {reason[-1] if reason else type(error).__name__} "
            "Export it again with static shapes and constant parameters."
        ) from error
    nodes = model.graph.node
    names, operators = [one.name for one in nodes], [one.op_type for one in nodes]
    made["main"] = made["main"].with_attrs({NODES: names, OPERATORS: operators})
    return made
