"""From an ONNX file to the integer module, pass by pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import tvm

from vrmpy_tune.model.importer import to_relax
from vrmpy_tune.model.integer import IntegerKernels
from vrmpy_tune.model.passes.residuals import fuse_residuals
from vrmpy_tune.model.passes.zero_points import fold_zero_points

if TYPE_CHECKING:
    from pathlib import Path


def import_onnx(path: Path, *, fuse: bool = True) -> tvm.IRModule:
    """Return the integer module of a quantized ONNX file.

    Its function ``main`` calls workloads on 8-bit tensors, and carries the network's
    :class:`~vrmpy_tune.model.interface.Interface`.
    """
    model = onnx.load(path)
    opset = model.opset_import[0].version
    constants = {one.name for one in model.graph.initializer}
    inputs = [one.name for one in model.graph.input if one.name not in constants]
    outputs = [one.name for one in model.graph.output]
    passes = [IntegerKernels(inputs, outputs), fold_zero_points]
    if fuse:
        passes.append(fuse_residuals)
    module: tvm.IRModule = tvm.transform.Sequential(passes)(to_relax(model, opset))
    return module
