"""Copies by the user DMA: TVM's own asynchronous pipelines, on this project's runtime.

A loop annotated with ``software_pipeline_async_stages`` becomes ``dma_copy`` and ``dma_wait`` by
TVM's ``InjectSoftwarePipeline`` and ``LowerAsyncDMA``.  What TVM makes of those in turn is calls of
packed functions of its device API for Hexagon, which needs Qualcomm's SDK; here they become calls
of the on-device runtime (``device/runtime/dma.c``), which means the same by them.
"""

from __future__ import annotations

from typing import Final

import tvm
from tvm import tirx
from tvm.tirx import stmt as tir

from vrmpy_tune.toolchain.statements import rewrite

PIPELINE_STAGE: Final = "software_pipeline_stage"
PIPELINE_ORDER: Final = "software_pipeline_order"
ASYNC_STAGES: Final = "software_pipeline_async_stages"
"""Annotations of a loop, by TVM's names."""

DMA_COPY: Final = "vrmpy_dma_copy"
DMA_WAIT: Final = "vrmpy_dma_wait"
"""Functions of the on-device runtime: start a transfer; wait for all but so many of a queue."""

_CALLS: Final = {
    "tirx.dma_copy": (DMA_COPY, 4),
    "tirx.dma_wait": (DMA_WAIT, 2),
    "tirx.dma_start_group": ("vrmpy_dma_start_group", 1),
    "tirx.dma_end_group": ("vrmpy_dma_end_group", 1),
}
"""TVM's builtins, our functions, and how many of the operands these take: whether the cache is gone
round, the last of ``dma_copy``, is not asked, for constants it always can be."""

_SCOPES: Final = ("async_scope", "async_commit_queue_scope")


def call_transfers() -> tvm.transform.Pass:
    """Return the pass that calls the runtime for TVM's DMA builtins."""

    @tirx.transform.prim_func_pass(opt_level=0, name="vrmpy_tune.CallTransfers")
    def run(function: tirx.PrimFunc, _module: tvm.IRModule, _context: object) -> tirx.PrimFunc:
        return function.with_body(rewrite(function.body, _call))

    return run


def _call(statement: tir.Stmt) -> tir.Stmt:
    if isinstance(statement, tir.AttrStmt) and statement.attr_key in _SCOPES:
        return statement.body
    if isinstance(statement, tir.Evaluate) and isinstance(statement.value, tvm.ir.Call):
        found = _CALLS.get(str(getattr(statement.value.op, "name", "")))
        if found is not None:
            name, count = found
            return tir.Evaluate(tirx.call_extern("int32", name, *statement.value.args[:count]))
    return statement
