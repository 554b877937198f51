"""Blocks behind the accumulators of a workload with 8-bit output.

``store`` requantizes 128 accumulators at a time, those of one to four pixels
(:attr:`search_spaces.geometry.Geometry.unit`), and adds the residual.  Where these bytes are not
neighbours in the output they are stored aside, ``crop`` copies them, and ``add`` adds the residual.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, spatial
from search_spaces.operands import MULTIPLIER
from search_spaces.rows import cut_row, parallel_rows
from vrmpy_tune.intrin.join_blocks import Blocks, join_blocks
from vrmpy_tune.intrin.requantize import (
    Element,
    Epilogue,
    Operands,
    added,
    added_vectors,
    requantize,
    store_requantized,
)
from vrmpy_tune.intrin.restride import Rows, restride
from vrmpy_tune.target import LANES, VECTOR_BYTES
from vrmpy_tune.workload.base import product

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvm.s_tir import Schedule

    from search_spaces.geometry import Geometry
    from vrmpy_tune.workload import Contraction


def epilogue_of(workload: Contraction, geometry: Geometry) -> Epilogue:
    """Return what is done with the accumulators of a workload while they are in registers."""
    pixels, vectors = geometry.unit
    per_channel, residual = workload.requant == "channel", bool(workload.residual)
    act = workload.act
    if residual and geometry.is_cropped:
        residual, act = False, "none"
    return Epilogue(pixels, vectors, workload.out, per_channel, act, residual)


def store_bytes(
    workload: Contraction, geometry: Geometry, sums: Any, named: dict[str, Any],
    plain_index: Callable[..., list[Any]],
) -> None:  # fmt: skip
    """Write the blocks.

    Parameters
    ----------
    sums:
        The accumulators: ``[batch, height, groups, *column_extents, vectors, 32]``.
    named:
        Operands and ``output`` by name; multipliers of channels are packed as vectors.
    plain_index:
        Returns the index into plain tensors for batch, row, column and channel.
    """
    epilogue = epilogue_of(workload, geometry)
    aside = _Aside(geometry, epilogue)
    output = target = named["output"]
    if geometry.is_cropped:
        target = allocate("vectors", aside.shape, epilogue.dtype)
    parameters = named["requantize"], named.get("residual"), named.get("add")
    operands = Operands(sums, named[MULTIPLIER], *parameters, target)
    units, *pixels = geometry.column_extents
    blocks = geometry.vectors // epilogue.vectors
    outer = (geometry.batch, geometry.height, units, geometry.groups, blocks)
    extents = (*outer, *pixels, *epilogue.channel_extents)
    with T.grid(*extents) as loops, T.sblock("store"):
        b, y, unit, g, block, *inner = spatial(extents, loops)
        at = [unit, *inner[: len(pixels)]]
        x = geometry.column(at)
        vector, lane, channel = epilogue.position(inner[len(pixels) :])
        if geometry.is_cropped:
            index = aside.in_block((b, y, x, g), block, channel)
        else:
            first = g * geometry.outputs + block * (epilogue.vectors * LANES)
            index = tuple(plain_index(b, y, x, first + channel))
        vector = block * epilogue.vectors + vector
        multiplier = (g, vector, lane) if epilogue.per_channel else (0,)
        element = Element((b, y, g, *at, vector, lane), multiplier, index)
        store_requantized(epilogue, operands, element)
    if not geometry.is_cropped:
        return
    cropped = output
    if workload.residual:
        cropped = allocate("cropped", workload.output_shape, epilogue.dtype)
    extents = (*outer[:2], geometry.width, geometry.groups, geometry.outputs)
    with T.grid(*extents) as loops, T.sblock("crop"):
        b, y, x, g, o = spatial(extents, loops)
        index = tuple(plain_index(b, y, x, g * geometry.outputs + o))
        T.buffer_store(cropped, target[aside.index((b, y, x, g), o)], list(index))
    if workload.residual:
        _add(workload, cropped, named)


def _add(workload: Contraction, cropped: Any, named: dict[str, Any]) -> None:
    """Add the residual to what was stored; tensors are rows of bytes here, whatever their shape.

    No schedule changes these loops.
    """
    size, dtype = product(workload.output_shape), workload.output.numpy_type
    buffers = cropped, named["residual"], named["output"]
    with T.sblock("add"):
        T.reads(*(one[tuple(slice(0, extent) for extent in one.shape)] for one in buffers[:2]))
        T.writes(named["output"][tuple(slice(0, e) for e in workload.output_shape)])
        lhs, rhs, output = (T.decl_buffer((size,), dtype, data=one.data) for one in buffers)
        parameters = named["add"]
        with T.parallel(0, size // VECTOR_BYTES) as vector:
            every = T.ramp(vector * VECTOR_BYTES, 1, VECTOR_BYTES)
            total = added_vectors(workload.out, workload.act, lhs[every], rhs[every], parameters)
            T.buffer_store(output, total, [every])
        whole = size // VECTOR_BYTES * VECTOR_BYTES
        with T.serial(whole, size) as i:
            value = added(workload.out, workload.act, lhs[i], rhs[i], parameters)
            T.buffer_store(output, value, [i])


class _Aside:
    """A tensor of the output's pixels in which the bytes of one vector are neighbours."""

    def __init__(self, geometry: Geometry, epilogue: Epilogue) -> None:
        self.dtype = epilogue.dtype
        self.block = epilogue.vectors * LANES
        self.lanes = geometry.vectors * LANES
        # Bytes of several pixels: the same block of channels of all of them lies together.
        self.piece = self.block if epilogue.pixels > 1 else self.lanes
        self.shape = (
            geometry.batch, geometry.height, geometry.groups, self.lanes // self.piece,
            geometry.columns, self.piece,
        )  # fmt: skip

    def in_block(self, pixel: tuple[Any, ...], block: Any, channel: Any) -> tuple[Any, ...]:
        """Return the position of a channel in one of the blocks that the rule stores."""
        b, y, x, g = pixel
        if self.piece == self.block:
            return b, y, g, block, x, channel
        return b, y, g, 0, x, block * self.block + channel

    def index(self, pixel: tuple[Any, ...], channel: Any) -> tuple[Any, ...]:
        """Return the position of a channel of a pixel (batch, row, column and group)."""
        b, y, x, g = pixel
        if self.piece == self.lanes:
            return b, y, g, 0, x, channel
        return b, y, g, channel // self.piece, x, channel % self.piece


def schedule_store(sch: Schedule, epilogue: Epilogue) -> None:
    """Turn the block ``store``, which is in the loops of a tile already, into the rule."""
    loops = sch.get_loops(sch.get_sblock("store"))
    inner = len(epilogue.channel_extents) + (epilogue.pixels > 1)
    sch.tensorize(loops[-inner], requantize(epilogue))
    for loop in loops[-inner - 5 : -inner]:
        sch.unroll(loop)


def schedule_crop(sch: Schedule, geometry: Geometry, epilogue: Epilogue, contexts: int) -> None:
    """Copy bytes to where they belong, in whole vectors where rows are not of another order."""
    view, aside = geometry, _Aside(geometry, epilogue)
    row = parallel_rows(sch, "crop")
    if view.channels_first or 1 in (view.width, view.outputs):
        return
    if view.groups > 1:
        together = math.gcd(view.outputs, LANES)
        if together > 1:
            sch.vectorize(sch.split(sch.get_loops(sch.get_sblock("crop"))[-1], [None, together])[1])
        return
    count, row = cut_row(sch, view.batch * view.height, row, view.width, contexts=contexts)
    extent = product(aside.shape)
    if aside.piece == aside.lanes:
        sizes = (count, view.outputs, aside.piece, view.outputs, extent)
        sch.tensorize(row, restride(Rows(*sizes, "none", epilogue.dtype, "global")))
    else:
        apart = view.columns * aside.piece
        blocks = Blocks(count, view.outputs, aside.piece, apart, extent, epilogue.dtype)
        sch.tensorize(row, join_blocks(blocks))
