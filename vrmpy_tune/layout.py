"""Layouts of weights: packing for the vector operand of vrmpy, and its inverse.

Packed weights are ``[groups, O/32, kernel height, kernel width, K/4, 32, 4]``: one vector
register holds four consecutive input channels of 32 output channels: of consecutive ones, or,
where the kernel narrows its sums to bytes, of every other of 64 (:func:`lane_of`).  The last vector
may begin earlier, with channels that the one before holds too, and end with the last channel.
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


def packed_shape(
    shape: tuple[int, int, int, int], groups: int, words: int | None = None
) -> tuple[int, ...]:
    """Return the packed shape of weights ``[co, kh, kw, ci / groups]``.

    ``words`` of four channels are kept, by default as many as there are.
    """
    outputs, height, width, depth = shape
    vectors = round_up(outputs // groups, LANES) // LANES
    words = words or round_up(depth, REDUCE) // REDUCE
    return (groups, vectors, height, width, words, LANES, REDUCE)


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


def channels_of_lanes(outputs: int, paired: int, *, overlapped: bool = False) -> np.ndarray:
    """Return the output channel that each lane computes, or -1: ``[O/32, 32]``, int64.

    Parameters
    ----------
    outputs:
        Output channels of a group.
    paired:
        See :func:`lane_of`.
    overlapped:
        Whether the last vector ends with the last channel, and computes again what the vector
        before it does, so that all vectors are whole; only for ``paired == 1``, and at least 32.
    """
    blocks = round_up(outputs, LANES * paired) // (LANES * paired)
    block, parity, lane = np.ogrid[:blocks, :paired, :LANES]
    channels = (block * LANES + lane) * paired + parity
    channels = channels.reshape(-1, LANES)
    if overlapped:
        channels[-1] = np.arange(outputs - LANES, outputs)
    return np.where(channels < outputs, channels, -1)


def pack_channels(values: np.ndarray, groups: int, lanes: np.ndarray) -> np.ndarray:
    """Arrange one value for each output channel as vectors: ``[groups, O/32, 32]``.

    Parameters
    ----------
    values:
        A value for each output channel of all groups.
    groups:
        Groups of output channels.
    lanes:
        The channels of the lanes (:func:`channels_of_lanes`); lanes of none hold 0.
    """
    grouped = values.reshape(groups, -1)
    return np.where(lanes >= 0, grouped[:, lanes], values.dtype.type(0))


def pack(
    weights: np.ndarray,
    groups: int,
    *,
    offset: bool,
    fill: int = 0,
    lanes: np.ndarray | None = None,
    words: int | None = None,
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
    fill:
        Weights of the input channels that fill the last words, and of lanes without channel.
    lanes:
        The channels of the lanes (:func:`channels_of_lanes`); by default in order.
    words:
        Words of four input channels, by default as many as there are.

    Returns
    -------
    packed:
        See the module's text; uint8 if ``offset``, else the type of ``weights``.
    """
    outputs, height, width, depth = weights.shape
    shifted = (weights.astype(np.int16) + WEIGHT_OFFSET).astype(np.uint8) if offset else weights
    per_group = outputs // groups
    if lanes is None:
        lanes = channels_of_lanes(per_group, 1)
    words = words or round_up(depth, REDUCE) // REDUCE
    padded = np.full((groups, per_group, height, width, words * REDUCE), fill, shifted.dtype)
    padded[..., :depth] = shifted.reshape(groups, per_group, height, width, depth)
    vectors = padded[:, lanes]
    vectors[:, lanes < 0] = fill
    in_words = vectors.reshape(*vectors.shape[:-1], words, REDUCE)
    return np.ascontiguousarray(in_words.transpose(0, 1, 3, 4, 5, 2, 6))


def unpack(packed: np.ndarray, shape: tuple[int, int, int, int], *, offset: bool) -> np.ndarray:
    """Undo :func:`pack` with lanes in order; ``shape`` is that of the plain weights."""
    outputs, height, width, depth = shape
    groups, vectors, _, _, words, lanes, reduce = packed.shape
    plain = packed.transpose(0, 1, 5, 2, 3, 4, 6).reshape(
        groups, vectors * lanes, height, width, words * reduce
    )
    plain = plain[:, : outputs // groups, :, :, :depth].reshape(shape)
    if offset:
        return (plain.astype(np.int16) - WEIGHT_OFFSET).astype(np.int8)
    return plain.copy()
