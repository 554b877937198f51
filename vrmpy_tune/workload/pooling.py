"""Pooling of 8-bit activations, NHWC: largest values, and requantized averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.quantize import LIMITS, Requantize, fixed_point
from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.workload.base import MAX_EXTENT, OPERAND_TYPES, Operand, Pair, Workload, ceildiv
from vrmpy_tune.workload.base import product as size_of
from vrmpy_tune.workload.inputs import draw_values
from vrmpy_tune.workload.window import WINDOW_LIMITS, Windowed

if TYPE_CHECKING:
    import numpy as np

AVERAGE_FIELDS: Final = ("input_zero_point", "shift", "zero_point", "low", "high")
"""What the operand ``average`` holds: the input's zero point, then fields of ``Requantize``."""

SCALE_PACKETS: Final = 4
"""Packets in which 128 sums are multiplied by a 31-bit factor: at least two multiplications of 16
bits each, of 64 lanes, and one a packet."""


@dataclass(frozen=True)
class Pool2d(Windowed, Workload):
    """What pooling operators with a window share.

    Attributes
    ----------
    n, h, w, c, kh, kw, stride, pad:
        As in :class:`vrmpy_tune.workload.DepthwiseConv2d`.
    dtype:
        ``"u8"`` or ``"i8"``, of input and output.
    """

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dtype: str = "u8"

    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(
        ("n", "h", "w", "c", "kh", "kw", "stride", "pad", "dtype")
    )

    def __post_init__(self) -> None:
        self.normalize_window()
        self.check_range(WINDOW_LIMITS | {"c": (1, MAX_EXTENT)})
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        self.check_window()
        top, left, bottom, right = self.pad
        # A window wholly in the padding has no value to be the largest or the average of.
        if max(top, bottom) >= self.kh or max(left, right) >= self.kw:
            raise WorkloadError(
                f"{self.operator}: pad={self.pad} is not smaller than the kernel of {self.kh} x "
                f"{self.kw}, so that some windows are empty; use a smaller pad."
            )
        self.check_sizes(padded_input=((self.n, *self.padded_size, self.c), 1))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (self.n, *self.output_size, self.c)

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        return (Operand("activations", (self.n, self.h, self.w, self.c), self.dtype),)

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", self.output_shape, self.dtype)

    @property
    def macs(self) -> int:
        """Values that enter a result."""
        return size_of(self.output_shape) * self.kh * self.kw

    @property
    def memory_packets(self) -> int:
        """Packets in which each input that is used is loaded once, and each output stored.

        A packet holds one vector load and one vector store.
        """
        used = self.n * self.c
        for extent, kernel, stride, outputs in zip(
            (self.h, self.w), (self.kh, self.kw), self.stride, self.output_size, strict=True
        ):
            used *= min(extent, outputs * min(kernel, stride) + max(0, kernel - stride))
        return max(ceildiv(used, VECTOR_BYTES), ceildiv(size_of(self.output_shape), VECTOR_BYTES))


@dataclass(frozen=True)
class MaxPool2d(Pool2d):
    """The largest value of each window; padding never is."""

    operator: ClassVar[str] = "max_pool2d"

    @property
    def packet_bound(self) -> int:
        """The memory accesses, :attr:`Pool2d.memory_packets`; everything else fits beside them."""
        return self.memory_packets

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        (activations,) = operands
        top, left, bottom, right = self.pad
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        smallest = LIMITS[self.dtype][0]
        padded = np.pad(activations, around, constant_values=smallest)
        result = np.full(self.output_shape, smallest, self.output.numpy_type)
        for _, _, window in self.windows(padded):
            result = np.maximum(result, window)
        return result


class Averaged(Workload):
    """Parameters and arithmetic of a requantized average.

    ``Requantize(shift, zero_point, low, high)(sum of (value - input_zero_point), multiplier)``,
    where the multiplier has the number of values in it: input scale / (output scale x number).
    """

    def average_operands(self, counts: int) -> tuple[Operand, Operand]:
        """Return the parameters, with a multiplier for each of ``counts`` numbers of values."""
        return (
            Operand("multiplier", (counts,), "i32", constant=True),
            Operand("average", (len(AVERAGE_FIELDS),), "i32", constant=True),
        )

    def draw_average(
        self, dtype: str, numbers: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the parameters, such that outputs fill their range and clip beyond.

        Parameters
        ----------
        numbers:
            The numbers of values that there is a multiplier for.
        """
        import numpy as np

        low, high = LIMITS[dtype]
        ratio = float(generator.uniform(0.5, 1.6))
        # A single value has no factor above 1, which fixed_point refuses.
        multiplier, shift = fixed_point(np.minimum(ratio / numbers, 0.999))
        zero_points = generator.integers(low // 2, high // 2, 2)
        bounds = (low + 3, high - 5)
        fields = (zero_points[0], shift, zero_points[1], *bounds)
        return multiplier, np.asarray(fields, np.int32)

    @staticmethod
    def averaged(
        sums: np.ndarray, counts: np.ndarray, multiplier: np.ndarray, average: np.ndarray
    ) -> np.ndarray:
        """Return the requantized averages as int32.

        Parameters
        ----------
        sums, counts:
            Sums of the values, and how many they were.
        multiplier:
            The factor of each sum.
        average:
            The parameters, :data:`AVERAGE_FIELDS`.
        """
        import numpy as np

        zero_point, *requantize = (int(one) for one in average)
        shifted = sums.astype(np.int32) - counts.astype(np.int32) * zero_point
        return Requantize(*requantize)(shifted, multiplier)


@dataclass(frozen=True)
class AvgPool2d(Pool2d, Averaged):
    """The average of each window, requantized.

    Attributes
    ----------
    include_pad:
        1 if padding counts as values of the input's zero point; 0 if only values of the input
        are averaged, with a multiplier for each number of them.
    """

    include_pad: int = 1

    operator: ClassVar[str] = "avg_pool2d"
    fields: ClassVar[dict[str, int | str | None]] = {**Pool2d.fields, "include_pad": None}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range({"include_pad": (0, 1)})

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        counts = 1 if self.include_pad else self.kh * self.kw
        return (*super().operands, *self.average_operands(counts))

    @property
    def packet_bound(self) -> int:
        """The larger of the memory accesses and the multiplications of the sums."""
        outputs = ceildiv(size_of(self.output_shape), VECTOR_BYTES)
        return max(self.memory_packets, SCALE_PACKETS * outputs)

    @property
    def values(self) -> np.ndarray:
        """Values of the input in each window, ``[height, width]``."""
        import numpy as np

        top, left, bottom, right = self.pad
        inside = np.pad(np.ones((1, self.h, self.w, 1), np.int32),
                        ((0, 0), (top, bottom), (left, right), (0, 0)))  # fmt: skip
        return np.asarray(sum(window[0, ..., 0] for _, _, window in self.windows(inside)))

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        import numpy as np

        activations, *_ = self.operands
        most = self.kh * self.kw
        numbers = np.asarray([most]) if self.include_pad else np.arange(1, most + 1)
        parameters = self.draw_average(self.dtype, numbers, generator)
        return (draw_values(kind, self.dtype, activations.shape, generator), *parameters)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        activations, multiplier, average = operands
        top, left, bottom, right = self.pad
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(activations.astype(np.int32), around)
        sums = np.zeros(self.output_shape, np.int32)
        for _, _, window in self.windows(padded):
            sums += window
        counts = self.values[None, :, :, None]
        # Padding of the input's zero point contributes nothing to the sum of differences.
        factor = multiplier if self.include_pad else multiplier[counts - 1]
        return self.averaged(sums, counts, factor, average).astype(self.output.numpy_type)


@dataclass(frozen=True)
class GlobalAvgPool2d(Averaged):
    """The requantized average of all pixels: ``[n, h, w, c]`` to ``[n, 1, 1, c]``.

    Attributes
    ----------
    n, h, w, c, dtype:
        As in :class:`Pool2d`.
    """

    n: int
    h: int
    w: int
    c: int
    dtype: str = "u8"

    operator: ClassVar[str] = "global_avg_pool2d"
    fields: ClassVar[dict[str, int | str | None]] = dict.fromkeys(("n", "h", "w", "c", "dtype"))

    def __post_init__(self) -> None:
        self.check_range(dict.fromkeys(("n", "h", "w", "c"), (1, MAX_EXTENT)))
        self.check_choice("dtype", OPERAND_TYPES, "an 8-bit type")
        # Sums of bytes and their zero points stay within int32.
        self.check_sizes(sums=((self.h, self.w), 256))

    @property
    def operands(self) -> tuple[Operand, ...]:  # noqa: D102
        activations = Operand("activations", (self.n, self.h, self.w, self.c), self.dtype)
        return (activations, *self.average_operands(1))

    @property
    def output(self) -> Operand:  # noqa: D102
        return Operand("output", (self.n, 1, 1, self.c), self.dtype)

    @property
    def macs(self) -> int:
        """Values that enter a result."""
        return self.n * self.h * self.w * self.c

    @property
    def packet_bound(self) -> int:
        """Every input vector is loaded once, one a packet; the additions fit beside the loads."""
        return ceildiv(self.macs, VECTOR_BYTES)

    def draw(self, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, ...]:  # noqa: D102
        import numpy as np

        activations, *_ = self.operands
        numbers = np.asarray([self.h * self.w])
        parameters = self.draw_average(self.dtype, numbers, generator)
        return (draw_values(kind, self.dtype, activations.shape, generator), *parameters)

    def reference(self, *operands: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        activations, multiplier, average = operands
        sums = activations.astype(np.int32).sum(axis=(1, 2), keepdims=True)
        counts = np.asarray(self.h * self.w)
        return self.averaged(sums, counts, multiplier, average).astype(self.output.numpy_type)
