"""Pooling: averages change the scale, the largest value does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.quantize import EXACT_BITS, fixed_point
from vrmpy_tune.workload import AvgPool2d, GlobalAvgPool2d, MaxPool2d

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Quantized, Scope, Target

SPATIAL = (2, 3)
"""Axes of height and width of the float graph's images."""


def average_pool(scope: Scope, step: Step, target: Target) -> Any:
    """Write the average of each window; of all pixels where there is one window of all."""
    source = scope.activations(step, 0, target)
    included = int(bool(step.attributes.count_include_pad))
    window = AvgPool2d(**_window(step, source), include_pad=included)
    if (window.kh, window.kw) == (window.h, window.w) and not any(window.pad):
        return _global_average(scope, step, source, target)
    most = window.kh * window.kw
    # Numbers of values that no window has share the multiplier of the smallest that one has.
    fewest = int(window.values.min())
    numbers = np.asarray([most]) if included else np.maximum(np.arange(1, most + 1), fewest)
    parameters = _average(step, source, target, numbers)
    return scope.emit(step.name, window, [source.value, *parameters])


def mean(scope: Scope, step: Step, target: Target) -> Any:
    """Write the average of all pixels.

    Raises
    ------
    ModelError
        If the average is over other axes.
    """
    source = scope.activations(step, 0, target)
    axes = tuple(int(axis) % len(source.shape) for axis in step.attributes.axis or ())
    if len(source.shape) != 4 or axes != SPATIAL:
        raise ModelError(
            f"{step.describe()} averages over axes {axes} of a tensor of shape {source.shape}; "
            "only height and width of an image are supported."
        )
    value = _global_average(scope, step, source, target)
    batch, channels, *_ = source.shape
    return value if step.attributes.keepdims else scope.view(value, (batch, channels))


def _global_average(scope: Scope, step: Step, source: Quantized, target: Target) -> Any:
    batch, channels, height, width = source.shape
    workload = GlobalAvgPool2d(n=batch, h=height, w=width, c=channels)
    parameters = _average(step, source, target, np.asarray([height * width]))
    return scope.emit(step.name, workload, [source.value, *parameters])


def max_pool(scope: Scope, step: Step, source: Quantized) -> Any:
    """Write the largest value of each window."""
    return scope.emit(step.name, MaxPool2d(**_window(step, source)), [source.value])


def _average(
    step: Step, source: Quantized, target: Target, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return multipliers for sums of some numbers of values, and the other parameters."""
    factors = source.scale / (target.scale * numbers)
    # A window of one value keeps it, which the largest factor below 1 does to every byte.
    factors = np.where(factors == 1, 1 - 2.0**-EXACT_BITS, factors)
    if factors.max() >= 1:
        raise ModelError(
            f"{step.describe()} has an output scale of {target.scale:g}, finer than its "
            f"input's of {source.scale:g}; quantize both alike."
        )
    multiplier, shift = fixed_point(factors, EXACT_BITS)
    fields = (source.zero_point, shift, target.zero_point, *target.bounds)
    return multiplier, np.asarray(fields, np.int32)


def _window(step: Step, source: Quantized) -> dict[str, Any]:
    attributes = step.attributes
    batch, channels, height, width = source.shape
    if any(int(one) != 1 for one in attributes.dilation) or attributes.ceil_mode:
        raise ModelError(
            f"{step.describe()} has dilation or ceil_mode; only plain windows are supported."
        )
    kernel, stride, pad = (
        tuple(int(one) for one in values)
        for values in (attributes.pool_size, attributes.strides, attributes.padding)
    )
    return {
        "n": batch, "h": height, "w": width, "c": channels, "kh": kernel[0], "kw": kernel[1],
        "stride": stride, "pad": pad, "dtype": "u8",
    }  # fmt: skip
