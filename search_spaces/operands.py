"""Arguments of a contraction's program: constants are arranged for the kernel at compile time.

With zero points ``l`` of activations and ``r`` of weights, stored weights ``s = w + offset`` and
depth ``K``, the sums are

``sum (a - l)(w - r) + bias = sum a s - (offset + r) sum a + [bias - l (sum w - r K)]``.

What is in brackets is one constant for each output channel, with which accumulators start.  Weights
of the channels that fill the last word are stored as ``offset + r``: they add nothing, whatever the
activations beside them are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vrmpy_tune.layout import pack, pack_channels, packed_shape
from vrmpy_tune.target import LANES
from vrmpy_tune.workload import Operand

if TYPE_CHECKING:
    from search_spaces.geometry import Geometry
    from vrmpy_tune.workload import Contraction

WEIGHTS = "weights"
START = "start"
MULTIPLIER = "multiplier"


def has_start(workload: Contraction) -> bool:
    """Whether accumulators start with a constant for each channel, not with zero."""
    return bool(workload.bias or workload.lzp)


def plain_weight_shape(geometry: Geometry) -> tuple[int, int, int, int]:
    """Return the shape of the weights with all axes: ``[co, kernel height, kernel width, K]``."""
    height, width = geometry.kernel
    return (geometry.groups * geometry.outputs, height, width, geometry.depth)


def parameters(
    workload: Contraction, geometry: Geometry, weight_offset: int
) -> tuple[Operand, ...]:
    """Return the arguments of the program on packed operands, in order, without the output."""
    vectors = (geometry.groups, geometry.vectors, LANES)
    found = []
    for one in workload.operands:
        if one.name == WEIGHTS:
            shape = packed_shape(plain_weight_shape(geometry), geometry.groups, geometry.words)
            found.append(Operand(WEIGHTS, shape, "u8" if weight_offset else one.dtype, True))
            if has_start(workload):
                found.append(Operand(START, vectors, "i32", True))
        elif one.name == MULTIPLIER and workload.requant == "channel":
            found.append(Operand(MULTIPLIER, vectors, "i32", True))
        elif one.name != "bias":
            found.append(one)
    return tuple(found)


def packed_arguments(
    workload: Contraction,
    geometry: Geometry,
    weight_offset: int,
    operands: tuple[np.ndarray, ...],
) -> tuple[np.ndarray, ...]:
    """Return arrays for :func:`parameters` from those for the workload's operands."""
    named = dict(zip((one.name for one in workload.operands), operands, strict=True))
    weights = named[WEIGHTS].reshape(plain_weight_shape(geometry))
    fill = weight_offset + workload.rzp
    groups, lanes, words = geometry.groups, geometry.lanes, geometry.words
    named[WEIGHTS] = pack(
        weights, groups, offset=weight_offset != 0, lanes=lanes, words=words, fill=fill
    )
    if has_start(workload):
        shifted = (weights.astype(np.int64) - workload.rzp).sum(axis=(1, 2, 3))
        start = named.get("bias", np.int64(0)) - workload.lzp * shifted
        named[START] = pack_channels(start.astype(np.int32), groups, lanes)
    if workload.requant == "channel":
        named[MULTIPLIER] = pack_channels(named[MULTIPLIER], groups, lanes)
    return tuple(named[one.name] for one in parameters(workload, geometry, weight_offset))
