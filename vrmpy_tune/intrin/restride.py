"""The rule that copies the items of a row to places closer together, or further apart.

Pixels whose channels are no multiple of 4 are moved apart before they are multiplied, since scalar
loads want words; sums of fewer than 32 channels are moved together behind it.  Each item is copied
in whole vectors.  Where those of the target are not aligned, up to 127 bytes behind an item are
overwritten: by its successor, next.  The last items of a row are copied aside first, where there
is room for that.

Vectors that are not aligned in the source are cut out of two that are (``valign``), which share
packets with other instructions, as unaligned loads do not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin import hvx
from vrmpy_tune.intrin.copying import aligned_vector, copy_bytes, each, whole_buffer
from vrmpy_tune.intrin.registration import register
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

FEW: Final = 2
"""Items that are copied one by one at the end of a row, at most; more go through memory aside."""


@dataclass(frozen=True)
class Rows:
    """What is copied from where to where: ``target[x, c] = source[x, c]``, or 0 behind its end.

    Attributes
    ----------
    count, length:
        Items, at least 2, and elements in each, at least 2: TVM drops loops over 1.
    source, target:
        Elements from one item to the next; at least ``length``.  Behind an item of the target are
        less than a vector of zeros.
    extent:
        Elements of the whole source buffer, which begins at a multiple of 128 bytes.
    groups:
        ``"source"`` or ``"target"``: the buffer that has an axis of one group between items and
        elements; or ``"none"``.
    dtype, scope:
        Data type of both, and the memory that the target is in; the source is in ``global``.
    """

    count: int
    length: int
    source: int
    target: int
    extent: int
    groups: str
    dtype: str
    scope: str

    @property
    def name(self) -> str:
        """Name of the rule."""
        sizes = (self.count, self.length, self.source, self.target, self.extent)
        names = (self.groups, self.dtype, self.scope)
        return "/".join(("restride", *(str(one) for one in sizes), *names))

    @staticmethod
    def parse(*parts: str) -> Rows:
        """Read the parameters of a rule's name; raises ``ValueError`` if they are malformed."""
        *sizes, groups, dtype, scope = parts
        count, length, source, target, extent = (int(one) for one in sizes)
        return Rows(count, length, source, target, extent, groups, dtype, scope)

    @property
    def item_bytes(self) -> int:
        """Size of an element."""
        return int(tvm.DataType(self.dtype).itemsize)

    @property
    def lanes(self) -> int:
        """Elements in a vector."""
        return VECTOR_BYTES // self.item_bytes

    @property
    def vectors(self) -> int:
        """Vectors that hold an item."""
        return -(-self.target // self.lanes)

    @property
    def direct(self) -> int:
        """First items, whose vectors end within the row of the target."""
        beyond = self.vectors * self.lanes - self.target
        if self.target % self.lanes == 0:
            return self.count
        return max(0, self.count - -(-beyond // self.target))


@functools.cache
def restride(rows: Rows) -> str:
    """Register the rule; return its name."""
    register(rows.name, _build(rows, _describe), _build(rows, _implement))
    return rows.name


def _build(rows: Rows, body: Callable[[Rows, Any, Any], None]) -> tvm.tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("restride")
        source = _operand("a", rows, (rows.length, rows.source), "source", "global")
        target = _operand("b", rows, (rows.target, rows.target), "target", rows.scope)
        with T.sblock("root"):
            T.reads(source[tuple(slice(0, extent) for extent in source.shape)])
            T.writes(target[tuple(slice(0, extent) for extent in target.shape)])
            body(rows, source, target)
    return builder.get()


def _operand(name: str, rows: Rows, item: tuple[int, int], side: str, scope: str) -> Any:
    elements, step = item
    shape: tuple[int, ...] = (rows.count, elements)
    strides: tuple[int, ...] = (step, 1)
    if rows.groups == side:
        shape, strides = (rows.count, 1, elements), (step, step, 1)
    # Whole items apart, so that those at multiples of 128 bytes are known to be.
    factor = rows.lanes if step % rows.lanes == 0 else 1
    align = factor * rows.item_bytes
    buffer = T.buffer(
        shape, rows.dtype, strides=strides, scope=scope, align=align, offset_factor=factor
    )
    return T.arg(name, buffer)


def _index(rows: Rows, side: str, item: Any, element: Any) -> list[Any]:
    return [item, 0, element] if rows.groups == side else [item, element]


def _describe(rows: Rows, source: Any, target: Any) -> None:
    with T.grid(rows.count, rows.target) as (x, c), T.sblock("copy"):
        i, k = T.axis.spatial(rows.count, x), T.axis.spatial(rows.target, c)
        value = source[tuple(_index(rows, "source", i, k))]
        if rows.target > rows.length:
            whole = slice(0, rows.length)
            T.reads(source[tuple(_index(rows, "source", i, whole))])
            T.writes(target[tuple(_index(rows, "target", i, k))])
            zero = tvm.tirx.const(0, rows.dtype)
            value = T.if_then_else(k < rows.length, value, zero)
        T.buffer_store(target, value, _index(rows, "target", i, k))


def _implement(rows: Rows, source: Any, target: Any) -> None:
    every = _Vectors(rows, source)

    def store(item: Any, first: Any, value: Any) -> None:
        T.buffer_store(target, value, _index(rows, "target", item, T.ramp(first, 1, rows.lanes)))

    if rows.direct:
        every.copy(0, rows.direct, store)
    left = range(rows.direct, rows.count)
    if len(left) <= FEW and rows.target == rows.length:
        for item in left:
            places = (target, "target"), (source, "source")
            to, of = (
                T.address_of(buffer[tuple(_index(rows, side, item, 0))]) for buffer, side in places
            )
            copy_bytes(to, of, rows.length * rows.item_bytes)
        return
    # A block of its own: what the outermost one allocates is lost when the rule is applied.
    with T.sblock("last"):
        items = slice(left.start, left.stop)
        T.reads(source[tuple(_index(rows, "source", items, slice(0, rows.length)))])
        T.writes(target[tuple(_index(rows, "target", items, slice(0, rows.target)))])
        room = len(left) * rows.target + rows.lanes
        aside = T.sblock_alloc_buffer((room,), rows.dtype, align=VECTOR_BYTES)
        IRBuilder.name("aside", aside)

        def store_aside(item: Any, first: Any, value: Any) -> None:
            at = (item - left.start) * rows.target + first
            T.buffer_store(aside, value, [T.ramp(at, 1, rows.lanes)])

        every.copy(left.start, left.stop, store_aside)
        size = ((len(left) - 1) * rows.target + rows.target) * rows.item_bytes
        last = T.address_of(target[tuple(_index(rows, "target", left.start, 0))])
        copy_bytes(last, T.address_of(aside[0]), size)


class _Vectors:
    """The vectors of the items of a source."""

    def __init__(self, rows: Rows, source: Any) -> None:
        self.rows, self.source = rows, source
        self.whole = whole_buffer(source, rows.extent)

    def copy(self, first: int, last: int, store: Callable[[Any, Any, Any], None]) -> None:
        """Give all vectors of some items to ``store``, with the item and their first element."""
        rows = self.rows
        with T.serial(first, last) as item:

            def copy(number: Any) -> None:
                store(item, number * rows.lanes, self._vector(item, number))

            each(rows.vectors - 1, copy)
            copy(rows.vectors - 1)

    def _vector(self, item: Any, number: Any) -> Any:
        rows = self.rows
        if rows.source % rows.lanes == 0:
            index = _index(rows, "source", item, T.ramp(number * rows.lanes, 1, rows.lanes))
            return self.source[tuple(index)]
        begin = self.source.elem_offset + item * rows.source
        low = T.floordiv(begin, rows.lanes) + number
        last = isinstance(number, int) and number == rows.vectors - 1
        # The next vector is not read where there is none: then no byte of it is wanted.
        high = T.min(low + 1, (rows.extent - 1) // rows.lanes) if last else low + 1
        upper, lower = (aligned_vector(self.whole, one, rows.lanes) for one in (high, low))
        vector = hvx.align_right(upper, lower, begin * rows.item_bytes)
        if last and rows.target > rows.length:
            vector = self._shortened(vector)
        return T.reinterpret(f"{rows.dtype}x{rows.lanes}", vector)

    def _shortened(self, vector: Any) -> Any:
        """Clear what is behind the item, in its last vector."""
        rows = self.rows
        surplus = (rows.vectors * rows.lanes - rows.length) * rows.item_bytes
        nothing, everything = hvx.splat(hvx.word(0)), hvx.splat(hvx.word(-1))
        inside = hvx.align_right(nothing, everything, surplus)
        return hvx.call("vand", vector, inside)
