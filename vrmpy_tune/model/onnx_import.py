"""From an ONNX file to the integer module, pass by pass."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import tvm

from vrmpy_tune.errors import ModelError, VrmpyTuneError
from vrmpy_tune.model.frontend.gemm import fold_factors
from vrmpy_tune.model.frontend.importer import to_relax
from vrmpy_tune.model.frontend.integer_products import normalize_products
from vrmpy_tune.model.frontend.loading import load_model, opset_of
from vrmpy_tune.model.frontend.qoperators import normalize_operators
from vrmpy_tune.model.frontend.softmax import without_softmax
from vrmpy_tune.model.frontend.tidy import tidy
from vrmpy_tune.model.integer import IntegerKernels
from vrmpy_tune.model.passes.clips import fuse_clips
from vrmpy_tune.model.passes.residuals import fuse_residuals
from vrmpy_tune.model.passes.zero_points import fold_zero_points

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

    from vrmpy_tune.model.interface import Images


def import_onnx(path: Path, *, fuse: bool = True) -> tvm.IRModule:
    """Return the integer module of a quantized ONNX file.

    Its function ``main`` calls workloads on 8-bit tensors, and carries the network's
    inputs and outputs as :mod:`vrmpy_tune.model.interface` writes them.

    Parameters
    ----------
    path:
        The file.
    fuse:
        Whether kernels take in what stands behind them.  Without it a kernel computes what one
        node of the model does, as comparisons with other implementations want it.

    Raises
    ------
    ModelError
        If the file cannot be read, is not quantized, or holds what is not supported.
    """
    with refused_if_damaged(path):
        return integer_module(normalized_model(path), fuse=fuse)


@contextmanager
def refused_if_damaged(path: Path) -> Iterator[None]:
    """Turn what else a damaged model has onnx, numpy or TVM raise into a ``ModelError``."""
    try:
        yield
    except VrmpyTuneError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path} cannot be imported: {reason[-1].rstrip('.')}. "
            "The model may be damaged; check it, or export it again."
        ) from error


def normalized_model(path: Path) -> onnx.ModelProto:
    """Return a file's model, checked, as float operators between quantizations.

    Raises
    ------
    ModelError
        As :func:`import_onnx`.
    """
    return fold_factors(normalize_products(normalize_operators(tidy(load_model(path)))))


def integer_module(
    model: onnx.ModelProto, *, fuse: bool = True, images: Images = "nchw"
) -> tvm.IRModule:
    """Return the integer module of a normalized model, whose users have such images.

    Raises
    ------
    ModelError
        If an operator has no integer kernel; the message names the node.
    """
    model, endings = without_softmax(model)
    constants = {one.name for one in model.graph.initializer}
    inputs = [one.name for one in model.graph.input if one.name not in constants]
    outputs = [one.name for one in model.graph.output]
    tensors = {
        node.name: node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"
    }
    passes = [IntegerKernels(inputs, outputs, images, endings, tensors), fold_zero_points]
    if fuse:
        passes += [fuse_residuals, fuse_clips]
    module: tvm.IRModule = tvm.transform.Sequential(passes)(to_relax(model, opset_of(model)))
    return module
