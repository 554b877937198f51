"""Blocks that arrange plain constants as the kernel wants them, for programs on plain operands.

They compute what :func:`search_spaces.operands.packed_arguments` does at compile time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, reduce, spatial
from search_spaces.operands import MULTIPLIER, START, WEIGHTS, has_start, plain_weight_shape
from vrmpy_tune.layout import packed_shape
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

if TYPE_CHECKING:
    from search_spaces.geometry import Geometry
    from vrmpy_tune.workload import Contraction

PREPROCESSING = "meta_schedule.layout_rewrite_preproc"
"""TVM's mark of a block that concerns constants only."""


def pack_constants(
    workload: Contraction, geometry: Geometry, weight_offset: int, named: dict[str, Any]
) -> dict[str, Any]:
    """Write the blocks; return the buffers of all operands by name, those packed that need it."""
    found = dict(named)
    found[WEIGHTS] = _weights(workload, geometry, weight_offset, named[WEIGHTS])
    if has_start(workload):
        found[START] = _start(workload, geometry, named[WEIGHTS], named.get("bias"))
    if workload.requant == "channel":
        packed = _vectors(geometry, "pack_multiplier", named[MULTIPLIER])
        # Under another name, because TVM moves a block into a loop only with all that it reads.
        found[MULTIPLIER] = T.decl_buffer(
            packed.shape, "int32", data=packed.data, align=VECTOR_BYTES
        )
    return found


def _channel(geometry: Geometry, vector: Any, lane: Any) -> Any:
    """Return the channel of a lane, as :func:`vrmpy_tune.layout.channels_of_lanes` does."""
    paired = geometry.paired
    if paired == 1:
        return geometry.first_channel(vector) + lane
    return (vector // paired * LANES + lane) * paired + vector % paired


def _weights(workload: Contraction, geometry: Geometry, weight_offset: int, plain: Any) -> Any:
    shape = packed_shape(plain_weight_shape(geometry), geometry.groups, geometry.words)
    dtype = "uint8" if weight_offset else geometry.rhs
    packed = allocate("packed", shape, dtype)
    outputs, depth = geometry.outputs, geometry.depth
    with T.grid(*shape) as loops, T.sblock("pack"):
        g, no, dy, dx, ko, ni, ki = spatial(shape, loops)
        T.sblock_attr({PREPROCESSING: True})
        lane, channel = _channel(geometry, no, ni), ko * REDUCE + ki
        index = _weight_index(workload, g * outputs + lane, dy, dx, channel)
        weight = plain[tuple(index)]
        if weight_offset:
            weight = T.cast(T.cast(weight, "int32") + weight_offset, "uint8")
        fill = tvm.tirx.const(weight_offset + workload.rzp, dtype)
        inside = tvm.tirx.all(lane < outputs, channel < depth)
        T.buffer_store(packed, T.if_then_else(inside, weight, fill), [g, no, dy, dx, ko, ni, ki])
    return packed


def _weight_index(workload: Contraction, output: Any, dy: Any, dx: Any, channel: Any) -> list[Any]:
    return [output, channel] if len(workload.weight_shape) == 2 else [output, dy, dx, channel]


def _start(workload: Contraction, geometry: Geometry, weights: Any, bias: Any) -> Any:
    outputs = plain_weight_shape(geometry)[0]
    starts = allocate("starts", (outputs,), "int32")
    with T.grid(outputs) as loop, T.sblock("copy_bias"):
        (o,) = spatial((outputs,), [loop])
        T.sblock_attr({PREPROCESSING: True})
        T.buffer_store(starts, 0 if bias is None else bias[o], [o])
    if workload.lzp:
        extents = (*geometry.kernel, geometry.depth)
        with T.grid(outputs, *extents) as loops, T.sblock("sum_weights"):
            (o,) = spatial((outputs,), loops[:1])
            dy, dx, c = reduce(extents, loops[1:])
            T.sblock_attr({PREPROCESSING: True})
            weight = T.cast(weights[tuple(_weight_index(workload, o, dy, dx, c))], "int32")
            T.buffer_store(starts, starts[o] - (weight - workload.rzp) * workload.lzp, [o])
    return _vectors(geometry, "pack_start", starts)


def _vectors(geometry: Geometry, block: str, plain: Any) -> Any:
    shape = (geometry.groups, geometry.vectors, LANES)
    packed = allocate(f"{block}ed", shape, "int32")
    with T.grid(*shape) as loops, T.sblock(block):
        g, no, ni = spatial(shape, loops)
        T.sblock_attr({PREPROCESSING: True})
        lane = _channel(geometry, no, ni)
        value = plain[g * geometry.outputs + lane]
        value = T.if_then_else(lane < geometry.outputs, value, tvm.tirx.const(0, "int32"))
        T.buffer_store(packed, value, [g, no, ni])
    return packed
