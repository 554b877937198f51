"""From a TFLite file to the integer module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrmpy_tune.model.frontend.tflite_file import read_tflite
from vrmpy_tune.model.frontend.tflite_operators import onnx_of
from vrmpy_tune.model.frontend.tidy import tidy
from vrmpy_tune.model.onnx_import import integer_module, refused_if_damaged

if TYPE_CHECKING:
    from pathlib import Path

    import tvm


def import_tflite(path: Path, *, fuse: bool = True) -> tvm.IRModule:
    """Return the integer module of a TFLite file, quantized to 8 bits.

    It is that of :func:`vrmpy_tune.model.onnx_import.import_onnx`; inputs and outputs are those of
    the file, images with their channels last.

    Parameters
    ----------
    path:
        The file.
    fuse:
        Whether kernels take in what stands behind them.

    Raises
    ------
    ModelError
        If the file cannot be read, is not quantized, or holds what is not supported.
    """
    with refused_if_damaged(path):
        return integer_module(tidy(onnx_of(read_tflite(path))), fuse=fuse, images="nhwc")
