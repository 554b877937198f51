"""The TVMScript of a table row: what the instruction computes, and the instruction itself.

The two functions of a rule have the same signature: one scalar operand of ``reduce`` elements,
one vector of ``32 x reduce``, and 32 accumulators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tvm.script import tirx as T

from vrmpy_tune.target import LANES, VECTOR_BYTES

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

    from vrmpy_tune.intrin.table import Instruction, Scopes

INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1


def description(row: Instruction, scopes: Scopes) -> PrimFunc:
    """Return the loop nest that the instruction replaces."""
    return _saturating(row, scopes) if row.saturates else _wrapping(row, scopes)


def implementation(row: Instruction, scopes: Scopes) -> PrimFunc:
    """Return the instruction as one expression.

    Binding intermediate values to names would make TVM allocate workspace inside the kernel.
    """
    reduce = row.reduce
    operand = VECTOR_BYTES // LANES
    scalar_vector = f"{row.scalar_type}x{reduce}"
    loaded_vector = f"{row.vector_type}x{LANES * reduce}"

    @T.prim_func(s_tir=True)
    def body(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(
            a, (reduce,), row.scalar_type, offset_factor=reduce, align=operand, scope=scopes.scalar
        )
        B = T.match_buffer(
            b,
            (LANES, reduce),
            row.vector_type,
            offset_factor=LANES * reduce,
            align=128,
            scope=scopes.vector,
        )
        C = T.match_buffer(
            c, (LANES,), "int32", offset_factor=LANES, align=128, scope=scopes.accumulator
        )
        with T.sblock("root"):
            T.reads(C[0:LANES], A[0:reduce], B[0:LANES, 0:reduce])
            T.writes(C[0:LANES])
            C[T.ramp(T.int32(0), 1, LANES)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(row.llvm),
                C[T.ramp(T.int32(0), 1, LANES)],
                *_operands(
                    row,
                    T.reinterpret(A.vload([0], dtype=scalar_vector), dtype="int32"),
                    T.reinterpret(B.vload([0, 0], dtype=loaded_vector), dtype="int32x32"),
                ),
                dtype="int32x32",
            )

    return body


def _operands(row: Instruction, scalar: Any, vector: Any) -> tuple[Any, Any]:
    """Order the operands as the LLVM intrinsic wants them."""
    if not row.splat:
        return (vector, scalar)
    splat = T.broadcast(scalar, LANES)
    return (splat, vector) if row.splat_first else (vector, splat)


def _wrapping(row: Instruction, scopes: Scopes) -> PrimFunc:
    reduce = row.reduce
    operand = VECTOR_BYTES // LANES

    @T.prim_func(s_tir=True)
    def body(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(
            a, (reduce,), row.scalar_type, offset_factor=reduce, align=operand, scope=scopes.scalar
        )
        B = T.match_buffer(
            b,
            (LANES, reduce),
            row.vector_type,
            offset_factor=LANES * reduce,
            align=128,
            scope=scopes.vector,
        )
        C = T.match_buffer(
            c, (LANES,), "int32", offset_factor=LANES, align=128, scope=scopes.accumulator
        )
        with T.sblock("root"):
            T.reads(C[0:LANES], A[0:reduce], B[0:LANES, 0:reduce])
            T.writes(C[0:LANES])
            for i in T.serial(0, LANES):
                for k in T.serial(0, reduce):
                    with T.sblock("update"):
                        vi, vk = T.axis.remap("SR", [i, k])
                        C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    return body


def _saturating(row: Instruction, scopes: Scopes) -> PrimFunc:
    """Describe a pair of products added to the accumulator and clipped once."""
    operand = VECTOR_BYTES // LANES

    @T.prim_func(s_tir=True)
    def body(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(
            a, (2,), row.scalar_type, offset_factor=2, align=operand, scope=scopes.scalar
        )
        B = T.match_buffer(
            b, (LANES, 2), row.vector_type, offset_factor=LANES * 2, align=128, scope=scopes.vector
        )
        C = T.match_buffer(
            c, (LANES,), "int32", offset_factor=LANES, align=128, scope=scopes.accumulator
        )
        with T.sblock("root"):
            T.reads(C[0:LANES], A[0:2], B[0:LANES, 0:2])
            T.writes(C[0:LANES])
            for i in T.serial(0, LANES):
                with T.sblock("update"):
                    vi = T.axis.spatial(LANES, i)
                    T.reads(C[vi], A[0:2], B[vi, 0:2])
                    T.writes(C[vi])
                    C[vi] = T.cast(
                        T.max(
                            T.min(
                                T.cast(C[vi], "int64")
                                + T.cast(A[0], "int64") * T.cast(B[vi, 0], "int64")
                                + T.cast(A[1], "int64") * T.cast(B[vi, 1], "int64"),
                                T.int64(INT32_MAX),
                            ),
                            T.int64(INT32_MIN),
                        ),
                        "int32",
                    )

    return body
