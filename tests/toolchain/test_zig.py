"""Compiling, assembling and counting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.process import ProcessLimits
from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.toolchain import zig
from vrmpy_tune.toolchain.assembly import count_multiplies, without_debug
from vrmpy_tune.toolchain.zig import assemble, compile_llvm_ir

V68 = TARGETS["hexagon-v68"]

VECTOR = "<32 x i32>"
UU = "@llvm.hexagon.V6.vrmpyub.acc.128B"
UI = "@llvm.hexagon.V6.vrmpybus.acc.128B"
MULTIPLY = f"""
target triple = "hexagon-unknown-linux-musl"
define {VECTOR} @multiply({VECTOR} %sum, {VECTOR} %vector, i32 %scalar) {{
  %first = call {VECTOR} {UU}({VECTOR} %sum, {VECTOR} %vector, i32 %scalar)
  %second = call {VECTOR} {UI}({VECTOR} %first, {VECTOR} %vector, i32 %scalar)
  ret {VECTOR} %second
}}
declare {VECTOR} {UU}({VECTOR}, {VECTOR}, i32)
declare {VECTOR} {UI}({VECTOR}, {VECTOR}, i32)
"""


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_compiles_and_its_multiplies_are_counted(
    target: HexagonTarget, tmp_path: Path
) -> None:
    compiled = compile_llvm_ir(MULTIPLY, target, tmp_path)
    assert count_multiplies(compiled.assembly) == 2
    assert compiled.object_file.read_bytes().startswith(b"\x7fELF")


def test_the_same_text_gives_the_same_object_and_assembles_to_it_again(tmp_path: Path) -> None:
    first = compile_llvm_ir(MULTIPLY, V68, tmp_path, name="first")
    second = compile_llvm_ir(MULTIPLY, V68, tmp_path, name="second")
    assert first.object_file.read_bytes() == second.object_file.read_bytes()
    again = assemble(first.assembly, V68, tmp_path, name="again")
    assert again.object_file.read_bytes() == first.object_file.read_bytes()


def test_comments_of_the_compiler_that_are_no_text_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # LLVM 22 prints a raw byte 0x80 behind some operands of DW_OP_deref_size; seen in a candidate
    # of dense:m=64,n=64,k=128,lhs=u8,rhs=i8.
    plain = compile_llvm_ir(MULTIPLY, V68, tmp_path, name="plain").object_file.read_bytes()
    clang = zig._clang

    def commented(flags: Sequence[str], *rest: Any, **options: Any) -> None:
        clang(flags, *rest, **options)
        if "-S" in flags:
            with (tmp_path / flags[-1]).open("ab") as file:
                file.write(b"\t// \x80\n")

    monkeypatch.setattr(zig, "_clang", commented)
    compiled = compile_llvm_ir(MULTIPLY, V68, tmp_path, name="plain")
    assert compiled.object_file.read_bytes() == plain


def test_text_that_is_not_llvm_ir_is_a_build_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected type"):
        compile_llvm_ir("define nonsense", V68, tmp_path)


def test_a_compiler_out_of_time_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(BuildTimeoutError, match="unroll less") as caught:
        compile_llvm_ir(MULTIPLY, V68, tmp_path, limits=ProcessLimits(wall_s=0.01))
    assert caught.value.retryable


def test_compilers_do_not_wait_for_each_other(tmp_path: Path) -> None:
    def compile_five(worker: int) -> float:
        directory = tmp_path / str(worker)
        directory.mkdir()
        started = time.monotonic()
        for number in range(5):
            compile_llvm_ir(MULTIPLY, V68, directory, name=f"k{number}")
        return time.monotonic() - started

    alone = compile_five(0)
    with ThreadPoolExecutor(2) as pool:
        together = max(pool.map(compile_five, (1, 2)))
    print(f"\nfive compilations: {alone:.2f} s alone, {together:.2f} s beside five others")
    assert together < 10 * alone


def test_comments_and_other_instructions_are_not_counted() -> None:
    text = """
        v0.uw += vrmpy(v1.ub,r2.ub)   // vrmpy(
        v3.w = vdmpy(v4.h,v5.h):sat
        v6.w = vmpye(v7.w,v8.uh)
        // v0.uw += vrmpy(v1.ub,r2.ub)
        call vrmpy_kernel
    """
    assert count_multiplies(text) == 2


def test_debug_sections_and_line_tables_are_dropped() -> None:
    text = "\t.text\n\t.loc 1 2 3\nf:\n\t.section .debug_info\n.Linfo:\n\t.data\nd:\n"
    assert without_debug(text) == "\t.text\nf:\n\t.data\nd:\n"
