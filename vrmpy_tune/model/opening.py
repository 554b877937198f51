"""From the file of a model to its network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from vrmpy_tune.model.network import Network, network_of, tensors_of

if TYPE_CHECKING:
    from pathlib import Path

    import tvm

TFLITE: Final = ".tflite"
SUFFIXES: Final = (".onnx", TFLITE)
"""What the names of model files end in."""


def is_model(text: str) -> bool:
    """Whether a text names a model file."""
    return text.lower().endswith(SUFFIXES)


def open_model(path: Path) -> tuple[Network, dict[str, str]]:
    """Import an ONNX or a TFLite file; return its network, and what a manifest says of the file.

    Raises
    ------
    ModelError
        If it cannot be read, or holds what is not supported.
    """
    network = network_of(_import(path, fuse=True))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return network, {"file": path.name, "sha256": digest}


def import_plain(path: Path) -> tuple[Network, dict[str, list[str]]]:
    """Return the network of a file without fused kernels, and the file's tensors by its layers.

    Raises
    ------
    ModelError
        If the file cannot be read, or holds what is not supported.
    """
    module = _import(path, fuse=False)
    return network_of(module), tensors_of(module)


def is_tflite(path: Path) -> bool:
    """Whether a model file is one of TFLite."""
    return path.suffix.lower() == TFLITE


def _import(path: Path, *, fuse: bool) -> tvm.IRModule:
    if is_tflite(path):
        from vrmpy_tune.model.tflite_import import import_tflite as import_file
    else:
        from vrmpy_tune.model.onnx_import import import_onnx as import_file
    return import_file(path, fuse=fuse)
