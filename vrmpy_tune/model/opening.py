"""From the file of a model to its network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vrmpy_tune.model.network import Network, network_of

if TYPE_CHECKING:
    from pathlib import Path


def open_model(path: Path) -> tuple[Network, dict[str, str]]:
    """Import an ONNX file; return its network, and what a manifest says of the file.

    Raises
    ------
    ModelError
        If it cannot be read, or holds what is not supported.
    """
    from vrmpy_tune.model.onnx_import import import_onnx

    network = network_of(import_onnx(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return network, {"file": path.name, "sha256": digest}
