"""Convolutions and matrix products, with their bias."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.kernels import shape_of
from vrmpy_tune.model.rules.accumulators import Accumulators, in_range, multipliers
from vrmpy_tune.model.weights import Product, Weights, bias, weights
from vrmpy_tune.workload import Contraction, Conv2d, Dense, DepthwiseConv2d

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Step
    from vrmpy_tune.model.scope import Quantized, Scope, Target


@dataclass(frozen=True)
class _Parts:
    """What a kernel is made of."""

    step: Step
    activations: Quantized
    weights: Weights
    bias: np.ndarray
    target: Target

    def fields(self) -> dict[str, Any]:
        """Return the fields of the workload's epilogue."""
        return {
            "lhs": "u8",
            "rhs": "i8",
            "out": "u8",
            "bias": 1,
            "requant": "channel" if self.weights.scale.size > 1 else "tensor",
            "act": self.target.activation,
            "lzp": self.activations.zero_point,
            "rzp": self.weights.zero_point,
        }


def contraction(scope: Scope, step: Step, target: Target) -> Any | None:
    """Write a convolution or a matrix product, with or without a bias.

    Returns
    -------
    value:
        ``None`` if the step is something else.
    """
    anchor, summand, product = step, None, None
    if step.operator == "add":
        for one, other in (step.arguments, step.arguments[::-1]):
            found = scope.graph.step(one)
            if found is not None and found.operator in _WRITERS:
                anchor, summand, product = found, other, one
                break
    write = _WRITERS.get(anchor.operator)
    if write is None:
        return None
    made = weights(scope.graph, anchor.arguments[1], step)
    # The product behind a bias has no name of its own.
    activations = scope.activations(replace(anchor, name=step.name), 0)
    channels = made.values.shape[0]
    scale = activations.scale * made.scale
    constant: np.ndarray | None = np.zeros(channels)
    if summand is not None:
        # Images of the float graph have their channels first, products of rows last.
        shape = shape_of(product)
        axis = 1 if anchor.operator == "nn.conv2d" else len(shape) - 1
        constant = bias(scope.graph, summand, scale, Product(shape, axis), step)
    if constant is None:
        return None
    parts = _Parts(step, activations, made, np.broadcast_to(constant, (channels,)), target)
    parts, sums = _in_range(parts)
    workload, plain = write(anchor, parts)
    return scope.emit(step.name, workload, [activations.value, plain, *_parameters(parts, sums)])


def _conv2d(anchor: Step, parts: _Parts) -> tuple[Contraction, np.ndarray]:
    """Return the workload of a convolution, and its weights as it takes them."""
    attributes, values = anchor.attributes, parts.weights.values
    batch, channels, height, width = parts.activations.shape
    outputs, depth, *kernel = values.shape
    groups = int(attributes.groups)
    window = {
        "n": batch, "h": height, "w": width, "kh": kernel[0], "kw": kernel[1],
        "stride": _integers(attributes.strides), "pad": _integers(attributes.padding),
        "dilation": _integers(attributes.dilation),
    }  # fmt: skip
    if depth == 1 and groups == channels == outputs:
        return DepthwiseConv2d(c=channels, **window, **parts.fields()), values[:, 0]
    workload = Conv2d(ci=channels, co=outputs, groups=groups, **window, **parts.fields())
    return workload, values.transpose(0, 2, 3, 1)


def _matmul(anchor: Step, parts: _Parts) -> tuple[Contraction, np.ndarray]:
    """Return the workload of a matrix product, and its weights as it takes them."""
    values, shape = parts.weights.values, parts.activations.shape
    if values.ndim != 2 or len(shape) == 4:
        raise ModelError(
            f"{parts.step.describe()} multiplies tensors of shapes {shape} and {values.shape}; "
            "only products of rows with one matrix of weights are supported."
        )
    rows = int(np.prod(shape[:-1]))
    return Dense(m=rows, n=values.shape[0], k=values.shape[1], **parts.fields()), values


def _in_range(parts: _Parts) -> tuple[_Parts, Accumulators]:
    """Return the layer such that no sum leaves 32 bits, and its accumulators.

    Raises
    ------
    ModelError
        If there is no such layer, or its factors are 1 or more.
    """
    made, zero_point = parts.weights, parts.weights.zero_point
    factors = parts.activations.scale * made.scale / parts.target.scale
    found = in_range(
        parts.step,
        Accumulators(
            made.values.astype(np.int64) - zero_point, parts.bias, factors,
            parts.activations.zero_point,
        ),
        parts.target,
    )  # fmt: skip
    values = (found.weights + zero_point).astype(np.int8)
    scale = found.factors * parts.target.scale / parts.activations.scale
    return replace(parts, weights=replace(made, values=values, scale=scale)), found


def _parameters(parts: _Parts, made: Accumulators) -> list[np.ndarray]:
    """Return bias, multipliers and the fields of the requantization."""
    multiplier, shift = multipliers(made)
    return [
        made.bias.astype(np.int32),
        multiplier,
        np.asarray([shift, parts.target.zero_point, *parts.target.bounds], np.int32),
    ]


def _integers(values: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in values)


_WRITERS = {"nn.conv2d": _conv2d, "matmul": _matmul}
