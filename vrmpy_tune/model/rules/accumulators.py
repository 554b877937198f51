"""Range analysis of accumulators: every sum that a layer can make fits 32 bits, or is refused.

The kernels' accumulators wrap; floating-point runtimes, which models are quantized for, saturate
when they quantize the result.  The two agree where no sum leaves 32 bits.  A channel whose sums
could is changed so that its outputs stay the same: one that only ever saturates gets the constant
that it saturates to, and others get weights and a bias of fewer bits with a larger factor behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.quantize import EXACT_BITS, LIMITS, MULTIPLIER_BITS, fixed_point

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Target

MOST_ERROR: Final = 0.5
"""Units of the output by which rounded weights may move a result before it is rounded."""

_COARSE: Final = 1 / 8
"""Units of the output that a rounded multiplier may move a result by; else it gets more bits."""

_CONSTANT_FACTOR: Final = 2.0**-20
"""Smallest factor of a constant channel, with which a bias of 32 bits reaches every output."""


@dataclass(frozen=True)
class Accumulators:
    """What a layer's accumulators are made of, and what is done with them.

    Attributes
    ----------
    weights:
        int64, less their zero point, of shape ``[channels, ...]``.
    bias:
        float64 integers of shape ``[channels]``.
    factors:
        Units of the output in one of the accumulators, of shape ``[1]`` or ``[channels]``.
    zero_point:
        Of the activations, which are unsigned bytes.
    """

    weights: np.ndarray
    bias: np.ndarray
    factors: np.ndarray
    zero_point: int

    @property
    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest sum of each channel, for any activations, padded or not."""
        rows = self.weights.reshape(len(self.weights), -1)
        positive, negative = (one.sum(axis=1) for one in (np.maximum(rows, 0), np.minimum(rows, 0)))
        low, high = (bound - self.zero_point for bound in LIMITS["u8"])
        return (
            self.bias + positive * low + negative * high,
            self.bias + positive * high + negative * low,
        )

    @property
    def each(self) -> np.ndarray:
        """The factor of each channel."""
        return np.broadcast_to(self.factors, self.bias.shape)


def in_range(step: Step, given: Accumulators, target: Target) -> Accumulators:
    """Return accumulators none of whose sums leaves 32 bits, for the same outputs.

    Channels without weights, whose scales mean nothing, become constants, too.

    Parameters
    ----------
    step:
        The layer, for messages.
    target:
        How its result is quantized.

    Raises
    ------
    ModelError
        If a channel cannot be kept in range without moving its results, its factor is 1 or more,
        or its bias is not a number.
    """
    if np.isnan(given.bias).any():
        raise ModelError(f"{step.describe()} has a bias that is not a number.")
    lowest, highest = given.reach
    beyond = ~_fits(lowest, highest)
    empty = ~given.weights.reshape(len(given.weights), -1).any(axis=1)
    odd = beyond | (given.each >= 1)
    if given.factors.size > 1:
        odd |= empty
    if not odd.any():
        return given
    outputs = [
        np.clip(np.rint(one * given.each) + target.zero_point, *target.bounds)
        for one in (lowest, highest)
    ]
    constant = odd & (outputs[0] == outputs[1])
    made = given
    if (beyond & ~constant).any():
        made = _halved(step, given, beyond & ~constant)
    made = _with_constants(made, constant, outputs[0] - target.zero_point)
    if made.factors.max() >= 1:
        raise ModelError(
            f"{step.describe()} has an output scale of {target.scale:g}, finer than its "
            "accumulators'; quantize its output with a scale of its range."
        )
    return made


def multipliers(made: Accumulators) -> tuple[np.ndarray, int]:
    """Return the multipliers and the shift of accumulators that are in range.

    One rounding is enough unless a channel's factor is so much smaller than the largest that too
    few bits of its multiplier are left.
    """
    multiplier, shift = fixed_point(made.factors, EXACT_BITS)
    lowest, highest = made.reach
    extent = np.minimum(np.maximum(-lowest, highest), 2 * LIMITS["u8"][1] / made.each)
    exact = made.factors * 2.0 ** (MULTIPLIER_BITS + shift)
    wrong = np.abs(multiplier - exact) / 2.0 ** (MULTIPLIER_BITS + shift)
    if (wrong * extent).max() > _COARSE:
        return fixed_point(made.factors)
    return multiplier, shift


def _fits(lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    smallest, largest = LIMITS["i32"]
    return (lowest >= smallest) & (highest <= largest)


def _halved(step: Step, given: Accumulators, chosen: np.ndarray) -> Accumulators:
    """Halve weights and bias of channels, as often as each needs, and double their factors."""
    weights, bias, factors = given.weights.copy(), given.bias.copy(), given.each.copy()
    widest = max(given.zero_point, LIMITS["u8"][1] - given.zero_point)
    for channel in np.flatnonzero(chosen):
        reach = max(abs(float(one[channel])) for one in given.reach)
        if not np.isfinite(reach):
            raise ModelError(f"{step.describe()} has a bias that is not finite.")
        part = 1.0
        while True:
            part *= 2
            rounded = np.rint(given.weights[channel] / part)
            summand = np.rint(given.bias[channel] / part)
            one = replace(given, weights=rounded[None], bias=summand[None])
            if _fits(*one.reach).all():
                break
        lost = np.abs(given.weights[channel] - rounded * part).sum() * widest
        error = (lost + abs(given.bias[channel] - summand * part)) * factors[channel]
        if error > MOST_ERROR:
            raise ModelError(
                f"{step.describe()} has sums of up to {reach:.4g} in channel {channel}, beyond the "
                f"32 bits of its accumulators; weights that keep them in range would move its "
                f"result by up to {error:.2g} units. Quantize its weights with larger scales."
            )
        weights[channel], bias[channel] = rounded.astype(np.int64), summand
        factors[channel] *= part
    return replace(given, weights=weights, bias=bias, factors=factors)


def _with_constants(given: Accumulators, chosen: np.ndarray, results: np.ndarray) -> Accumulators:
    """Give channels results, less the zero point, that do not depend on the activations."""
    if not chosen.any():
        return given
    # The factor of another channel costs none of the multipliers a bit.
    usual = float(given.each[~chosen].max(initial=_CONSTANT_FACTOR))
    around = (-1,) + (1,) * (given.weights.ndim - 1)
    factors = np.where(chosen, usual, given.each)
    return replace(
        given,
        weights=np.where(chosen.reshape(around), 0, given.weights),
        bias=np.where(chosen, np.rint(results / usual), given.bias),
        factors=factors if np.unique(factors).size > 1 else factors[:1],
    )
