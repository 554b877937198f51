"""Requantization as TVM lowered it in October 2022 (Relay's QNN canonicalization, TVM PR 12911).

Sums with a scale for each channel are multiplied in 64 bits and rounded upwards: Relay's
``qnn.requantize`` with its defaults of then, ``UPWARD`` and ``int64``.  Factors of a whole tensor
are ``q_multiply_shift``, which became three instructions of HVX where a vector had 32 lanes; what
these compute is not always the nearest number, and is kept here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

FRACTION_BITS: Final = 31
_HALF_BITS: Final = 16


@dataclass(frozen=True)
class Factor:
    """A positive real factor: ``multiplier * 2**(exponent - 31)``.

    Attributes
    ----------
    multiplier:
        From ``2**30`` to ``2**31 - 1``.
    exponent:
        Power of two.
    """

    multiplier: int
    exponent: int

    @classmethod
    def of(cls, value: float) -> Factor:
        """Return the nearest one."""
        significand, exponent = math.frexp(value)
        multiplier = round(significand * (1 << FRACTION_BITS))
        if multiplier == 1 << FRACTION_BITS:
            return cls(multiplier // 2, exponent + 1)
        return cls(multiplier, exponent)


@dataclass(frozen=True)
class ChannelFactors:
    """Factors of all channels, none above 1, as constants of the compiled network.

    Attributes
    ----------
    multiplier, rounding, shift:
        int64 of shape ``[channels]``: a sum becomes ``(sum * multiplier + rounding) >> shift``.
    """

    multiplier: np.ndarray
    rounding: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> ChannelFactors:
        """Return those nearest to real factors, each in (0, 1)."""
        factors = [Factor.of(float(value)) for value in values]
        shift = np.array([FRACTION_BITS - one.exponent for one in factors], np.int64)
        multiplier = np.array([one.multiplier for one in factors], np.int64)
        return cls(multiplier, np.int64(1) << (shift - 1), shift)

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        """Return int32 sums, channels last, times the factors."""
        wide = sums.astype(np.int64) * self.multiplier + self.rounding
        return np.asarray(wide >> self.shift, np.int32)


def multiply_by_instructions(values: np.ndarray, factor: Factor) -> np.ndarray:
    """Return what ``vmpye``, ``vmpyo:<<1:rnd:sat:shift`` and ``vasl`` made of an int32 tensor.

    A factor below one half is a right shift behind the rounded product, and what was added to
    round it, too, is ``product & -exponent``.
    """
    wide = values.astype(np.int64) << max(0, factor.exponent)
    low = (wide * (factor.multiplier & 0xFFFF)) >> _HALF_BITS
    high = wide * (factor.multiplier >> _HALF_BITS)
    product = (((low + high) >> (FRACTION_BITS - _HALF_BITS - 1)) + 1) >> 1
    product = np.clip(product, -(1 << 31), (1 << 31) - 1)
    if factor.exponent < 0:
        product = (product + (product & -factor.exponent)) >> -factor.exponent
    return np.asarray(product, np.int32)
