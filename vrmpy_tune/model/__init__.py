"""Whole networks: from ONNX to integers, from integers to one program for the device.

``import_onnx`` gives an integer module, :mod:`vrmpy_tune.model.network` its frozen form, and
:func:`vrmpy_tune.model.compile.compile_network` a directory that
:class:`vrmpy_tune.model.compiled.CompiledModel` runs.  Names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vrmpy_tune.model.compiled import CompiledModel
    from vrmpy_tune.model.network import Network, network_of
    from vrmpy_tune.model.onnx_import import import_onnx

_MODULE_OF: Final = {
    "CompiledModel": "compiled",
    "Network": "network",
    "import_onnx": "onnx_import",
    "network_of": "network",
}

__all__ = ["CompiledModel", "Network", "import_onnx", "network_of"]


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{module}"), name)
