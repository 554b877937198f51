"""How an operator with a sliding window meets vectors.

Pixels and channels of a row are one sequence of bytes, and a vector of outputs is 128 of them: the
inputs of one element of the kernel then are 128 bytes, too, a constant distance away.  That holds
for any number of channels; where they do not divide 128, what belongs to a channel repeats after
:attr:`WindowPlan.period` vectors.  With a stride, pixels of a row are first sorted by their
position modulo the stride, unless each fills vectors of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate
from search_spaces.nests import Nest, block
from vrmpy_tune.intrin import hvx
from vrmpy_tune.layout import round_up
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload.base import ceildiv

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.workload import Pair


STAGE_TILE: Final = 16
"""Most vectors that one unrolled body stages."""


@dataclass(frozen=True)
class WindowPlan:
    """The layout of inputs and outputs.

    Attributes
    ----------
    batch, height, width, channels:
        The input.
    outputs:
        Height and width of the output.
    kernel, stride, dilation, pad:
        As in :class:`vrmpy_tune.workload.DepthwiseConv2d`.
    whole_pixels:
        Whether each pixel has vectors of its own, so that a scalar can differ by pixel.
    lookahead:
        Columns behind those of the kernel that staged rows have, too, of any value.
    """

    batch: int
    height: int
    width: int
    channels: int
    outputs: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: tuple[int, int, int, int]
    whole_pixels: bool = False
    lookahead: int = 0

    @staticmethod
    def of(workload: Any, *, whole_pixels: bool = False, lookahead: int = 0) -> WindowPlan:
        """Plan an operator with a window."""
        return WindowPlan(
            workload.n, workload.h, workload.w, workload.c, workload.output_size,
            (workload.kh, workload.kw), workload.stride, workload.dilation, workload.pad,
            whole_pixels, lookahead,
        )  # fmt: skip

    @cached_property
    def pitch(self) -> int:
        """Bytes from pixel to pixel: the channels, or more where that takes fewer vectors."""
        if self.whole_pixels:
            return round_up(self.channels, VECTOR_BYTES)
        pitches = [round_up(self.channels, 1 << bits) for bits in range(8)]
        return min(pitches, key=lambda pitch: (self._row_vectors(pitch), pitch))

    def _row_vectors(self, pitch: int) -> int:
        vectors = ceildiv(self.outputs[1] * pitch, VECTOR_BYTES)
        return round_up(vectors, _period(pitch))

    @property
    def period(self) -> int:
        """Vectors after which the same channels lie in the same lanes again."""
        return _period(self.pitch)

    @property
    def vectors(self) -> int:
        """Vectors of a row of outputs, a multiple of :attr:`period`."""
        return self._row_vectors(self.pitch)

    @property
    def phases(self) -> int:
        """Parts into which pixels are sorted by their position modulo the stride."""
        return 1 if self.pitch % VECTOR_BYTES == 0 else self.stride[1]

    @property
    def phase_bytes(self) -> int:
        """Bytes of one such part of a staged row."""
        _, left, _, right = self.pad
        stride = self.stride[1] if self.phases > 1 else 1
        pixels = ceildiv(left + self.width + right, stride) * self.pitch
        columns = self.kernel[1] + self.lookahead
        reach = max(self.column_offset(column)[1] for column in range(columns))
        return round_up(max(pixels, self.vectors * VECTOR_BYTES * self._jump + reach), VECTOR_BYTES)

    @property
    def _jump(self) -> int:
        """Bytes of a staged row that a byte of output advances by."""
        return self.stride[1] if self.phases == 1 else 1

    @property
    def row_bytes(self) -> int:
        """Bytes of a staged row."""
        return self.phases * self.phase_bytes

    @property
    def rows(self) -> int:
        """Rows of the padded input that windows meet."""
        return (self.outputs[0] - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1

    @property
    def is_direct(self) -> bool:
        """Whether the input can be read where it is: all its vectors lie at multiples of 128."""
        distances = [self.column_offset(column)[1] for column in range(self.kernel[1])]
        rows = (self.width * self.channels, self.outputs[1] * self.channels, *distances)
        plain = self.pitch == self.channels and self.phases == 1 and not any(self.pad)
        return plain and all(one % VECTOR_BYTES == 0 for one in rows)

    @property
    def is_whole(self) -> bool:
        """Whether rows of the output are whole vectors, to be stored where they belong."""
        row = self.outputs[1] * self.channels
        return self.pitch == self.channels and row == self.vectors * VECTOR_BYTES

    def column_offset(self, column: int) -> Pair:
        """Return the part of a row, and the distance in it, of a column of the kernel."""
        at = column * self.dilation[1]
        return at % self.phases, at // self.phases * self.pitch

    def nest(self, tiles: Pair) -> Nest:
        """Return the loops over batch, rows, vectors of a period, periods of a row.

        Parameters
        ----------
        tiles:
            Most rows and periods in an unrolled body.
        """
        extents = (self.batch, self.outputs[0], self.period, self.vectors // self.period)
        return Nest("windows", extents, (1, tiles[0], 1, tiles[1]), parallel=2)

    def copies(self, *names: str) -> tuple[Nest, ...]:
        """Return the nests of the copies that are needed, of ``stage``, ``crop`` and other rows."""
        others = [name for name in names if name != "stage"]
        nests = [] if self.is_whole else [self._rows_nest(name) for name in others]
        if "stage" in names and not self.is_direct:
            nests += self._staging()
        return tuple(nests)

    def _staging(self) -> list[Nest]:
        """Return the nests that stage rows: of whole vectors, or of calls for a row each."""
        rows = Nest("stage", (self.batch, self.rows), (1, 1), parallel=2)
        if not self._stages_vectors:
            return [rows]
        inner = min(self.height, self.rows - self.pad[0])
        vectors = self.width * self.channels // VECTOR_BYTES
        nests = [Nest("stage", (self.batch, inner, vectors), (1, 1, STAGE_TILE), parallel=2)]
        if inner < self.rows or self.pad[1] or self._columns > self.pad[1] + self.width:
            nests.append(replace(rows, block="edges"))
        return nests

    @property
    def _stages_vectors(self) -> bool:
        """Whether rows and what is beside them are whole vectors."""
        ends = (self.pad[1] * self.channels, self.width * self.channels)
        plain = self.pitch == self.channels and self.phases == 1
        return plain and all(end % VECTOR_BYTES == 0 for end in ends)

    @property
    def _columns(self) -> int:
        """Columns of the padded input that windows meet."""
        reach = (self.kernel[1] - 1) * self.dilation[1]
        return (self.outputs[1] - 1) * self.stride[1] + reach + 1

    @property
    def copied_vectors(self) -> int:
        """Vectors that are stored in vain, before and behind those of the output."""
        staged = 0 if self.is_direct else self.batch * self.rows * self.row_bytes // VECTOR_BYTES
        return staged + (0 if self.is_whole else self.batch * self.outputs[0] * self.vectors)

    def _rows_nest(self, name: str) -> Nest:
        return Nest(name, (self.batch, self.outputs[0]), (1, 1), parallel=2)

    def stage(self, activations: Any, fill: Any, others: tuple[Any, ...] = ()) -> Any:
        """Copy rows into padded ones, unless they can be read where they are.

        Parameters
        ----------
        activations:
            The plain input.
        fill:
            Value of the padding, a scalar.
        others:
            Buffers that ``fill`` reads.

        Returns
        -------
        rows:
            The buffer to read with :meth:`load`.
        """
        if self.is_direct:
            return activations
        size = self.batch * self.rows * self.row_bytes
        staged = allocate("staged", (size,), str(activations.dtype))
        nest, *edges = self._staging()
        if not self._stages_vectors:
            with block(nest, [activations, *others], staged) as (b, y):
                self._stage_row(activations, staged, (b, y), fill)
            return staged
        top, left = self.pad[0], self.pad[1] * self.channels
        with block(nest, [activations], staged) as (b, y, v):
            plain = (b * self.height + y) * self.width * self.channels + v * VECTOR_BYTES
            start = (b * self.rows + y + top) * self.row_bytes + left
            hvx.store(staged, start + v * VECTOR_BYTES, hvx.load(activations, plain))
        for nest in edges:
            with block(nest, others, staged) as (b, y):
                self._fill_edges(staged, (b, y), fill)
        return staged

    def _fill_edges(self, staged: Any, place: tuple[Any, Any], fill: Any) -> None:
        """Fill rows beyond the input, and what is beside the others, in whole vectors."""
        start = (place[0] * self.rows + place[1]) * self.row_bytes
        end, size = self._columns * self.channels, self.width * self.channels
        left = self.pad[1] * self.channels
        outside = self._outside(place[1])

        def fill_sides() -> None:
            for at in (*range(0, left, VECTOR_BYTES), *range(left + size, end, VECTOR_BYTES)):
                hvx.store(staged, start + at, hvx.splat_byte(fill))

        if outside is None:
            fill_sides()
            return
        with T.If(outside):
            with T.Then():
                hvx.fill_bytes(staged, start, fill, end)
            with T.Else():
                fill_sides()
                T.evaluate(0)

    def _outside(self, row: Any) -> Any | None:
        """Return the condition that a staged row is not of the input, if there are such rows."""
        top = self.pad[0]
        if top == 0 and self.rows <= self.height:
            return None
        return tvm.tirx.any(row < top, row >= top + self.height)

    def _stage_row(self, source: Any, staged: Any, place: tuple[Any, Any], fill: Any) -> None:
        start = (place[0] * self.rows + place[1]) * self.row_bytes
        row = place[0] * self.height + place[1] - self.pad[0]
        outside = self._outside(place[1])
        if outside is None:
            self._stage_inner(source, staged, start, row, fill)
            return
        with T.If(outside):
            with T.Then():
                hvx.fill_bytes(staged, start, fill, self.row_bytes)
            with T.Else():
                self._stage_inner(source, staged, start, row, fill)

    def _stage_inner(self, source: Any, staged: Any, start: Any, row: Any, fill: Any) -> None:
        size, left = self.width * self.channels, self.pad[1] * self.channels
        plain = row * size
        if self.pitch == self.channels and self.phases == 1:
            if left:
                hvx.fill_bytes(staged, start, fill, left)
            hvx.copy_bytes(staged, start + left, source, plain, size)
            rest = self._columns * self.channels - left - size
            if rest > 0:
                hvx.fill_bytes(staged, start + left + size, fill, rest)
            return
        hvx.fill_bytes(staged, start, fill, self.row_bytes)

        def place(x: Any) -> Any:
            at = x + self.pad[1]
            return start + at % self.phases * self.phase_bytes + at // self.phases * self.pitch

        self._copy_pixels(staged, place, source, lambda x: plain + x * self.channels, self.width)

    def load(self, rows: Any, axes: list[Any], element: Pair) -> Any:
        """Load the inputs of one element of the kernel for the vector of outputs at ``axes``."""
        b, y, p, j = axes
        count, size = self.rows, self.row_bytes
        if self.is_direct:
            count, size = self.height, self.width * self.channels
        row = y * self.stride[0] + element[0] * self.dilation[0]
        phase, distance = self.column_offset(element[1])
        inside = (j * self.period * self._jump + p) * VECTOR_BYTES
        return hvx.load(
            rows, (b * count + row) * size + phase * self.phase_bytes + distance + inside
        )

    def output(self, output: Any) -> Any:
        """Return where to :meth:`store` vectors: the output, or whole rows to be cropped."""
        if self.is_whole:
            return output
        size = self.batch * self.outputs[0] * self.vectors * VECTOR_BYTES
        return allocate("vectors", (size,), str(output.dtype))

    def place(self, axes: list[Any]) -> Any:
        """Return the element at which the vector of outputs at ``axes`` begins."""
        b, y, p, j = axes
        vector = (b * self.outputs[0] + y) * self.vectors + j * self.period + p
        return vector * VECTOR_BYTES

    def crop(self, vectors: Any, output: Any) -> None:
        """Copy rows out of whole vectors, where :meth:`output` made some."""
        if not self.is_whole:
            self._copy_rows("crop", vectors, output, into_plain=True)

    def whole_rows(self, name: str, plain: Any) -> Any:
        """Return a tensor of the output's shape in the layout of :meth:`place`."""
        if self.is_whole:
            return plain
        vectors = self.output(plain)
        self._copy_rows(name, plain, vectors, into_plain=False)
        return vectors

    def _copy_rows(self, name: str, source: Any, target: Any, *, into_plain: bool) -> None:
        height, width = self.outputs
        with block(self._rows_nest(name), [source], target) as (b, y):
            row = b * height + y
            whole, plain = row * self.vectors * VECTOR_BYTES, row * width * self.channels
            if self.pitch == self.channels:
                ends = (plain, whole) if into_plain else (whole, plain)
                hvx.copy_bytes(target, ends[0], source, ends[1], width * self.channels)
                return
            places = (
                lambda x: plain + x * self.channels,
                lambda x: whole + x * self.pitch,
            )
            ends = places if into_plain else places[::-1]
            self._copy_pixels(target, ends[0], source, ends[1], width)

    def _copy_pixels(
        self,
        target: Any,
        place: Callable[[Any], Any],
        source: Any,
        start: Callable[[Any], Any],
        count: int,
    ) -> None:
        """Copy pixels, in order, to or from places that are farther apart than their channels.

        Pixels of a vector or more are copied as vectors, the last of which ends with the pixel.
        Of shorter ones a whole vector is copied, whose excess the next pixels overwrite; not so of
        the last pixels, behind which is something else.  There must be no excess where a pixel is
        several stores: LLVM's software pipeliner moves stores of a loop past those of the next
        iteration, whatever they overlap.
        """
        lanes = VECTOR_BYTES // tvm.DataType(str(target.dtype)).itemsize
        if self.channels >= lanes:
            starts = (*range(0, self.channels - lanes, lanes), self.channels - lanes)
            with T.serial(0, count) as x:
                for at in starts:
                    hvx.store(target, place(x) + at, hvx.load(source, start(x) + at))
            return
        exact = min(count, self.phases * ceildiv(lanes, self.channels))
        if count > exact:
            with T.serial(0, count - exact) as x:
                hvx.store(target, place(x), hvx.load(source, start(x)))
        with T.serial(count - exact, count) as x:
            hvx.copy_bytes(target, place(x), source, start(x), self.channels)


def _period(pitch: int) -> int:
    return pitch // math.gcd(pitch, VECTOR_BYTES)
