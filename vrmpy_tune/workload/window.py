"""What operators with a sliding window share: kernel, stride, dilation and padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload.base import MAX_EXTENT, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


class Windowed:
    """Sizes of an operator with a sliding window; a base for frozen dataclasses.

    Attributes
    ----------
    operator, h, w, kh, kw, stride, pad, dilation:
        As in :class:`vrmpy_tune.workload.Conv2d`; without ``dilation`` it is 1.
    """

    operator: ClassVar[str]
    h: int
    w: int
    kh: int
    kw: int
    stride: Pair
    pad: tuple[int, int, int, int]
    dilation: Pair = (1, 1)

    @property
    def padded_size(self) -> Pair:
        """Height and width of the input after padding."""
        top, left, bottom, right = self.pad
        return self.h + top + bottom, self.w + left + right

    @property
    def output_size(self) -> Pair:
        """Height and width of the output."""
        height, width = self.padded_size
        return (
            (height - (self.kh - 1) * self.dilation[0] - 1) // self.stride[0] + 1,
            (width - (self.kw - 1) * self.dilation[1] - 1) // self.stride[1] + 1,
        )

    def windows(self, padded: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield for each element of the kernel the inputs that it meets.

        Parameters
        ----------
        padded:
            Array of ``[n, *padded_size, channels]``.

        Yields
        ------
        row, column, values:
            The element, and ``[n, *output_size, channels]``.
        """
        height, width = self.output_size
        (stride_h, stride_w), (dilation_h, dilation_w) = self.stride, self.dilation
        for row in range(self.kh):
            for column in range(self.kw):
                top, left = row * dilation_h, column * dilation_w
                yield (
                    row,
                    column,
                    padded[
                        :,
                        top : top + (height - 1) * stride_h + 1 : stride_h,
                        left : left + (width - 1) * stride_w + 1 : stride_w,
                    ],
                )

    def normalize_window(self) -> None:
        """Expand abbreviated ``stride``, ``dilation`` and ``pad``; raises ``WorkloadError``."""
        for name in ("stride", "dilation"):
            value = getattr(self, name)
            if value != (1, 1):
                object.__setattr__(self, name, _as_pair(value, self.operator, name))
        object.__setattr__(self, "pad", as_pads(self.pad, self.operator))

    def check_window(self) -> None:
        """Check that the kernel fits the padded input; raises ``WorkloadError``."""
        height, width = self.padded_size
        reach_h = (self.kh - 1) * self.dilation[0] + 1
        reach_w = (self.kw - 1) * self.dilation[1] + 1
        if reach_h > height or reach_w > width:
            raise WorkloadError(
                f"{self.operator}: the kernel reaches over {reach_h} x {reach_w} pixels, more than "
                f"the padded input of {height} x {width}; enlarge h, w or pad, or use a smaller "
                "kernel."
            )


WINDOW_LIMITS = dict.fromkeys(("n", "h", "w", "kh", "kw", "stride"), (1, MAX_EXTENT)) | {
    "pad": (0, MAX_EXTENT)
}
"""Ranges of the fields that every operator with a window has."""


def as_pads(value: object, operator: str) -> tuple[object, ...]:
    """Expand one, two or four numbers to top, left, bottom, right; raises ``WorkloadError``."""
    if isinstance(value, tuple | list):
        if len(value) == 2:
            return (*value, *value)
        if len(value) != 4:
            raise WorkloadError(
                f"{operator}: pad takes one, two or four numbers, not {len(value)}."
            )
        return tuple(value)
    return (value,) * 4


def _as_pair(value: object, operator: str, name: str) -> tuple[object, object]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise WorkloadError(f"{operator}: {name} takes one number or two, not {len(value)}.")
        return value[0], value[1]
    return value, value
