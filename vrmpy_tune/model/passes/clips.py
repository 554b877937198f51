"""Fuse clipping into the kernel that makes what is clipped.

Quantizers that give activations symmetric scales leave ReLU as an operator of its own.  Where it
does not change the scale, its bounds join those of the kernel before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.model.kernel_graph import KernelGraph, kernel_pass
from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.workload import (
    AvgPool2d,
    Clip,
    Contraction,
    GlobalAvgPool2d,
    QuantizedAdd,
    QuantizedMultiply,
)
from vrmpy_tune.workload.contraction import ADD_FIELDS, REQUANTIZE_FIELDS
from vrmpy_tune.workload.elementwise import MULTIPLY_FIELDS
from vrmpy_tune.workload.pooling import AVERAGE_FIELDS

if TYPE_CHECKING:
    from vrmpy_tune.model.kernels import Kernel
    from vrmpy_tune.workload import Workload

_HIGHEST: Final = LIMITS["u8"][1]


@kernel_pass("FuseClips")
def fuse_clips(graph: KernelGraph) -> dict[Any, Kernel]:
    """Return the kernels that clip, by the results of the clippings they replace."""
    found = {}
    for variable, kernel in graph.kernels():
        if isinstance(kernel.workload, Clip):
            source = kernel.operand("activations")
            producer = graph.kernel(source)
            if producer is not None and graph.used_once(source) and _parameters(producer.workload):
                found[variable] = _clipping(producer, kernel.constant("clip"))
    return found


def _parameters(workload: Workload) -> tuple[str, tuple[str, ...]] | None:
    """Return the operand that holds a kernel's bounds, and the names of its fields."""
    if isinstance(workload, Contraction) and workload.requant != "none":
        return ("add", ADD_FIELDS) if workload.residual else ("requantize", REQUANTIZE_FIELDS)
    if isinstance(workload, QuantizedAdd):
        return "add", ADD_FIELDS
    if isinstance(workload, QuantizedMultiply):
        return "multiply", MULTIPLY_FIELDS
    if isinstance(workload, AvgPool2d | GlobalAvgPool2d):
        return "average", AVERAGE_FIELDS
    return None


def _clipping(producer: Kernel, bounds: np.ndarray) -> Kernel:
    held = _parameters(producer.workload)
    assert held is not None
    operand, fields = held
    values = dict(zip(fields, producer.constant(operand), strict=True))
    for name in ("low", "high"):
        values[name] = min(max(values[name], bounds[0]), bounds[1])
    workload = producer.workload
    if isinstance(workload, Contraction | QuantizedAdd | QuantizedMultiply):
        act = "relu" if values["high"] == _HIGHEST else "clip"
        workload = replace(workload, act=act)
    return producer.having(workload, **{operand: np.asarray(list(values.values()), np.int32)})
