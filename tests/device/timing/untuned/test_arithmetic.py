"""Requantization of October 2022: where it is exact, and where it is not the nearest number."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from vrmpy_tune.device.timing.untuned.arithmetic import (
    ChannelFactors,
    Factor,
    multiply_by_instructions,
)

HALF = Fraction(1, 2)
VALUES = np.array([-(10**6), -255, -33, -3, -1, 0, 1, 2, 7, 31, 129, 255, 99_999], np.int32)


def exact(factor: Factor) -> Fraction:
    return Fraction(factor.multiplier) * Fraction(2) ** (factor.exponent - 31)


@pytest.mark.parametrize("value", [0.7, 0.45, 0.5, 1.0, 1.3, 2.0**-20, 0.1, 1 - 2.0**-40])
def test_a_factor_is_near_the_value_and_has_31_bits(value: float) -> None:
    factor = Factor.of(value)
    assert 1 << 30 <= factor.multiplier < 1 << 31
    assert float(exact(factor)) == pytest.approx(value, rel=2**-31)


def test_factors_of_channels_round_halves_upwards() -> None:
    factors = ChannelFactors.of(np.array([0.25, 0.001]))
    sums = np.stack([VALUES, VALUES], axis=1)
    quarter = [floor(Fraction(int(one), 4) + HALF) for one in VALUES]
    thousandth = [floor(int(one) * exact(Factor.of(0.001)) + HALF) for one in VALUES]
    assert factors(sums).tolist() == [list(one) for one in zip(quarter, thousandth, strict=True)]
    assert quarter[3] == -1  # -0.75
    assert floor(Fraction(-2, 4) + HALF) == factors(np.array([[-2, 0]]))[0, 0] == 0


@pytest.mark.parametrize("value", [0.7, 0.5, 1.3, 3.0])
def test_instructions_round_to_the_nearest_where_nothing_is_shifted_behind(value: float) -> None:
    factor = Factor.of(value)
    expected = [floor(int(one) * exact(factor) + HALF) for one in VALUES]
    assert multiply_by_instructions(VALUES, factor).tolist() == expected


def test_behind_a_shift_of_three_bits_instructions_do_not_always_round_to_the_nearest() -> None:
    sixteenth = Factor(1 << 30, -3)
    assert exact(sixteenth) == Fraction(1, 16)
    assert multiply_by_instructions(np.array([24], np.int32), sixteenth).tolist() == [1]
    assert floor(24 * exact(sixteenth) + HALF) == 2
