"""Where buffers inside a kernel live: registers, workspace, or VTCM.

TVM's own lowering gets three things wrong for HVX: accumulators of 1 KB or more become
workspace calls instead of stack variables that LLVM promotes to registers; the
alignment of workspace buffers is forgotten, so that a scalar load of four bytes
becomes four loads; and the lowering of ``global.vtcm`` fails on the ``llvm`` target.
"""

from __future__ import annotations

from typing import Any, Final

import tvm
from tvm import tirx
from tvm.tirx import stmt as tir

from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.toolchain.statements import rewrite, sequence

VTCM_SCOPE: Final = "global.vtcm"
VTCM_ALLOCATE: Final = "vrmpy_vtcm_alloc"
VTCM_FREE: Final = "vrmpy_vtcm_free"
"""Functions of the on-device runtime: a last-in, first-out arena."""

SHARED: Final = "_shared"
"""Behind their names in parallel loops, where a task has a share of VTCM only."""

MAX_STACK_BYTES: Final = 64 << 10
"""Largest buffer kept on the stack; accumulators of a register tile are at most 4 KB."""


STACK_WORKSPACE_BYTES: Final = 1024
"""TVM leaves smaller buffers on the stack (``kMaxStackAlloca``), aligned to 16 bytes only."""


def place_buffers() -> tvm.transform.Pass:
    """Return the pass that places allocations; it runs on flat loops, before packed calls."""

    @tirx.transform.prim_func_pass(opt_level=0, name="vrmpy_tune.PlaceBuffers")
    def run(function: tirx.PrimFunc, _module: tvm.IRModule, _context: object) -> tirx.PrimFunc:
        return function.with_body(rewrite(function.body, _place))

    return run


def _place(statement: tir.Stmt) -> tir.Stmt:
    if isinstance(statement, tir.AllocBuffer) and statement.buffer.scope() == "local":
        if _bytes(statement.buffer) > MAX_STACK_BYTES:
            raise ValueError(
                f"The buffer {statement.buffer.name} of {_bytes(statement.buffer)} bytes is in "
                f"scope 'local' but does not fit registers; compute its consumer in its loops."
            )
        return tir.AllocBuffer(statement.buffer, {"disable_lower_builtin": tirx.IntImm("int32", 1)})
    if isinstance(statement, tir.SeqStmt):
        return sequence(_place_in_sequence(list(statement.seq)))
    if isinstance(statement, tir.For) and statement.kind == tir.ForKind.PARALLEL:
        return rewrite(statement, _share)
    return statement


def _share(statement: tir.Stmt) -> tir.Stmt:
    """Turn the arena calls of a task into those that know of other tasks."""
    if isinstance(statement, tir.DeclBuffer) and _calls(statement.data, VTCM_ALLOCATE):
        size = statement.data.args[1]
        shared = tirx.call_extern("handle", VTCM_ALLOCATE + SHARED, size)
        return tir.DeclBuffer(statement.buffer, data=shared)
    if isinstance(statement, tir.Evaluate) and _calls(statement.value, VTCM_FREE):
        data = statement.value.args[1]
        return tir.Evaluate(tirx.call_extern("int32", VTCM_FREE + SHARED, data))
    return statement


def _calls(value: Any, name: str) -> bool:
    return isinstance(value, tvm.ir.Call) and str(getattr(value.args[0], "value", "")) == name


def _place_in_sequence(parts: list[tir.Stmt]) -> list[tir.Stmt]:
    """State the alignment of each buffer for what follows it; turn VTCM into arena calls."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if not isinstance(part, tir.AllocBuffer) or _stays_on_stack(part.buffer):
            continue
        buffer, rest = part.buffer, parts[index + 1 :]
        if buffer.scope() == VTCM_SCOPE:
            allocate = tirx.call_extern(
                "handle", VTCM_ALLOCATE, tirx.const(_bytes(buffer), "uint64")
            )
            release = tirx.call_extern("int32", VTCM_FREE, buffer.data)
            parts[index] = tir.DeclBuffer(buffer, data=allocate)
            rest.append(tir.Evaluate(release))
        if rest:
            aligned = tir.AttrStmt(
                buffer,
                "storage_alignment",
                tirx.IntImm("int32", VECTOR_BYTES),
                sequence(rest),
            )
            parts[index + 1 :] = [aligned]
    return parts


def _stays_on_stack(buffer: tirx.Buffer) -> bool:
    small = buffer.scope() == "global" and _bytes(buffer) < STACK_WORKSPACE_BYTES
    return small or buffer.scope() == "local"


def _bytes(buffer: tirx.Buffer) -> int:
    lanes = tvm.DataType(str(buffer.dtype))
    size = lanes.itemsize
    for extent in buffer.shape:
        size *= int(extent)
    return int(size)
