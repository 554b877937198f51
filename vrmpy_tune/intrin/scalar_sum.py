"""The rule that adds up eight activations in one scalar instruction.

``Rxx += vrmpybu(Rss, Rtt)`` (and ``vrmpybsu`` for a signed left operand) multiplies eight bytes
with eight bytes and adds each half into one word of a register pair; with ones on the right it
sums (*Hexagon V66 Programmer's Reference Manual*, section XTYPE/MPY).
"""

from __future__ import annotations

import functools
from typing import Final

from tvm.script import tirx as T

from vrmpy_tune.intrin.registration import register

ONES: Final = 0x0101010101010101
INTRINSICS: Final = {
    "uint8": "llvm.hexagon.M5.vrmacbuu",
    "int8": "llvm.hexagon.M5.vrmacbsu",
}


@functools.cache
def scalar_sum(dtype: str, scope: str = "global") -> str:
    """Register the rule for activations of ``dtype`` in ``scope``; return its name.

    The accumulators are two int32 in scope ``local``: the sums of elements 0 to 3 and 4 to 7.
    """
    llvm = INTRINSICS[dtype]
    vector = f"{dtype}x8"

    @T.prim_func(s_tir=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (8,), dtype, offset_factor=8, align=8, scope=scope)
        C = T.match_buffer(c, (2,), "int32", offset_factor=2, align=8, scope="local")
        with T.sblock("root"):
            T.reads(C[0:2], A[0:8])
            T.writes(C[0:2])
            for i in T.serial(0, 2):
                for k in T.serial(0, 4):
                    with T.sblock("update"):
                        vi, vk = T.axis.remap("SR", [i, k])
                        C[vi] = C[vi] + T.cast(A[vi * 4 + vk], "int32")

    @T.prim_func(s_tir=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (8,), dtype, offset_factor=8, align=8, scope=scope)
        C = T.match_buffer(c, (2,), "int32", offset_factor=2, align=8, scope="local")
        with T.sblock("root"):
            T.reads(C[0:2], A[0:8])
            T.writes(C[0:2])
            C[T.ramp(T.int32(0), 1, 2)] = T.reinterpret(
                T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id(llvm),
                    T.reinterpret(C[T.ramp(T.int32(0), 1, 2)], dtype="int64"),
                    T.reinterpret(A.vload([0], dtype=vector), dtype="int64"),
                    T.int64(ONES),
                    dtype="int64",
                ),
                dtype="int32x2",
            )

    name = f"scalar_sum/{dtype}/{scope}"
    register(name, description, implementation)
    return name
