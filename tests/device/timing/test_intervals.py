"""Error bars of sums."""

from __future__ import annotations

import math

import pytest

from vrmpy_tune.device.timing.intervals import (
    DEVIATIONS,
    correlated,
    independent,
    log_deviation,
)


def test_the_deviation_counts_both_directions_and_a_common_bias() -> None:
    assert log_deviation([2.0, 0.5]) == pytest.approx(math.log(2))
    assert log_deviation([2.0, 2.0]) == pytest.approx(math.log(2))
    assert log_deviation([1.0]) == 0.0


def test_terms_that_err_alike_err_like_one() -> None:
    factor = math.exp(DEVIATIONS * 0.1)
    assert correlated([1.0, 3.0], 0.1) == pytest.approx((4 / factor, 4 * factor))


def test_one_term_is_the_same_either_way() -> None:
    assert independent([5.0], 0.2) == pytest.approx(correlated([5.0], 0.2))


def test_a_hundred_equal_terms_err_by_a_tenth_of_one() -> None:
    low, high = independent([1.0] * 100, 0.1)
    assert math.log(high / low) / 2 == pytest.approx(DEVIATIONS * 0.01, rel=0.01)
    assert math.sqrt(low * high) == pytest.approx(100.0)


def test_a_sum_of_nothing_has_no_bars() -> None:
    assert independent([], 0.1) == independent([0.0], 0.1) == (0.0, 0.0)
