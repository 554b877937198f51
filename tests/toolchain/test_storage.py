"""Where buffers inside a kernel live, as LLVM IR shows it."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.intrin.kernel import Kernel
from tests.toolchain.generated import GENERATORS, compiled, llvm_ir
from vrmpy_tune.errors import BuildError
from vrmpy_tune.intrin.table import Scopes, instruction
from vrmpy_tune.toolchain.assembly import count_multiplies
from vrmpy_tune.toolchain.codegen import CodeGenerator

ROW: Final = instruction("vrmpy.u8_u8")


def ir(rows: int = 3, **scopes: str) -> str:
    return llvm_ir(Kernel(ROW, Scopes(**scopes), rows=rows).module())


@pytest.mark.parametrize("rows", [3, 7, 8, 9, 31, 512])
def test_accumulators_of_any_size_up_to_64_kb_are_on_the_stack(rows: int) -> None:
    """TVM turns those of 1 KB or more into workspace, which LLVM cannot keep in registers."""
    text = ir(rows)
    assert re.search(rf"= alloca <32 x i32>, i64 {rows}, align 128", text)
    assert "TVMBackendAllocWorkspace" not in text


def test_accumulators_of_2_kb_stay_in_registers() -> None:
    assembly = compiled(Kernel(ROW, Scopes(), rows=16, words=2, unrolled=True).module()).assembly
    stores = re.findall(r"vmem\([^)]*\)\s*=", assembly)
    assert len(stores) == 16  # the outputs, and nothing spilled


def test_more_than_fits_the_stack_is_refused_in_a_sentence() -> None:
    with pytest.raises(BuildError, match=r"start_buffer of 65664 bytes .* does not fit registers"):
        ir(513)


def test_buffers_in_vtcm_are_allocated_and_freed_in_the_arena() -> None:
    text = ir(scalar="global.vtcm", vector="global.vtcm", accumulator="global.vtcm")
    allocated = [int(size) for size in re.findall(r"call ptr @vrmpy_vtcm_alloc\(i64 (\d+)\)", text)]
    assert sorted(allocated) == [3 * 7 * 4, 3 * 32 * 4, 7 * 32 * 4]
    assert len(re.findall(r"call i32 @vrmpy_vtcm_free\(", text)) == 3
    assert "TVMBackendAllocWorkspace" not in text


def test_vtcm_is_freed_in_the_reverse_order_of_its_allocation() -> None:
    text = ir(scalar="global.vtcm", vector="global.vtcm", accumulator="global.vtcm")
    allocated = re.findall(r"(%\S+) = call ptr @vrmpy_vtcm_alloc", text)
    freed = re.findall(r"@vrmpy_vtcm_free\(ptr (%\S+?)\)", text)
    assert freed == allocated[::-1]


@pytest.mark.parametrize("scope", ["global", "global.vtcm"])
def test_a_word_of_activations_is_one_aligned_load_wherever_they_are(scope: str) -> None:
    kernel = Kernel(ROW, Scopes(scalar=scope, vector=scope), words=129, staged=True)
    found = re.findall(r"load <(\d+) x i8>, ptr %\d+, align (\d+)", llvm_ir(kernel.module()))
    loads = {(int(lanes), int(align)) for lanes, align in found}
    assert {load for load in loads if load[0] in (4, 128)} == {(4, 4), (128, 128)}


@pytest.mark.parametrize("words", [7, 129])
@pytest.mark.parametrize("scope", ["global", "global.vtcm"])
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_no_vector_access_is_unaligned(scope: str, words: int, generator: CodeGenerator) -> None:
    """Not even of buffers below 1 KB, which TVM puts on the stack."""
    kernel = Kernel(ROW, Scopes(scope, scope, scope), words=words, staged=True)
    assembly = compiled(kernel.module(), generator).assembly
    assert count_multiplies(assembly) > 0
    assert re.findall(r"vmemu\([^)]*\)", assembly) == []
