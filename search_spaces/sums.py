"""Sums of activations under each window, which stored weights need that exceed the true ones.

That is so where signed weights are stored as ``weight + 128``, and where they have a zero point.

Each pixel's activations are added up once, whatever the number of output channels, and windows are
formed from those sums.  Where vectors hold whole pixels (32 or 64 channels), or pixels are at least
as long as a vector, 32 pixels are added up at a time; elsewhere each by scalar instructions.

Blocks: ``sum_words`` (and ``sum_lanes``) within a pixel, ``sum_pixels`` scaled by that excess, and
``sum_windows`` where the kernel covers more than one pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, reduce, spatial
from search_spaces.rows import parts_of
from vrmpy_tune.intrin.lane_sum import add_pixel, lane_sum, pixel_sum, word_sum
from vrmpy_tune.intrin.scalar_sum import scalar_sum
from vrmpy_tune.layout import round_up
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES
from vrmpy_tune.workload import ceildiv

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from search_spaces.geometry import Geometry

SCALAR_BYTES: Final = 8
"""Activations that one scalar instruction adds up."""


@dataclass(frozen=True)
class _Grid:
    """The pixels whose activations are added up.

    Attributes
    ----------
    rows:
        Batch, groups, height and width.
    reach:
        Width of the buffer of sums: whole vectors, and what windows reach beyond.  What is in the
        surplus does not matter; only windows that nobody reads are formed from it.
    step:
        Input pixels between neighbours, down and across.
    in_vector:
        Pixels that a vector of activations holds (1 for many vectors); 0 if they are added up by
        scalar instructions.
    """

    rows: tuple[int, int, int, int]
    reach: int
    step: tuple[int, int]
    in_vector: int

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self.rows[3]

    @property
    def surplus(self) -> int:
        """Vectors at the end of each row of sums that are not all sums of pixels."""
        whole = self.in_vector and self.in_vector < LANES
        return 0 if whole else (self.reach - self.width // LANES * LANES) // LANES

    @staticmethod
    def of(geometry: Geometry) -> _Grid:
        """Take only the pixels that are used where windows are single pixels, else all."""
        if geometry.kernel == (1, 1):
            height, width, step = geometry.height, geometry.width, geometry.stride
            reach = width
        else:
            height, width, step = geometry.input_height, geometry.input_width, (1, 1)
            reach = max(width, _positions(geometry) + _overlap(geometry))
        in_vector = _pixels_in_vector(geometry, width, step)
        if in_vector or geometry.kernel != (1, 1):
            reach = round_up(reach, LANES)
        return _Grid((geometry.batch, geometry.groups, height, width), reach, step, in_vector)


def _pixels_in_vector(geometry: Geometry, width: int, step: tuple[int, int]) -> int:
    if geometry.pitch % VECTOR_BYTES == 0 or _ends_in_part(geometry):
        return 1
    if geometry.groups > 1 or step != (1, 1):
        return 0
    # Not words == 1: the words of pixels that were moved apart may lie 32 bytes apart.
    if geometry.pitch == REDUCE and width >= LANES:
        # Of joined rows, no vector may hold the end of one and the beginning of the next.
        rows = geometry.line == width or geometry.line % LANES == 0
        in_place = geometry.depth == REDUCE and not geometry.channels_first and rows
        return LANES if geometry.is_staged or in_place else 0
    pixels = VECTOR_BYTES // geometry.pitch
    fits = geometry.pitch in (32, 64) and width % pixels == 0 and geometry.line % pixels == 0
    return pixels if fits and not geometry.channels_first else 0


def _ends_in_part(geometry: Geometry) -> bool:
    """Whether pixels are some vectors and a part of one, which is read with what is before it."""
    plain = geometry.groups == 1 and not geometry.channels_first
    return plain and geometry.pitch > VECTOR_BYTES and geometry.pitch % VECTOR_BYTES != 0


def _overlap(geometry: Geometry) -> int:
    """Return the columns that a window reaches beyond its first."""
    return (geometry.kernel[1] - 1) * geometry.dilation[1]


def _positions(geometry: Geometry) -> int:
    """Return the columns at which windows begin, every one of them, in whole vectors."""
    return round_up((geometry.width - 1) * geometry.stride[1] + 1, LANES)


def sum_windows(geometry: Geometry, read: Any) -> Any:
    """Write the blocks; return how to read the scaled sum under an output pixel's window.

    Windows are formed at every column, also where only every other one is used: neighbours lie in
    one vector then.  Down and across are two steps.
    """
    grid = _Grid.of(geometry)
    batch, groups, height, _ = grid.rows
    pixels = allocate("pixels", (batch, groups, height, grid.reach), "int32")
    if grid.surplus:
        _clear_surplus(grid, pixels)
    if grid.in_vector == LANES:
        _sum_single_words(geometry, grid, read, pixels)
    elif grid.in_vector:
        _sum_vectors(geometry, grid, read, pixels)
    else:
        _sum_scalars(geometry, grid, read, pixels)
    if geometry.kernel == (1, 1):
        return lambda b, y, x, g: pixels[b, g, y, x]
    shape = (batch, groups, geometry.height, grid.reach)
    columns = allocate("columns", shape, "int32")
    down, across = geometry.stride[0], geometry.stride[1]
    with T.grid(*shape, geometry.kernel[0]) as loops, T.sblock("sum_columns"):
        b, g, y, x = spatial(shape, loops[:4])
        (dy,) = reduce(geometry.kernel[:1], loops[4:])
        with T.init():
            T.buffer_store(columns, 0, [b, g, y, x])
        value = pixels[b, g, y * down + dy * geometry.dilation[0], x]
        T.buffer_store(columns, columns[b, g, y, x] + value, [b, g, y, x])
    shape = (batch, groups, geometry.height, _positions(geometry))
    windows = allocate("windows", shape, "int32")
    with T.grid(*shape, geometry.kernel[1]) as loops, T.sblock("sum_windows"):
        b, g, y, x = spatial(shape, loops[:4])
        (dx,) = reduce(geometry.kernel[1:], loops[4:])
        with T.init():
            T.buffer_store(windows, 0, [b, g, y, x])
        value = columns[b, g, y, x + dx * geometry.dilation[1]]
        T.buffer_store(windows, windows[b, g, y, x] + value, [b, g, y, x])
    return lambda b, y, x, g: windows[b, g, y, x * across]


def _clear_surplus(grid: _Grid, pixels: Any) -> None:
    """Give the surplus a value: TVM moves no block that reads what was never written."""
    extents = (*grid.rows[:3], grid.surplus, LANES)
    with T.grid(*extents) as loops, T.sblock("clear_surplus"):
        b, g, y, v, lane = spatial(extents, loops)
        first = grid.width // LANES * LANES
        T.buffer_store(pixels, 0, [b, g, y, first + v * LANES + lane])


def _single_word_parts(grid: _Grid) -> list[tuple[str, int, int]]:
    """Return suffix, vectors and first pixel of the parts of a row of pixels of one word each.

    The last vector of a row ends with it, and overlaps the one before.
    """
    parts = [("", grid.width // LANES, 0)]
    return parts + ([("_end", 1, grid.width - LANES)] if grid.width % LANES else [])


def _sum_single_words(geometry: Geometry, grid: _Grid, read: Any, pixels: Any) -> None:
    for suffix, vectors, first in _single_word_parts(grid):
        rows = (*grid.rows[:3], vectors, LANES)
        words = allocate(f"words{suffix}", rows, "int32", "local")
        with T.grid(*rows, 1, REDUCE) as loops, T.sblock(f"sum_words{suffix}"):
            b, g, y, v, lane = spatial(rows, loops[:5])
            _, byte = reduce((1, REDUCE), loops[5:])
            index = [b, g, y, v, lane]
            with T.init():
                T.buffer_store(words, 0, index)
            value = read(b, y, first + v * LANES + lane, g, byte)
            T.buffer_store(words, words[tuple(index)] + T.cast(value, "int32"), index)
        with T.grid(*rows) as loops, T.sblock(f"sum_pixels{suffix}"):
            b, g, y, v, lane = spatial(rows, loops)
            value = words[b, g, y, v, lane] * geometry.window_factor
            T.buffer_store(pixels, value, [b, g, y, first + v * LANES + lane])


def _sum_vectors(geometry: Geometry, grid: _Grid, read: Any, pixels: Any) -> None:
    in_vector = grid.in_vector
    each, vectors = LANES // in_vector, ceildiv(geometry.pitch, VECTOR_BYTES)
    batch, groups, height, _ = grid.rows
    rows = (batch, groups, height, grid.reach // in_vector)
    words = allocate("words", (*rows, LANES), "int32", "local")
    extents = (*rows, LANES, vectors, REDUCE)
    with T.grid(*extents) as loops, T.sblock("sum_words"):
        b, g, y, v, lane = spatial(extents[:5], loops[:5])
        vector, byte = reduce(extents[5:], loops[5:])
        index = [b, g, y, v, lane]
        with T.init():
            T.buffer_store(words, 0, index)
        if grid.reach > grid.width:
            v = T.min(v, grid.width // in_vector - 1)
        column = v if in_vector == 1 else v * in_vector + lane // each
        row, column = y * grid.step[0], column * grid.step[1]
        if _ends_in_part(geometry):
            pixel = read(b, row, column, g, 0)
            add_pixel(words, index, pixel, geometry.pitch, (vector, lane, byte))
        else:
            channel = vector * VECTOR_BYTES + lane % each * REDUCE + byte
            value = read(b, row, column, g, channel)
            T.buffer_store(words, words[tuple(index)] + T.cast(value, "int32"), index)
    outer = (batch, groups, height, grid.reach)
    lanes = allocate("lanes", outer, "int32", "local")
    with T.grid(*outer, each) as loops, T.sblock("sum_lanes"):
        b, g, y, x = spatial(outer, loops[:4])
        (word,) = reduce((each,), loops[4:])
        with T.init():
            T.buffer_store(lanes, 0, [b, g, y, x])
        value = words[b, g, y, x // in_vector, x % in_vector * each + word]
        T.buffer_store(lanes, lanes[b, g, y, x] + value, [b, g, y, x])
    with T.grid(*outer) as loops, T.sblock("sum_pixels"):
        b, g, y, x = spatial(outer, loops)
        T.buffer_store(pixels, lanes[b, g, y, x] * geometry.window_factor, [b, g, y, x])


def _sum_scalars(geometry: Geometry, grid: _Grid, read: Any, pixels: Any) -> None:
    depth = geometry.words * REDUCE
    halves = 2 if depth % SCALAR_BYTES == 0 else 1
    each = REDUCE if halves == 2 else depth
    words = allocate("words", (*grid.rows, halves), "int32", "local")
    extents = (*grid.rows, halves, depth // (halves * each), each)
    with T.grid(*extents) as loops, T.sblock("sum_words"):
        b, g, y, x, half = spatial(extents[:5], loops[:5])
        ko, ki = reduce(extents[5:], loops[5:])
        index = [b, g, y, x, half]
        with T.init():
            T.buffer_store(words, 0, index)
        row, column = y * grid.step[0], x * grid.step[1]
        value = read(b, row, column, g, ko * halves * each + half * each + ki)
        T.buffer_store(words, words[tuple(index)] + T.cast(value, "int32"), index)
    with T.grid(*grid.rows) as loops, T.sblock("sum_pixels"):
        b, g, y, x = spatial(grid.rows, loops)
        value = words[b, g, y, x, 0]
        if halves == 2:
            value = value + words[b, g, y, x, 1]
        T.buffer_store(pixels, value * geometry.window_factor, [b, g, y, x])


def schedule_sums(sch: Schedule, geometry: Geometry, scope: str, contexts: int) -> None:
    """Schedule the blocks of :func:`sum_windows`; activations are in memory ``scope``."""
    grid = _Grid.of(geometry)
    in_vector = grid.in_vector
    if grid.surplus:
        b, g, y, _, lane = sch.get_loops(sch.get_sblock("clear_surplus"))
        sch.parallel(sch.fuse(b, g, y))
        sch.vectorize(lane)
    if in_vector == LANES:
        _schedule_single_words(sch, geometry, grid, scope)
    elif in_vector:
        _schedule_vectors(sch, geometry, grid, scope, contexts)
    else:
        _schedule_scalars(sch, geometry, grid, scope, contexts)
    if geometry.kernel != (1, 1):
        _schedule_windows(sch)


def _schedule_single_words(sch: Schedule, geometry: Geometry, grid: _Grid, scope: str) -> None:
    group = (1,) if geometry.is_staged else ()
    summed = word_sum(geometry.lhs, scope, (LANES, *group, REDUCE), aligned=False)
    for suffix, _, _ in _single_word_parts(grid):
        pixels, words = sch.get_sblock(f"sum_pixels{suffix}"), sch.get_sblock(f"sum_words{suffix}")
        b, g, y, v, lane = sch.get_loops(pixels)
        sch.parallel(sch.fuse(b, g, y))
        sch.compute_at(words, v, preserve_unit_loops=True)
        sch.vectorize(lane)
        lane, vector, byte = sch.get_loops(words)[-3:]
        sch.reorder(vector, lane, byte)
        init = sch.decompose_reduction(words, vector)
        sch.vectorize(sch.get_loops(init)[-1])
        sch.tensorize(lane, summed)


def _schedule_vectors(
    sch: Schedule, geometry: Geometry, grid: _Grid, scope: str, contexts: int
) -> None:
    in_vector = grid.in_vector
    pixels, words = sch.get_sblock("sum_pixels"), sch.get_sblock("sum_words")
    lanes = sch.get_sblock("sum_lanes")
    b, g, y, x = sch.get_loops(pixels)
    tile, lane = sch.split(x, [None, LANES])
    tile = _in_parallel(sch, grid, (b, g, y), (tile, grid.reach // LANES), contexts)
    sch.compute_at(lanes, tile, preserve_unit_loops=True)
    sch.compute_at(words, tile, preserve_unit_loops=True)
    sch.vectorize(lane)
    pixel, word = sch.get_loops(lanes)[-2:]
    init = sch.decompose_reduction(lanes, pixel)
    sch.vectorize(sch.get_loops(init)[-1])
    sch.tensorize(pixel, lane_sum(in_vector))
    pixel, word, vector, byte = sch.get_loops(words)[-4:]
    sch.unroll(pixel)
    sch.reorder(pixel, vector, word, byte)
    init = sch.decompose_reduction(words, vector)
    sch.vectorize(sch.get_loops(init)[-1])
    if _ends_in_part(geometry):
        sch.tensorize(vector, pixel_sum(geometry.lhs, scope, geometry.pitch))
        return
    shape: tuple[int, ...] = (VECTOR_BYTES,)
    if in_vector > 1:
        group = (1,) if geometry.is_staged else ()
        shape = (in_vector, *group, geometry.pitch)
    sch.tensorize(word, word_sum(geometry.lhs, scope, shape, aligned=True))


def _schedule_scalars(
    sch: Schedule, geometry: Geometry, grid: _Grid, scope: str, contexts: int
) -> None:
    pixels, words = sch.get_sblock("sum_pixels"), sch.get_sblock("sum_words")
    b, g, y, x = sch.get_loops(pixels)
    x = _in_parallel(sch, grid, (b, g, y), (x, grid.width), contexts)
    sch.compute_at(words, x, preserve_unit_loops=True)
    half, outer, inner = sch.get_loops(words)[-3:]
    sch.reorder(outer, half, inner)
    sch.decompose_reduction(words, outer)
    if geometry.words * REDUCE % SCALAR_BYTES == 0:
        sch.tensorize(half, scalar_sum(geometry.lhs, scope))


def _in_parallel(
    sch: Schedule, grid: _Grid, rows: tuple[Any, ...], inner: tuple[Any, int], contexts: int
) -> Any:
    """Run rows in parallel, or parts of a single one; return the loop inside.

    Parameters
    ----------
    rows:
        The loops over rows.
    inner:
        The loop inside them, and its extent.
    contexts:
        HVX contexts of the target.
    """
    loop, extent = inner
    parts = parts_of(extent, contexts) if math.prod(grid.rows[:3]) == 1 else 1
    if parts == 1:
        sch.parallel(sch.fuse(*rows))
        return loop
    part, loop = sch.split(loop, [parts, None])
    sch.parallel(sch.fuse(*rows, part))
    return loop


def _schedule_windows(sch: Schedule) -> None:
    # Not one inside the other: TVM would compute no more columns than are read, in broken vectors.
    for name in ("sum_columns", "sum_windows"):
        block = sch.get_sblock(name)
        b, g, y, x, step = sch.get_loops(block)
        sch.parallel(sch.fuse(b, g, y))
        _schedule_steps(sch, block, x, step)


def _schedule_steps(sch: Schedule, block: Any, x: Any, step: Any) -> None:
    """Add up vectors of neighbours, step by step."""
    outer, lanes = sch.split(x, [None, LANES])
    sch.reorder(outer, step, lanes)
    sch.vectorize(lanes)
    sch.unroll(step)
    sch.decompose_reduction(block, step)
