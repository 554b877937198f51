"""Fixed-point requantization: the arithmetic that kernels and references share, bit for bit.

A real factor ``scale`` in (0, 1) is a 31-bit multiplier and a right shift, ``scale = multiplier /
2**31 / 2**shift``.  One shift serves all channels of a tensor, because HVX narrows two vectors at
once with one scalar shift; channels with smaller scales have smaller multipliers.  With at most
:data:`MAX_SHIFT` bits of shift the largest multiplier has 31 bits where ``scale > 2**-16``.

The steps are what HVX does (*Hexagon V66 HVX Programmer's Reference Manual*: ``vmpye`` and
``vmpyo:<<1:rnd:sat:shift`` give the rounded high half of a 32 x 32 product, ``vasr:rnd:sat``
narrows), so that no kernel needs an instruction to be exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

MULTIPLIER_BITS: Final = 31
"""Fraction bits of a requantization multiplier."""

MAX_SHIFT: Final = 15
"""Largest right shift that narrows words to halfwords (four bits of the instruction's operand)."""

ADD_BITS: Final = 15
"""Bits of the larger multiplier of an addition: a signed halfword."""

STRETCHED_ZERO: Final = 128
"""Zero point of a stretched operand, :func:`stretch`."""

STRETCHED: Final = 127
"""How far a stretched operand can be from it, on either side."""

EXACT_BITS: Final = 20
"""Bits of the largest multiplier with which networks are rounded once: an 8-bit result errs by
2**-13 of a unit, or by 2**-5 in a channel whose factor is 2**8 times smaller.  Factors that leave
fewer have shifts of 12 bits or more, whose second rounding matters as seldom."""

LIMITS: Final = {"u8": (0, 255), "i8": (-128, 127), "i32": (-(1 << 31), (1 << 31) - 1)}
"""Smallest and largest value of each output type."""


@dataclass(frozen=True)
class Requantize:
    """From int32 accumulators to 8 bits.

    Attributes
    ----------
    shift:
        Right shift behind the multiplication, 0 to :data:`MAX_SHIFT`.
    zero_point:
        Added after it.
    low, high:
        Clipping bounds of the result.
    """

    shift: int
    zero_point: int
    low: int
    high: int

    def __call__(self, accumulators: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        """Return the requantized values as int32.

        Parameters
        ----------
        accumulators:
            int32, channels last.
        multiplier:
            int32 of shape ``[1]`` or ``[channels]``.
        """
        import numpy as np

        product = accumulators.astype(np.int64) * multiplier.astype(np.int64)
        high_half = (product + (1 << (MULTIPLIER_BITS - 1))) >> MULTIPLIER_BITS
        shifted = round_shift(high_half, self.shift) + self.zero_point
        return np.asarray(np.clip(shifted, self.low, self.high), np.int32)


@dataclass(frozen=True)
class Add:
    """The sum of two quantized tensors: ``(a * lhs + b * rhs + offset) >> shift + zero_point``.

    Attributes
    ----------
    lhs, rhs:
        Multipliers, int16.
    offset:
        Added before the shift: what the zero points of the inputs contribute.
    shift:
        Right shift, 0 to :data:`MAX_SHIFT`.
    zero_point, low, high:
        As in :class:`Requantize`.
    """

    lhs: int
    rhs: int
    offset: int
    shift: int
    zero_point: int
    low: int
    high: int

    def __call__(self, lhs: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        """Return the sums as int32; the inputs are 8-bit values of any integer type."""
        import numpy as np

        total = lhs.astype(np.int64) * self.lhs + rhs.astype(np.int64) * self.rhs + self.offset
        shifted = round_shift(total, self.shift) + self.zero_point
        return np.asarray(np.clip(shifted, self.low, self.high), np.int32)


def round_shift(values: np.ndarray, shift: int) -> np.ndarray:
    """Shift right, rounding halves up."""
    return (values + ((1 << shift) >> 1)) >> shift


def fixed_point(scales: np.ndarray, bits: int = MULTIPLIER_BITS) -> tuple[np.ndarray, int]:
    """Return int32 multipliers and the common shift for real factors.

    What the multiplication rounds to ``shift`` bits behind the point is rounded again, which
    differs from rounding once for one result in ``2**(shift + 1)``.  Without a shift there is one
    rounding, but multipliers lose their lowest bits.

    Parameters
    ----------
    scales:
        Positive factors, one for each channel, or a single one.
    bits:
        With how many bits of the largest multiplier there need not be a shift.

    Raises
    ------
    ValueError
        If a factor is not positive or not below 1.
    """
    import numpy as np

    factors = np.asarray(scales, np.float64)
    largest = float(factors.max())
    if not (factors > 0).all() or largest >= 1:
        raise ValueError(f"requantization factors must lie between 0 and 1, not {factors}")
    shift = min(MAX_SHIFT, max(0, -int(np.frexp(largest)[1])))
    if shift <= MULTIPLIER_BITS - bits:
        shift = 0
    multiplier = np.rint(factors * 2.0 ** (MULTIPLIER_BITS + shift))
    return np.minimum(multiplier, (1 << 31) - 1).astype(np.int32), shift


def add_parameters(
    lhs: tuple[float, int], rhs: tuple[float, int], out: tuple[float, int], bounds: tuple[int, int]
) -> Add:
    """Return the parameters of a quantized addition.

    Parameters
    ----------
    lhs, rhs, out:
        Scale and zero point of the inputs and of the output.
    bounds:
        Clipping bounds of the result.

    Raises
    ------
    ValueError
        If an input's scale is 2**15 times the output's or more.

    See Also
    --------
    add_error : By how much the result may err.
    """
    import numpy as np

    ratios = (lhs[0] / out[0], rhs[0] / out[0])
    shift = min(MAX_SHIFT, ADD_BITS - int(np.frexp(max(ratios))[1]))
    if shift < 0:
        raise ValueError(f"an input's scale is {max(ratios)} times the output's; at most 2**15")
    left, right = (min(int(np.rint(ratio * 2.0**shift)), (1 << 15) - 1) for ratio in ratios)
    offset = -left * lhs[1] - right * rhs[1]
    return Add(left, right, offset, shift, out[1], *bounds)


def add_error(made: Add, lhs: tuple[float, int], rhs: tuple[float, int], out_scale: float) -> float:
    """Return by how many units the rounded multipliers of an addition may move its result.

    Multipliers have 15 bits between them: where one is large, the other has few.

    Parameters
    ----------
    lhs, rhs:
        Scale and zero point of the inputs, which are unsigned bytes.
    out_scale:
        Scale of the result.
    """
    return sum(
        abs(multiplier / 2.0**made.shift - scale / out_scale) * farthest(zero_point)
        for multiplier, (scale, zero_point) in ((made.lhs, lhs), (made.rhs, rhs))
    )


def farthest(zero_point: int) -> int:
    """Return how far an unsigned byte can be from a zero point."""
    low, high = LIMITS["u8"]
    return max(zero_point - low, high - zero_point)


def stretch(ratio: float, other: float) -> tuple[int, float]:
    """Return a whole factor for an addition's operand, and its ratio behind that factor.

    An operand whose scale is many times the result's saturates the result a few units away from
    its zero point.  Stretched round 128 it loses only units that saturate, and its scale comes
    near the result's, so that multipliers have bits for both operands.

    Parameters
    ----------
    ratio:
        The operand's scale in units of the result's.
    other:
        The most that the other operand adds or takes away, in units of the result, and the
        farthest bound of the result from its zero point.
    """
    # Differences from the zero point up to `inner` need not saturate; the next one always does.
    inner = int(min(other / ratio, STRETCHED))
    factor = max(1, STRETCHED // (inner + 1))
    return factor, min(ratio, other + 1) / factor if inner == 0 else ratio / factor
