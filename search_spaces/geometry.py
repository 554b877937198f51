"""The one loop nest behind every vrmpy operator.

A dense layer is a convolution with a 1x1 kernel over one row of pixels, and so is a 1x1
convolution with stride 1: both are described to the program generator as the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vrmpy_tune.layout import round_up
from vrmpy_tune.target import LANES, REDUCE
from vrmpy_tune.workload import NUMPY_TYPES, Contraction, Conv2d, Dense, Pair

MAX_TILE: Final = 15
"""Most pixels in one row of a register tile: 32 registers less one for weights, halved."""
GOOD_TILES: Final = tuple(range(6, MAX_TILE + 1))
"""Tile widths that reuse a loaded weight vector often enough."""


@dataclass(frozen=True)
class Geometry:
    """A convolution over ``batch x height x width`` output pixels.

    Attributes
    ----------
    batch, height, width:
        Output pixels; ``flat`` geometries have all of them in ``width``.
    input_height, input_width:
        Size of the padded input.
    groups, depth, outputs:
        Groups, and channels in and out of each.
    kernel, stride, dilation, pad:
        As in :class:`vrmpy_tune.workload.Conv2d`.
    flat:
        Whether pixels were joined into one row.
    channels_first:
        Whether activations and output are ``nchw``.
    lhs, rhs:
        numpy data types of activations and weights.
    """

    batch: int
    height: int
    width: int
    input_height: int
    input_width: int
    groups: int
    depth: int
    outputs: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: tuple[int, int, int, int]
    flat: bool
    channels_first: bool
    lhs: str
    rhs: str

    @property
    def words(self) -> int:
        """Groups of four input channels."""
        return round_up(self.depth, REDUCE) // REDUCE

    @property
    def vectors(self) -> int:
        """Vectors of 32 output channels."""
        return round_up(self.outputs, LANES) // LANES

    @property
    def columns(self) -> int:
        """Width that the multiplication computes, at least ``width``.

        A prime width has no tile that divides it, and TVM cannot tensorize under a predicate; a
        few pixels more have one.  The surplus repeats the last pixel and is not stored.
        """
        columns = self.width
        while columns > MAX_TILE and not any(columns % tile == 0 for tile in GOOD_TILES):
            columns += 1
        return columns

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.batch * self.height * self.width

    @property
    def is_padded(self) -> bool:
        """Whether the activations get zeros, in space or in channels."""
        return any(self.pad) or self.depth % REDUCE != 0

    @property
    def is_staged(self) -> bool:
        """Whether activations are first copied into a layout that scalar loads can read."""
        return self.is_padded or self.channels_first

    @property
    def is_cropped(self) -> bool:
        """Whether whole output vectors are first stored aside, then copied to the output."""
        return self.outputs % LANES != 0 or self.channels_first


def geometry(workload: Contraction, *, flatten: bool = True) -> Geometry:
    """Return the geometry of a workload.

    Parameters
    ----------
    flatten:
        Whether to join the pixels of a 1x1 convolution with stride 1 into one row.
    """
    lhs, rhs = workload.types
    types = {"lhs": NUMPY_TYPES[lhs], "rhs": NUMPY_TYPES[rhs]}
    unit: Pair = (1, 1)
    no_pad = (0, 0, 0, 0)
    if isinstance(workload, Dense):
        return Geometry(
            1, 1, workload.m, 1, workload.m, 1, workload.k, workload.n,
            unit, unit, unit, no_pad, True, False, **types,
        )  # fmt: skip
    assert isinstance(workload, Conv2d)
    height, width = workload.output_size
    padded_height, padded_width = workload.padded_size
    kernel = (workload.kh, workload.kw)
    batch = workload.n
    channels_first = workload.layout == "nchw"
    flat = (
        kernel == unit and workload.stride == unit and not any(workload.pad) and not channels_first
    )
    if flat:
        pixels = batch * height * width
        batch, height, width, padded_height, padded_width = 1, 1, pixels, 1, pixels
    return Geometry(
        batch, height, width, padded_height, padded_width,
        workload.groups, workload.ci // workload.groups, workload.co // workload.groups,
        kernel, workload.stride, workload.dilation, workload.pad, flat, channels_first, **types,
    )  # fmt: skip
