"""The rule that adds up eight activations in one scalar instruction."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.device.simulated import qemu
from tests.toolchain.generated import GENERATORS, V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.intrin.scalar_sum import INTRINSICS, scalar_sum
from vrmpy_tune.intrin.table import SCOPES
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.codegen import CodeGenerator

ROWS: Final = 5
EIGHTS: Final = 33
SHAPE: Final = (ROWS, EIGHTS * 8)
MNEMONICS: Final = {"uint8": r"\+= vrmpybu\(", "int8": r"\+= vrmpybsu\("}

EACH_TYPE = pytest.mark.parametrize("dtype", INTRINSICS)


def module(dtype: str, scope: str) -> tvm.IRModule:
    """Return a kernel that adds up rows: two sums each, of elements 0-3 and 4-7 of every eight."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        source = T.arg("A", T.buffer(SHAPE, dtype, align=VECTOR_BYTES))
        output = T.arg("C", T.buffer((ROWS, 2), "int32", align=VECTOR_BYTES))
        staged = T.sblock_alloc_buffer(SHAPE, dtype, scope=scope, align=VECTOR_BYTES)
        sums = T.sblock_alloc_buffer((ROWS, 2), "int32", scope="local", align=VECTOR_BYTES)
        with T.grid(*SHAPE) as (r, c), T.sblock("copy"):
            index = [T.axis.spatial(ROWS, r), T.axis.spatial(SHAPE[1], c)]
            T.buffer_store(staged, source[tuple(index)], index)
        with T.grid(ROWS, EIGHTS, 2, 4) as (r, e, h, k), T.sblock("sum"):
            index = [T.axis.spatial(ROWS, r), T.axis.spatial(2, h)]
            ve, vk = T.axis.reduce(EIGHTS, e), T.axis.reduce(4, k)
            with T.init():
                T.buffer_store(sums, 0, index)
            value = staged[index[0], ve * 8 + index[1] * 4 + vk]
            T.buffer_store(sums, sums[tuple(index)] + T.cast(value, "int32"), index)
        with T.grid(ROWS, 2) as (r, h), T.sblock("store"):
            index = [T.axis.spatial(ROWS, r), T.axis.spatial(2, h)]
            T.buffer_store(output, sums[tuple(index)], index)
    schedule = Schedule(tvm.IRModule({"main": builder.get()}))
    block = schedule.get_sblock("sum")
    _, eights, half, _ = schedule.get_loops(block)
    schedule.decompose_reduction(block, eights)
    schedule.tensorize(half, scalar_sum(dtype, scope))
    return schedule.mod


def inputs(dtype: str) -> list[np.ndarray]:
    """Return random activations, mixed extremes, and all equal ones."""
    bounds = np.iinfo(dtype)
    generator = np.random.default_rng(3)
    ends = np.array([bounds.min, 0, 1, bounds.max], dtype)
    return [
        generator.integers(bounds.min, bounds.max, SHAPE, dtype, endpoint=True),
        generator.choice(ends, SHAPE),
        *(np.full(SHAPE, end, dtype) for end in ends),
    ]


@pytest.mark.device
@EACH_TYPE
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
def test_rows_are_added_up_exactly(dtype: str, scope: str, generator: CodeGenerator) -> None:
    made = compiled(module(dtype, scope), generator)
    assert re.search(MNEMONICS[dtype], made.assembly)
    specs = (TensorSpec(SHAPE, dtype),), (TensorSpec((ROWS, 2), "int32"),)
    sets: Any = tuple((one,) for one in inputs(dtype))
    result = qemu().run(Job(made.object_file, "main", *specs), sets, V68, Limits())
    assert result.outcome is Outcome.OK, result.message
    for (one,), (output,) in zip(sets, result.outputs, strict=True):
        expected = one.astype(np.int32).reshape(ROWS, EIGHTS, 2, 4).sum((1, 3))
        np.testing.assert_array_equal(output, expected)


@EACH_TYPE
def test_eight_activations_cost_one_load_and_one_instruction(dtype: str) -> None:
    assembly = compiled(module(dtype, "global")).assembly
    assert len(re.findall(r"= memd\(", assembly)) >= 1
    assert len(re.findall(r"\bvrmpyb", assembly)) == len(re.findall(MNEMONICS[dtype], assembly))


def test_a_type_that_has_no_such_instruction_is_refused() -> None:
    with pytest.raises(KeyError):
        scalar_sum("int16")
