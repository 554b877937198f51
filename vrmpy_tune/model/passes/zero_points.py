"""Fold the zero points of activations into the bias, where nothing is padded with them.

``sum of (a - z) * w + bias`` is ``sum of a * w + (bias - z * sum of w)``.  One kernel then serves
layers with different zero points.  A kernel that pads needs its own, as what it pads with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.model.kernel_graph import KernelGraph, kernel_pass
from vrmpy_tune.model.kernels import Kernel
from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.workload import Contraction, Dense

if TYPE_CHECKING:
    from vrmpy_tune.workload import Conv2d, DepthwiseConv2d


@kernel_pass("FoldZeroPoints")
def fold_zero_points(graph: KernelGraph) -> dict[Any, Kernel]:
    """Return the kernels without zero points of their activations."""
    found = {variable: _folded(kernel) for variable, kernel in graph.kernels()}
    return {variable: kernel for variable, kernel in found.items() if kernel is not None}


def _folded(kernel: Kernel) -> Kernel | None:
    workload = kernel.workload
    if not isinstance(workload, Contraction) or not workload.lzp or not workload.bias:
        return None
    if not isinstance(workload, Dense) and any(_padding(workload)):
        return None
    weights = kernel.constant("weights").astype(np.int64) - workload.rzp
    sums = weights.sum(axis=tuple(range(1, weights.ndim)))
    bias = kernel.constant("bias") - workload.lzp * sums
    low, high = LIMITS["i32"]
    if bias.min() < low or bias.max() > high:
        return None
    return kernel.having(replace(workload, lzp=0), bias=bias.astype(np.int32))


def _padding(workload: Any) -> tuple[int, ...]:
    windowed: Conv2d | DepthwiseConv2d = workload
    return windowed.pad
