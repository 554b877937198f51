"""HVX instructions whose scalar operand LLVM may turn into an immediate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.device.simulated import qemu
from tests.toolchain.generated import GENERATORS, V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.intrin import hvx
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.toolchain.codegen import CodeGenerator

NUMBERS: Final = (0, 1, 7, 8, 64, 120, 121, 127, 128, 129, 135, 192, 249, 256, 384)
"""Offsets on both sides of what LLVM selects an immediate for."""
STEP, STEPS = 64, 6
"""Offsets that are constants once LLVM has unrolled a loop: multiples of half a vector."""

ALIGNMENTS: Final = {"right": hvx.align_right, "left": hvx.align_left}


def module(align: Callable[[Any, Any, Any], Any]) -> tvm.IRModule:
    """Return a kernel that aligns two vectors by every offset."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        both, output = (
            T.arg(name, T.buffer((rows, VECTOR_BYTES), "uint8", align=VECTOR_BYTES))
            for name, rows in (("A", 2), ("C", len(NUMBERS) + STEPS))
        )

        def store(row: Any, offset: Any) -> None:
            upper, lower = (hvx.load(both, half * VECTOR_BYTES) for half in (1, 0))
            hvx.store(output, row * VECTOR_BYTES, align(upper, lower, offset))

        for row, number in enumerate(NUMBERS):
            store(row, number)
        with T.serial(0, STEPS) as step:
            store(step + len(NUMBERS), step * STEP)
    return tvm.IRModule({"main": builder.get()})


@pytest.mark.device
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("side", ALIGNMENTS)
def test_vectors_are_aligned_by_an_offset_modulo_a_vector(
    side: str, generator: CodeGenerator
) -> None:
    offsets = np.array([*NUMBERS, *range(0, STEP * STEPS, STEP)]) % VECTOR_BYTES
    bytes_of_both = np.random.default_rng(1).permutation(2 * VECTOR_BYTES).astype(np.uint8)
    made = compiled(module(ALIGNMENTS[side]), generator)
    sizes = (2, len(offsets))
    inputs, output = (TensorSpec((rows, VECTOR_BYTES), "uint8") for rows in sizes)
    operands = (bytes_of_both.reshape(inputs.shape),)
    result = qemu().run(Job(made.object_file, "main", (inputs,), (output,)), (operands,), V68,
                        Limits())  # fmt: skip
    assert result.outcome is Outcome.OK, result.message
    first = offsets if side == "right" else VECTOR_BYTES - offsets
    expected = bytes_of_both[first[:, None] + np.arange(VECTOR_BYTES)]
    np.testing.assert_array_equal(result.outputs[0][0], expected)
