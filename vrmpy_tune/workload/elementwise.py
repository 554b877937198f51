"""Element by element: quantized addition and multiplication, and clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from vrmpy_tune.quantize import LIMITS, Add, Requantize, add_parameters, fixed_point
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload.base import MAX_EXTENT, OPERAND_TYPES, Operand, Workload, ceildiv, product
from vrmpy_tune.workload.contraction import ACTIVATIONS, ADD_FIELDS
from vrmpy_tune.workload.inputs import draw_values

if TYPE_CHECKING:
    import numpy as np

MULTIPLY_FIELDS: Final = ("lhs", "rhs", "multiplier", "shift", "zero_point", "low", "high")
"""What the operand ``multiply`` holds: zero points of the inputs, the factor, and the fields of
``Requantize``."""

CLIP_FIELDS: Final = ("low", "high")
"""What the operand ``clip`` holds."""


class Elementwise(Workload):
    """What elementwise operators share.

    Attributes
    ----------
    shape:
        Shape of the inputs and of the output; ``1x56x56x256`` in the text.
    """

    shape: tuple[int, ...]

    def check_shape(self) -> None:
        """Expand and check ``shape``; raises ``WorkloadError``."""
        if not isinstance(self.shape, tuple):
            object.__setattr__(self, "shape", (self.shape,))
        self.check_range({"shape": (1, MAX_EXTENT)})

    @property
    def macs(self) -> int:
        """Elements of the output."""
        return product(self.shape)

    @property
    def vectors(self) -> int:
        """Vectors of 128 bytes that the output fills."""
        return ceildiv(product(self.shape), VECTOR_BYTES)


@dataclass(frozen=True)
class _Binary(Elementwise):
    shape: tuple[int, ...]
    lhs: str = "u8"
    rhs: str = "u8"
    out: str = "u8"
    act: str = "none"

    fields: ClassVar[dict[str, int | str | None]] = {
        **dict.fromkeys(("shape", "lhs", "rhs", "out")),
        "act": "none",
    }
    parameters: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        self.check_shape()
        for name in ("lhs", "rhs", "out"):
            self.check_choice(name, OPERAND_TYPES, "an 8-bit type")
        self.check_choice("act", ACTIVATIONS, "an activation")
        self.check_sizes()

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (
            Operand("lhs", self.shape, self.lhs),
            Operand("rhs", self.shape, self.rhs),
            Operand(self.operator, (len(self.parameters),), "i32", constant=True),
        )

    @property
    def output(self) -> Operand:
        return Operand("output", self.shape, self.out)

    def draw_bounds(self, zero_point: int) -> tuple[int, int]:
        """Return clipping bounds for verification: what the activation leaves of the type."""
        low, high = LIMITS[self.out]
        if self.act == "none":
            return low, high
        return (zero_point, high) if self.act == "relu" else (zero_point, (zero_point + high) // 2)


@dataclass(frozen=True)
class QuantizedAdd(_Binary):
    """The sum of two quantized tensors, :class:`vrmpy_tune.quantize.Add`.

    Attributes
    ----------
    shape:
        Shape of all tensors.
    lhs, rhs, out:
        ``"u8"`` or ``"i8"``, of each input and of the output.
    act:
        ``"relu"`` clips below, ``"clip"`` on both sides, at bounds that are operands.
    """

    operator: ClassVar[str] = "add"
    parameters: ClassVar[tuple[str, ...]] = ADD_FIELDS

    @property
    def packet_bound(self) -> int:
        """Four multiplications of 64 halfwords into words for 128 sums, one a packet."""
        return 4 * self.vectors

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        import numpy as np

        low, high = LIMITS[self.out]
        scales = [float(one) for one in generator.uniform(0.2, 1.4, 2)]
        inputs = [int(generator.integers(*LIMITS[one])) for one in (self.lhs, self.rhs)]
        zero_point = int(generator.integers(low // 2, high // 2))
        made = add_parameters(
            (scales[0], inputs[0]), (scales[1], inputs[1]), (1.0, zero_point),
            self.draw_bounds(zero_point),
        )  # fmt: skip
        return (
            draw_values(kind, self.lhs, self.shape, generator),
            draw_values(kind, self.rhs, self.shape, generator),
            np.asarray([getattr(made, name) for name in ADD_FIELDS], np.int32),
        )

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        lhs, rhs, parameters = operands
        result = Add(*(int(one) for one in parameters))(lhs, rhs)
        return result.astype(self.output.numpy_type)


@dataclass(frozen=True)
class QuantizedMultiply(_Binary):
    """The product of two quantized tensors.

    ``Requantize(shift, zero_point, low, high)((lhs - its zero point) * (rhs - its zero point),
    multiplier)``.  The attributes are those of :class:`QuantizedAdd`.
    """

    operator: ClassVar[str] = "multiply"
    parameters: ClassVar[tuple[str, ...]] = MULTIPLY_FIELDS

    @property
    def packet_bound(self) -> int:
        """Two multiplications of 64 halfwords for 128 products, and eight that scale them.

        A 32 x 32-bit product of 32 lanes is two multiplications; each has a packet of its own.
        """
        return 10 * self.vectors

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        import numpy as np

        low, high = LIMITS[self.out]
        inputs = [int(generator.integers(*LIMITS[one])) for one in (self.lhs, self.rhs)]
        zero_point = int(generator.integers(low // 2, high // 2))
        multiplier, shift = fixed_point(generator.uniform(0.004, 0.03, 1))
        bounds = self.draw_bounds(zero_point)
        return (
            draw_values(kind, self.lhs, self.shape, generator),
            draw_values(kind, self.rhs, self.shape, generator),
            np.asarray([*inputs, multiplier[0], shift, zero_point, *bounds], np.int32),
        )

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        lhs, rhs, parameters = operands
        left, right, _, *requantize = (int(one) for one in parameters)
        products = (lhs.astype(np.int32) - left) * (rhs.astype(np.int32) - right)
        result = Requantize(*requantize)(products, parameters[2:3])
        return result.astype(self.output.numpy_type)


@dataclass(frozen=True)
class Clip(Elementwise):
    """Values between two bounds, which are operands.

    Attributes
    ----------
    shape:
        Shape of both tensors.
    dtype:
        ``"u8"`` or ``"i8"``, of both.
    """

    shape: tuple[int, ...]
    dtype: str = "u8"

    operator: ClassVar[str] = "clip"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(("shape", "dtype"))

    def __post_init__(self) -> None:
        self.check_shape()
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_sizes()

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (
            Operand("activations", self.shape, self.dtype),
            Operand("clip", (len(CLIP_FIELDS),), "i32", constant=True),
        )

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self.shape, self.dtype)

    @property
    def packet_bound(self) -> int:
        """A load and a store for 128 elements, which share a packet with the comparisons."""
        return self.vectors

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        import numpy as np

        low, high = LIMITS[self.dtype]
        middle = int(generator.integers(low + 30, high - 30))
        bounds = (middle - 20, middle + 25)
        values = draw_values(kind, self.dtype, self.shape, generator)
        return values, np.asarray(bounds, np.int32)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        values, bounds = operands
        result = np.clip(values.astype(np.int32), bounds[0], bounds[1])
        return result.astype(self.output.numpy_type)
