"""From scheduled TIR to LLVM IR or assembly.

LLVM ends the whole process on some errors: call this only in processes that may die
(:mod:`vrmpy_tune.toolchain.pool`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import tvm
from tvm import s_tir, tirx

from vrmpy_tune.toolchain.storage import place_buffers
from vrmpy_tune.toolchain.transfers import call_transfers

if TYPE_CHECKING:
    from vrmpy_tune.target import HexagonTarget

TVM_OPT_LEVEL: Final = 3
"""LLVM optimization level when TVM's own LLVM generates the assembly."""


def lower(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Lower scheduled TIR to flat loops over packed arguments.

    These are the passes of TVM's ``s_tir`` pipeline that concern a CPU, with
    :func:`~vrmpy_tune.toolchain.storage.place_buffers` in place of its VTCM lowering.
    """
    passes = [
        tirx.transform.BindTarget(target.with_host(target)),
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.CompactBufferAllocation(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.StmtSimplify(),
        s_tir.transform.InjectSoftwarePipeline(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        s_tir.transform.LoopPartition(),
        tirx.transform.VectorizeLoop(True),
        tirx.transform.StorageRewrite(),
        s_tir.transform.LowerAsyncDMA(),
        call_transfers(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        s_tir.transform.RewriteUnsafeSelect(),
        tirx.transform.CommonSubexprElim(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        place_buffers(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        tirx.transform.LowerTVMBuiltin(),
        tirx.transform.LowerIntrin(),
    ]
    return tvm.transform.Sequential(passes)(module)


def llvm_ir(module: tvm.IRModule, target: HexagonTarget) -> str:
    """Return unoptimized LLVM IR, for zig's clang to optimize."""
    return _generate(module, target, opt_level=0, form="ll")


def assembly(module: tvm.IRModule, target: HexagonTarget) -> str:
    """Return the assembly that TVM's own LLVM generates."""
    return _generate(module, target, opt_level=TVM_OPT_LEVEL, form="s")


def _generate(module: tvm.IRModule, target: HexagonTarget, opt_level: int, form: str) -> str:
    tvm_target = target.tvm_target(opt_level)
    build = tvm.get_global_func("target.build.llvm")
    return str(build(lower(module, tvm_target), tvm_target).inspect_source(form))
