"""The rule that joins blocks of bytes, which lie apart, into the channels of pixels.

Requantized bytes of several pixels come in one vector, a block of channels of each; the blocks of a
pixel lie as far apart as a row of pixels is long.  Every block is turned to the front of a vector
and stored in whole, unaligned vectors; what that overwrites behind the block is written next.  The
last pixels of a row are joined aside, where there is room behind them, then copied.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin import hvx
from vrmpy_tune.intrin.copying import aligned_vector, copy_bytes, each, whole_buffer
from vrmpy_tune.intrin.registration import register
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Blocks:
    """What is joined: ``target[x, c] = source[c // piece, x, c % piece]``.

    Attributes
    ----------
    count, channels:
        Pixels, at least 2, and bytes of each, more than a block.
    piece:
        Bytes of a block: 32 or 64.
    apart:
        Bytes from a block of a pixel to the next: a multiple of 128.
    extent:
        Bytes of the whole source, which begins at a multiple of 128 bytes.
    dtype:
        Data type of both: ``"uint8"`` or ``"int8"``.
    """

    count: int
    channels: int
    piece: int
    apart: int
    extent: int
    dtype: str

    @property
    def name(self) -> str:
        """Name of the rule."""
        sizes = (self.count, self.channels, self.piece, self.apart, self.extent)
        return "/".join(("join_blocks", *(str(one) for one in sizes), self.dtype))

    @staticmethod
    def parse(*parts: str) -> Blocks:
        """Read the parameters of a rule's name; raises ``ValueError`` if they are malformed."""
        *sizes, dtype = parts
        count, channels, piece, apart, extent = (int(one) for one in sizes)
        return Blocks(count, channels, piece, apart, extent, dtype)

    @property
    def blocks(self) -> int:
        """Blocks of a pixel; the last may be a part of one."""
        return -(-self.channels // self.piece)

    @property
    def direct(self) -> int:
        """First pixels, whose last vector ends within the row."""
        beyond = (self.blocks - 1) * self.piece + VECTOR_BYTES - self.channels
        return max(0, self.count - -(-beyond // self.channels))


@functools.cache
def join_blocks(blocks: Blocks) -> str:
    """Register the rule; return its name."""
    register(blocks.name, _build(blocks, _describe), _build(blocks, _implement))
    return blocks.name


def _build(blocks: Blocks, body: Callable[[Blocks, Any, Any], None]) -> tvm.tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("join_blocks")
        shape = (blocks.blocks, blocks.count, blocks.piece)
        strides = (blocks.apart, blocks.piece, 1)
        source = T.arg(
            "a", T.buffer(shape, blocks.dtype, strides=strides, align=1, offset_factor=1)
        )
        pixels = (blocks.count, blocks.channels)
        target = T.arg("b", T.buffer(pixels, blocks.dtype, align=1, offset_factor=1))
        with T.sblock("root"):
            T.reads(source[tuple(slice(0, extent) for extent in source.shape)])
            T.writes(target[tuple(slice(0, extent) for extent in target.shape)])
            body(blocks, source, target)
    return builder.get()


def _describe(blocks: Blocks, source: Any, target: Any) -> None:
    with T.grid(blocks.count, blocks.channels) as (x, c), T.sblock("copy"):
        pixel, channel = T.axis.spatial(blocks.count, x), T.axis.spatial(blocks.channels, c)
        value = source[channel // blocks.piece, pixel, channel % blocks.piece]
        T.buffer_store(target, value, [pixel, channel])


def _implement(blocks: Blocks, source: Any, target: Any) -> None:
    whole = whole_buffer(source, blocks.extent)

    def vector(pixel: Any, block: Any) -> Any:
        begin = source.elem_offset + block * blocks.apart + pixel * blocks.piece
        loaded = aligned_vector(whole, T.floordiv(begin, VECTOR_BYTES), VECTOR_BYTES)
        turned = hvx.call("vror", loaded, T.cast(begin, "int32"))
        return T.reinterpret(f"{blocks.dtype}x{VECTOR_BYTES}", turned)

    def store(pixel: Any, first: Any, value: Any) -> None:
        T.buffer_store(target, value, [pixel, T.ramp(first, 1, VECTOR_BYTES)])

    if blocks.direct:
        _join(blocks, (0, blocks.direct), vector, store)
    left = blocks.count - blocks.direct
    if not left:
        return
    # A block of its own: what the outermost one allocates is lost when the rule is applied.
    with T.sblock("last"):
        pixels = slice(blocks.direct, blocks.count)
        T.reads(source[0 : blocks.blocks, pixels, 0 : blocks.piece])
        T.writes(target[pixels, 0 : blocks.channels])
        size = left * blocks.channels
        aside = T.sblock_alloc_buffer((size + VECTOR_BYTES,), blocks.dtype, align=VECTOR_BYTES)
        IRBuilder.name("aside", aside)

        def store_aside(pixel: Any, first: Any, value: Any) -> None:
            at = (pixel - blocks.direct) * blocks.channels + first
            T.buffer_store(aside, value, [T.ramp(at, 1, VECTOR_BYTES)])

        _join(blocks, (blocks.direct, blocks.count), vector, store_aside)
        pointers = T.address_of(target[blocks.direct, 0]), T.address_of(aside[0])
        copy_bytes(*pointers, size)


def _join(
    blocks: Blocks,
    pixels: tuple[int, int],
    vector: Callable[[Any, Any], Any],
    store: Callable[[Any, Any, Any], None],
) -> None:
    """Store all blocks of some pixels, in order."""
    with T.serial(*pixels) as pixel:

        def copy(block: Any) -> None:
            store(pixel, block * blocks.piece, vector(pixel, block))

        each(blocks.blocks, copy)
