"""Operators that move bytes: padding, changes of layout, and concatenation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vrmpy_tune.quantize import LIMITS
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload.base import (
    MAX_EXTENT,
    OPERAND_TYPES,
    Operand,
    Workload,
    ceildiv,
    product,
)
from vrmpy_tune.workload.conv2d import LAYOUTS
from vrmpy_tune.workload.window import as_pads

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Pad(Workload):
    """Rows and columns of one value round an image, NHWC.

    Attributes
    ----------
    n, h, w, c:
        The input.
    pad:
        Rows and columns added, as in :class:`vrmpy_tune.workload.Conv2d`.
    dtype:
        ``"u8"`` or ``"i8"``.
    value:
        What is added, for example the zero point.
    """

    n: int
    h: int
    w: int
    c: int
    pad: tuple[int, int, int, int]
    dtype: str = "u8"
    value: int = 0

    operator: ClassVar[str] = "pad"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(
        ("n", "h", "w", "c", "pad", "dtype", "value")
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "pad", as_pads(self.pad, self.operator))
        extents = dict.fromkeys(("n", "h", "w", "c"), (1, MAX_EXTENT))
        self.check_range(extents | {"pad": (0, MAX_EXTENT)})
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_range({"value": LIMITS[self.dtype]})
        self.check_sizes()

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (Operand("activations", (self.n, self.h, self.w, self.c), self.dtype),)

    @property
    def output(self) -> Operand:  # noqa: D102
        top, left, bottom, right = self.pad
        shape = (self.n, self.h + top + bottom, self.w + left + right, self.c)
        return Operand("output", shape, self.dtype)

    @property
    def macs(self) -> int:
        """Elements of the output."""
        return product(self.output.shape)

    @property
    def packet_bound(self) -> int:
        """A packet stores one vector; the loads and the alignment fit beside the stores."""
        return ceildiv(self.macs, VECTOR_BYTES)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        (activations,) = operands
        top, left, bottom, right = self.pad
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(activations, around, constant_values=self.value)


@dataclass(frozen=True)
class Layout(Workload):
    """A change of layout of 8-bit activations.

    Attributes
    ----------
    n, h, w, c:
        Batch, height, width, channels.
    to:
        ``"nhwc"`` (from ``nchw``) or ``"nchw"`` (from ``nhwc``).
    dtype:
        ``"u8"`` or ``"i8"``.
    """

    n: int
    h: int
    w: int
    c: int
    to: str
    dtype: str = "u8"

    operator: ClassVar[str] = "layout"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(
        ("n", "h", "w", "c", "to", "dtype")
    )

    def __post_init__(self) -> None:
        self.check_range(dict.fromkeys(("n", "h", "w", "c"), (1, MAX_EXTENT)))
        self.check_choice("to", LAYOUTS, "a layout")
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_sizes()

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns of the matrix of bytes that is transposed, for each image."""
        pixels = self.h * self.w
        return (self.c, pixels) if self.to == "nhwc" else (pixels, self.c)

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (Operand("activations", self._shape("nchw" if self.to == "nhwc" else "nhwc"),
                        self.dtype),)  # fmt: skip

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self._shape(self.to), self.dtype)

    def _shape(self, layout: str) -> tuple[int, ...]:
        if layout == "nchw":
            return (self.n, self.c, self.h, self.w)
        return (self.n, self.h, self.w, self.c)

    @property
    def macs(self) -> int:
        """Elements."""
        return product(self.output.shape)

    @property
    def packet_bound(self) -> int:
        """Vectors stored, or shuffled: one a packet each.

        A vector of the output has bytes of as many vectors of the input as a vector has elements
        of a column, at most 128; a shuffle of two vectors at most doubles that number in both.
        """
        vectors = ceildiv(self.macs, VECTOR_BYTES)
        doublings = (min(VECTOR_BYTES, *self.matrix)).bit_length() - 1
        return vectors * max(2, doublings) // 2

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        (activations,) = operands
        axes = (0, 2, 3, 1) if self.to == "nhwc" else (0, 3, 1, 2)
        return np.ascontiguousarray(activations.transpose(axes))


@dataclass(frozen=True)
class Concat(Workload):
    """Tensors put side by side, row by row: ``[rows, part]`` each, to ``[rows, sum of parts]``.

    Tensors of any rank are such matrices: columns are the axis of concatenation and those behind.

    Attributes
    ----------
    rows:
        Rows of all tensors.
    parts:
        Columns of each; ``64x32`` in the text.
    dtype:
        ``"u8"`` or ``"i8"``.
    """

    rows: int
    parts: tuple[int, ...]
    dtype: str = "u8"

    operator: ClassVar[str] = "concat"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(("rows", "parts", "dtype"))

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple):
            object.__setattr__(self, "parts", (self.parts,))
        self.check_range(dict.fromkeys(("rows", "parts"), (1, MAX_EXTENT)))
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_sizes()

    @property
    def offsets(self) -> tuple[int, ...]:
        """First column of each part in the output."""
        return tuple(sum(self.parts[:index]) for index in range(len(self.parts)))

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return tuple(
            Operand(f"part{index}", (self.rows, size), self.dtype)
            for index, size in enumerate(self.parts)
        )

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", (self.rows, sum(self.parts)), self.dtype)

    @property
    def macs(self) -> int:
        """Elements of the output."""
        return product(self.output.shape)

    @property
    def packet_bound(self) -> int:
        """A packet loads one vector and stores one."""
        return ceildiv(self.macs, VECTOR_BYTES)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        return np.concatenate(operands, axis=1)
