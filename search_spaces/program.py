"""The unscheduled program of a workload, in one of several forms of the multiplication.

Every program is a function of the plain activations, the constants
(:mod:`search_spaces.operands`) and the plain output.  Its blocks, in order, where the geometry
needs them:

``pack...``     constants into the kernel's layouts (only where the caller did not)
``fill, copy``  activations into padded rows with channels innermost
``sum_...``     sums of activations under windows (:mod:`search_spaces.sums`)
``multiply``    the reduction that becomes vrmpy, in scope ``local``
``store``       whole vectors of outputs, requantized or not (:mod:`search_spaces.epilogue`)
``crop``        outputs into the caller's layout
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from search_spaces.blocks import allocate, argument, reduce, spatial
from search_spaces.epilogue import store_bytes
from search_spaces.operands import START, WEIGHTS, parameters
from search_spaces.packing import pack_constants
from search_spaces.sums import sum_windows
from vrmpy_tune.layout import WEIGHT_OFFSET
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES

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

    @property
    def weight_offset(self) -> int:
        """What is added to weights when they are packed."""
        return WEIGHT_OFFSET if self is Form.OFFSET else 0


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

    def function(self, packed: bool) -> tvm.tirx.PrimFunc:
        """Build the function block by block."""
        workload, geometry, offset = self.workload, self.geometry, self.form.weight_offset
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("main")
            attributes = {"global_symbol": "main", "tirx.noalias": True}
            if geometry.is_cropped and workload.residual:
                # MetaSchedule counts operations, and fails on the vectors of the addition.
                attributes["estimated_flops"] = workload.macs
            T.func_attr(attributes)
            taken = parameters(workload, geometry, offset) if packed else workload.operands
            named = {
                one.name: argument(one.name, one.shape, one.numpy_type)
                for one in (*taken, workload.output)
            }
            if not packed:
                named = pack_constants(workload, geometry, offset, named)
            read = self._stage(named["activations"])
            windows = sum_windows(geometry, read) if geometry.window_factor else None
            sums = self._multiply(read, named[WEIGHTS], named.get(START), windows)
            if geometry.narrow:
                store_bytes(workload, geometry, sums, named, self._plain_index)
            else:
                self._store(sums, named["output"])
        return builder.get()

    def _plain_index(self, b: Any, y: Any, x: Any, channel: Any) -> list[Any]:
        """Index activations or output in the caller's layout."""
        shape = self.workload.output_shape
        if len(shape) == 2:
            return [x, channel]
        if self.geometry.channels_first:
            return [b, channel, y, x]
        if self.geometry.flat:
            height, width = shape[1], shape[2]
            if shape[0] * height == 1:
                return [0, 0, x, channel]  # TVM does not simplify x // width of a part of a row
            return [x // (height * width), x // width % height, x % width, channel]
        return [b, y, x, channel]

    def _stage(self, activations: Any) -> Any:
        """Copy activations where they cannot be read in place; return how to read one."""
        geometry = self.geometry
        if not geometry.is_staged:
            return lambda b, y, x, g, c: activations[
                tuple(self._plain_index(b, y, x, g * geometry.depth + c))
            ]
        shape = (
            geometry.batch, geometry.input_height, geometry.input_width,
            geometry.groups, geometry.pitch,
        )  # fmt: skip
        staged = allocate("staged", shape, geometry.lhs)
        if geometry.is_filled:
            with T.grid(*shape) as loops, T.sblock("fill"):
                fill = tvm.tirx.const(geometry.fill, geometry.lhs)
                T.buffer_store(staged, fill, spatial(shape, loops))
        if geometry.is_spread:
            self._spread(activations, staged)
        else:
            self._copy(activations, staged)
        return lambda b, y, x, g, c: staged[b, y, x, g, c]

    def _pixels(self) -> tuple[int, int, int]:
        """Return batch, height and width of the activations without borders."""
        geometry = self.geometry
        top, left, bottom, right = geometry.pad
        height, width = geometry.input_height - top - bottom, geometry.input_width - left - right
        return geometry.batch, height, width

    def _copy(self, activations: Any, staged: Any) -> None:
        geometry = self.geometry
        top, left, _, _ = geometry.pad
        extents = (*self._pixels(), geometry.groups, geometry.depth)
        with T.grid(*extents) as loops, T.sblock("copy"):
            b, y, x, g, c = spatial(extents, loops)
            value = activations[tuple(self._plain_index(b, y, x, g * geometry.depth + c))]
            T.buffer_store(staged, value, [b, y + top, x + left, g, c])

    def _spread(self, activations: Any, staged: Any) -> None:
        """Copy pixels to where words begin, or vectors, with zeros behind the last channel."""
        geometry = self.geometry
        top, left, _, _ = geometry.pad
        rows, depth = self._pixels(), geometry.depth
        if geometry.flat:
            activations = self._joined(activations, depth)
        extents = (*rows, 1, geometry.pitch)
        with T.grid(*extents) as loops, T.sblock("copy"):
            b, y, x, g, c = spatial(extents, loops)
            pixel = (x,) if geometry.flat else (b, y, x)
            # Stated, because the condition is none on what TVM thinks is read.
            T.reads(activations[(*pixel, slice(0, depth))])
            T.writes(staged[b, y + top, x + left, g, c])
            zero = tvm.tirx.const(0, geometry.lhs)
            value = T.if_then_else(c < depth, activations[(*pixel, c)], zero)
            T.buffer_store(staged, value, [b, y + top, x + left, g, c])

    def _joined(self, plain: Any, channels: int) -> Any:
        """Return a tensor of flat pixels as a matrix."""
        shape = (self.geometry.pixels, channels)
        return T.decl_buffer(shape, plain.dtype, data=plain.data, align=VECTOR_BYTES)

    def _multiply(self, read: Any, weights: Any, start: Any, windows: Any) -> Any:
        geometry = self.geometry
        (stride_h, stride_w), (dilation_h, dilation_w) = geometry.stride, geometry.dilation
        columns = geometry.column_extents
        shape = (
            geometry.batch, geometry.height, *columns, geometry.groups, geometry.vectors, LANES
        )  # fmt: skip
        sums = allocate("sums", _sums_index(shape), "int32", "local")
        extents = (*shape, *geometry.kernel, geometry.words, REDUCE)
        with T.grid(*extents) as loops, T.sblock("multiply"):
            axes = spatial(shape, loops[: len(shape)])
            dy, dx, ko, ki = reduce(extents[len(shape) :], loops[len(shape) :])
            b, y, *at, g, no, ni = axes
            index = _sums_index(tuple(axes))
            x = geometry.column(at)
            if geometry.columns != geometry.width:
                x = T.min(x, geometry.width - 1)
            row, column = y * stride_h + dy * dilation_h, x * stride_w + dx * dilation_w
            activation = read(b, row, column, g, ko * REDUCE + ki)
            weight = weights[g, no, dy, dx, ko, ni, ki]
            # Stated, because what only the initial value reads would keep the block from matching.
            T.reads(activation, weight)
            T.writes(sums[index])
            initial = []
            if start is not None:
                initial.append(start[g, no, ni])
            if windows is not None:
                initial.append(windows(b, y, x, g))
            with T.init():
                T.buffer_store(sums, sum(initial) if initial else 0, list(index))
            product = T.cast(activation, "int32") * T.cast(weight, "int32")
            T.buffer_store(sums, sums[index] + product, list(index))
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
            value = sums[_sums_index((b, y, x, g, o // LANES, o % LANES))]
            index = [b, y, x, g, o]
            if not geometry.is_cropped:
                channel = o
                if geometry.is_overlapped:
                    channel = geometry.first_channel(o // LANES) + o % LANES
                index = self._plain_index(b, y, x, g * geometry.outputs + channel)
            T.buffer_store(target, value, index)
        if geometry.is_cropped:
            joined = geometry.flat and geometry.groups == 1
            if joined:
                output = self._joined(output, geometry.outputs)
            with T.grid(*outer, geometry.outputs) as loops, T.sblock("crop"):
                b, y, x, g, o = spatial((*outer, geometry.outputs), loops)
                index = self._plain_index(b, y, x, g * geometry.outputs + o)
                T.buffer_store(output, target[b, y, x, g, o], [x, o] if joined else index)


def _sums_index(axes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Order the axes of the accumulators so that vectors of a pixel are next to one another."""
    b, y, *x, g, vector, lane = axes
    return b, y, g, *x, vector, lane
