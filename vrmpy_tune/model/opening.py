"""From the file of a model to its network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from vrmpy_tune.model.network import Network, network_of

if TYPE_CHECKING:
    from pathlib import Path

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
    if path.suffix.lower() == TFLITE:
        from vrmpy_tune.model.tflite_import import import_tflite as import_file
    else:
        from vrmpy_tune.model.onnx_import import import_onnx as import_file

    network = network_of(import_file(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return network, {"file": path.name, "sha256": digest}
