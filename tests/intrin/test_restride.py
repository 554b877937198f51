"""The rule that moves the items of a row apart, or together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.device.simulated import qemu
from tests.toolchain.generated import GENERATORS, V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.intrin.registry import ensure
from vrmpy_tune.intrin.restride import Rows, restride
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.toolchain.codegen import CodeGenerator

LINES = 3
"""Rows, each copied by one application of the rule."""


def rows(count: int, sizes: tuple[int, int, int], dtype: str) -> Rows:
    length, source, target = sizes
    return Rows(count, length, source, target, LINES * count * source, "none", dtype, "global")


APART = [
    rows(count, (length, length, target), "uint8")
    for count, length, target in (
        (2, 3, 4), (7, 5, 8), (33, 7, 32), (3, 31, 32), (31, 33, 36), (5, 129, 256), (9, 70, 128),
        (3, 1100, 1152),
    )
]  # fmt: skip
TOGETHER = [
    rows(count, (length, 32, length), "int32") for count in (2, 3, 33) for length in (3, 7, 17, 31)
]
BYTES = [rows(count, (length, 32, length), "int8") for count in (2, 33) for length in (7, 31)]
WHOLE = [rows(count, (size, size, size), "uint8") for count, size in ((5, 64), (9, 32))]
"""Short enough for LLVM to unroll, with an item that begins exactly one vector behind the first."""
CASES = APART + TOGETHER + BYTES + WHOLE


def module(one: Rows) -> tvm.IRModule:
    """Return a kernel that copies :data:`LINES` rows."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        shapes = [(LINES, one.count, step) for step in (one.source, one.target)]
        source, target = (
            T.arg(name, T.buffer(shape, one.dtype, align=VECTOR_BYTES))
            for name, shape in zip("AB", shapes, strict=True)
        )
        with T.grid(LINES, one.count, one.target) as (y, x, c), T.sblock("copy"):
            line, item = T.axis.spatial(LINES, y), T.axis.spatial(one.count, x)
            element = T.axis.spatial(one.target, c)
            value: Any = source[line, item, element]
            if one.target > one.length:
                T.reads(source[line, item, 0 : one.length])
                T.writes(target[line, item, element])
                zero = tvm.tirx.const(0, one.dtype)
                value = T.if_then_else(element < one.length, value, zero)
            T.buffer_store(target, value, [line, item, element])
    schedule = Schedule(tvm.IRModule({"main": builder.get()}))
    schedule.tensorize(schedule.get_loops(schedule.get_sblock("copy"))[1], restride(one))
    return schedule.mod


@pytest.mark.device
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_every_element_arrives_and_the_rest_is_zero(one: Rows, generator: CodeGenerator) -> None:
    made = compiled(module(one), generator)
    specs = [TensorSpec((LINES, one.count, step), one.dtype) for step in (one.source, one.target)]
    bounds = np.iinfo(one.dtype)
    source = np.random.default_rng(1).integers(
        bounds.min, bounds.max, specs[0].shape, one.dtype, endpoint=True
    )
    job = Job(made.object_file, "main", (specs[0],), (specs[1],))
    result = qemu().run(job, ((source,),), V68, Limits())
    assert result.outcome is Outcome.OK, result.message
    expected = np.zeros(specs[1].shape, one.dtype)
    expected[..., : one.length] = source[..., : one.length]
    np.testing.assert_array_equal(result.outputs[0][0], expected)


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_a_rule_is_made_from_its_name(one: Rows) -> None:
    ensure(one.name)


@pytest.mark.parametrize("name", ("restride/3", "restride/3/x/4/4/12/none/uint8/global"))
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        ensure(name)
