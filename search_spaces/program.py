"""The unscheduled program of a workload, in one of several forms of the multiplication.

Every program is a function of the plain activations, the weights and the plain int32
output.  Its blocks, in order, where the geometry needs them:

``pack``        weights into the vector operand's layout (only where the caller did not)
``fill, copy``  activations into zero-padded rows with channels innermost
``sum_...``       sums of activations, for the ``offset`` form (:mod:`search_spaces.sums`)
``multiply``    the reduction that becomes vrmpy, in scope ``local``
``store``       whole vectors of outputs
``crop``        outputs into the caller's layout
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, argument, reduce, spatial
from search_spaces.sums import sum_windows
from vrmpy_tune.layout import WEIGHT_OFFSET, packed_shape
from vrmpy_tune.target import LANES, REDUCE

if TYPE_CHECKING:
    from search_spaces.geometry import Geometry
    from vrmpy_tune.workload import Contraction


class Form(enum.StrEnum):
    """How operands meet in the multiplier."""

    SCALAR = "scalar"
    """Unsigned weights in vectors, activations as scalar words: two vrmpy a packet."""
    OFFSET = "offset"
    """Signed weights stored as ``weight + 128``; 128 x (sum of activations) is subtracted."""
    SPLAT = "splat"
    """Activations copied to all lanes, vector by vector: any signs, one vrmpy a packet on v68."""


FORMS: Final = {
    Form.SCALAR: "unsigned weights in vectors, activations as scalar words",
    Form.OFFSET: "signed weights + 128 in vectors, sums of activations taken off",
    Form.SPLAT: "activations copied to all lanes, vector by vector",
}
"""What each form is, in one line."""


def build_program(
    workload: Contraction, geometry: Geometry, form: Form, *, packed: bool = True
) -> tvm.IRModule:
    """Return the unscheduled program.

    Parameters
    ----------
    packed:
        Whether the function takes weights that were packed at compile time
        (:func:`vrmpy_tune.layout.pack`), or plain ones and packs them itself.
    """
    return tvm.IRModule({"main": _Program(workload, geometry, form).function(packed)})


class _Program:
    def __init__(self, workload: Contraction, geometry: Geometry, form: Form) -> None:
        self.workload, self.geometry, self.form = workload, geometry, form
        self.weight_type = "uint8" if form is Form.OFFSET else geometry.rhs
        kernel_height, kernel_width = geometry.kernel
        self.plain_weights = (
            geometry.groups * geometry.outputs, kernel_height, kernel_width, geometry.depth,
        )  # fmt: skip

    def function(self, packed: bool) -> tvm.tirx.PrimFunc:
        """Build the function block by block."""
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("main")
            T.func_attr({"global_symbol": "main", "tirx.noalias": True})
            activations = argument("A", self.workload.input_shape, self.geometry.lhs)
            shape = packed_shape(self.plain_weights, self.geometry.groups)
            if packed:
                weights = argument("W", shape, self.weight_type)
                output = argument("C", self.workload.output_shape, "int32")
            else:
                plain = argument("W", self.workload.weight_shape, self.geometry.rhs)
                output = argument("C", self.workload.output_shape, "int32")
                weights = self._pack(plain, shape)
            read = self._stage(activations)
            start = sum_windows(self.geometry, read) if self.form is Form.OFFSET else None
            self._store(self._multiply(read, weights, start), output)
        return builder.get()

    def _pack(self, plain: Any, shape: tuple[int, ...]) -> Any:
        packed = allocate("packed", shape, self.weight_type)
        outputs, depth = self.geometry.outputs, self.geometry.depth
        with T.grid(*shape) as loops, T.sblock("pack"):
            g, no, dy, dx, ko, ni, ki = spatial(shape, loops)
            T.sblock_attr({"meta_schedule.layout_rewrite_preproc": True})
            lane, channel = no * LANES + ni, ko * REDUCE + ki
            index = [g * outputs + lane, dy, dx, channel]
            if len(self.workload.weight_shape) == 2:
                index = [index[0], channel]
            weight = plain[tuple(index)]
            if self.form is Form.OFFSET:
                weight = T.cast(T.cast(weight, "int32") + WEIGHT_OFFSET, "uint8")
            inside = tvm.tirx.all(lane < outputs, channel < depth)
            zero = tvm.tirx.const(0, self.weight_type)
            T.buffer_store(
                packed, T.if_then_else(inside, weight, zero), [g, no, dy, dx, ko, ni, ki]
            )
        return packed

    def _plain_index(self, b: Any, y: Any, x: Any, channel: Any) -> list[Any]:
        """Index activations or output in the caller's layout."""
        shape = self.workload.output_shape
        if len(shape) == 2:
            return [x, channel]
        if self.geometry.channels_first:
            return [b, channel, y, x]
        if self.geometry.flat:
            height, width = shape[1], shape[2]
            return [x // (height * width), x // width % height, x % width, channel]
        return [b, y, x, channel]

    def _stage(self, activations: Any) -> Any:
        """Copy activations where they cannot be read in place; return how to read one."""
        geometry = self.geometry
        depth = geometry.words * REDUCE
        if not geometry.is_staged:
            return lambda b, y, x, g, c: activations[
                tuple(self._plain_index(b, y, x, g * geometry.depth + c))
            ]
        shape = (
            geometry.batch, geometry.input_height, geometry.input_width,
            geometry.groups, depth,
        )  # fmt: skip
        staged = allocate("staged", shape, geometry.lhs)
        if geometry.is_padded:
            with T.grid(*shape) as loops, T.sblock("fill"):
                T.buffer_store(staged, tvm.tirx.const(0, geometry.lhs), spatial(shape, loops))
        top, left, bottom, right = geometry.pad
        inner = (
            geometry.batch, geometry.input_height - top - bottom,
            geometry.input_width - left - right, geometry.groups, geometry.depth,
        )  # fmt: skip
        with T.grid(*inner) as loops, T.sblock("copy"):
            b, y, x, g, c = spatial(inner, loops)
            value = activations[tuple(self._plain_index(b, y, x, g * geometry.depth + c))]
            T.buffer_store(staged, value, [b, y + top, x + left, g, c])
        return lambda b, y, x, g, c: staged[b, y, x, g, c]

    def _multiply(self, read: Any, weights: Any, start: Any) -> Any:
        geometry = self.geometry
        (stride_h, stride_w), (dilation_h, dilation_w) = geometry.stride, geometry.dilation
        outer = (geometry.batch, geometry.height, geometry.columns, geometry.groups)
        shape = (*outer, geometry.vectors, LANES)
        sums = allocate("sums", shape, "int32", "local")
        extents = (*shape, *geometry.kernel, geometry.words, REDUCE)
        with T.grid(*extents) as loops, T.sblock("multiply"):
            b, y, x, g, no, ni = spatial(shape, loops[:6])
            dy, dx, ko, ki = reduce(extents[6:], loops[6:])
            index = [b, y, x, g, no, ni]
            if geometry.columns != geometry.width:
                x = T.min(x, geometry.width - 1)
            row, column = y * stride_h + dy * dilation_h, x * stride_w + dx * dilation_w
            activation = read(b, row, column, g, ko * REDUCE + ki)
            weight = weights[g, no, dy, dx, ko, ni, ki]
            # Stated, because what only the initial value reads would keep the block from matching.
            T.reads(activation, weight)
            T.writes(sums[tuple(index)])
            with T.init():
                T.buffer_store(sums, 0 if start is None else start(b, y, x, g), index)
            product = T.cast(activation, "int32") * T.cast(weight, "int32")
            T.buffer_store(sums, sums[tuple(index)] + product, index)
        return sums

    def _store(self, sums: Any, output: Any) -> None:
        geometry = self.geometry
        lanes = geometry.vectors * LANES
        outer = (geometry.batch, geometry.height, geometry.width, geometry.groups)
        target = output
        if geometry.is_cropped:
            target = allocate("vectors", (*outer, lanes), "int32")
        with T.grid(*outer, lanes) as loops, T.sblock("store"):
            b, y, x, g, o = spatial((*outer, lanes), loops)
            value = sums[b, y, x, g, o // LANES, o % LANES]
            index = [b, y, x, g, o]
            if not geometry.is_cropped:
                index = self._plain_index(b, y, x, g * geometry.outputs + o)
            T.buffer_store(target, value, index)
        if geometry.is_cropped:
            with T.grid(*outer, geometry.outputs) as loops, T.sblock("crop"):
                b, y, x, g, o = spatial((*outer, geometry.outputs), loops)
                index = self._plain_index(b, y, x, g * geometry.outputs + o)
                T.buffer_store(output, target[b, y, x, g, o], index)
