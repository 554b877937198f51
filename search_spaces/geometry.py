"""The one loop nest behind every vrmpy operator.

A dense layer is a convolution with a 1x1 kernel over one row of pixels, and so is a 1x1
convolution with stride 1: both are described to the program generator as the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.layout import channels_of_lanes, round_up
from vrmpy_tune.target import LANES, REDUCE, VECTOR_BYTES
from vrmpy_tune.workload import NUMPY_TYPES, Contraction, Conv2d, Dense, Pair, ceildiv

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

MAX_TILE: Final = 15
"""Most pixels in one row of a register tile: 32 registers less one for weights, halved."""
GOOD_TILES: Final = tuple(range(6, MAX_TILE + 1))
"""Tile widths that reuse a loaded weight vector often enough."""
SHORT: Final = 64
"""Bytes of a pixel up to which it is not laid out in whole vectors."""
MANY_WORDS: Final = 17
"""Words of a pixel from which on it pays to add one to an odd number of them."""
WIDE_TILES: Final = (4, 5, 6, 7)
"""The same for tiles of four vectors, which reuse a loaded activation more often."""


@dataclass(frozen=True)
class Geometry:
    """A convolution over ``batch x height x width`` output pixels.

    Attributes
    ----------
    batch, height, width:
        Output pixels; ``flat`` geometries have all of them in ``width``.
    input_height, input_width, line:
        Size of the padded input, and the pixels of one of its rows before they were joined.
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
    fill:
        Zero point of the activations: what borders are padded with.
    window_factor:
        What the sum of activations under a window adds to its output, times this: stored weights
        exceed those that count by its negative, an offset and the weights' zero point.
    narrow:
        Whether sums are requantized to bytes.
    """

    batch: int
    height: int
    width: int
    input_height: int
    input_width: int
    line: int
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
    fill: int
    window_factor: int
    narrow: bool

    @property
    def words(self) -> int:
        """Groups of four input channels; an even number where pixels are spread and there are many.

        Two words are one scalar load, and a prime number of them has no loop body of several.
        """
        words = ceildiv(self.depth, REDUCE)
        return round_up(words, 2) if self.is_spread and words >= MANY_WORDS else words

    @property
    def pitch(self) -> int:
        """Channels from one pixel to the next, as they are read: whole words.

        Pixels whose channels are no whole words are cut out of vectors.  Those longer than half a
        vector are laid out in whole ones; shorter ones, so that vectors hold some pixels, where
        they are added up.  Neither where borders are filled with a zero point: behind the words of
        a border pixel it would be added up, too.
        """
        words = self.words * REDUCE
        fills = any(self.pad) and self.fill and self.window_factor
        if not self.is_spread or fills:
            return words
        if words > SHORT:
            return round_up(words, VECTOR_BYTES)
        whole = max(32, 1 << (words - 1).bit_length())
        return whole if self.window_factor and self.line * whole % VECTOR_BYTES == 0 else words

    @property
    def vectors(self) -> int:
        """Vectors of 32 output channels."""
        return round_up(self.outputs, LANES) // LANES

    @property
    def unit(self) -> Pair:
        """Pixels and vectors whose sums make 128 bytes, or one pixel and one vector of words."""
        if not self.narrow:
            return 1, 1
        return next((4 // vectors, vectors) for vectors in (4, 2, 1) if self.vectors % vectors == 0)

    @property
    def paired(self) -> int:
        """Vectors that hold alternating channels; see :func:`vrmpy_tune.layout.lane_of`."""
        return min(2, self.unit[1])

    @property
    def is_overlapped(self) -> bool:
        """Whether the last vector ends with the last channel, so that all are stored whole.

        Bytes are stored in blocks of 128, which have to begin at multiples of that.
        """
        whole = self.outputs % LANES == 0
        return self.outputs > LANES and not (whole or self.narrow or self.channels_first)

    @property
    def lanes(self) -> np.ndarray:
        """The channel of each lane; see :func:`vrmpy_tune.layout.channels_of_lanes`."""
        return channels_of_lanes(self.outputs, self.paired, overlapped=self.is_overlapped)

    def first_channel(self, vector: Any) -> Any:
        """Return the first channel of a vector, where channels are not paired."""
        from tvm.tirx import min as least

        first = vector * LANES
        return least(first, self.outputs - LANES) if self.is_overlapped else first

    @property
    def columns(self) -> int:
        """Width that the multiplication computes, at least ``width``.

        A prime width has no tile that divides it, and TVM cannot tensorize under a predicate; a
        few pixels more have one.  The surplus repeats the last pixel and is not stored.
        """
        step, vectors = self.unit
        # Four vectors of accumulators for each pixel leave registers for seven pixels.
        good = WIDE_TILES if vectors == 4 else [tile for tile in GOOD_TILES if tile % step == 0]
        columns = round_up(self.width, step)
        while columns > good[-1] and not any(columns % tile == 0 for tile in good):
            columns += step
        return columns

    @property
    def column_extents(self) -> tuple[int, ...]:
        """Loops over the columns: over units of pixels, and the pixels of one if it has several."""
        step = self.unit[0]
        return (self.columns // step, step) if step > 1 else (self.columns,)

    def column(self, axes: Sequence[Any]) -> Any:
        """Return the column at a position in :attr:`column_extents`."""
        return axes[0] if len(axes) == 1 else axes[0] * self.unit[0] + axes[1]

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.batch * self.height * self.width

    @property
    def is_padded(self) -> bool:
        """Whether the activations get borders or further channels."""
        return any(self.pad) or self.depth % REDUCE != 0

    @property
    def is_spread(self) -> bool:
        """Whether whole pixels, which are no whole words, are moved apart by one rule."""
        _, left, _, right = self.pad
        inner = self.input_width - left - right
        plain = self.groups == 1 and not self.channels_first and min(inner, self.depth) > 1
        words, surplus = divmod(self.depth, REDUCE)
        # The copy takes some packets a vector of channels: far less than it saves, unless there is
        # next to nothing to multiply.
        reads = self.vectors * self.kernel[0] * self.kernel[1]
        awkward = words % 2 != 0 and words >= MANY_WORDS and reads > 1
        return plain and (surplus != 0 or awkward) and not self.is_widened

    @property
    def is_widened(self) -> bool:
        """Whether three channels become four by scalar instructions."""
        _, left, _, right = self.pad
        return self.groups == 1 and self.depth == 3 and (self.input_width - left - right) % 4 == 0

    @property
    def is_filled(self) -> bool:
        """Whether what is staged gets a value before the activations are copied."""
        return self.is_padded and (any(self.pad) or not self.is_spread)

    @property
    def is_staged(self) -> bool:
        """Whether activations are first copied into a layout that scalar loads can read."""
        return self.is_padded or self.is_spread or self.channels_first

    @property
    def is_cropped(self) -> bool:
        """Whether whole output vectors are first stored aside, then copied to the output."""
        if self.channels_first or (self.outputs % LANES != 0 and not self.is_overlapped):
            return True
        if not self.narrow:
            return False
        pixels, vectors = self.unit
        # Bytes of several pixels are neighbours only where those are all channels.
        apart = pixels > 1 and (self.groups > 1 or vectors != self.vectors)
        return apart or self.columns != self.width


def geometry(workload: Contraction, weight_offset: int = 0) -> Geometry:
    """Return the geometry of a workload.

    Pixels of a 1x1 convolution with stride 1 are joined into one row, unless one vector of bytes
    holds several pixels, which must be neighbours in the output.

    Parameters
    ----------
    weight_offset:
        What was added to the weights when they were packed.
    """
    lhs, rhs = workload.types
    narrow = workload.out != "i32"
    factor = -(weight_offset + workload.rzp)
    values = (NUMPY_TYPES[lhs], NUMPY_TYPES[rhs], workload.lzp, factor, narrow)
    unit: Pair = (1, 1)
    no_pad = (0, 0, 0, 0)
    if isinstance(workload, Dense):
        return Geometry(
            1, 1, workload.m, 1, workload.m, workload.m, 1, workload.k, workload.n,
            unit, unit, unit, no_pad, True, False, *values,
        )  # fmt: skip
    assert isinstance(workload, Conv2d)
    height, width = workload.output_size
    padded_height, padded_width = workload.padded_size
    kernel = (workload.kh, workload.kw)
    batch = workload.n
    channels_first = workload.layout == "nchw"
    flat = kernel == unit and workload.stride == unit and not any(workload.pad)
    whole_vectors = not narrow or workload.co // workload.groups % (4 * LANES) == 0
    flat = flat and not channels_first and whole_vectors
    line = padded_width
    if flat:
        pixels = batch * height * width
        batch, height, width, padded_height, padded_width = 1, 1, pixels, 1, pixels
    return Geometry(
        batch, height, width, padded_height, padded_width, line,
        workload.groups, workload.ci // workload.groups, workload.co // workload.groups,
        kernel, workload.stride, workload.dilation, workload.pad,
        flat, channels_first, *values,
    )  # fmt: skip
