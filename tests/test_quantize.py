"""Fixed-point requantization: against exact rational arithmetic, and at its limits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrmpy_tune.quantize import (
    EXACT_BITS,
    LIMITS,
    MAX_SHIFT,
    Requantize,
    add_parameters,
    fixed_point,
    round_shift,
)

factors = st.floats(1e-6, 0.999, allow_nan=False)


@given(st.lists(factors, min_size=1, max_size=8))
def test_a_factor_is_reached_to_31_bits_of_the_largest(scales: list[float]) -> None:
    multiplier, shift = fixed_point(np.asarray(scales))
    assert 0 <= shift <= MAX_SHIFT
    for one, scale in zip(multiplier.tolist(), scales, strict=True):
        reached = Fraction(one, 1 << (31 + shift))
        assert abs(reached - Fraction(scale)) <= Fraction(1, 1 << (31 + shift))


@given(st.integers(-(1 << 31), (1 << 31) - 1), factors, st.integers(0, 255))
def test_a_requantized_value_is_within_a_half_and_the_rounding_of_the_product(
    accumulator: int, scale: float, zero_point: int
) -> None:
    multiplier, shift = fixed_point(np.asarray([scale]))
    found = Requantize(shift, zero_point, *LIMITS["u8"])(
        np.asarray([accumulator], np.int32), multiplier
    )
    exact = accumulator * Fraction(int(multiplier[0]), 1 << (31 + shift)) + zero_point
    clipped = min(max(exact, Fraction(0)), Fraction(255))
    assert abs(Fraction(int(found[0])) - clipped) <= Fraction(1, 2) + Fraction(1, 2 << shift)


@given(st.lists(factors, min_size=1, max_size=8), st.integers(12, 31))
def test_nothing_is_shifted_where_the_bits_asked_for_suffice(
    scales: list[float], bits: int
) -> None:
    multiplier, shift = fixed_point(np.asarray(scales), bits)
    for one, scale in zip(multiplier.tolist(), scales, strict=True):
        reached = Fraction(one, 1 << (31 + shift))
        assert abs(reached - Fraction(scale)) <= Fraction(1, 1 << (31 + shift))
    needed = fixed_point(np.asarray(scales))[1]
    assert shift == (0 if needed <= 31 - bits else needed)


@given(st.floats(2**-11, 0.999), st.integers(-(1 << 20), 1 << 20))
def test_few_bits_are_rounded_once(scale: float, accumulator: int) -> None:
    multiplier, shift = fixed_point(np.asarray([scale]), EXACT_BITS)
    assert shift == 0
    found = Requantize(shift, 0, *LIMITS["i32"])(np.asarray([accumulator], np.int32), multiplier)
    exact = accumulator * Fraction(scale)
    assert abs(int(found[0]) - exact) <= Fraction(1, 2) + Fraction(abs(accumulator), 1 << 32)


@pytest.mark.parametrize(("value", "shift", "rounded"), [(5, 1, 3), (-5, 1, -2), (7, 0, 7)])
def test_halves_are_rounded_up(value: int, shift: int, rounded: int) -> None:
    assert round_shift(np.asarray([value]), shift)[0] == rounded


@pytest.mark.parametrize("scales", [[1.0], [0.0], [-0.5], [0.5, 2.0]])
def test_factors_outside_zero_and_one_are_refused(scales: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fixed_point(np.asarray(scales))


@given(
    st.tuples(st.floats(0.01, 4), st.integers(0, 255)),
    st.tuples(st.floats(0.01, 4), st.integers(0, 255)),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_a_quantized_sum_is_within_one_of_the_real_one(
    lhs: tuple[float, int], rhs: tuple[float, int], zero_point: int, left: int, right: int
) -> None:
    add = add_parameters(lhs, rhs, (1.0, zero_point), LIMITS["u8"])
    found = int(add(np.asarray([left]), np.asarray([right]))[0])
    real = lhs[0] * (left - lhs[1]) + rhs[0] * (right - rhs[1]) + zero_point
    assert abs(found - min(max(real, 0), 255)) <= 0.5 + 1020 / (1 << 14)
    assert all(abs(one) < 1 << 15 for one in (add.lhs, add.rhs))
