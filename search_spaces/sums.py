"""Sums of activations under each window, which stored weights need that exceed the true ones.

That is so where signed weights are stored as ``weight + 128``, and where they have a zero point.

Each pixel's activations are added up once, whatever the number of output channels, and windows are
formed from those sums.  Where vectors hold whole pixels, or pixels whole vectors (32, 64, or a
multiple of 128 channels), 32 pixels are added up at a time; elsewhere each by scalar instructions.

Blocks: ``sum_words`` (and ``sum_lanes``) within a pixel, ``sum_pixels`` scaled by that excess, and
``sum_windows`` where the kernel covers more than one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, reduce, spatial
from vrmpy_tune.intrin.lane_sum import lane_sum, word_sum
from vrmpy_tune.intrin.scalar_sum import scalar_sum
from vrmpy_tune.layout import round_up
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

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
        Batch, groups, height and width, the width with the surplus that vectors need.
    width:
        Width without it.
    step:
        Input pixels between neighbours, down and across.
    """

    rows: tuple[int, int, int, int]
    width: int
    step: tuple[int, int]

    @staticmethod
    def of(geometry: Geometry) -> _Grid:
        """Take only the pixels that are used where windows are single pixels, else all."""
        if geometry.kernel == (1, 1):
            height, width, step = geometry.height, geometry.width, geometry.stride
        else:
            height, width, step = geometry.input_height, geometry.input_width, (1, 1)
        reach = width
        if windows_are_vectors(geometry):
            overlap = (geometry.kernel[1] - 1) * geometry.dilation[1]
            reach = max(reach, round_up(geometry.width, LANES) + overlap)
        if _pixels_in_vector(geometry, width, step):
            reach = round_up(reach, LANES)
        return _Grid((geometry.batch, geometry.groups, height, reach), width, step)


def _pixels_in_vector(geometry: Geometry, width: int, step: tuple[int, int]) -> int:
    """Return how many pixels a vector of activations holds (1 for many vectors); 0 if unfit."""
    if geometry.depth % VECTOR_BYTES == 0:
        return 1
    pixels = VECTOR_BYTES // geometry.depth
    fits = geometry.depth in (32, 64) and geometry.groups == 1 and step == (1, 1)
    fits = fits and width % pixels == 0 and geometry.line % pixels == 0
    return pixels if fits and not geometry.channels_first else 0


def windows_are_vectors(geometry: Geometry) -> bool:
    """Whether windows are formed for 32 neighbouring pixels at once."""
    return geometry.kernel != (1, 1) and geometry.stride[1] == 1


def sum_windows(geometry: Geometry, read: Any) -> Any:
    """Write the blocks; return how to read the scaled sum under an output pixel's window."""
    grid = _Grid.of(geometry)
    pixels = allocate("pixels", grid.rows, "int32")
    if _pixels_in_vector(geometry, grid.width, grid.step):
        _sum_vectors(geometry, grid, read, pixels)
    else:
        _sum_scalars(geometry, grid, read, pixels)
    if geometry.kernel == (1, 1):
        return lambda b, y, x, g: pixels[b, g, y, x]
    (stride_h, stride_w), (dilation_h, dilation_w) = geometry.stride, geometry.dilation
    width = round_up(geometry.width, LANES) if windows_are_vectors(geometry) else geometry.width
    shape = (geometry.batch, geometry.groups, geometry.height, width)
    windows = allocate("windows", shape, "int32")
    with T.grid(*shape, *geometry.kernel) as loops, T.sblock("sum_windows"):
        b, g, y, x = spatial(shape, loops[:4])
        dy, dx = reduce(geometry.kernel, loops[4:])
        with T.init():
            T.buffer_store(windows, 0, [b, g, y, x])
        value = pixels[b, g, y * stride_h + dy * dilation_h, x * stride_w + dx * dilation_w]
        T.buffer_store(windows, windows[b, g, y, x] + value, [b, g, y, x])
    return lambda b, y, x, g: windows[b, g, y, x]


def _position(grid: _Grid, y: Any, x: Any) -> tuple[Any, Any]:
    """Return the input pixel of a grid position; the surplus repeats the last column."""
    if grid.rows[3] > grid.width:
        x = T.min(x, grid.width - 1)
    return y * grid.step[0], x * grid.step[1]


def _sum_vectors(geometry: Geometry, grid: _Grid, read: Any, pixels: Any) -> None:
    in_vector = _pixels_in_vector(geometry, grid.width, grid.step)
    each, vectors = LANES // in_vector, max(1, geometry.depth // VECTOR_BYTES)
    batch, groups, height, width = grid.rows
    rows = (batch, groups, height, width // in_vector)
    words = allocate("words", (*rows, LANES), "int32", "local")
    extents = (*rows, LANES, vectors, REDUCE)
    with T.grid(*extents) as loops, T.sblock("sum_words"):
        b, g, y, v, lane = spatial(extents[:5], loops[:5])
        vector, byte = reduce(extents[5:], loops[5:])
        index = [b, g, y, v, lane]
        with T.init():
            T.buffer_store(words, 0, index)
        if width > grid.width:
            v = T.min(v, grid.width // in_vector - 1)
        column = v if in_vector == 1 else v * in_vector + lane // each
        channel = vector * VECTOR_BYTES + lane % each * REDUCE + byte
        value = read(b, y * grid.step[0], column * grid.step[1], g, channel)
        T.buffer_store(words, words[tuple(index)] + T.cast(value, "int32"), index)
    lanes = allocate("lanes", grid.rows, "int32", "local")
    with T.grid(*grid.rows, each) as loops, T.sblock("sum_lanes"):
        b, g, y, x = spatial(grid.rows, loops[:4])
        (word,) = reduce((each,), loops[4:])
        with T.init():
            T.buffer_store(lanes, 0, [b, g, y, x])
        value = words[b, g, y, x // in_vector, x % in_vector * each + word]
        T.buffer_store(lanes, lanes[b, g, y, x] + value, [b, g, y, x])
    with T.grid(*grid.rows) as loops, T.sblock("sum_pixels"):
        b, g, y, x = spatial(grid.rows, loops)
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
        row, column = _position(grid, y, x)
        value = read(b, row, column, g, ko * halves * each + half * each + ki)
        T.buffer_store(words, words[tuple(index)] + T.cast(value, "int32"), index)
    with T.grid(*grid.rows) as loops, T.sblock("sum_pixels"):
        b, g, y, x = spatial(grid.rows, loops)
        value = words[b, g, y, x, 0]
        if halves == 2:
            value = value + words[b, g, y, x, 1]
        T.buffer_store(pixels, value * geometry.window_factor, [b, g, y, x])


def schedule_sums(sch: Schedule, geometry: Geometry, scope: str) -> None:
    """Schedule the blocks of :func:`sum_windows`; activations are in memory ``scope``."""
    grid = _Grid.of(geometry)
    in_vector = _pixels_in_vector(geometry, grid.width, grid.step)
    if in_vector:
        _schedule_vectors(sch, geometry, scope, in_vector)
    else:
        _schedule_scalars(sch, geometry, scope)
    if geometry.kernel != (1, 1):
        _schedule_windows(sch, geometry)


def _schedule_vectors(sch: Schedule, geometry: Geometry, scope: str, in_vector: int) -> None:
    pixels, words = sch.get_sblock("sum_pixels"), sch.get_sblock("sum_words")
    lanes = sch.get_sblock("sum_lanes")
    b, g, y, x = sch.get_loops(pixels)
    tile, lane = sch.split(x, [None, LANES])
    sch.parallel(sch.fuse(b, g, y))
    sch.compute_at(lanes, tile, preserve_unit_loops=True)
    sch.compute_at(words, tile, preserve_unit_loops=True)
    sch.vectorize(lane)
    pixel, word = sch.get_loops(lanes)[-2:]
    init = sch.decompose_reduction(lanes, pixel)
    sch.vectorize(sch.get_loops(init)[-1])
    sch.tensorize(pixel, lane_sum(in_vector))
    pixel, word, vector, byte = sch.get_loops(words)[-4:]
    sch.reorder(pixel, vector, word, byte)
    init = sch.decompose_reduction(words, vector)
    sch.vectorize(sch.get_loops(init)[-1])
    shape: tuple[int, ...] = (VECTOR_BYTES,)
    if in_vector > 1:
        group = (1,) if geometry.is_staged else ()
        shape = (in_vector, *group, geometry.depth)
    sch.tensorize(word, word_sum(geometry.lhs, scope, shape))
    sch.unroll(pixel)


def _schedule_scalars(sch: Schedule, geometry: Geometry, scope: str) -> None:
    pixels, words = sch.get_sblock("sum_pixels"), sch.get_sblock("sum_words")
    b, g, y, x = sch.get_loops(pixels)
    sch.parallel(sch.fuse(b, g, y))
    sch.compute_at(words, x, preserve_unit_loops=True)
    half, outer, inner = sch.get_loops(words)[-3:]
    sch.reorder(outer, half, inner)
    sch.decompose_reduction(words, outer)
    if geometry.words * REDUCE % SCALAR_BYTES == 0:
        sch.tensorize(half, scalar_sum(geometry.lhs, scope))


def _schedule_windows(sch: Schedule, geometry: Geometry) -> None:
    windows = sch.get_sblock("sum_windows")
    b, g, y, x, dy, dx = sch.get_loops(windows)
    outer, lanes = sch.split(x, [None, LANES if windows_are_vectors(geometry) else 1])
    sch.reorder(outer, dy, dx, lanes)
    sch.parallel(sch.fuse(b, g, y))
    sch.vectorize(lanes)
    sch.unroll(dx)
    sch.unroll(dy)
    sch.decompose_reduction(windows, dy)
