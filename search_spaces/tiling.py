"""The schedule of the vrmpy loop nest: which tiles, which loops, which order.

Decisions are drawn by MetaSchedule's sampling primitives, so that they are part of the trace and
can be mutated; what changes the shape of the trace (:class:`Sketch`) is a design space of its own.
Every combination fits the 32 vector registers and a bounded loop body, so that a
sampled candidate is valid by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from search_spaces.epilogue import schedule_crop, schedule_store
from search_spaces.memory import Memory
from search_spaces.program import Form
from search_spaces.rows import cut_row, parallel_rows
from search_spaces.slabs import fits, slab_shape, stage_slabs
from search_spaces.space import SKETCH_ANNOTATION, Tiling
from search_spaces.sums import schedule_sums
from vrmpy_tune.intrin.registry import rule
from vrmpy_tune.intrin.restride import Rows, restride
from vrmpy_tune.intrin.rows import row_clear, row_copy, row_widen
from vrmpy_tune.intrin.table import Scopes, instruction
from vrmpy_tune.target import LANES
from vrmpy_tune.toolchain.codegen import ANNOTATION as CODEGEN_ANNOTATION
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.toolchain.storage import VTCM_SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tvm.s_tir import Schedule

    from search_spaces.geometry import Geometry
    from vrmpy_tune.intrin.requantize import Epilogue
    from vrmpy_tune.target import HexagonTarget

VECTOR_REGISTERS: Final = 32
MAX_BODY: Final = 512
"""Multiplies in one unrolled loop body: LLVM takes minutes on thousands."""
MAX_WORDS: Final = 64
"""Words of four channels in one unrolled loop body."""
MAX_VECTORS: Final = 8
"""Output vectors in one register tile."""
MAX_ROWS: Final = 4
"""Output rows in one register tile."""
MAX_INNER: Final = 16
"""Rows of tiles, or slabs of weights, that one task takes one after the other."""


@dataclass(frozen=True)
class Sketch:
    """One design space.

    Attributes
    ----------
    vectors:
        Output vectors in a register tile; divides the number of output vectors.
    rows:
        Output rows in a register tile; divides the height.
    vtcm:
        Whether activations are staged in VTCM.
    """

    vectors: int
    rows: int
    vtcm: bool

    def text(self) -> str:
        """Return the sketch as the annotation that a trace carries it in."""
        return f"{self.vectors},{self.rows},{int(self.vtcm)}"

    @staticmethod
    def parse(text: str) -> Sketch:
        """Read what :meth:`text` wrote."""
        vectors, rows, vtcm = (int(part) for part in text.split(","))
        return Sketch(vectors, rows, bool(vtcm))

    def max_columns(self) -> int:
        """Return the widest tile whose accumulators and weights fit the registers."""
        free = VECTOR_REGISTERS - self.vectors
        return max(1, free // (self.vectors * self.rows))


def staged_sketches(geometry: Geometry, target: HexagonTarget, memory: Memory) -> Iterator[Sketch]:
    """Yield the design spaces of a geometry whose weights go through VTCM."""
    for sketch in sketches(geometry, target):
        if not sketch.vtcm and fits(memory, geometry, sketch.vectors, target):
            yield sketch


def sketches(geometry: Geometry, target: HexagonTarget) -> Iterator[Sketch]:
    """Yield the design spaces of a geometry, the plainest first."""
    height, width = geometry.height, geometry.columns
    staged_bytes = geometry.batch * geometry.input_height * geometry.input_width
    staged_bytes *= geometry.groups * geometry.pitch
    pixels, step = geometry.unit
    choices = [one * step for one in _divisors(geometry.vectors // step, MAX_VECTORS // step)]
    for vectors in choices:
        for rows in _divisors(height, MAX_ROWS):
            sketch = Sketch(vectors, rows, vtcm=False)
            columns = sketch.max_columns()
            if rows > 1 and (columns < 2 or rows * vectors * columns < width):
                continue
            if columns < pixels:
                continue
            yield sketch
    best = Sketch(max(one for one in choices if one <= max(2, step)), 1, vtcm=True)
    if geometry.is_staged and staged_bytes <= target.vtcm_bytes // 2:
        yield best


def apply(
    sch: Schedule,
    geometry: Geometry,
    form: Form,
    sketch: Sketch,
    epilogue: Epilogue | None = None,
    *,
    contexts: int,
    memory: Memory = Memory.CACHED,
) -> None:
    """Schedule the program in ``sch`` along ``sketch``, drawing the remaining decisions.

    Parameters
    ----------
    epilogue:
        What is done with the accumulators of a program with 8-bit output.
    contexts:
        HVX contexts of the target.
    memory:
        Where weights are while they are multiplied.
    """
    scope = "global"
    if sketch.vtcm:
        scope = VTCM_SCOPE
        sch.set_scope(sch.get_sblock("copy"), 0, scope)
    if geometry.is_staged:
        _schedule_staging(sch, geometry, scope, contexts)
    if geometry.window_factor:
        schedule_sums(sch, geometry, scope, contexts)
    tile = _tile(sch, geometry, sketch, epilogue, memory)
    weights = "global"
    if memory is not Memory.CACHED:
        weights = VTCM_SCOPE
        dtype = "uint8" if form.weight_offset else geometry.rhs
        shape = slab_shape(geometry, sketch.vectors)
        stage_slabs(sch, memory, tile.slab, tile.step, shape=shape, dtype=dtype)
    _finish(sch, geometry, form, Scopes(scalar=scope, vector=weights), tile)
    if epilogue is not None and geometry.is_cropped:
        schedule_crop(sch, geometry, epilogue, contexts)
    elif geometry.is_cropped:
        _schedule_crop_words(sch, geometry, contexts)
    _annotate(sch, sketch)


def _annotate(sch: Schedule, sketch: Sketch) -> None:
    """Draw the code generator; note it and the design space on the root block.

    Last of all: after a change to the root block, TVM 0.27 changes the module that other
    schedules started from in place.
    """
    priors = [generator.prior for generator in CODE_GENERATORS]
    choice = sch.sample_categorical(list(range(len(priors))), priors)
    root = sch.get_sblock("root")
    sch.annotate(root, CODEGEN_ANNOTATION, choice)
    sch.annotate(root, SKETCH_ANNOTATION, sketch.text())


def _schedule_staging(sch: Schedule, geometry: Geometry, scope: str, contexts: int) -> None:
    """Copy and clear whole rows where the copy keeps the order of bytes."""
    top, left, bottom, right = geometry.pad
    width, depth = geometry.input_width, geometry.pitch
    inner = width - left - right
    whole = geometry.groups == 1 and width > 1 and depth > 1
    if geometry.is_filled:
        row = parallel_rows(sch, "fill")
        if whole:
            sch.tensorize(row, row_clear(width, depth, geometry.lhs, scope, geometry.fill))
    row = parallel_rows(sch, "copy")
    if geometry.is_spread:
        rows = geometry.batch * (geometry.input_height - top - bottom)
        count, row = cut_row(sch, rows, row, inner, contexts=contexts)
        extent = rows * inner * geometry.depth
        sizes = (count, geometry.depth, geometry.depth, depth, extent)
        sch.tensorize(row, restride(Rows(*sizes, "target", geometry.lhs, scope)))
    elif not whole or inner == 1 or geometry.channels_first:
        return
    elif depth == geometry.depth:
        sch.tensorize(row, row_copy(inner, depth, geometry.lhs, scope))
    elif geometry.is_widened:
        sch.tensorize(row, row_widen(inner, geometry.lhs, scope))


def _schedule_crop_words(sch: Schedule, geometry: Geometry, contexts: int) -> None:
    """Move the sums of fewer than 32 channels together."""
    row = parallel_rows(sch, "crop")
    if geometry.channels_first or geometry.groups > 1 or 1 in (geometry.width, geometry.outputs):
        return
    rows = geometry.batch * geometry.height
    count, row = cut_row(sch, rows, row, geometry.width, contexts=contexts)
    outputs = geometry.outputs
    sizes = (count, outputs, LANES, outputs, geometry.pixels * LANES)
    sch.tensorize(row, restride(Rows(*sizes, "source", "int32", "global")))


@dataclass(frozen=True)
class _Tile:
    """Loops of the tiled reduction that later steps refer to, and what they do behind it."""

    position: Any
    reduction: Any
    body: tuple[Any, ...]
    lanes: Any
    epilogue: Epilogue | None
    slab: Any = None
    step: Any = None


def _tile(
    sch: Schedule,
    geometry: Geometry,
    sketch: Sketch,
    epilogue: Epilogue | None,
    memory: Memory,
) -> _Tile:
    """Split and order the loops; draw tile sizes and the order of pixels and channels."""
    multiply = sch.get_sblock("multiply")
    staged = memory is not Memory.CACHED
    column_tiles, row_tiles, word_tiles, *slab_tiles = tilings(geometry, sketch, memory)
    slab = sch.cache_read(multiply, 1, VTCM_SCOPE) if staged else None
    b, y, x, *pixels, g, no, ni, dy, dx, ko, ki = sch.get_loops(multiply)
    rows_outer, row = sch.split(y, [None, sketch.rows])
    rows = sch.fuse(b, rows_outer)
    n_outer, vector = sch.split(no, [None, sketch.vectors])
    chunk, x_middle, column = _split(sch, x, column_tiles)
    row_chunk, row_middle = _split(sch, rows, row_tiles)
    depth = sch.fuse(dx, ko)
    depth_outer, word = _split(sch, depth, word_tiles)
    steps = []
    if staged:
        n_outer, *steps = _split(sch, n_outer, slab_tiles[0])
    sch.reorder(
        row_chunk, chunk, g, n_outer, *steps, row_middle, x_middle,
        dy, depth_outer, word, row, column, *pixels, vector, ni, ki,
    )  # fmt: skip
    sch.parallel(sch.fuse(row_chunk, chunk, g, n_outer))
    body = (word, row, column, *pixels, vector)
    return _Tile(x_middle, dy, body, ni, epilogue, slab, *steps)


def _split(sch: Schedule, loop: Any, tiling: Tiling) -> list[Any]:
    """Draw a tile and split a loop by it."""
    tile = sch.sample_perfect_tile(loop, n=tiling.parts, max_innermost_factor=tiling.limit)
    return list(sch.split(loop, tile))


def tilings(geometry: Geometry, sketch: Sketch, memory: Memory) -> tuple[Tiling, ...]:
    """Return the tiles that a design space draws: of columns, rows, words and slabs of weights."""
    # Tiles are whole units of pixels that one rule requantizes together.
    step = geometry.unit[0]
    columns = geometry.columns // step
    limit = sketch.max_columns() // step
    widest = max(_divisors(columns, limit)) * step
    widest *= sketch.rows * sketch.vectors
    words = min(MAX_WORDS, max(1, MAX_BODY // widest))
    drawn = (
        Tiling(columns, 3, limit),
        Tiling(geometry.batch * (geometry.height // sketch.rows), 2, MAX_INNER),
        Tiling(geometry.kernel[1] * geometry.words, 2, words),
    )
    if memory is Memory.CACHED:
        return drawn
    return (*drawn, Tiling(geometry.vectors // sketch.vectors, 2, MAX_INNER))


def _finish(sch: Schedule, geometry: Geometry, form: Form, scopes: Scopes, tile: _Tile) -> None:
    """Put the stores behind the accumulators, and the instruction into the body."""
    multiply, store = sch.get_sblock("multiply"), sch.get_sblock("store")
    sch.reverse_compute_at(store, tile.position, preserve_unit_loops=True)
    if tile.epilogue is not None:
        schedule_store(sch, tile.epilogue)
    else:
        *outer, lanes = sch.get_loops(store)[-5:]
        vectors, lane = sch.split(lanes, [None, LANES])
        sch.vectorize(lane)
        for loop in (*outer, vectors):
            sch.unroll(loop)
    init = sch.decompose_reduction(multiply, tile.reduction)
    *init_outer, init_lane = sch.get_loops(init)[-(4 + (geometry.unit[0] > 1)) :]
    sch.vectorize(init_lane)
    for loop in init_outer:
        sch.unroll(loop)
    sch.tensorize(tile.lanes, rule(multiply_rule(geometry, form), scopes))
    for loop in tile.body:
        sch.unroll(loop)


def multiply_rule(geometry: Geometry, form: Form) -> str:
    """Return the name of the table row that multiplies in this form."""
    short = {"uint8": "u8", "int8": "i8"}
    lhs, rhs = short[geometry.lhs], short[geometry.rhs]
    if form is Form.SPLAT:
        return instruction(f"vrmpy.splat_{lhs}_{rhs}").name
    return instruction(f"vrmpy.{lhs}_u8").name


def _divisors(number: int, limit: int) -> list[int]:
    return [divisor for divisor in range(1, min(number, limit) + 1) if number % divisor == 0]
