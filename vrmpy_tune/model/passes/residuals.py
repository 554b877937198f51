"""Fuse additions into the convolution that makes one of their operands.

The convolution adds the other operand behind its own requantization, so that the sum is never
written and read in between; the arithmetic stays the same.  Where both operands come from
convolutions, the deeper one takes the addition: the other, a shortcut, is computed before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vrmpy_tune.model.kernel_graph import KernelGraph, kernel_pass
from vrmpy_tune.model.kernels import Kernel
from vrmpy_tune.workload import Contraction, QuantizedAdd
from vrmpy_tune.workload.contraction import ADD_FIELDS


@kernel_pass("FuseResiduals")
def fuse_residuals(graph: KernelGraph) -> dict[Any, Kernel]:
    """Return the convolutions that add, by the results of the additions they replace."""
    found = {}
    for variable, kernel in graph.kernels():
        if isinstance(kernel.workload, QuantizedAdd):
            fused = _fused(graph, kernel)
            if fused is not None:
                found[variable] = fused
    return found


def _fused(graph: KernelGraph, add: Kernel) -> Kernel | None:
    lhs, rhs = add.operand("lhs"), add.operand("rhs")
    if lhs.same_as(rhs):
        return None
    pairs = sorted(((lhs, rhs), (rhs, lhs)), key=lambda pair: graph.depth(pair[0]), reverse=True)
    for own, other in pairs:
        producer = graph.kernel(own)
        if producer is not None and graph.used_once(own) and _can_add(producer):
            return _adding(producer, other, add, swapped=own.same_as(rhs))
    return None


def _can_add(kernel: Kernel) -> bool:
    """Whether a kernel has no activation of its own, and nothing else is added yet."""
    workload = kernel.workload
    if not isinstance(workload, Contraction) or workload.residual or workload.out == "i32":
        return False
    return workload.act == "none"


def _adding(producer: Kernel, other: Any, add: Kernel, *, swapped: bool) -> Kernel:
    assert isinstance(producer.workload, Contraction)
    assert isinstance(add.workload, QuantizedAdd)
    workload = replace(producer.workload, residual=1, act=add.workload.act)
    fields = dict(zip(ADD_FIELDS, add.constant("add"), strict=True))
    if swapped:
        fields["lhs"], fields["rhs"] = fields["rhs"], fields["lhs"]
    constants = np.asarray(list(fields.values()), np.int32)
    return Kernel(producer.name, workload, (*producer.operands, other, constants))
