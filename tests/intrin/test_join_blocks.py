"""The rule that joins blocks of bytes into the channels of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.device.simulated import qemu
from tests.toolchain.generated import GENERATORS, V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.intrin.join_blocks import Blocks, join_blocks
from vrmpy_tune.intrin.registry import ensure
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.toolchain.codegen import CodeGenerator

LINES = 3
"""Rows, each joined by one application of the rule."""


def columns(count: int) -> int:
    """Return the pixels of a row of blocks: whole vectors of them."""
    return -(-count // 4) * 4


def joined(count: int, channels: int, piece: int) -> Blocks:
    apart = columns(count) * piece
    blocks = -(-channels // piece)
    return Blocks(count, channels, piece, apart, LINES * blocks * apart, "uint8")


CASES = [
    joined(count, channels, piece)
    for count in (2, 3, 7, 33)
    for channels, piece in ((33, 32), (96, 32), (129, 64), (161, 32), (192, 64), (640, 64))
]


def module(one: Blocks) -> tvm.IRModule:
    """Return a kernel that joins :data:`LINES` rows."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        shapes = (source_shape(one), (LINES, one.count, one.channels))
        source, target = (
            T.arg(name, T.buffer(shape, one.dtype, align=VECTOR_BYTES))
            for name, shape in zip("AB", shapes, strict=True)
        )
        with T.grid(LINES, one.count, one.channels) as (y, x, c), T.sblock("copy"):
            line, pixel = T.axis.spatial(LINES, y), T.axis.spatial(one.count, x)
            channel = T.axis.spatial(one.channels, c)
            value = source[line, channel // one.piece, pixel, channel % one.piece]
            T.buffer_store(target, value, [line, pixel, channel])
    schedule = Schedule(tvm.IRModule({"main": builder.get()}))
    schedule.tensorize(schedule.get_loops(schedule.get_sblock("copy"))[1], join_blocks(one))
    return schedule.mod


def source_shape(one: Blocks) -> tuple[int, ...]:
    return (LINES, one.blocks, columns(one.count), one.piece)


@pytest.mark.device
@pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_every_byte_is_where_its_channel_is(one: Blocks, generator: CodeGenerator) -> None:
    made = compiled(module(one), generator)
    specs = (
        TensorSpec(source_shape(one), one.dtype),
        TensorSpec((LINES, one.count, one.channels), one.dtype),
    )
    source = np.random.default_rng(1).integers(0, 256, source_shape(one), np.uint8)
    job = Job(made.object_file, "main", specs[:1], specs[1:])
    result = qemu().run(job, ((source,),), V68, Limits())
    assert result.outcome is Outcome.OK, result.message
    pixels = source.transpose(0, 2, 1, 3).reshape(LINES, columns(one.count), -1)
    np.testing.assert_array_equal(result.outputs[0][0], pixels[:, : one.count, : one.channels])


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_a_rule_is_made_from_its_name(one: Blocks) -> None:
    ensure(one.name)


def test_a_malformed_name_is_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        ensure("join_blocks/3/x/32/128/12/uint8")
