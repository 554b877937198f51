"""Random quantized ONNX graphs: what becomes of them next to onnxruntime.

A graph is a few layers behind one input.  Half of them are made of what is supported in any
spelling of it; the others may have a part that is not, which has to be refused, not misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from tests.model.qdq_graphs import SPREAD, WANTED, Graph
from vrmpy_tune.errors import ModelError, VerificationError
from vrmpy_tune.model.agreement import compare_with_runtime
from vrmpy_tune.model.opening import open_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

OPSETS = (10, 11, 12, 13, 15, 17, 18, 19, 21)
MICROSOFT = {"domain": "com.microsoft"}
REDUCE_AXES_OPSET, AXES_OPSET, CLIP_OPSET, PER_CHANNEL_OPSET = 18, 13, 11, 13
DILATED_AVERAGE_OPSET, CEIL_OPSET = 19, 10


@dataclass(frozen=True)
class Value:
    """A tensor of bytes that was written."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero: Any


class RandomGraph:
    """Draws a graph.

    Parameters
    ----------
    odd:
        Whether there may be parts that are not supported.
    """

    def __init__(self, seed: int, *, odd: bool) -> None:
        self.random = np.random.default_rng((seed, odd))
        self.odd = odd
        self.graph = Graph(seed, int(self.random.choice(OPSETS)))
        self.opset = self.graph.opset
        self.operators = bool(self.random.random() < 0.4) and self.opset < 21
        self.values: list[Value] = []
        self.wrong_shape = False

    # Drawing.

    def maybe(self, chance: float) -> bool:
        return bool(self.random.random() < chance)

    def strange(self, chance: float = 0.15) -> bool:
        return self.odd and self.maybe(chance)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def zero(self) -> Any:
        if self.maybe(0.4):
            return np.int8(self.random.integers(-128, 128) if self.maybe(0.5) else 0)
        return np.uint8(self.pick([0, 128, int(self.random.integers(256))]))

    def centred(self) -> Any:
        """Draw a zero point of results, which are about as often below zero as above."""
        shift = int(self.random.integers(-20, 21))
        return np.int8(shift) if self.maybe(0.4) else np.uint8(128 + shift)

    # Parts.

    def const(self, values: Any) -> str:
        return self.graph.constant(values)

    def float_of(self, value: Value) -> str:
        return self.graph.floats(value.name, value.scale, value.zero)

    def finish(self, floats: str, shape: Sequence[int], deviation: float) -> Value:
        scale = float(np.float32(deviation / WANTED * self.random.uniform(0.7, 1.6)))
        zero = self.centred()
        if self.maybe(0.3):
            floats = self.activation(floats, deviation)
        name = self.graph.bytes(floats, scale, zero)
        return Value(name, tuple(shape), scale, zero)

    def activation(self, floats: str, deviation: float) -> str:
        if self.maybe(0.5):
            return self.graph.node("Relu", [floats])
        low, high = -deviation * self.random.uniform(0, 1), deviation * self.random.uniform(0.5, 2)
        if self.opset < CLIP_OPSET:
            return self.graph.node("Clip", [floats], min=low, max=high)
        bounds = [self.const(np.float32(one)) for one in (low, high)]
        kept = self.pick([bounds, ["", bounds[1]], bounds[:1]])
        return self.graph.node("Clip", [floats, *kept])

    def parameters(self, value: Value) -> list[str]:
        return [value.name, *self.grid(value.scale, value.zero)]

    def grid(self, scale: Any, zero: Any) -> list[str]:
        return [self.const(np.asarray(scale, np.float32)), self.const(zero)]

    def weights(
        self, shape: Sequence[int], axis: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Draw weights with their scales and zero points, and the axis of the scales."""
        signed = self.maybe(0.7)
        dtype = np.int8 if signed else np.uint8
        limits = np.iinfo(dtype)
        values = self.random.integers(limits.min, limits.max + 1, shape).astype(dtype)
        per_channel = self.opset >= PER_CHANNEL_OPSET and self.maybe(0.5)
        if per_channel and self.strange():
            axis = (axis + 1) % len(shape)
        number = shape[axis] if per_channel else 1
        scale = self.random.uniform(0.005, 0.015, number).astype(np.float32)
        middle = 0 if signed else 128
        zero = np.full(number, middle if self.maybe(0.7) else middle + 3, dtype)
        if self.strange():
            zero = (zero + np.arange(number)).astype(dtype)
        if not per_channel:
            return values, scale.reshape(()), zero.reshape(()), axis
        return values, scale, zero, axis

    def summand(self, shape: Sequence[int], axis: int, deviation: float) -> str:
        """Draw a constant that is broadcast to a result."""
        rank = len(shape)
        extents = [1] * rank
        extents[axis] = shape[axis]
        if self.strange(0.5):
            extents = [extent if self.maybe(0.4) else 1 for extent in shape]
        if self.maybe(0.3):
            extents = [1] * rank
        while len(extents) > 1 and extents[0] == 1 and self.maybe(0.6):
            extents = extents[1:]
        if extents == [1] and self.maybe(0.5):
            extents = []
        return self.const(self.random.normal(0, deviation, extents).astype(np.float32))

    # Layers.  Each returns None where it cannot be drawn.

    def conv(self, source: Value) -> Value | None:
        if len(source.shape) != 4:
            return None
        batch, channels, *extents = source.shape
        groups = int(self.pick([1, 1, channels, self.pick(_divisors(channels))]))
        outputs = (
            groups * int(self.random.integers(1, 4)) if groups > 1 else self.pick([1, 3, 6, 8])
        )
        kernel = [int(self.random.integers(1, 4)) for _ in range(2)]
        window = self.window(kernel, extents)
        if window is None:
            return None
        attributes, sizes = window
        if groups > 1 or self.maybe(0.2):
            attributes["group"] = groups
        if self.maybe(0.6):
            attributes["kernel_shape"] = kernel
        shape = (batch, int(outputs), *sizes)
        extent = (outputs, channels // groups, *kernel)
        return self.product("Conv", source, (extent, 0), attributes, (shape, 1))

    def dense(self, source: Value) -> Value | None:
        if len(source.shape) not in (2, 3):
            return None
        depth, outputs = source.shape[-1], int(self.pick([1, 3, 5, source.shape[-2]]))
        shape = (*source.shape[:-1], outputs)
        if len(source.shape) == 2 and self.maybe(0.5):
            attributes: dict[str, Any] = {}
            if self.maybe(0.5):
                attributes["transB"] = 1
            if self.maybe(0.3):
                attributes["alpha"] = float(self.pick([1.0, 0.5, 2.0]))
            if self.maybe(0.3):
                attributes["beta"] = float(self.pick([1.0, 0.5, 2.0]))
            if self.strange() and source.shape[0] == source.shape[1]:
                attributes["transA"] = 1
            turned = attributes.get("transB", 0)
            extent = (outputs, depth) if turned else (depth, outputs)
            return self.product("Gemm", source, (extent, 1 - turned), attributes, (shape, 1))
        rank = len(shape)
        return self.product("MatMul", source, ((depth, outputs), 1), {}, (shape, rank - 1))

    def product(
        self, kind: str, source: Value, weights: tuple[Sequence[int], int],
        attributes: dict[str, Any], result: tuple[tuple[int, ...], int],
    ) -> Value:  # fmt: skip
        shape, axis = result
        values, scale, zero, scaled = self.weights(*weights)
        outputs = weights[0][weights[1]]
        depth = values.size // outputs
        deviation = float(source.scale * scale.mean() * SPREAD * 50 * np.sqrt(depth))
        if self.operators and kind != "Gemm" and self.maybe(0.3) and zero.size == 1:
            return self.integer(kind, source, (values, zero, axis), attributes, (shape, deviation))
        right_axis = scale.size == 1 or scaled == weights[1]
        if self.operators and right_axis and self.maybe(0.8):
            return self.quantized(
                kind, source, (values, scale, zero), attributes, (shape, deviation)
            )
        inputs = [self.float_of(source), self.dequantized(values, scale, zero, scaled)]
        if kind != "MatMul" and self.maybe(0.6):
            inputs.append(self.bias(kind, source, scale, (shape, axis), deviation))
        value = self.graph.node(kind, inputs, **attributes)
        if self.maybe(0.3):
            pair = [value, self.summand(shape, axis, deviation)]
            added = np.broadcast_shapes(shape, self.graph.shapes[pair[1]])
            value = self.graph.node("Add", pair if self.maybe(0.5) else pair[::-1])
            shape = added
        return self.finish(value, shape, deviation)

    def dequantized(self, values: Any, scale: Any, zero: Any, axis: int) -> str:
        """Write weights, at times as a transposed constant that is turned back."""
        turned = values.ndim > 1 and self.maybe(0.25)
        order = [int(one) for one in self.random.permutation(values.ndim)]
        if turned:
            values, axis = values.transpose(order), order.index(axis)
        attributes = {"axis": self.pick([axis, axis - values.ndim])} if scale.size > 1 else {}
        name = self.graph.floats(
            self.const(np.ascontiguousarray(values)), scale, zero, **attributes
        )
        back = [int(one) for one in np.argsort(order)]
        if not turned:
            return name
        if back == [*range(values.ndim)][::-1] and self.maybe(0.5):
            return self.graph.node("Transpose", [name])
        return self.graph.node("Transpose", [name], perm=back)

    def bias(
        self, kind: str, source: Value, scale: Any, result: tuple[Sequence[int], int],
        deviation: float,
    ) -> str:  # fmt: skip
        shape, axis = result
        if kind == "Gemm" and self.maybe(0.5):
            return self.summand(shape, axis, deviation)
        if self.maybe(0.4):
            return self.const(self.random.normal(0, deviation, shape[axis]).astype(np.float32))
        product = np.asarray(source.scale * scale, np.float32)
        if product.size not in (1, shape[axis]):
            product = product.reshape(-1)[:1].reshape(())
        values = np.rint(self.random.normal(0, deviation, shape[axis]) / product.mean())
        zero = np.zeros(product.shape, np.int32)
        return self.graph.floats(
            self.const(values.astype(np.int32)), product, zero,
            **({"axis": 0} if product.size > 1 else {}),
        )  # fmt: skip

    def quantized(
        self, kind: str, source: Value, weights: tuple[Any, Any, Any], attributes: dict[str, Any],
        result: tuple[tuple[int, ...], float],
    ) -> Value:  # fmt: skip
        """Write a quantized operator."""
        shape, deviation = result
        values, scale, zero = weights
        found = Value("", shape, float(np.float32(deviation / WANTED)), self.centred())
        if type(found.zero) is not type(source.zero):
            found = Value("", shape, found.scale, source.zero.dtype.type(3))
        inputs = [*self.parameters(source), self.const(values), *self.grid(scale, zero)]
        bias = np.rint(self.random.normal(0, deviation, shape[1]) / source.scale / scale.mean())
        output = self.grid(found.scale, found.zero)
        if kind == "Conv":
            extra = [self.const(bias.astype(np.int32))] if self.maybe(0.6) else []
            name = self.graph.node("QLinearConv", [*inputs, *output, *extra], **attributes)
        elif kind == "MatMul":
            name = self.graph.node("QLinearMatMul", [*inputs, *output])
        else:
            attributes = {one: attributes[one] for one in attributes if one != "beta"}
            extra = [self.const(bias.astype(np.int32))] if self.maybe(0.6) else [""]
            name = self.graph.node("QGemm", [*inputs, *extra, *output], **attributes, **MICROSOFT)
        return Value(name, shape, found.scale, found.zero)

    def integer(
        self, kind: str, source: Value, weights: tuple[Any, Any, int], attributes: dict[str, Any],
        result: tuple[tuple[int, ...], float],
    ) -> Value:  # fmt: skip
        """Write an integer product, scaled behind."""
        shape, deviation = result
        values, zero, axis = weights
        inputs = [source.name, self.const(values), self.const(source.zero), self.const(zero)]
        value = self.graph.node(f"{kind}Integer", inputs, **attributes)
        value = self.graph.node("Cast", [value], to=1)
        extents = [1] * len(shape)
        extents[axis] = shape[axis] if self.maybe(0.6) else 1
        if self.strange(0.5):
            extents = [extent if self.maybe(0.4) else 1 for extent in shape]
        while extents and extents[0] == 1 and self.maybe(0.8):
            extents = extents[1:]
        factor = self.random.uniform(0.005, 0.015, extents) * source.scale
        pair = [value, self.const(factor.astype(np.float32))]
        value = self.graph.node("Mul", pair if self.maybe(0.5) else pair[::-1])
        return self.finish(value, shape, deviation)

    def window(
        self, kernel: Sequence[int], extents: Sequence[int], *, ceil: bool = False
    ) -> tuple[dict[str, Any], list[int]] | None:
        """Draw strides, dilations and padding; return also the result's rows and columns."""
        strides, dilations, pads = [1, 1], [1, 1], [0] * 4
        found: dict[str, Any] = {}
        if self.maybe(0.4):
            strides = found["strides"] = [int(self.random.integers(1, 3)) for _ in range(2)]
        if self.maybe(0.25) and not ceil:
            dilations = found["dilations"] = [int(self.random.integers(1, 3)) for _ in range(2)]
        reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
        mode = self.pick(["", "", "", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
        if mode:
            found["auto_pad"] = mode
        if mode in ("", "NOTSET") and self.maybe(0.6):
            most = [min(one, 3) for one in (reach * 2)]
            pads = found["pads"] = [int(self.random.integers(0, one)) for one in most]
        sizes = []
        for axis in range(2):
            if mode.startswith("SAME"):
                sizes.append(-(-extents[axis] // strides[axis]))
                continue
            room = extents[axis] + pads[axis] + pads[axis + 2] - reach[axis]
            if room < 0:
                return None
            sizes.append(room // strides[axis] + 1)
        return found, sizes

    def pool(self, source: Value) -> Value | None:
        if len(source.shape) != 4:
            return None
        return self.average(source) if self.maybe(0.3) else self.windows(source)

    def windows(self, source: Value) -> Value | None:
        batch, channels, *extents = source.shape
        kernel = [int(self.random.integers(1, 4)) for _ in range(2)]
        odd = self.strange()
        window = self.window(kernel, extents, ceil=not odd)
        if window is None:
            return None
        attributes, sizes = window
        attributes["kernel_shape"] = kernel
        kind = self.pick(["MaxPool", "AveragePool"])
        if kind == "AveragePool":
            dilated = attributes.get("dilations", [1, 1]) != [1, 1]
            if self.opset < DILATED_AVERAGE_OPSET:
                attributes.pop("dilations", None)
                if dilated:
                    return None
            if self.maybe(0.4):
                attributes["count_include_pad"] = int(self.random.integers(2))
        if self.opset >= CEIL_OPSET and self.maybe(0.2):
            attributes["ceil_mode"] = int(odd)
        shape = (batch, channels, *sizes)
        if attributes.get("ceil_mode"):
            self.wrong_shape = True
        if kind == "AveragePool" and self.operators and "dilations" not in attributes:
            return self.pooled("QLinearAveragePool", source, shape, attributes)
        value = self.graph.node(kind, [self.float_of(source)], **attributes)
        if kind == "MaxPool" and self.maybe(0.7):
            name = self.graph.bytes(value, source.scale, source.zero)
            return Value(name, shape, source.scale, source.zero)
        return self.finish(value, shape, source.scale * WANTED)

    def pooled(
        self, kind: str, source: Value, shape: tuple[int, ...], attributes: dict[str, Any]
    ) -> Value:
        scale = float(np.float32(source.scale * self.random.uniform(0.8, 1.2)))
        zero = source.zero.dtype.type(3)
        inputs = [*self.parameters(source), *self.grid(scale, zero)]
        name = self.graph.node(kind, inputs, **attributes, **MICROSOFT)
        return Value(name, shape, scale, zero)

    def average(self, source: Value) -> Value:
        batch, channels, *_ = source.shape
        if self.maybe(0.5):
            shape = (batch, channels, 1, 1)
            if self.operators:
                odd = {"channels_last": 1} if self.strange() and channels == 1 else {}
                return self.pooled("QLinearGlobalAveragePool", source, shape, odd)
            value = self.graph.node("GlobalAveragePool", [self.float_of(source)])
            return self.finish(value, shape, source.scale * WANTED / 3)
        axes = self.pick([[2, 3], [2, 3], [-2, -1], [3, 2]])
        if self.strange(0.4):
            axes = self.pick([[1], [2], [1, 2], [1, 2, 3], [0]])
        keep = int(self.maybe(0.5))
        floats = self.float_of(source)
        if self.opset < REDUCE_AXES_OPSET:
            value = self.graph.node("ReduceMean", [floats], axes=axes, keepdims=keep)
        else:
            value = self.graph.node(
                "ReduceMean", [floats, self.const(np.asarray(axes, np.int64))], keepdims=keep
            )
        gone = [axis % 4 for axis in axes]
        shape = tuple(
            1 if axis in gone else extent
            for axis, extent in enumerate(source.shape)
            if keep or axis not in gone
        )
        return self.finish(value, shape, source.scale * WANTED / 3)

    def combine(self, source: Value) -> Value | None:
        others = [one for one in self.values if one.shape == source.shape]
        if self.strange(0.4):
            others = [one for one in self.values if _broadcast(one.shape, source.shape)]
        other = self.pick(others)
        kind = self.pick(["Add", "Add", "Mul"])
        shape = _broadcast(other.shape, source.shape)
        assert shape is not None
        if kind == "Add":
            deviation = float(np.hypot(source.scale, other.scale) * WANTED)
        else:
            deviation = float(source.scale * other.scale * WANTED * WANTED)
        same = type(other.zero) is type(source.zero)
        if self.operators and same and self.maybe(0.7):
            scale = float(np.float32(deviation / WANTED))
            zero = source.zero.dtype.type(3)
            inputs = [*self.parameters(source), *self.parameters(other), *self.grid(scale, zero)]
            name = self.graph.node(f"QLinear{kind}", inputs, **MICROSOFT)
            return Value(name, shape, scale, zero)
        pair = [self.float_of(source), self.float_of(other)]
        if self.strange():
            pair[1] = self.summand(source.shape, len(source.shape) - 1, deviation)
            shape = source.shape
        if kind == "Add" and self.maybe(0.15):
            kind = "Sum"
        return self.finish(self.graph.node(kind, pair), shape, deviation)

    def concat(self, source: Value) -> Value | None:
        rank = len(source.shape)
        axis = int(self.random.integers(rank))
        others = [
            one
            for one in self.values
            if len(one.shape) == rank
            and all(one.shape[at] == source.shape[at] for at in range(rank) if at != axis)
        ]
        chosen = [source, *(self.pick(others) for _ in range(int(self.random.integers(1, 3))))]
        shape = list(source.shape)
        shape[axis] = sum(one.shape[axis] for one in chosen)
        largest = max(chosen, key=lambda one: one.scale)
        given = self.pick([axis, axis - rank])
        same = all(type(one.zero) is type(source.zero) for one in chosen)
        if self.operators and same and self.maybe(0.7):
            zero = source.zero.dtype.type(3)
            inputs = [*self.grid(largest.scale, zero)]
            for one in chosen:
                inputs += self.parameters(one)
            # Only the other spelling of the axis is known to all versions of onnxruntime.
            name = self.graph.node("QLinearConcat", inputs, axis=axis, **MICROSOFT)
            return Value(name, tuple(shape), largest.scale, zero)
        value = self.graph.node("Concat", [self.float_of(one) for one in chosen], axis=given)
        return self.finish(value, shape, largest.scale * WANTED)

    def move(self, source: Value) -> Value | None:
        """Write a chain of what only moves elements, with or without quantization behind."""
        value, shape = self.float_of(source), source.shape
        for _ in range(int(self.random.integers(1, 3))):
            value, shape = self.moved(value, shape)
        scale, zero = source.scale, source.zero
        if self.maybe(0.2):
            zero = self.centred()
        name = self.graph.bytes(value, scale, zero)
        return Value(name, shape, scale, zero)

    def moved(self, value: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        kind = self.pick(["reshape", "reshape", "flatten", "squeeze", "unsqueeze", "head"])
        if self.strange(0.3):
            kind = "transpose"
        if kind == "head" and len(shape) == 4:
            value = self.graph.node("Transpose", [value], perm=[0, 2, 3, 1])
            shape = tuple(shape[axis] for axis in (0, 2, 3, 1))
            kind = "reshape"
        if kind == "transpose":
            order = [int(one) for one in self.random.permutation(len(shape))]
            value = self.graph.node("Transpose", [value], perm=order)
            return value, tuple(shape[axis] for axis in order)
        if kind == "flatten":
            axis = int(self.random.integers(len(shape) + 1))
            attributes = {} if axis == 1 else {"axis": axis}
            made = (prod(shape[:axis]), prod(shape[axis:]))
            return self.graph.node("Flatten", [value], **attributes), made
        if kind in ("squeeze", "unsqueeze"):
            return self.squeezed(kind, value, shape)
        made = self.factors(prod(shape), int(self.random.integers(1, 6)))
        given = list(made)
        if self.maybe(0.4):
            given[int(self.random.integers(len(given)))] = -1
        elif self.maybe(0.3) and len(given) <= len(shape):
            given = [0 if one == shape[at] else one for at, one in enumerate(given)]
        wanted = self.const(np.asarray(given, np.int64))
        return self.graph.node("Reshape", [value, wanted]), made

    def squeezed(
        self, kind: str, value: str, shape: tuple[int, ...]
    ) -> tuple[str, tuple[int, ...]]:
        if kind == "squeeze":
            ones = [axis for axis, extent in enumerate(shape) if extent == 1]
            if not ones or len(shape) == len(ones):
                return self.squeezed("unsqueeze", value, shape)
            axes = ones if self.maybe(0.5) else ones[:1]
            made = tuple(extent for axis, extent in enumerate(shape) if axis not in axes)
            if axes == ones and self.maybe(0.4):
                return self.graph.node("Squeeze", [value]), made
        else:
            if len(shape) > 4:
                return value, shape
            axes = [int(self.random.integers(len(shape) + 1))]
            made = (*shape[: axes[0]], 1, *shape[axes[0] :])
        name = kind.capitalize()
        if self.opset < AXES_OPSET:
            return self.graph.node(name, [value], axes=axes), made
        return self.graph.node(name, [value, self.const(np.asarray(axes, np.int64))]), made

    def factors(self, number: int, rank: int) -> tuple[int, ...]:
        found = []
        for _ in range(rank - 1):
            found.append(int(self.pick(_divisors(number))))
            number //= found[-1]
        return (*found, number)

    def change(self, source: Value) -> Value | None:
        """Write a change of scale, an activation, or a pad."""
        value = self.float_of(source)
        if self.strange(0.2):
            pads = [int(self.random.integers(0, 2)) for _ in range(2 * len(source.shape))]
            if self.opset < CLIP_OPSET:
                return None
            mode = self.pick(["constant", "reflect", "edge"])
            value = self.graph.node("Pad", [value, self.const(np.asarray(pads))], mode=mode)
            rank = len(source.shape)
            shape = tuple(one + pads[at] + pads[at + rank] for at, one in enumerate(source.shape))
            return self.finish(value, shape, source.scale * WANTED)
        return self.finish(value, source.shape, source.scale * WANTED)

    # Whole graphs.

    def write(self, path: Path) -> Path:
        """Draw the graph and write its file."""
        shape = self.pick([(1, 4, 6, 5), (2, 3, 5, 6), (1, 6, 6, 6), (4, 12), (6, 6), (2, 5, 8),
                           (1, 16), (1, 1, 7, 7)])  # fmt: skip
        scale, zero = float(np.float32(self.random.uniform(0.01, 0.1))), self.zero()
        if self.maybe(0.2):
            dtype = TensorProto.INT8 if isinstance(zero, np.int8) else TensorProto.UINT8
            first = Value(self.graph.input(shape, dtype=dtype), shape, scale, zero)
        else:
            first = Value(
                self.graph.bytes(self.graph.input(shape), scale, zero), shape, scale, zero
            )
        self.values = [first]
        layers: list[Callable[[Value], Value | None]] = [
            self.conv, self.conv, self.dense, self.dense, self.pool, self.combine, self.concat,
            self.move, self.change,
        ]  # fmt: skip
        wanted = int(self.random.integers(1, 5))
        for _ in range(8 * wanted):
            source = self.values[-1] if self.maybe(0.8) else self.pick(self.values)
            made = self.pick(layers)(source)
            if made is not None:
                self.values.append(made)
                if self.wrong_shape:
                    break
            if len(self.values) > wanted:
                break
        if len(self.values) == 1:
            made = self.change(first)
            self.values += [made] if made is not None else []
        last = self.values[-1]
        output, dtype = last.name, TensorProto.FLOAT
        if self.maybe(0.2):
            dtype = TensorProto.INT8 if isinstance(last.zero, np.int8) else TensorProto.UINT8
        else:
            output = self.float_of(last)
            if self.maybe(0.15):
                output = self.graph.node("Softmax", [output], **self.softmax_axis(last))
        return self.graph.save(
            path, [helper.make_tensor_value_info(output, dtype, [None] * len(last.shape))]
        )

    def softmax_axis(self, source: Value) -> dict[str, int]:
        if self.strange(0.4):
            return {"axis": int(self.random.integers(len(source.shape)))}
        return self.pick([{}, {"axis": -1}, {"axis": 1}])


def _divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


def _broadcast(lhs: Sequence[int], rhs: Sequence[int]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(lhs, rhs)
    except ValueError:
        return None


def random_graph(path: Path, seed: int) -> Path:
    """Write the graph of a seed; odd ones may have parts that are not supported."""
    return RandomGraph(seed, odd=bool(seed % 2)).write(path)


@dataclass
class Outcome:
    """What became of a graph.

    Attributes
    ----------
    kind:
        ``"accepted"``, ``"refused"``, ``"unknown"`` where onnxruntime does not run it, ``"wrong"``,
        or ``"broken"`` where the import fails otherwise than by a refusal.
    message:
        Why.
    """

    kind: str
    message: str = ""


BROKEN = ("cannot be imported", "TVM cannot import")
"""What refusals say of models that something else than a check stopped."""


def outcome(path: Path) -> Outcome:
    """Import a file and compare it with its runtime."""
    try:
        network, _ = open_model(path)
        found = compare_with_runtime(path, network)
    except ModelError as error:
        message = str(error)
        return Outcome("broken" if any(one in message for one in BROKEN) else "refused", message)
    except VerificationError as error:
        return Outcome("wrong", str(error))
    return Outcome("unknown" if found.runtime is None else "accepted", found.reason)


def reason_of(message: str) -> str:
    """Return a refusal without what differs from graph to graph, to count them by."""
    plain = re.sub(r"'[^']*'|/\S*/\S*|\[[^\]]*\]|\([\d, ]*\)|[\d.]*\d", "#", message)
    return plain.split(";")[0].split(": ")[0][:110]
