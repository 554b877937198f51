"""Search space of the largest value of each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import argument
from search_spaces.nests import Nest, NestSpace, block, function, module
from search_spaces.windows import WindowPlan
from vrmpy_tune.intrin import hvx
from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import MaxPool2d

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload

TILES: Final = (4, 8)
"""Most rows and vectors in an unrolled body."""

LOOP_PACKETS: Final = 6
"""Packets that an unrolled body adds: addresses and the loop; read off generated code."""


@dataclass(frozen=True)
class MaxPoolSpace(NestSpace):
    """The largest of the inputs that the elements of the kernel meet, as a tree.

    Padding is never the largest.  Where rows are read in place, those beyond the border are
    replaced by their nearest neighbour, which is in the same window; else they are staged.
    """

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        pool = _pool(workload)
        plan = WindowPlan.of(pool)
        with function(pool) as builder:
            activations = argument("A", pool.operands[0].shape, pool.operands[0].numpy_type)
            output = argument("C", pool.output.shape, pool.output.numpy_type)
            rows, value = activations, _paired
            if _in_pixels(pool):
                value = _clamped
            elif not _in_pairs(pool):
                smallest = tvm.tirx.const(LIMITS[pool.dtype][0], "int32")
                rows, value = plan.stage(activations, smallest), _staged
            vectors = plan.output(output)
            with block(plan.nest(TILES), [rows], vectors) as axes:
                hvx.store(vectors, plan.place(axes), value(pool, plan, rows, axes))
            plan.crop(vectors, output)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        pool = _pool(workload)
        plan = WindowPlan.of(pool)
        in_place = _in_pixels(pool) or _in_pairs(pool)
        return (plan.nest(TILES), *plan.copies(*(("crop",) if in_place else ("stage", "crop"))))

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        pool = _pool(workload)
        plan = WindowPlan.of(pool)
        _, rows, _, columns = tile
        width = 2 * (columns + (pool.kw > 2)) if _in_pairs(pool) else columns * pool.kw
        loads = ((rows - 1) * pool.stride[0] + pool.kh) * width
        packets = max(loads, rows * columns * (pool.kh * pool.kw) / 3)
        bodies = plan.batch * plan.outputs[0] * plan.vectors / (rows * columns)
        return bodies * (packets + LOOP_PACKETS)


def _pool(workload: Workload) -> MaxPool2d:
    assert isinstance(workload, MaxPool2d)  # what ``applies`` accepts is one
    return workload


def _in_pixels(pool: MaxPool2d) -> bool:
    """Whether pixels are whole vectors, to be read in place."""
    return pool.c % VECTOR_BYTES == 0


def _in_pairs(pool: MaxPool2d) -> bool:
    """Whether two vectors of every row, in place, are the even and odd pixels of one output.

    Then the windows reach over an even pixel and its neighbours, or one of them.
    """
    plan = WindowPlan.of(pool)
    shape = (pool.kw, pool.pad[1], pool.stride[1])
    aligned = pool.w * pool.c % (2 * VECTOR_BYTES) == 0 and VECTOR_BYTES % pool.c == 0
    return (
        shape in ((3, 1, 2), (2, 0, 2))
        and aligned
        and plan.is_whole
        and 2 * plan.outputs[1] == pool.w
    )


def _largest(values: list[Any], pool: MaxPool2d) -> Any:
    name = "vmaxub" if pool.dtype == "u8" else "vmaxb"
    result, *others = values
    for other in others:
        result = hvx.call(name, result, other)
    return result


def _row(pool: MaxPool2d, b: Any, y: Any, element: int) -> Any:
    """Return where the row of an element of the kernel begins, the nearest one beyond a border."""
    row = y * pool.stride[0] + (element - pool.pad[0])
    return (b * pool.h + T.max(T.min(row, pool.h - 1), 0)) * (pool.w * pool.c)


def _staged(pool: MaxPool2d, plan: WindowPlan, rows: Any, axes: list[Any]) -> Any:
    return _largest(
        [
            _largest([plan.load(rows, axes, (row, column)) for row in range(pool.kh)], pool)
            for column in range(pool.kw)
        ],
        pool,
    )


def _clamped(pool: MaxPool2d, plan: WindowPlan, rows: Any, axes: list[Any]) -> Any:
    b, y, p, x = axes
    columns = []
    for element in range(pool.kw):
        column = x * pool.stride[1] + (element - pool.pad[1])
        at = T.max(T.min(column, pool.w - 1), 0) * pool.c + p * VECTOR_BYTES
        values = [hvx.load(rows, _row(pool, b, y, row) + at) for row in range(pool.kh)]
        columns.append(_largest(values, pool))
    return _largest(columns, pool)


def _paired(pool: MaxPool2d, plan: WindowPlan, rows: Any, axes: list[Any]) -> Any:
    b, y, _, j = axes

    def pixels(vector: Any) -> tuple[Any, Any]:
        """Return the largest of each column for even and odd pixels of two vectors."""
        first, second = (
            _largest(
                [
                    hvx.load(rows, _row(pool, b, y, row) + (vector * 2 + half) * VECTOR_BYTES)
                    for row in range(pool.kh)
                ],
                pool,
            )
            for half in range(2)
        )
        both = hvx.pair("vdealvdd", second, first, hvx.word(-pool.c))
        return hvx.low(both), hvx.high(both)

    even, odd = pixels(j)
    if pool.kw == 2:
        return _largest([even, odd], pool)
    border = hvx.splat_byte(hvx.word(LIMITS[pool.dtype][0]))
    before = tvm.tirx.Select(j > 0, pixels(T.max(j - 1, 0))[1], border)
    return _largest([hvx.align_left(odd, before, pool.c), even, odd], pool)


SPACES: Final = (MaxPoolSpace("max_pool2d", 1, "a tree of maxima over unrolled rows and vectors"),)
