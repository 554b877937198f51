"""The depthwise convolution: every channel has a kernel of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vrmpy_tune.target import REDUCE, VECTOR_BYTES
from vrmpy_tune.workload.base import MAX_EXTENT, Pair, ceildiv, product
from vrmpy_tune.workload.contraction import FUSED_FIELDS, Contraction
from vrmpy_tune.workload.window import WINDOW_LIMITS, Windowed

if TYPE_CHECKING:
    import numpy as np

REQUANTIZE_PACKETS = 8
"""Packets that requantizing 128 accumulators takes: a 32 x 32-bit product is two multiplications,
each of 32 lanes and one a packet."""


@dataclass(frozen=True)
class DepthwiseConv2d(Windowed, Contraction):
    """A depthwise convolution, NHWC; borders are padded with the zero point of the activations.

    Attributes
    ----------
    n, h, w, c, kh, kw:
        Batch, input height and width, channels, kernel height and width.  Weights are ``[c, kh,
        kw]``.
    stride, pad, dilation:
        As in :class:`vrmpy_tune.workload.Conv2d`.
    """

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    lhs: str = "u8"
    rhs: str = "i8"

    operator: ClassVar[str] = "depthwise_conv2d"
    fields: ClassVar[dict[str, int | str | None]] = {
        **dict.fromkeys(("n", "h", "w", "c", "kh", "kw", "stride", "pad")),
        "dilation": 1,
        "lhs": None,
        "rhs": None,
        **FUSED_FIELDS,
    }

    def __post_init__(self) -> None:
        self.normalize_window()
        self.check_range(WINDOW_LIMITS | dict.fromkeys(("c", "dilation"), (1, MAX_EXTENT)))
        self.check_fused()
        self.check_window()
        self.check_sizes(padded_input=((self.n, *self.padded_size, self.c), 1))

    @property
    def types(self) -> tuple[str, str]:  # noqa: D102
        return self.lhs, self.rhs

    @property
    def macs(self) -> int:  # noqa: D102
        return product(self.output_shape) * self.kh * self.kw

    @property
    def input_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.n, self.h, self.w, self.c)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.c, self.kh, self.kw)

    @property
    def output_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.n, *self.output_size, self.c)

    @property
    def channel_axis(self) -> int:  # noqa: D102
        return 3

    @property
    def packet_bound(self) -> int:
        """The vector multiplications, of which v68 issues one a packet.

        Weights differ by lane, so that 128 outputs take four ``vrmpy`` of two vectors for every
        four elements of the kernel, and :data:`REQUANTIZE_PACKETS` where they become bytes.
        """
        each = REDUCE * ceildiv(self.kh * self.kw, REDUCE)
        if self.requant != "none":
            each += REQUANTIZE_PACKETS
        return each * ceildiv(product(self.output_shape), VECTOR_BYTES)

    def accumulate(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        top, left, bottom, right = self.pad
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(activations, around, constant_values=self.lzp).astype(np.int32)
        result = np.zeros(self.output_shape, np.int32)
        for row, column, window in self.windows(padded):
            result += window * weights[:, row, column].astype(np.int32)
        return result
