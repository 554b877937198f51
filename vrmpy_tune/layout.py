"""Layouts of weights: packing for the vector operand of vrmpy, and its inverse.

Packed weights are ``[groups, O/32, kernel height, kernel width, K/4, 32, 4]``: one vector
register holds four consecutive input channels of 32 output channels.  Channels that do not
fill a vector are zeros (of the packed type).
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


def pack(weights: np.ndarray, groups: int, *, offset: bool) -> np.ndarray:
    """Pack weights for vrmpy.

    Parameters
    ----------
    weights:
        ``[co, kh, kw, ci / groups]``, uint8 or int8.
    groups:
        Groups of output channels; it divides ``co``.
    offset:
        Whether to store ``weight + 128`` as uint8 (for int8 weights only).

    Returns
    -------
    packed:
        See the module's text; uint8 if ``offset``, else the type of ``weights``.
    """
    outputs, height, width, depth = weights.shape
    shifted = (weights.astype(np.int16) + WEIGHT_OFFSET).astype(np.uint8) if offset else weights
    per_group = outputs // groups
    lanes, channels = round_up(per_group, LANES), round_up(depth, REDUCE)
    grouped = shifted.reshape(groups, per_group, height, width, depth)
    padded = np.zeros((groups, lanes, height, width, channels), shifted.dtype)
    padded[:, :per_group, :, :, :depth] = grouped
    blocked = padded.reshape(
        groups, lanes // LANES, LANES, height, width, channels // REDUCE, REDUCE
    )
    return np.ascontiguousarray(blocked.transpose(0, 1, 3, 4, 5, 2, 6))


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
