"""Element by element: additions, products, and changes of scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.quantize import (
    EXACT_BITS,
    STRETCHED_ZERO,
    Add,
    add_error,
    add_parameters,
    farthest,
    fixed_point,
    stretch,
)
from vrmpy_tune.workload import Clip, QuantizedAdd, QuantizedMultiply
from vrmpy_tune.workload.contraction import ADD_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Quantized, Scope, Target

STRETCHED_FROM: Final = 0.5
"""Error of a sum, in units of its result, from which on an operand is stretched."""

MOST_ERROR: Final = 0.9
"""Error of a sum that is computed: below 1, results are within a unit of rounded exact ones."""


def add(scope: Scope, step: Step, target: Target) -> Any:
    """Write the addition of two tensors of one shape."""
    lhs, rhs = _operands(scope, step)
    return _sum(scope, step.name, (lhs, rhs), target)


def multiply(scope: Scope, step: Step, target: Target) -> Any:
    """Write the product of two tensors of one shape."""
    lhs, rhs = _operands(scope, step)
    factor = lhs.scale * rhs.scale / target.scale
    if factor >= 1:
        raise ModelError(
            f"{step.describe()} has an output scale of {target.scale:g}, finer than the product "
            "of its inputs' scales; quantize its output with a scale of its range."
        )
    multiplier, shift = fixed_point(np.asarray([factor]), EXACT_BITS)
    fields = (
        lhs.zero_point, rhs.zero_point, multiplier[0], shift, target.zero_point, *target.bounds,
    )  # fmt: skip
    workload = QuantizedMultiply(shape_of(lhs.value), act=target.activation)
    return scope.emit(step.name, workload, [lhs.value, rhs.value, np.asarray(fields, np.int32)])


def requantized(scope: Scope, name: str, source: Quantized, target: Target) -> Any:
    """Write the change from one quantization to another, and the clipping.

    A change of scale is an addition whose second multiplier is zero: the same 15-bit factor.
    """
    if not source.same_quantization(target):
        return _sum(scope, name, (source, None), target)
    if target.bounds == _EVERYTHING:
        return source.value
    workload = Clip(shape_of(source.value))
    return scope.emit(name, workload, [source.value, np.asarray(target.bounds, np.int32)])


def copied(scope: Scope, name: str, source: Quantized) -> Any:
    """Write a copy of a tensor: the clip that changes nothing."""
    workload = Clip(shape_of(source.value))
    return scope.emit(name, workload, [source.value, np.asarray(_EVERYTHING, np.int32)])


def _sum(scope: Scope, name: str, pair: tuple[Quantized, Quantized | None], target: Target) -> Any:
    """Write a sum; an operand whose scale is many times the result's is stretched before.

    Raises
    ------
    ModelError
        If the multipliers of no such sum are exact enough; the message says by how much.
    """
    usual = _Sum(*pair, target)
    error = usual.error
    best = usual
    if error > STRETCHED_FROM:
        best = min((usual, *usual.alternatives()), key=lambda one: one.error)
    if best.error > MOST_ERROR:
        ratios = ", ".join(f"{one:.4g}" for one in usual.ratios)
        raise ModelError(
            f"The node '{name}' cannot be computed exactly: its inputs' scales are {ratios} times "
            f"its output's, so that integers of 16 bits would move results by up to "
            f"{best.error:.2g} units. Quantize its output with a scale of its range."
        )
    lhs, rhs = (
        one if factor == 1 else _stretched(scope, f"{name}.stretched", one, factor)
        for one, factor in zip((best.lhs, best.rhs or best.lhs), best.factors, strict=True)
    )
    fields = np.asarray([getattr(best.parameters, one) for one in ADD_FIELDS], np.int32)
    workload = QuantizedAdd(shape_of(lhs.value), act=target.activation)
    return scope.emit(name, workload, [lhs.value, rhs.value, fields])


@dataclass(frozen=True)
class _Sum:
    """A sum of two operands, or one operand in another scale.

    Attributes
    ----------
    lhs, rhs:
        The operands as they are.
    target:
        How the result is quantized.
    factors:
        By how much each is stretched round :data:`STRETCHED_ZERO` before it is added.
    scales:
        Scale of each behind that, where it is not the own one.
    """

    lhs: Quantized
    rhs: Quantized | None
    target: Target
    factors: tuple[int, int] = (1, 1)
    scales: tuple[float | None, float | None] = (None, None)

    @property
    def own(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """Scale and zero point of both operands as they are."""
        rhs = (self.rhs.scale, self.rhs.zero_point) if self.rhs else (0.0, 0)
        return (self.lhs.scale, self.lhs.zero_point), rhs

    @property
    def operands(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """Scale and zero point of both operands as they are added."""
        lhs, rhs = (
            one if scale is None else (scale, STRETCHED_ZERO)
            for one, scale in zip(self.own, self.scales, strict=True)
        )
        return lhs, rhs

    @property
    def ratios(self) -> tuple[float, ...]:
        """Scales of the operands in units of the result's."""
        return tuple(scale / self.target.scale for scale, _ in self.own if scale)

    @cached_property
    def parameters(self) -> Add:
        """The parameters of the addition; raises ``ValueError`` if there are none."""
        target = self.target
        return add_parameters(*self.operands, (target.scale, target.zero_point), target.bounds)

    @cached_property
    def error(self) -> float:
        """By how many units the multipliers may move the result."""
        try:
            return add_error(self.parameters, *self.operands, self.target.scale)
        except ValueError:
            return float("inf")

    def alternatives(self) -> Iterator[_Sum]:
        """Return other sums of the same result."""
        if self.rhs is not None and self.lhs.value.same_as(self.rhs.value):
            if self.lhs.same_quantization(self.rhs):
                doubled = replace(self.lhs, scale=2 * self.lhs.scale)
                single = _Sum(doubled, None, self.target)
                yield from (single, *single.alternatives())
            return
        extents = [scale / self.target.scale * farthest(zero) for scale, zero in self.own]
        for index in range(2):
            scale = self.own[index][0]
            if not scale:
                continue
            beyond = extents[1 - index] + farthest(self.target.zero_point) + 1
            factor, ratio = stretch(scale / self.target.scale, beyond)
            if factor > 1:
                scale = ratio * self.target.scale
                if index == 0:
                    yield replace(self, factors=(factor, 1), scales=(scale, None))
                else:
                    yield replace(self, factors=(1, factor), scales=(None, scale))


def _stretched(scope: Scope, name: str, source: Quantized, factor: int) -> Quantized:
    """Write a tensor times a whole number, as far as that fits bytes round the middle."""
    made = Add(factor, 0, -factor * source.zero_point, 0, STRETCHED_ZERO, *_EVERYTHING)
    fields = np.asarray([getattr(made, one) for one in ADD_FIELDS], np.int32)
    workload = QuantizedAdd(shape_of(source.value))
    return replace(source, value=scope.emit(name, workload, [source.value, source.value, fields]))


def _operands(scope: Scope, step: Step) -> tuple[Quantized, Quantized]:
    lhs, rhs = (scope.activations(step, index) for index in range(2))
    if lhs.shape != rhs.shape:
        raise ModelError(
            f"{step.describe()} combines tensors of shapes {lhs.shape} and {rhs.shape}; "
            "only equal shapes are supported."
        )
    return lhs, rhs


_EVERYTHING = (0, 255)
