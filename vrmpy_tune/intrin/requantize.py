"""The rule that turns 128 accumulators in registers into 128 bytes in memory.

The arithmetic is :class:`vrmpy_tune.quantize.Requantize`, and :class:`vrmpy_tune.quantize.Add`
behind it where a residual is added.  ``vmpye`` and ``vmpyo:<<1:rnd:sat:shift`` give the rounded
high half of a 32 x 32-bit product in two packets; ``vasr:rnd:sat`` narrows two vectors of words to
one of halfwords, its even halfwords from one and its odd ones from the other.  Therefore the
accumulators of a pair of vectors hold even and odd channels (:func:`vrmpy_tune.layout.lane_of`),
and no shuffle is needed behind it.

Instructions are from Qualcomm's *Hexagon V66 HVX Programmer's Reference Manual*.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vrmpy_tune.intrin import hvx
from vrmpy_tune.intrin.registration import register
from vrmpy_tune.quantize import LIMITS, MULTIPLIER_BITS
from vrmpy_tune.target import LANES, VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TYPES: Final = {"u8": "uint8", "i8": "int8"}
REQUANTIZE_PARAMETERS: Final = 4
ADD_PARAMETERS: Final = 7
"""Elements of the parameter operands: the fields of the classes in :mod:`vrmpy_tune.quantize`."""


@dataclass(frozen=True)
class Epilogue:
    """What is done with accumulators.

    Attributes
    ----------
    pixels, vectors:
        Pixels and accumulator vectors of each that make 128 bytes: 1 x 4, 2 x 2 or 4 x 1.
    out:
        ``"u8"`` or ``"i8"``.
    per_channel:
        Whether each channel has a multiplier of its own.
    act:
        ``"none"``, ``"relu"`` or ``"clip"``: which bounds are applied.
    residual:
        Whether a tensor of the output's type is added.
    """

    pixels: int
    vectors: int
    out: str
    per_channel: bool
    act: str
    residual: bool

    @property
    def name(self) -> str:
        """Name of the rule."""
        kind = "channel" if self.per_channel else "tensor"
        tail = "add" if self.residual else "plain"
        parts = (self.pixels, self.vectors, self.out, kind, self.act, tail)
        return "/".join(("requantize", *(str(part) for part in parts)))

    @staticmethod
    def parse(*parts: str) -> Epilogue:
        """Read the parameters of a rule's name; raises ``ValueError`` if there are not six."""
        pixels, vectors, out, kind, act, tail = parts
        return Epilogue(int(pixels), int(vectors), out, kind == "channel", act, tail == "add")

    @property
    def paired(self) -> int:
        """Vectors that hold alternating channels: 2, or 1 where a pixel has an odd number."""
        return 1 if self.vectors == 1 else 2

    @property
    def channel_extents(self) -> tuple[int, ...]:
        """Loops over the channels of one pixel: pairs of vectors, lanes, even and odd channels."""
        extents = (self.vectors // self.paired, LANES, self.paired)
        return tuple(extent for extent in extents if extent > 1)

    def position(self, axes: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return vector, lane and channel at a position in :attr:`channel_extents`."""
        parity = axes[-1] if self.paired > 1 else 0
        lane = axes[-2] if self.paired > 1 else axes[-1]
        pair = axes[0] if self.vectors > self.paired else 0
        return pair * self.paired + parity, lane, (pair * LANES + lane) * self.paired + parity

    @property
    def dtype(self) -> str:
        """Data type of the output in numpy's and TVM's name."""
        return TYPES[self.out]


@dataclass(frozen=True)
class Operands:
    """Buffers of an epilogue: accumulators, parameters, what is added (or ``None``), output."""

    sums: Any
    multiplier: Any
    requantize: Any
    residual: Any
    add: Any
    output: Any


@dataclass(frozen=True)
class Element:
    """One output: its index in the accumulators, the multipliers, and the output."""

    sums: tuple[Any, ...]
    multiplier: tuple[Any, ...]
    output: tuple[Any, ...]


def store_requantized(epilogue: Epilogue, operands: Operands, at: Element) -> None:
    """Write the body of a block that stores one output; what the rule describes, programs state."""
    parameters, add = operands.requantize, operands.add
    accumulator, multiplier = operands.sums[at.sums], operands.multiplier[at.multiplier]
    reads = [accumulator, multiplier, parameters[0:REQUANTIZE_PARAMETERS]]
    half = tvm.tirx.const(1 << (MULTIPLIER_BITS - 1), "int64")
    product = T.cast(accumulator, "int64") * T.cast(multiplier, "int64") + half
    high_half = T.shift_right(product, tvm.tirx.const(MULTIPLIER_BITS, "int64"))
    value = _round_shift(high_half, parameters[0]) + T.cast(parameters[1], "int64")
    # With a residual the bounds of the requantized value are its type's, not operands.
    act = "none" if epilogue.residual else epilogue.act
    value = _limit(value, epilogue.out, act, (parameters[2], parameters[3]))
    if epilogue.residual:
        other = operands.residual[at.output]
        reads += [other, add[0:ADD_PARAMETERS]]
        value = added(epilogue.out, epilogue.act, value, other, add)
    T.reads(*reads)
    T.writes(operands.output[at.output])
    T.buffer_store(operands.output, T.cast(value, epilogue.dtype), list(at.output))


def added(out: str, act: str, lhs: Any, rhs: Any, add: Any) -> Any:
    """Return the quantized sum of two values of type ``out``, clipped as ``act`` says."""
    total = T.cast(add[0], "int64") * T.cast(lhs, "int64")
    total = total + T.cast(add[1], "int64") * T.cast(rhs, "int64")
    total = total + T.cast(add[2], "int64")
    value = _round_shift(total, add[3]) + T.cast(add[4], "int64")
    return T.cast(_limit(value, out, act, (add[5], add[6])), TYPES[out])


def _round_shift(value: Any, shift: Any) -> Any:
    wide = T.cast(shift, "int64")
    one = tvm.tirx.const(1, "int64")
    return T.shift_right(value + T.shift_right(T.shift_left(one, wide), one), wide)


def _limit(value: Any, out: str, act: str, bounds: tuple[Any, Any]) -> Any:
    low, high = LIMITS[out]
    value = T.max(T.min(value, tvm.tirx.const(high, "int64")), tvm.tirx.const(low, "int64"))
    if act in ("relu", "clip"):
        value = T.max(value, T.cast(bounds[0], "int64"))
    if act == "clip":
        value = T.min(value, T.cast(bounds[1], "int64"))
    return value


@functools.cache
def requantize(epilogue: Epilogue) -> str:
    """Register the rule; return its name."""
    register(epilogue.name, _build(epilogue, _describe), _build(epilogue, _implement))
    return epilogue.name


def _build(epilogue: Epilogue, body: Callable[[Epilogue, Operands], None]) -> tvm.tirx.PrimFunc:
    pixels, vectors = epilogue.pixels, epilogue.vectors
    single = pixels == 1
    shape = (vectors * LANES,) if single else (pixels, vectors * LANES)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("requantize")
        if single:
            sums = _operand("a", (vectors, LANES), "int32", "local")
        else:
            # A tile may hold more vectors than these: its pixels lie apart.
            step = T.int32()
            IRBuilder.name("step", step)
            sums = _operand("a", (pixels, vectors, LANES), "int32", "local", (step, LANES, 1))
        multiplier_shape = (vectors, LANES) if epilogue.per_channel else (1,)
        multiplier = _operand("m", multiplier_shape, "int32")
        parameters = _operand("q", (REQUANTIZE_PARAMETERS,), "int32")
        residual = add = None
        if epilogue.residual:
            residual = _operand("r", shape, epilogue.dtype)
            add = _operand("s", (ADD_PARAMETERS,), "int32")
        output = _operand("c", shape, epilogue.dtype)
        reads = [sums, multiplier, parameters, *([residual, add] if epilogue.residual else [])]
        with T.sblock("root"):
            T.reads(*(_whole(one) for one in reads))
            T.writes(_whole(output))
            body(epilogue, Operands(sums, multiplier, parameters, residual, add, output))
    return builder.get()


def _operand(
    name: str, shape: tuple[int, ...], dtype: str, scope: str = "global", strides: Any = None
) -> Any:
    return T.arg(
        name,
        T.buffer(shape, dtype, scope=scope, align=VECTOR_BYTES, strides=strides, offset_factor=1),
    )


def _whole(buffer: Any) -> Any:
    return buffer[tuple(slice(0, extent) for extent in buffer.shape)]


def _describe(epilogue: Epilogue, operands: Operands) -> None:
    several = epilogue.pixels > 1
    extents = ((epilogue.pixels,) if several else ()) + epilogue.channel_extents
    with T.grid(*extents) as loops, T.sblock("store"):
        axes = [T.axis.spatial(extent, loop) for extent, loop in zip(extents, loops, strict=True)]
        pixel = (axes.pop(0),) if several else ()
        vector, lane, channel = epilogue.position(axes)
        multiplier = (vector, lane) if epilogue.per_channel else (0,)
        at = Element((*pixel, vector, lane), multiplier, (*pixel, channel))
        store_requantized(epilogue, operands, at)


def _implement(epilogue: Epilogue, operands: Operands) -> None:
    # Pairs of vectors that one narrowing interleaves: neighbours of a pixel; of single vectors,
    # pixels that lie two apart, for ``vdeal`` to put in order.
    pairs = {
        1: (((0, 0), (2, 0)), ((1, 0), (3, 0))),
        2: (((0, 0), (0, 1)), ((1, 0), (1, 1))),
        4: (((0, 0), (0, 1)), ((0, 2), (0, 3))),
    }[epilogue.vectors]
    parameters = operands.requantize
    zero_point = hvx.splat_half(parameters[1])
    halves = []
    for even, odd in pairs:
        words = (_high_half(epilogue, operands, *one) for one in (odd, even))
        narrow = hvx.call("vasrwhrndsat", *words, parameters[0])
        halves.append(hvx.call("vaddhsat", narrow, zero_point))
    pack = "vpackhub.sat" if epilogue.out == "u8" else "vpackhb.sat"
    packed = hvx.call(pack, halves[1], halves[0])
    if epilogue.vectors == 1:
        packed = hvx.call("vdealb", packed)
    if epilogue.residual:
        packed = T.reinterpret(f"{epilogue.dtype}x{VECTOR_BYTES}", packed)
        other = operands.residual[_all_bytes(epilogue)]
        stored = added_vectors(epilogue.out, epilogue.act, packed, other, operands.add)
    else:
        bounds = parameters[2], parameters[3]
        stored = _limit_vector(packed, epilogue.out, epilogue.act, bounds)
    T.buffer_store(operands.output, stored, list(_all_bytes(epilogue)))


def _limit_vector(packed: Any, out: str, act: str, bounds: tuple[Any, Any]) -> Any:
    """Return 128 bytes, clipped, as elements of the output's type."""
    clamped = hvx.clamped(packed, bounds, act, TYPES[out])
    return T.reinterpret(f"{TYPES[out]}x{VECTOR_BYTES}", clamped)


def _high_half(epilogue: Epilogue, operands: Operands, pixel: int, vector: int) -> Any:
    """Return the rounded high half of 32 accumulators times their multipliers."""
    every = T.ramp(0, 1, LANES)
    value = operands.sums[(vector, every) if epilogue.pixels == 1 else (pixel, vector, every)]
    if epilogue.per_channel:
        factor = operands.multiplier[vector, every]
    else:
        factor = hvx.splat(operands.multiplier[0])
    return hvx.high_half(value, factor)


def _all_bytes(epilogue: Epilogue) -> tuple[Any, ...]:
    """Index all bytes of a buffer of the output's type at once."""
    every = T.ramp(0, 1, VECTOR_BYTES)
    return (every,) if epilogue.pixels == 1 else (0, every)


def added_vectors(out: str, act: str, lhs: Any, rhs: Any, add: Any) -> Any:
    """Return what :func:`added` does for vectors of 128 elements."""
    lhs, rhs = ((T.reinterpret(hvx.VECTOR, one), TYPES[out]) for one in (lhs, rhs))
    result = hvx.added(lhs, rhs, add, TYPES[out], act)
    return T.reinterpret(f"{TYPES[out]}x{VECTOR_BYTES}", result)
