"""Search spaces of the requantized averages: of windows, and of all pixels.

Four values of a channel are added up by three instructions for every 64 channels: two sums of
pairs in halfwords, and their sum into words, which cannot overflow whatever the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, argument, reduce, spatial
from search_spaces.nests import Nest, NestSpace, block, function, module, tile_nest, whole
from search_spaces.space import Tiling
from search_spaces.windows import WindowPlan
from vrmpy_tune.intrin import hvx
from vrmpy_tune.workload import AvgPool2d, GlobalAvgPool2d

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

TILES: Final = (2, 4)
"""Most rows and vectors in an unrolled body."""

GROUP: Final = 4
"""Values that are added up at once."""

MAX_GROUPS: Final = 12
"""Most groups of pixels in an unrolled body of the global average."""

LOOP_PACKETS: Final = 6
"""Packets that an unrolled body adds: addresses and the loop; read off generated code."""

EPILOGUE_PACKETS: Final = 13
"""Packets that requantize 128 sums; read off generated code."""

SIGN_BIT: Final = 128


@dataclass(frozen=True)
class AvgPoolSpace(NestSpace):
    """Sums of windows in registers, requantized behind them."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        pool = _avg(workload)
        plan = _plan(pool)
        with function(pool) as builder:
            activations, multiplier, average = (
                argument(one.name, one.shape, one.numpy_type) for one in pool.operands
            )
            output = argument("output", pool.output.shape, pool.output.numpy_type)
            rows = plan.stage(activations, average[0], (average,))
            vectors = plan.output(output)
            with block(plan.nest(TILES), [rows, multiplier, average], vectors) as axes:
                values = [
                    plan.load(rows, axes, (row, column))
                    for row in range(pool.kh)
                    for column in range(pool.kw)
                ]
                start = _start(pool.kh * pool.kw, average, pool.dtype)
                totals = _accumulated(values, start, pool.dtype)
                words = [half(total) for total in totals for half in (hvx.low, hvx.high)]
                factor = multiplier[0 if pool.include_pad else _inside(pool, axes) - 1]
                result = _requantized(words, factor, average, pool.output.numpy_type)
                hvx.store(vectors, plan.place(axes), result)
            plan.crop(vectors, output)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        plan = _plan(_avg(workload))
        return (plan.nest(TILES), *plan.copies("stage", "crop"))

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        pool = _avg(workload)
        plan = _plan(pool)
        outputs = tile[1] * tile[3]
        loads = ((tile[1] - 1) * pool.stride[0] + pool.kh) * pool.kw * tile[3]
        body = max(loads, outputs * pool.kh * pool.kw) + outputs * EPILOGUE_PACKETS + LOOP_PACKETS
        bodies = plan.batch * plan.outputs[0] * plan.vectors / outputs
        return bodies * body + plan.copied_vectors


@dataclass(frozen=True)
class GlobalAvgPoolSpace(NestSpace):
    """Sums of all pixels in registers, a vector of channels at a time, requantized behind them."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return tvm.IRModule({"main": _GlobalProgram(_global(workload)).function()})

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        program = _GlobalProgram(_global(workload))
        copies = (*program.pixels.copies("stage"), *program.channels.copies("crop"))
        return (program.nest, *copies)

    def schedule(self, sch: Schedule, workload: Workload) -> None:
        """Keep the sums of a vector of channels in registers while it runs over the pixels."""
        first, *copies = self.nests(workload)
        for nest in copies:
            tile_nest(sch, nest)
        sums = sch.get_sblock("sums")
        b, v, group = sch.get_loops(sums)
        tile = sch.sample_perfect_tile(group, n=2, max_innermost_factor=first.tiles[-1])
        outer, inner = sch.split(group, tile)
        vector = sch.fuse(b, v)
        sch.parallel(vector)
        sch.reverse_compute_at(sch.get_sblock("average"), vector, preserve_unit_loops=True)
        sch.decompose_reduction(sums, outer)
        sch.unroll(inner)

    def tilings(  # noqa: D102
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> tuple[Tiling, ...] | None:
        first, *copies = self.nests(workload)
        groups = Tiling(first.extents[-1], 2, first.tiles[-1])
        return (*(one for nest in copies for one in nest.tilings), groups)

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        pool = _global(workload)
        program = _GlobalProgram(pool)
        groups = program.nest.extents[-1]
        body = GROUP * tile[-1] + LOOP_PACKETS / 2
        vectors = pool.n * program.channels.period
        copied = program.pixels.copied_vectors
        return vectors * (groups / tile[-1] * body + EPILOGUE_PACKETS + LOOP_PACKETS) + copied


class _GlobalProgram:
    def __init__(self, pool: GlobalAvgPool2d) -> None:
        self.pool, self.count = pool, pool.h * pool.w
        one = ((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), True)
        self.pixels = WindowPlan(pool.n, 1, self.count, pool.c, (1, self.count), *one)
        self.channels = WindowPlan(pool.n, 1, 1, pool.c, (1, 1), *one)
        self.groups = max(1, self.count // GROUP)
        self.whole = min(self.groups * GROUP, self.count)
        self.nest = Nest(
            "sums", (pool.n, self.channels.period, self.groups), (1, 1, MAX_GROUPS), parallel=2
        )

    def function(self) -> tvm.tirx.PrimFunc:
        pool = self.pool
        with function(pool) as builder:
            activations, multiplier, average = (
                argument(one.name, one.shape, one.numpy_type) for one in pool.operands
            )
            output = argument("output", pool.output.shape, pool.output.numpy_type)
            self.rows = self.pixels.stage(activations, hvx.word(0))
            vectors = self.channels.output(output)
            shape = (pool.n, self.channels.period)
            # Of vectors, not of a lane dimension, so that TVM can move their reader.
            sums = [allocate(name, shape, hvx.PAIR, "local") for name in ("even", "odd")]
            self._sum(sums, average)
            with T.grid(*shape) as loops, T.sblock("average"):
                b, v = spatial(shape, loops)
                T.reads(*(one[b, v] for one in sums), whole(multiplier), whole(average))
                T.writes(whole(vectors))
                words = [half(one[b, v]) for one in sums for half in (hvx.low, hvx.high)]
                result = _requantized(words, multiplier[0], average, pool.output.numpy_type)
                hvx.store(vectors, self.channels.place([b, 0, v, 0]), result)
            self.channels.crop(vectors, output)
        return builder.get()

    def _load(self, b: Any, v: Any, pixel: Any) -> Any:
        return self.pixels.load(self.rows, [b, 0, v, pixel], (0, 0))

    def _sum(self, sums: list[Any], average: Any) -> None:
        dtype = self.pool.dtype
        with T.grid(*self.nest.extents) as loops, T.sblock("sums"):
            b, v = spatial(self.nest.extents[:2], loops[:2])
            (group,) = reduce(self.nest.extents[2:], loops[2:])
            T.reads(whole(self.rows))
            T.writes(*(one[b, v] for one in sums))
            with T.init():
                # What fills no group is where the sums begin.
                rest = [self._load(b, v, one) for one in range(self.whole, self.count)]
                totals = _accumulated(rest, _start(self.count, average, dtype), dtype)
                for one, total in zip(sums, totals, strict=True):
                    T.buffer_store(one, total, [b, v])
            values = [
                self._load(b, v, group * GROUP + one) for one in range(min(GROUP, self.count))
            ]
            totals = _accumulated(values, [one[b, v] for one in sums], dtype)
            for one, total in zip(sums, totals, strict=True):
                T.buffer_store(one, total, [b, v])


def _avg(workload: Workload) -> AvgPool2d:
    assert isinstance(workload, AvgPool2d)  # what ``applies`` accepts is one
    return workload


def _global(workload: Workload) -> GlobalAvgPool2d:
    assert isinstance(workload, GlobalAvgPool2d)  # what ``applies`` accepts is one
    return workload


def _plan(pool: AvgPool2d) -> WindowPlan:
    """Plan the windows; where their numbers of values differ, so do the factors of pixels."""
    return WindowPlan.of(pool, whole_pixels=not pool.include_pad)


def _inside(pool: AvgPool2d, axes: list[Any]) -> Any:
    """Return how many values of the input are in the window of a pixel."""
    counts = []
    for axis, at in enumerate((axes[1], axes[3])):
        first = at * pool.stride[axis] - pool.pad[axis]
        last = T.min(first + (pool.kh, pool.kw)[axis], (pool.h, pool.w)[axis])
        counts.append(last - T.max(first, 0))
    return counts[0] * counts[1]


def _start(count: int, average: Any, dtype: str) -> list[Any]:
    """Return what sums of bytes without a sign begin with: the zero points of ``count`` values."""
    zero_points = average[0] * (-count)
    first = hvx.splat(zero_points - SIGN_BIT * count if dtype == "i8" else zero_points)
    return [hvx.pair("vcombine", first, first)] * 2


def _accumulated(values: list[Any], totals: list[Any], dtype: str) -> list[Any]:
    """Add bytes to two pairs of words: those of even elements, those of odd ones."""
    zero = hvx.splat(hvx.word(0))
    if dtype == "i8":
        # Bytes with a sign, moved up by 128: their sums need no other instructions.
        values = [hvx.call("vxor", one, hvx.splat_byte(hvx.word(SIGN_BIT))) for one in values]
    for index in range(0, len(values), GROUP):
        own = values[index : index + GROUP]
        own += [zero] * (GROUP - len(own))
        front, back = hvx.pair("vaddubh", own[0], own[1]), hvx.pair("vaddubh", own[2], own[3])
        totals = [
            hvx.pair("vadduhw.acc", total, half(front), half(back))
            for total, half in zip(totals, (hvx.low, hvx.high), strict=True)
        ]
    return totals


def _requantized(words: list[Any], factor: Any, average: Any, dtype: str) -> Any:
    scaled = [hvx.high_half(one, hvx.splat(factor)) for one in words]
    result = hvx.narrowed_words(scaled, average[1], average[2], dtype)
    return hvx.clamped(result, (average[3], average[4]), "clip", dtype)


SPACES: Final = (
    AvgPoolSpace("avg_pool2d", 1, "sums of windows in registers; unrolled rows and vectors"),
    GlobalAvgPoolSpace("global_avg_pool2d", 1, "sums of pixels in registers, unrolled by fours"),
)
