"""The 2-D convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload.base import MAX_EXTENT, Pair, ceildiv
from vrmpy_tune.workload.contraction import FUSED_FIELDS, Contraction, exact_matmul
from vrmpy_tune.workload.window import WINDOW_LIMITS, Windowed

if TYPE_CHECKING:
    import numpy as np

LAYOUTS: Final = ("nhwc", "nchw")


@dataclass(frozen=True)
class Conv2d(Windowed, Contraction):
    """A 2-D convolution; borders are padded with the zero point of the activations.

    Attributes
    ----------
    n, h, w, ci, co, kh, kw:
        Batch, input height and width, channels in and out, kernel height and width.
    stride, dilation:
        Down and across; one number in the text where both are equal, else ``2x1``.
    pad:
        Rows and columns added: top, left, bottom, right; ``1``, ``1x2`` (vertical,
        horizontal) or ``0x0x1x1`` in the text.
    groups:
        Groups of channels; weights are ``[co, kh, kw, ci / groups]``.
    layout:
        Layout of activations and output, ``"nhwc"`` or ``"nchw"``.
    """

    n: int
    h: int
    w: int
    ci: int
    co: int
    kh: int
    kw: int
    stride: Pair = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    lhs: str = "u8"
    rhs: str = "u8"
    layout: str = "nhwc"

    operator: ClassVar[str] = "conv2d"
    fields: ClassVar[dict[str, int | str | None]] = {
        **dict.fromkeys(("n", "h", "w", "ci", "co", "kh", "kw", "stride", "pad")),
        "dilation": 1,
        "groups": 1,
        "lhs": None,
        "rhs": None,
        "layout": "nhwc",
        **FUSED_FIELDS,
    }

    def __post_init__(self) -> None:
        self.normalize_window()
        names = ("ci", "co", "dilation", "groups")
        self.check_range(WINDOW_LIMITS | dict.fromkeys(names, (1, MAX_EXTENT)))
        self.check_choice("layout", LAYOUTS, "a layout")
        self.check_fused()
        if self.ci % self.groups or self.co % self.groups:
            raise WorkloadError(
                f"conv2d: groups={self.groups} must divide both ci={self.ci} and co={self.co}."
            )
        self.check_window()
        self.check_sizes(padded_input=((self.n, *self.padded_size, self.ci), 1))

    @property
    def types(self) -> tuple[str, str]:  # noqa: D102
        return self.lhs, self.rhs

    @property
    def macs(self) -> int:  # noqa: D102
        height, width = self.output_size
        return self.n * height * width * self.co * self.kh * self.kw * (self.ci // self.groups)

    @property
    def input_shape(self) -> tuple[int, ...]:  # noqa: D102
        if self.layout == "nchw":
            return (self.n, self.ci, self.h, self.w)
        return (self.n, self.h, self.w, self.ci)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.co, self.kh, self.kw, self.ci // self.groups)

    @property
    def output_shape(self) -> tuple[int, ...]:  # noqa: D102
        height, width = self.output_size
        if self.layout == "nchw":
            return (self.n, self.co, height, width)
        return (self.n, height, width, self.co)

    @property
    def packet_bound(self) -> int:  # noqa: D102
        height, width = self.output_size
        vectors = self.groups * ceildiv(self.co // self.groups, 32)
        depth = self.kh * self.kw * ceildiv(self.ci // self.groups, 4)
        pixels = self.n * height * width
        multiplies = vectors * pixels * depth
        return multiplies if pixels == 1 else ceildiv(multiplies, 2)

    @property
    def channel_axis(self) -> int:  # noqa: D102
        return 1 if self.layout == "nchw" else 3

    def accumulate(self, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: D102
        import numpy as np

        nhwc = activations.transpose(0, 2, 3, 1) if self.layout == "nchw" else activations
        top, left, bottom, right = self.pad
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(nhwc, around, constant_values=self.lzp)
        height, width = self.output_size
        depth, outputs = self.ci // self.groups, self.co // self.groups
        result = np.zeros((self.n, height, width, self.co), np.int32)
        for row, column, window in self.windows(padded):
            for group in range(self.groups):
                ins = slice(group * depth, (group + 1) * depth)
                outs = slice(group * outputs, (group + 1) * outputs)
                pixels = window[..., ins].reshape(-1, depth)
                part = exact_matmul(pixels, weights[outs, row, column].T)
                result[..., outs] += part.reshape(self.n, height, width, outputs)
        return result.transpose(0, 3, 1, 2) if self.layout == "nchw" else result
