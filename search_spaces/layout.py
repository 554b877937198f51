"""Search space of changes of layout: matrices of bytes, transposed by interleaving rows.

Interleaving two rows byte by byte makes one row of pairs; again, one of fours, and so on, until an
element has all rows.  Up to :data:`ROWS` rows are interleaved in registers; what has more goes
through memory once between two passes, and more than 128 rows are tiles of 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, argument
from search_spaces.nests import Nest, NestSpace, block, function
from vrmpy_tune.intrin import hvx
from vrmpy_tune.layout import round_up
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload import Layout
from vrmpy_tune.workload.base import ceildiv

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload

ROWS: Final = 16
"""Rows that are interleaved in registers at once: half of the register file."""

TILE: Final = 2
"""Most vectors of a row in an unrolled body."""

BODY_PACKETS: Final = 3.5
"""Packets of a vector in one pass; read off generated code."""

LOOP_PACKETS: Final = 8
"""Packets that an unrolled body adds; read off generated code."""

COPY_PACKETS: Final = 25
"""Packets of a call that copies a few bytes; read off generated code."""


@dataclass(frozen=True)
class LayoutSpace(NestSpace):
    """Rows interleaved in one or two passes, several vectors in a body."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return tvm.IRModule({"main": _Transpose(_layout(workload)).function()})

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        return tuple(_Transpose(_layout(workload)).nests.values())

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        transpose = _Transpose(_layout(workload))
        vectors = transpose.batch * transpose.size / VECTOR_BYTES
        passes = 2 if transpose.groups > 1 else 1
        packets = passes * vectors * (BODY_PACKETS + LOOP_PACKETS / (transpose.radix * tile[-1]))
        if "crop" in transpose.nests:
            apart = transpose.padded_rows != transpose.rows
            packets += transpose.batch * transpose.columns * COPY_PACKETS if apart else vectors
        return packets + ("stage" in transpose.nests) * vectors


class _Transpose:
    def __init__(self, workload: Layout) -> None:
        self.workload, self.batch = workload, workload.n
        self.rows, self.columns = workload.matrix
        self.tile = min(VECTOR_BYTES, 1 << (self.rows - 1).bit_length())
        self.padded_rows = round_up(self.rows, self.tile)
        self.vectors = ceildiv(self.columns, VECTOR_BYTES)
        self.radix = min(ROWS, self.tile)
        self.groups = self.tile // self.radix
        self.size = self.padded_rows * self.vectors * VECTOR_BYTES
        self.nests = {nest.block: nest for nest in self._nests()}

    def _nests(self) -> list[Nest]:
        all_groups = self.padded_rows // self.radix
        tiles = (1, 1, TILE)
        nests = [Nest("first", (self.batch, all_groups, self.vectors), tiles, parallel=2)]
        if self.groups > 1:
            extents = (self.batch, self.padded_rows // self.tile, self.vectors, self.radix)
            nests.append(Nest("second", extents, (1, 1, 1, TILE), parallel=3))
        if self.columns % VECTOR_BYTES:
            nests.append(Nest("stage", (self.batch, self.rows), (1, 1), parallel=2))
        if self.columns % VECTOR_BYTES or self.padded_rows != self.rows:
            nests.append(Nest("crop", (self.batch, self.vectors), (1, 1), parallel=2))
        return nests

    def function(self) -> tvm.tirx.PrimFunc:
        dtype = self.workload.output.numpy_type
        with function(self.workload) as builder:
            source = argument("A", self.workload.operands[0].shape, dtype)
            output = argument("C", self.workload.output.shape, dtype)
            source = self._staged(source)
            whole = output if "crop" not in self.nests else self._allocate("vectors", dtype)
            if self.groups == 1:
                self._first(source, whole)
            else:
                woven = self._allocate("woven", dtype)
                self._first(source, woven)
                self._second(woven, whole)
            self._crop(whole, output)
        return builder.get()

    def _allocate(self, name: str, dtype: str) -> Any:
        return allocate(name, (self.batch * self.size,), dtype)

    def _staged(self, source: Any) -> Any:
        """Copy rows to where each begins with a vector."""
        if "stage" not in self.nests:
            return source
        pitch = self.vectors * VECTOR_BYTES
        staged = allocate("staged", (self.batch * self.rows * pitch,), str(source.dtype))
        with block(self.nests["stage"], [source], staged) as (b, row):
            index = b * self.rows + row
            hvx.copy_bytes(staged, index * pitch, source, index * self.columns, self.columns)
        return staged

    def _first(self, source: Any, target: Any) -> None:
        """Interleave bytes of neighbouring rows; those behind the last are copies of it."""
        with block(self.nests["first"], [source], target) as (b, group, v):
            rows = []
            for index in range(self.radix):
                row = T.min(group * self.radix + index, self.rows - 1)
                at = (b * self.rows + row) * self.vectors + v
                rows.append(hvx.load(source, at * VECTOR_BYTES))
            start = ((b * (self.padded_rows // self.radix) + group) * self.vectors + v) * self.radix
            for index, vector in enumerate(_woven(rows, 1)):
                hvx.store(target, (start + index) * VECTOR_BYTES, vector)

    def _second(self, woven: Any, target: Any) -> None:
        """Interleave elements of the groups of a tile."""
        with block(self.nests["second"], [woven], target) as (b, tile, v, k):
            own = []
            for index in range(self.groups):
                group = (b * (self.padded_rows // self.tile) + tile) * self.groups + index
                at = (group * self.vectors + v) * self.radix + k
                own.append(hvx.load(woven, at * VECTOR_BYTES))
            for index, vector in enumerate(_woven(own, self.radix)):
                # Vectors of a tile's columns, one below the other: as far apart as columns are.
                place = (b * self.vectors + v) * self.tile + k * self.groups + index
                apart = self.padded_rows if self.tile == VECTOR_BYTES else VECTOR_BYTES
                hvx.store(target, place * apart + tile * self.tile, vector)

    def _crop(self, whole: Any, output: Any) -> None:
        if "crop" not in self.nests:
            return
        rows, padded = self.rows, self.padded_rows
        with block(self.nests["crop"], [whole], output) as (b, v):
            start = (b * self.vectors + v) * VECTOR_BYTES
            plain = b * self.columns + v * VECTOR_BYTES
            count = T.min(self.columns - v * VECTOR_BYTES, VECTOR_BYTES)
            if rows == padded:
                hvx.copy_bytes(output, plain * rows, whole, start * rows, count * rows)
                return
            with T.serial(0, count) as index:
                hvx.copy_bytes(
                    output, (plain + index) * rows, whole, (start + index) * padded, rows
                )


def _woven(rows: list[Any], size: int) -> list[Any]:
    """Interleave elements of ``size`` bytes of as many vectors as a power of two."""
    sequences = [[row] for row in rows]
    while len(sequences) > 1:
        merged = []
        for first, second in zip(sequences[::2], sequences[1::2], strict=True):
            sequence = []
            for one, other in zip(first, second, strict=True):
                both = hvx.pair("vshuffvdd", other, one, hvx.word(-size))
                sequence += [hvx.low(both), hvx.high(both)]
            merged.append(sequence)
        sequences, size = merged, size * 2
    return sequences[0]


def _layout(workload: Workload) -> Layout:
    assert isinstance(workload, Layout)  # what ``applies`` accepts is one
    return workload


SPACES: Final = (LayoutSpace("layout", 1, "rows of bytes interleaved in one or two passes"),)
