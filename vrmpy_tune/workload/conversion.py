"""Between floating point and 8 bits: what stands at the ends of an integer network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.target import LANES
from vrmpy_tune.workload.base import OPERAND_TYPES, Operand, ceildiv, product
from vrmpy_tune.workload.elementwise import Elementwise
from vrmpy_tune.workload.inputs import draw_values

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class _Conversion(Elementwise):
    shape: tuple[int, ...]
    dtype: str = "u8"

    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(("shape", "dtype"))

    def __post_init__(self) -> None:
        self.check_shape()
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_sizes()

    @property
    def parameters(self) -> tuple[Operand, Operand]:
        return (
            Operand("scale", (1,), "f32", constant=True),
            Operand("zero_point", (1,), "i32", constant=True),
        )

    @property
    def packet_bound(self) -> int:
        """The vectors of floating-point numbers, of which a packet loads or stores one."""
        return ceildiv(product(self.shape), LANES)

    def draw_parameters(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        scale = generator.uniform(0.003, 0.9, 1).astype(np.float32)
        return scale, generator.integers(*LIMITS[self.dtype], 1).astype(np.int32)


@dataclass(frozen=True)
class Quantize(_Conversion):
    """From float32 to 8 bits: ``clip(round(x / scale) + zero_point)``, halves to even.

    As ONNX's ``QuantizeLinear``; the input has no NaN.

    Attributes
    ----------
    shape:
        Shape of both tensors.
    dtype:
        ``"u8"`` or ``"i8"``, of the output.
    """

    operator: ClassVar[str] = "quantize"

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (Operand("activations", self.shape, "f32"), *self.parameters)

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self.shape, self.dtype)

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw the operands; extremes are halves between two results, and far beyond the range."""
        import numpy as np

        scale, zero_point = self.draw_parameters(generator)
        if kind == "random":
            values = generator.uniform(-300, 300, self.shape) * scale
        elif kind == "extremes":
            values = (generator.integers(-300, 300, self.shape) + 0.5) * scale
        else:
            values = generator.choice((-1e30, 1e30, 3.3e38, -np.inf, np.inf), self.shape)
        return values.astype(np.float32), scale, zero_point

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        values, scale, zero_point = operands
        low, high = LIMITS[self.dtype]
        with np.errstate(over="ignore"):
            rounded = np.rint(values / scale)
        # Beyond 2 * 255 every result is a bound, whatever the zero point.
        whole = np.clip(rounded, -1024, 1024).astype(np.int32) + zero_point
        return np.asarray(np.clip(whole, low, high), self.output.numpy_type)


@dataclass(frozen=True)
class Dequantize(_Conversion):
    """From 8 bits to float32: ``(x - zero_point) * scale``.

    Attributes
    ----------
    shape:
        Shape of both tensors.
    dtype:
        ``"u8"`` or ``"i8"``, of the input.
    """

    operator: ClassVar[str] = "dequantize"

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (Operand("activations", self.shape, self.dtype), *self.parameters)

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self.shape, "f32")

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        parameters = self.draw_parameters(generator)
        return (draw_values(kind, self.dtype, self.shape, generator), *parameters)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        values, scale, zero_point = operands
        differences = (values.astype(np.int32) - zero_point).astype(np.float32)
        return np.asarray(differences * scale, np.float32)
