"""Search space of the depthwise convolution.

Inputs of four elements of the kernel are interleaved byte by byte, so that ``vrmpy`` of two vectors
multiplies and adds all four of a channel at once.  Elements of one row of the kernel go together:
what was interleaved for a row serves the outputs above and below, and half of it those beside, when
one unrolled body holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tvm

from search_spaces.blocks import argument
from search_spaces.nests import Nest, NestSpace, block, function
from search_spaces.windows import WindowPlan
from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.intrin import hvx
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES
from vrmpy_tune.workload import NUMPY_TYPES, DepthwiseConv2d, Pair

if TYPE_CHECKING:
    from vrmpy_tune.workload import Workload

TILES: Final = (4, 4)
"""Most rows and pixels in an unrolled body."""

LOOP_PACKETS: Final = 3
"""Packets that an unrolled body adds: addresses and the loop; read off generated code."""

EPILOGUE_PACKETS: Final = 11
"""Packets that requantize 128 accumulators; read off generated code."""

SPILL_PACKETS: Final = 12
"""Packets that an output loses where LLVM keeps more inputs than registers; read off code."""

Quad = tuple[Pair, Pair, Pair, Pair | None]
"""Elements of the kernel that one instruction multiplies; the last may be of no account."""


@dataclass(frozen=True)
class DepthwiseSpace(NestSpace):
    """Quads of kernel elements, interleaved; unrolled rows and pixels; the epilogue behind them."""

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return tvm.IRModule({"main": _Program(_depthwise(workload)).function()})

    def nests(self, workload: Workload) -> tuple[Nest, ...]:  # noqa: D102
        conv = _depthwise(workload)
        names = ("stage", "crop", "residual_rows") if conv.residual else ("stage", "crop")
        return (_plan(conv).nest(_tiles(conv)), *_plan(conv).copies(*names))

    def inputs(self, workload: Workload) -> tuple[TensorSpec, ...]:  # noqa: D102
        conv = _depthwise(workload)
        specs = []
        for one in conv.operands:
            shape: tuple[int, ...] = one.shape
            if one.name == "weights":
                shape = (_plan(conv).period, len(quads(conv)), REDUCE, LANES, REDUCE)
            elif one.name == "multiplier" and conv.requant == "channel":
                shape = (_plan(conv).period, REDUCE, LANES)
            if one.name != "bias":
                specs.append(TensorSpec(shape, one.numpy_type))
            if one.name == "weights" and _starts(conv):
                specs.append(TensorSpec((_plan(conv).period, REDUCE, LANES), "int32"))
        return tuple(specs)

    def arguments(  # noqa: D102
        self, workload: Workload, operands: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        conv = _depthwise(workload)
        named = dict(zip((one.name for one in conv.operands), operands, strict=True))
        channels = _lane_channels(conv)
        arguments = []
        for name, value in named.items():
            if name == "weights":
                packed = np.zeros((*channels.shape, len(quads(conv)), REDUCE), value.dtype)
                for index, quad in enumerate(quads(conv)):
                    for byte, element in enumerate(quad):
                        if element is not None:
                            packed[..., index, byte] = _by_lane(value[:, *element], channels)
                # From [period, word, lane, quad, byte].
                arguments.append(np.ascontiguousarray(packed.transpose(0, 3, 1, 2, 4)))
                if _starts(conv):
                    difference = value.astype(np.int32) - conv.rzp
                    start = -conv.lzp * difference.sum(axis=(1, 2), dtype=np.int32)
                    start = start + named.get("bias", np.int32(0))
                    arguments.append(_by_lane(start.astype(np.int32), channels))
            elif name == "multiplier" and conv.requant == "channel":
                arguments.append(_by_lane(value, channels))
            elif name != "bias":
                arguments.append(value)
        return tuple(arguments)

    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:  # noqa: D102
        conv = _depthwise(workload)
        plan = _plan(conv)
        _, rows, _, columns = tile
        outputs, groups = rows * columns, len(quads(conv))
        # Units of the vector unit, of which a packet has four: two for each multiplication and
        # shuffle, one for each load.
        read = ((rows - 1) * conv.stride[0] + conv.kh) * (columns * conv.stride[1] + conv.kw)
        shuffles = 3 * outputs * groups * (0.5 + 0.5 / rows)
        units = (
            outputs * groups * 2 * REDUCE + 2 * shuffles + min(read, outputs * conv.kh * conv.kw)
        )
        packets = max(units / 4, outputs * groups * REDUCE)
        if conv.requant != "none":
            packets += outputs * EPILOGUE_PACKETS
        crowded = columns > 1 or (rows > 1 and conv.stride[0] > 1)
        packets += outputs * SPILL_PACKETS * crowded
        bodies = plan.batch * plan.outputs[0] * plan.vectors / outputs
        return bodies * (packets + LOOP_PACKETS) + plan.copied_vectors


def quads(conv: DepthwiseConv2d) -> list[Quad]:
    """Return the elements of the kernel by fours: whole rows first, then what remains of them."""
    found: list[Quad] = []
    rest: list[Pair] = []
    for row in range(conv.kh):
        elements: list[Pair] = [(row, column) for column in range(conv.kw)]
        while len(elements) >= REDUCE - 1:
            last = elements[3] if len(elements) > REDUCE - 1 else None
            found.append((elements[0], elements[1], elements[2], last))
            elements = elements[REDUCE:]
        rest += elements
    for index in range(0, len(rest), REDUCE):
        own: list[Pair | None] = [*rest[index : index + REDUCE]]
        own += [None] * (REDUCE - len(own))
        found.append((own[0], own[1], own[2], own[3]))  # type: ignore[arg-type]
    return found


def _depthwise(workload: Workload) -> DepthwiseConv2d:
    assert isinstance(workload, DepthwiseConv2d)  # what ``applies`` accepts is one
    return workload


def _plan(conv: DepthwiseConv2d) -> WindowPlan:
    return WindowPlan.of(conv, lookahead=int(any(quad[3] is None for quad in quads(conv))))


def _tiles(conv: DepthwiseConv2d) -> Pair:
    """Return the most rows and pixels of a body; large kernels have bodies enough in one."""
    return TILES if len(quads(conv)) <= REDUCE else (2, 2) if len(quads(conv)) <= 8 else (1, 1)


def _starts(conv: DepthwiseConv2d) -> bool:
    """Whether accumulators start with values of their own: bias, and products of zero points."""
    return bool(conv.bias or conv.lzp)


def _lane_channels(conv: DepthwiseConv2d) -> np.ndarray:
    """Return the channel of each lane of words, ``[period, word, lane]``; -1 for none."""
    plan = _plan(conv)
    lanes, words = np.arange(LANES), np.arange(REDUCE)[:, None]
    natural = words * LANES + lanes
    by_parity = lanes * REDUCE + np.asarray(hvx.WORD_ORDER)[:, None]
    inside = natural if conv.requant == "none" else by_parity
    place = np.arange(plan.period)[:, None, None] * VECTOR_BYTES + inside
    channel = place % plan.pitch
    return np.asarray(np.where(channel < conv.c, channel, -1))


def _by_lane(values: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Spread values of channels over lanes; lanes without a channel get zero."""
    return np.asarray(np.where(channels >= 0, values[channels], values.dtype.type(0)))


class _Program:
    def __init__(self, conv: DepthwiseConv2d) -> None:
        self.conv, self.plan, self.quads = conv, _plan(conv), quads(conv)
        self.out = NUMPY_TYPES[conv.out]

    def function(self) -> tvm.tirx.PrimFunc:
        conv, plan = self.conv, self.plan
        with function(conv) as builder:
            self.named = self._arguments()
            output = argument("output", conv.output_shape, self.out)
            zero_point = tvm.tirx.const(conv.lzp, "int32")
            self.rows = plan.stage(self.named["activations"], zero_point)
            reads = [self.rows, *self.named.values()]
            if conv.residual:
                self.residual = plan.whole_rows("residual_rows", self.named["residual"])
                reads.append(self.residual)
            vectors = plan.output(output)
            with block(plan.nest(_tiles(conv)), reads, vectors) as axes:
                self._store(vectors, axes)
            plan.crop(vectors, output)
        return builder.get()

    def _arguments(self) -> dict[str, Any]:
        space = SPACES[0]
        names = [one.name for one in self.conv.operands if one.name != "bias"]
        if _starts(self.conv):
            names.insert(2, "start")
        specs = space.inputs(self.conv)
        return {
            name: argument(name, spec.shape, spec.dtype)
            for name, spec in zip(names, specs, strict=True)
        }

    def _store(self, vectors: Any, axes: list[Any]) -> None:
        conv, named, place = self.conv, self.named, self.plan.place(axes)
        words = [self._sums(axes, index) for index in range(REDUCE)]
        if conv.requant == "none":
            for index, one in enumerate(words):
                hvx.store(vectors, place + index * LANES, one)
            return
        scaled = [
            hvx.high_half(one, self._multiplier(axes, index)) for index, one in enumerate(words)
        ]
        parameters = named["requantize"]
        result = hvx.narrowed_words(scaled, parameters[0], parameters[1], self.out)
        if conv.residual:
            other = (hvx.load(self.residual, place), self.out)
            result = hvx.added((result, self.out), other, named["add"], self.out, conv.act)
        else:
            result = hvx.clamped(result, (parameters[2], parameters[3]), conv.act, self.out)
        hvx.store(vectors, place, result)

    def _multiplier(self, axes: list[Any], word: int) -> Any:
        multiplier = self.named["multiplier"]
        if self.conv.requant == "tensor":
            return hvx.splat(multiplier[0])
        return hvx.load(multiplier, (axes[2] * REDUCE + word) * LANES)

    def _sums(self, axes: list[Any], word: int) -> Any:
        """Return 32 accumulators."""
        total = others = None
        if _starts(self.conv):
            total = hvx.load(self.named["start"], (axes[2] * REDUCE + word) * LANES)
        for index, quad in enumerate(self.quads):
            values = self._interleaved(axes, quad)[word]
            at = (axes[2] * len(self.quads) + index) * REDUCE + word
            weights = hvx.load(self.named["weights"], at * VECTOR_BYTES)
            total = self._multiply(total, values, weights)
            if self.conv.rzp:
                zero_points = [0 if one is None else self.conv.rzp & 255 for one in quad]
                four = int.from_bytes(bytes(zero_points), "little", signed=False)
                four -= (four >> 31) << 32
                others = self._multiply(others, values, hvx.splat(hvx.word(four)))
        return hvx.call("vsubw", total, others) if self.conv.rzp else total

    def _multiply(self, total: Any, values: Any, weights: Any) -> Any:
        """Multiply, adding to ``total`` unless it is ``None``."""
        signs = self.conv.types
        name = {("u8", "u8"): "vrmpyubv", ("i8", "i8"): "vrmpybv"}.get(signs, "vrmpybusv")
        operands = (weights, values) if signs == ("i8", "u8") else (values, weights)
        if total is None:
            return hvx.call(name, *operands)
        return hvx.call(f"{name}.acc", total, *operands)

    def _interleaved(self, axes: list[Any], quad: Quad) -> list[Any]:
        """Return four vectors of words, each with the inputs of a quad for 32 channels.

        In the order of :data:`vrmpy_tune.intrin.hvx.WORD_ORDER` where they are narrowed to bytes
        later, else in their natural order, which shuffles that issue alone make.
        """
        first, second, third, fourth = (
            self.plan.load(self.rows, axes, self._element(quad, index)) for index in range(REDUCE)
        )
        if self.conv.requant == "none":
            front = hvx.pair("vshuffvdd", second, first, hvx.word(-1))
            back = hvx.pair("vshuffvdd", fourth, third, hvx.word(-1))
        else:
            front = hvx.pair("vshufoeb", second, first)
            back = hvx.pair("vshufoeb", fourth, third)
        words = []
        for half in (hvx.low, hvx.high):
            if self.conv.requant == "none":
                both = hvx.pair("vshuffvdd", half(back), half(front), hvx.word(-2))
            else:
                both = hvx.pair("vshufoeh", half(back), half(front))
            words += [hvx.low(both), hvx.high(both)]
        return words

    def _element(self, quad: Quad, index: int) -> Pair:
        """Return the element to load; for none, the next column, which neighbours load, too."""
        element = quad[index]
        if element is not None:
            return element
        row, column = next(one for one in reversed(quad[:index]) if one is not None)
        return (row, column + 1) if not self.plan.is_direct and index == 3 else (row, column)


SPACES: Final = (
    DepthwiseSpace("depthwise_conv2d", 1, "kernel elements by fours, interleaved byte by byte"),
)
