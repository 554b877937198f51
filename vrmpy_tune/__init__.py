"""Tensorize, tune and compile int8 kernels for the vrmpy instructions of Hexagon HVX.

The names below are resolved on first use, so that importing this package imports neither TVM nor
anything else that takes time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vrmpy_tune.api import applied, compile, tune
    from vrmpy_tune.model.compiled import CompiledModel
    from vrmpy_tune.records import Record, open_store
    from vrmpy_tune.target import HexagonTarget, parse_target
    from vrmpy_tune.workload import Conv2d, Dense, parse_workload
else:
    # The package of that name, which can be called.  Importing it is cheap.
    from vrmpy_tune import tune

_MODULE_OF: Final = {
    "CompiledModel": "model.compiled",
    "Conv2d": "workload",
    "Dense": "workload",
    "HexagonTarget": "target",
    "Record": "records",
    "applied": "api",
    "compile": "api",
    "open_store": "records",
    "parse_target": "target",
    "parse_workload": "workload",
}

__all__ = [
    "CompiledModel",
    "Conv2d",
    "Dense",
    "HexagonTarget",
    "Record",
    "applied",
    "compile",
    "open_store",
    "parse_target",
    "parse_workload",
    "tune",
]


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
