"""Element by element: additions, products, and changes of scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.quantize import EXACT_BITS, add_parameters, fixed_point
from vrmpy_tune.workload import Clip, QuantizedAdd, QuantizedMultiply
from vrmpy_tune.workload.contraction import ADD_FIELDS

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Quantized, Scope, Target


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
    lhs, rhs = pair
    other = (rhs.scale, rhs.zero_point) if rhs else (0.0, 0)
    try:
        made = add_parameters(
            (lhs.scale, lhs.zero_point), other, (target.scale, target.zero_point), target.bounds
        )
    except ValueError as error:
        raise ModelError(f"The node '{name}' cannot be computed in integers: {error}.") from error
    fields = np.asarray([getattr(made, one) for one in ADD_FIELDS], np.int32)
    workload = QuantizedAdd(shape_of(lhs.value), act=target.activation)
    return scope.emit(name, workload, [lhs.value, (rhs or lhs).value, fields])


def _operands(scope: Scope, step: Step) -> tuple[Quantized, Quantized]:
    lhs, rhs = (scope.activations(step, index) for index in range(2))
    if lhs.shape != rhs.shape:
        raise ModelError(
            f"{step.describe()} combines tensors of shapes {lhs.shape} and {rhs.shape}; "
            "only equal shapes are supported."
        )
    return lhs, rhs


_EVERYTHING = (0, 255)
