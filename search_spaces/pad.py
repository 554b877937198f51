"""Search space of padding: rows shifted into place, a vector at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tvm.tirx.script import builder as T

from search_spaces.blocks import argument
from search_spaces.nests import Nest, NestSpace, block, function, module
from vrmpy_tune.intrin import hvx
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import Pad

if TYPE_CHECKING:
    import tvm

    from vrmpy_tune.workload import Workload

TILES: Final = (2, 32)
"""Most rows and vectors in an unrolled body."""

MAX_EDGE: Final = 8
"""Most vectors of a row that are not wholly of the input; with more, rows are copied."""

LOOP_PACKETS: Final = 6
"""Packets that an unrolled body adds: addresses and the loop; read off generated code."""

COPY_PACKETS: Final = 45
"""Packets of the calls that copy and fill parts of a row; read off generated code."""


@dataclass(frozen=True)
class PadSpace(NestSpace):
    """Every vector of a row is two neighbours of the input, aligned, or the value.

    Where rows are not made of whole vectors, they are copied by the runtime's functions.
    """

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        rows = _Rows(_pad(workload))
        pad, nests = rows.pad, {nest.block: nest for nest in self.nests(workload)}
        with function(pad) as builder:
            activations = argument("A", pad.operands[0].shape, pad.operands[0].numpy_type)
            output = argument("C", pad.output.shape, pad.output.numpy_type)
            if "middle" in nests:
                with block(nests["middle"], [activations], output) as (b, y, j):
                    rows.store(activations, output, (b, y), j + rows.first, edge=False)
            if "edges" in nests:
                with block(nests["edges"], [activations], output) as (b, y):
                    for vector in rows.edges:
                        rows.store(activations, output, (b, y), vector, edge=True)
            if "rows" in nests:
                with block(nests["rows"], [activations], output) as (b, y):
                    rows.copy(activations, output, (b, y))
            if "borders" in nests:
                with block(nests["borders"], [], output) as (b, y):
                    rows.border(output, b, y)
        return module(builder)

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        pad = _pad(workload)
        rows = _Rows(pad)
        nests = []
        if not rows.whole:
            nests.append(Nest("rows", (pad.n, pad.h), (1, 1), parallel=2))
        else:
            if rows.middle:
                extents = (pad.n, pad.h, rows.middle)
                nests.append(Nest("middle", extents, (1, *TILES), parallel=2))
            if rows.edges:
                nests.append(Nest("edges", (pad.n, pad.h), (1, TILES[0]), parallel=2))
        if pad.pad[0] + pad.pad[2]:
            borders = (pad.n, pad.pad[0] + pad.pad[2])
            nests.append(Nest("borders", borders, (1, 1), parallel=2))
        return tuple(nests)

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        pad = _pad(workload)
        rows = _Rows(pad)
        vectors = rows.row_bytes / VECTOR_BYTES
        borders = pad.n * (pad.pad[0] + pad.pad[2]) * (vectors + COPY_PACKETS / 3)
        if not rows.whole:
            return pad.n * pad.h * (2 * vectors + COPY_PACKETS) + borders
        edges = pad.n * pad.h * (len(rows.edges) + LOOP_PACKETS)
        if not rows.middle:
            return edges + borders
        body = tile[1] * (tile[2] + 1) + LOOP_PACKETS
        return pad.n * pad.h * rows.middle / (tile[1] * tile[2]) * body + edges + borders


class _Rows:
    """Rows of an input and of an output as sequences of vectors."""

    def __init__(self, pad: Pad) -> None:
        self.pad = pad
        _, self.height, width, _ = pad.output.shape
        self.row_bytes, self.input_bytes = width * pad.c, pad.w * pad.c
        self.left = pad.pad[1] * pad.c
        self.shift, skipped = self.left % VECTOR_BYTES, self.left // VECTOR_BYTES
        inputs, outputs = self.input_bytes // VECTOR_BYTES, self.row_bytes // VECTOR_BYTES
        self.inputs, self.skipped = inputs, skipped
        # With a shift, the first vector and the one behind the last are of the input in part.
        self.first = skipped + bool(self.shift)
        self.middle = inputs - bool(self.shift)
        self.edges = [*range(self.first), *range(self.first + self.middle, outputs)]
        aligned = self.row_bytes % VECTOR_BYTES == 0 and self.input_bytes % VECTOR_BYTES == 0
        self.whole = aligned and len(self.edges) <= MAX_EDGE

    def store(
        self, source: Any, target: Any, row: tuple[Any, Any], vector: Any, *, edge: bool
    ) -> None:
        """Store a vector of an inner row; at an ``edge`` its place is a number."""
        b, y = row
        start = (b * self.pad.h + y) * self.input_bytes

        def load(index: Any) -> Any:
            if edge and not 0 <= index < self.inputs:
                return hvx.splat_byte(hvx.word(self.pad.value))
            return hvx.load(source, start + index * VECTOR_BYTES)

        value = load(vector - self.skipped)
        if self.shift:
            before = load(vector - self.skipped - 1)
            value = hvx.align_left(value, before, self.shift)
        hvx.store(target, self._start(b, y) + vector * VECTOR_BYTES, value)

    def copy(self, source: Any, target: Any, row: tuple[Any, Any]) -> None:
        """Copy an inner row, and fill what is beside it."""
        b, y = row
        start, value = self._start(b, y), hvx.word(self.pad.value)
        size, right = self.input_bytes, self.row_bytes - self.left - self.input_bytes
        if self.left:
            hvx.fill_bytes(target, start, value, self.left)
        hvx.copy_bytes(target, start + self.left, source, (b * self.pad.h + y) * size, size)
        if right:
            hvx.fill_bytes(target, start + self.left + size, value, right)

    def border(self, target: Any, b: Any, row: Any) -> None:
        """Fill a row above or below the input."""
        top = self.pad.pad[0]
        at = row if not self.pad.pad[2] else T.Select(row < top, row, row + self.pad.h)
        start = (b * self.height + at) * self.row_bytes
        hvx.fill_bytes(target, start, hvx.word(self.pad.value), self.row_bytes)

    def _start(self, b: Any, y: Any) -> Any:
        return (b * self.height + y + self.pad.pad[0]) * self.row_bytes


def _pad(workload: Workload) -> Pad:
    assert isinstance(workload, Pad)  # what ``applies`` accepts is one
    return workload


SPACES: Final = (PadSpace("pad", 1, "rows shifted into place, several vectors in a body"),)
