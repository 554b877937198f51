"""What dense and convolution share: zero points, and the epilogue behind the accumulators.

``accumulators = sum of (activation - lzp) * (weight - rzp) + bias``; with ``requant`` they become
8-bit values (:class:`vrmpy_tune.quantize.Requantize`), to which a residual is added
(:class:`vrmpy_tune.quantize.Add`).  The parameters are operands of the kernel: one kernel
serves every layer of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.quantize import LIMITS, Add, Requantize, add_parameters, fixed_point
from vrmpy_tune.workload.base import OPERAND_TYPES, Operand, Workload
from vrmpy_tune.workload.inputs import draw_values

if TYPE_CHECKING:
    import numpy as np

FUSED_FIELDS: Final[dict[str, int | str | None]] = {
    "out": "i32",
    "bias": 0,
    "requant": "none",
    "act": "none",
    "residual": 0,
    "lzp": 0,
    "rzp": 0,
}
"""Text fields of the epilogue, each with its default."""

OUTPUT_TYPES: Final = ("i32", "u8", "i8")
REQUANT: Final = ("none", "tensor", "channel")
ACTIVATIONS: Final = ("none", "relu", "clip")

REQUANTIZE_FIELDS: Final = ("shift", "zero_point", "low", "high")
ADD_FIELDS: Final = ("lhs", "rhs", "offset", "shift", "zero_point", "low", "high")
"""What the operands ``requantize`` and ``add`` hold, in order: fields of the classes."""


@dataclass(frozen=True, kw_only=True)
class Contraction(Workload):
    """Products summed into int32, and what is done with the sums.

    Attributes
    ----------
    out:
        Type of the output: ``"i32"``, ``"u8"`` or ``"i8"``; the last two need ``requant``.
    bias:
        1 if an int32 for each output channel is added to the accumulators.
    requant:
        ``"tensor"`` or ``"channel"``: one multiplier, or one for each output channel.
    act:
        ``"relu"`` clips below, ``"clip"`` on both sides, at bounds that are operands: of ``add``
        where there is a residual, else of ``requantize``.  Without it, the type's bounds hold.
    residual:
        1 if a quantized tensor of the output's shape and type is added.
    lzp, rzp:
        Zero points of activations and weights.
    """

    out: str = "i32"
    bias: int = 0
    requant: str = "none"
    act: str = "none"
    residual: int = 0
    lzp: int = 0
    rzp: int = 0

    @property
    def types(self) -> tuple[str, str]:
        """Data types of activations and weights: ``"u8"`` or ``"i8"``."""
        raise AssertionError("a contraction defines types")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the activations."""
        raise AssertionError("a contraction defines input_shape")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights in their plain layout, output channels first."""
        raise AssertionError("a contraction defines weight_shape")

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        raise AssertionError("a contraction defines output_shape")

    @property
    def channel_axis(self) -> int:
        """Axis of the output's channels."""
        return 1

    def accumulate(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact int32 sums of products, borders padded with ``lzp``.

        Parameters
        ----------
        activations, weights:
            Integers of at most 17 bits, of :attr:`input_shape` and :attr:`weight_shape`.
        """
        raise AssertionError("a contraction defines accumulate")

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        lhs, rhs = self.types
        channels = self.weight_shape[0]
        found = [
            Operand("activations", self.input_shape, lhs),
            Operand("weights", self.weight_shape, rhs, constant=True),
        ]
        if self.bias:
            found.append(Operand("bias", (channels,), "i32", constant=True))
        if self.requant != "none":
            shape = (channels if self.requant == "channel" else 1,)
            found.append(Operand("multiplier", shape, "i32", constant=True))
            fields = (len(REQUANTIZE_FIELDS),)
            found.append(Operand("requantize", fields, "i32", constant=True))
        if self.residual:
            found.append(Operand("residual", self.output_shape, self.out))
            found.append(Operand("add", (len(ADD_FIELDS),), "i32", constant=True))
        return tuple(found)

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self.output_shape, self.out)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        named = dict(zip((one.name for one in self.operands), operands, strict=True))
        sums = self._sums(named["activations"], named["weights"])
        if self.bias:
            sums = sums + np.expand_dims(named["bias"], self._behind_channels)
        if self.requant == "none":
            return sums
        multiplier = np.expand_dims(named["multiplier"], self._behind_channels)
        shift, zero_point, *bounds = (int(one) for one in named["requantize"])
        own = LIMITS[self.out] if self.residual else self._clipping(*bounds)
        result = Requantize(shift, zero_point, *own)(sums, multiplier)
        if self.residual:
            total = Add(*(int(one) for one in named["add"]))
            low, high = self._clipping(total.low, total.high)
            result = replace(total, low=low, high=high)(result, named["residual"])
        return result.astype(self.output.numpy_type)

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw the operands; parameters such that outputs fill their range and clip beyond."""
        import numpy as np

        lhs, rhs = self.types
        activations = draw_values(kind, lhs, self.input_shape, generator)
        weights = draw_values(kind, rhs, self.weight_shape, generator)
        drawn = [activations, weights]
        if not self.bias and self.requant == "none":
            return tuple(drawn)
        sums = self._sums(activations, weights)
        axes = tuple(axis for axis in range(sums.ndim) if axis != self.channel_axis)
        if self.bias:
            middle = -sums.mean(axis=axes)
            bias = np.rint(middle * generator.uniform(0.5, 1.5, middle.shape)).astype(np.int32)
            drawn.append(bias)
            sums = sums + np.expand_dims(bias, self._behind_channels)
        if self.requant == "none":
            return tuple(drawn)
        channels = np.abs(sums).max(axis=axes).astype(np.float64)
        span = np.maximum(channels if self.requant == "channel" else channels.max(keepdims=True), 1)
        scales = generator.uniform(100, 400, span.shape) / np.maximum(span, 401)
        multiplier, shift = fixed_point(scales)
        bounds = LIMITS[self.out]
        zero_point = int(generator.integers(bounds[0] // 2, bounds[1] // 2))
        own = bounds if self.residual else self._bounds(zero_point)
        drawn += [multiplier, np.asarray([shift, zero_point, *own], np.int32)]
        if self.residual:
            drawn.append(draw_values(kind, self.out, self.output_shape, generator))
            scale, other = (float(one) for one in generator.uniform(0.3, 1.4, 2))
            target = int(generator.integers(bounds[0] // 2, bounds[1] // 2))
            total = add_parameters(
                (scale, zero_point), (other, 7), (1.0, target), self._bounds(target)
            )
            drawn.append(np.asarray([getattr(total, name) for name in ADD_FIELDS], np.int32))
        return tuple(drawn)

    @property
    def _behind_channels(self) -> tuple[int, ...]:
        """Axes to append to a vector of channels so that it broadcasts over the output."""
        return tuple(range(1, len(self.output_shape) - self.channel_axis))

    def _sums(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        import numpy as np

        if not self.lzp and not self.rzp:
            return self.accumulate(activations, weights)
        # sum (a - l)(w - r): exact in int32 arithmetic, which wraps alike on either side.
        shifted = weights.astype(np.int32) - self.rzp
        inside = self.accumulate(activations.astype(np.int32), shifted)
        ones = self.accumulate(np.full_like(activations, self.lzp, np.int32), shifted)
        return np.asarray(inside - ones)

    def _clipping(self, low: int, high: int) -> tuple[int, int]:
        """Return the bounds that the activation applies of those given."""
        lowest, highest = LIMITS[self.out]
        return low if self.act != "none" else lowest, high if self.act == "clip" else highest

    def _bounds(self, zero_point: int) -> tuple[int, int]:
        """Return clipping bounds for verification: what the activation leaves of the type."""
        low, high = LIMITS[self.out]
        if self.act == "none":
            return low, high
        return (zero_point, high) if self.act == "relu" else (zero_point, (zero_point + high) // 2)

    def check_fused(self) -> None:
        """Check the fields of the epilogue; raises :class:`WorkloadError`."""
        lhs, rhs = self.types
        for name, value in (("lhs", lhs), ("rhs", rhs)):
            if value not in OPERAND_TYPES:
                raise WorkloadError(
                    f"{self.operator}: {name}={value} is not a data type vrmpy "
                    f"multiplies; use one of {', '.join(OPERAND_TYPES)}."
                )
        self.check_choice("out", OUTPUT_TYPES, "an output type")
        self.check_choice("requant", REQUANT)
        self.check_choice("act", ACTIVATIONS, "an activation")
        self.check_range({"bias": (0, 1), "residual": (0, 1)})
        self.check_range({"lzp": LIMITS[lhs], "rzp": LIMITS[rhs]})
        if self.out != "i32" and self.requant == "none":
            object.__setattr__(self, "requant", "tensor")
        if self.out == "i32":
            for name in ("requant", "act", "residual"):
                if getattr(self, name) != FUSED_FIELDS[name]:
                    raise WorkloadError(
                        f"{self.operator}: {name}={getattr(self, name)} needs an 8-bit output; "
                        "add out=u8 or out=i8."
                    )


def exact_matmul(lhs: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """Multiply matrices of small integers exactly, through float64 BLAS: sums are below 2**53."""
    import numpy as np

    product = lhs.astype(np.float64) @ rhs.astype(np.float64)
    return product.astype(np.int64).astype(np.int32)
