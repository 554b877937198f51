"""Layouts of weights: packing for the vector operand of vrmpy, and its inverse.

Packed weights are ``[groups, O/32, kernel height, kernel width, K/4, 32, 4]``: one vector
register holds four consecutive input channels of 32 output channels: of consecutive ones, or,
where the kernel narrows its sums to bytes, of every other of 64 (:func:`lane_of`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vrmpy_tune.target import LANES, REDUCE

WEIGHT_OFFSET: Final = 128
"""Added to signed weights so that they fit the unsigned vector operand of vrmpy."""


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of ``multiple`` that is not below ``value``."""
    return -(-value // multiple) * multiple


def packed_shape(shape: tuple[int, int, int, int], groups: int) -> tuple[int, ...]:
    """Return the packed shape of weights ``[co, kh, kw, ci / groups]``."""
    outputs, height, width, depth = shape
    vectors = round_up(outputs // groups, LANES) // LANES
    return (groups, vectors, height, width, round_up(depth, REDUCE) // REDUCE, LANES, REDUCE)


def lane_of(channel: int, paired: int) -> tuple[int, int]:
    """Return the vector and the lane in which an output channel is computed.

    Parameters
    ----------
    channel:
        Output channel within its group.
    paired:
        2 where pairs of vectors hold even and odd channels, so that narrowing, which interleaves
        two vectors, leaves bytes in order; else 1.
    """
    block, inside = divmod(channel, LANES * paired)
    return block * paired + inside % paired, inside // paired


def pack_channels(values: np.ndarray, groups: int, paired: int) -> np.ndarray:
    """Arrange one value for each output channel as vectors: ``[groups, O/32, 32]``."""
    per_group = values.size // groups
    lanes = round_up(per_group, LANES * paired)
    padded = np.zeros((groups, lanes), values.dtype)
    padded[:, :per_group] = values.reshape(groups, per_group)
    blocks = padded.reshape(groups, -1, LANES, paired)
    return np.ascontiguousarray(blocks.swapaxes(2, 3).reshape(groups, -1, LANES))


def pack(
    weights: np.ndarray, groups: int, *, offset: bool, paired: int = 1, fill: int = 0
) -> np.ndarray:
    """Pack weights for vrmpy.

    Parameters
    ----------
    weights:
        ``[co, kh, kw, ci / groups]``, uint8 or int8.
    groups:
        Groups of output channels; it divides ``co``.
    offset:
        Whether to store ``weight + 128`` as uint8 (for int8 weights only).
    paired:
        Order of the output channels; see :func:`lane_of`.
    fill:
        Weights of the input channels that fill the last word of four.

    Returns
    -------
    packed:
        See the module's text; uint8 if ``offset``, else the type of ``weights``.
    """
    outputs, height, width, depth = weights.shape
    shifted = (weights.astype(np.int16) + WEIGHT_OFFSET).astype(np.uint8) if offset else weights
    per_group = outputs // groups
    lanes, channels = round_up(per_group, LANES * paired), round_up(depth, REDUCE)
    grouped = shifted.reshape(groups, per_group, height, width, depth)
    padded = np.full((groups, lanes, height, width, channels), fill, shifted.dtype)
    padded[:, :per_group, :, :, :depth] = grouped
    blocked = padded.reshape(groups, -1, LANES, paired, height, width, channels // REDUCE, REDUCE)
    ordered = blocked.transpose(0, 1, 3, 4, 5, 6, 2, 7)
    return np.ascontiguousarray(
        ordered.reshape(groups, lanes // LANES, height, width, channels // REDUCE, LANES, REDUCE)
    )


def unpack(packed: np.ndarray, shape: tuple[int, int, int, int], *, offset: bool) -> np.ndarray:
    """Undo :func:`pack`; ``shape`` is that of the plain weights."""
    outputs, height, width, depth = shape
    groups, vectors, _, _, words, lanes, reduce = packed.shape
    plain = packed.transpose(0, 1, 5, 2, 3, 4, 6).reshape(
        groups, vectors * lanes, height, width, words * reduce
    )
    plain = plain[:, : outputs // groups, :, :, :depth].reshape(shape)
    if offset:
        return (plain.astype(np.int16) - WEIGHT_OFFSET).astype(np.int8)
    return plain.copy()
