"""Quantization parameters and quantized constants of the float graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.edge import SIGN_OFFSET
from vrmpy_tune.model.kernels import shape_of

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Graph, Step


MOVING: Final = ("reshape", "expand_dims", "squeeze", "permute_dims")
"""What may stand between a constant summand and the addition."""


@dataclass(frozen=True)
class Quantization:
    """Parameters of a ``quantize`` or ``dequantize``.

    Attributes
    ----------
    scale, zero_point:
        Of shape ``[]``, or ``[channels]``; float64 and int32.
    axis:
        The channels' axis, where there are several.
    dtype:
        Type of the elements in the model.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    dtype: str

    def of_activations(self, step: Step) -> tuple[float, int]:
        """Return scale and zero point of unsigned activations.

        Raises
        ------
        ModelError
            If there are several scales, or elements are not bytes.
        """
        if self.scale.size != 1:
            raise ModelError(
                f"{step.describe()} has a scale for each channel of an activation; "
                "quantize activations per tensor."
            )
        if self.dtype not in ("uint8", "int8"):
            raise ModelError(
                f"{step.describe()} makes activations of type {self.dtype}; use uint8 or int8."
            )
        shift = SIGN_OFFSET if self.dtype == "int8" else 0
        return float(self.scale.reshape(())), int(self.zero_point.reshape(())) + shift

    def along(self, values: np.ndarray, rank: int) -> np.ndarray:
        """Return scales or zero points as they are broadcast to a tensor of some rank."""
        if values.size == 1:
            return values.reshape(())
        around = [1] * rank
        around[self.axis % rank] = -1
        return values.reshape(around)


@dataclass(frozen=True)
class Product:
    """The result of a contraction in the float graph.

    Attributes
    ----------
    shape:
        Its shape.
    axis:
        That of its output channels.
    """

    shape: tuple[int, ...]
    axis: int

    @property
    def wanted(self) -> tuple[int, ...]:
        """The shape of a constant with one value for each channel."""
        return (self.shape[self.axis], *[1] * (len(self.shape) - 1 - self.axis))


@dataclass(frozen=True)
class Weights:
    """A quantized constant, output channels first.

    Attributes
    ----------
    values:
        int8.
    scale:
        float64, of shape ``[1]`` or ``[channels]``.
    zero_point:
        Of all channels.
    """

    values: np.ndarray
    scale: np.ndarray
    zero_point: int


def quantization(graph: Graph, step: Step, *, zero: bool = False) -> Quantization:
    """Return the parameters of a ``quantize`` or ``dequantize`` step.

    Parameters
    ----------
    zero:
        Whether a scale may be zero, as that of weights that are all zero.

    Raises
    ------
    ModelError
        If they are not constants, or scales are not positive.
    """
    scale, zero_point = (graph.constant(one) for one in step.arguments[1:3])
    if scale is None or zero_point is None:
        raise ModelError(
            f"{step.describe()} computes its scale or zero point at run time; "
            "quantize the model statically."
        )
    positive = (scale >= 0 if zero else scale > 0) & np.isfinite(scale)
    if not positive.all():
        raise ModelError(
            f"{step.describe()} has a scale that is not a positive number; "
            "the file is damaged, or its quantizer saw no values: quantize the model again."
        )
    dtype = step.attributes.out_dtype if step.operator == "quantize" else zero_point.dtype
    return Quantization(
        scale.astype(np.float64), zero_point.astype(np.int32), int(step.attributes.axis), str(dtype)
    )


def weights(graph: Graph, value: Any, user: Step) -> Weights:
    """Return the weights behind an argument, their output channels first.

    Raises
    ------
    ModelError
        If they are not constant, not quantized, or have a zero point for each channel.
    """
    order, step = _ordered(graph, value)
    if step is None or step.operator != "dequantize":
        what = "" if step is None else f"; they come from {step.describe()}"
        raise ModelError(
            f"The weights of {user.describe()} are not quantized{what}. "
            "Quantize them to int8 with QuantizeLinear and DequantizeLinear."
        )
    parameters = quantization(graph, step, zero=True)
    elements = _elements(graph, step)
    if elements is None or parameters.dtype not in ("uint8", "int8"):
        raise ModelError(
            f"The weights of {user.describe()} are not constant bytes; "
            "export the model with constant weights, quantized to int8 or uint8."
        )
    zero_point = np.unique(parameters.zero_point)
    if zero_point.size != 1:
        raise ModelError(
            f"The weights of {user.describe()} have zero points that differ by channel; "
            "quantize them symmetrically."
        )
    shift = SIGN_OFFSET if parameters.dtype == "uint8" else 0
    signed = (elements.astype(np.int16) - shift).astype(np.int8)
    signed = signed.transpose(order)
    scale, axis = parameters.scale.reshape(-1), order.index(parameters.axis % elements.ndim)
    channels = 0
    if signed.ndim == 2:
        # A matrix product's weights come as [depth, channels].
        signed, axis = signed.T, 1 - axis
    if scale.size > 1 and axis != channels:
        raise ModelError(
            f"The weights of {user.describe()} have scales along axis {parameters.axis}, "
            "which is summed over; quantize them per output channel."
        )
    signed, scale = _without_zeros(signed, scale, int(zero_point[0]) - shift)
    return Weights(signed, scale, int(zero_point[0]) - shift)


def _without_zeros(
    values: np.ndarray, scale: np.ndarray, zero_point: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give weights whose scale is zero, all of which are zero, one that is not."""
    zero = scale == 0
    around = (-1,) + (1,) * (values.ndim - 1)
    values = np.where(zero.reshape(around), np.int8(zero_point), values)
    return values, np.where(zero, 1.0, scale)


def _ordered(graph: Graph, value: Any) -> tuple[list[int], Step | None]:
    """Return what stands before all transpositions of a value, and the axes in their order.

    ``order[i]`` is the axis of the first tensor that is axis ``i`` of the value.
    """
    orders = []
    step = graph.step(value)
    while step is not None and step.operator == "permute_dims":
        orders.append(_axes(step))
        value = step.arguments[0]
        step = graph.step(value)
    order = list(range(len(shape_of(value))))
    for axes in reversed(orders):
        order = [order[axis] for axis in axes]
    return order, step


def _axes(step: Step) -> list[int]:
    """Return the axes of a transposition; without any it turns their order round."""
    rank = len(shape_of(step.arguments[0]))
    axes = step.attributes.axes
    return [*range(rank)][::-1] if axes is None else [int(axis) % rank for axis in axes]


def bias(
    graph: Graph, value: Any, scale: np.ndarray, product: Product, user: Step
) -> np.ndarray | None:
    """Return a constant summand in units of the accumulators; ``None`` if it is not constant.

    Parameters
    ----------
    value:
        The summand.
    scale:
        Scale of the accumulators, of shape ``[1]`` or ``[channels]``.
    product:
        What it is added to.
    user:
        The addition, for the message.

    Returns
    -------
    bias:
        float64 of shape ``[1]`` or ``[channels]``.

    Raises
    ------
    ModelError
        If the summand is not one number for each output channel.
    """
    found = constant_value(graph, value)
    if found is None:
        return None
    return np.asarray(np.rint(_per_channel(found, product, user) / scale))


def _per_channel(values: np.ndarray, product: Product, user: Step) -> np.ndarray:
    """Return a summand, which is broadcast as numpy does, by output channel."""
    rank = len(product.shape)
    try:
        fits = np.broadcast_shapes(values.shape, product.shape) == product.shape
    except ValueError:
        fits = False
    aligned = values.reshape((1,) * (rank - values.ndim) + values.shape) if fits else values
    if fits:
        for axis in range(rank):
            if axis == product.axis:
                continue
            first = aligned.take([0], axis)
            if not np.array_equal(np.broadcast_to(first, aligned.shape), aligned):
                fits = False
                break
            aligned = first
    if not fits:
        raise ModelError(
            f"{user.describe()} adds a constant of shape {list(values.shape)} to a result of shape "
            f"{list(product.shape)}; only constants with one value for each output channel "
            f"(axis {product.axis}) are supported. Give it the shape {list(product.wanted)}."
        )
    return aligned.reshape(-1)


def constant_value(graph: Graph, value: Any) -> np.ndarray | None:
    """Return a float constant in its own shape, also one that is dequantized, moved or reshaped.

    Returns
    -------
    values:
        float64; ``None`` if the value is not constant.
    """
    found = graph.constant(value)
    if found is not None:
        return found.astype(np.float64)
    step = graph.step(value)
    if step is not None and step.operator == "dequantize":
        return _dequantized(graph, step)
    if step is None or step.operator not in MOVING:
        return None
    inner = constant_value(graph, step.arguments[0])
    if inner is not None and step.operator == "permute_dims":
        return inner.transpose(_axes(step))
    return None if inner is None else inner.reshape(shape_of(value))


def _dequantized(graph: Graph, step: Step) -> np.ndarray | None:
    """Return the values that a step dequantizes, if they are constant."""
    parameters, elements = quantization(graph, step, zero=True), _elements(graph, step)
    if elements is None:
        return None
    scale = parameters.along(parameters.scale, elements.ndim)
    zero_point = parameters.along(parameters.zero_point, elements.ndim)
    return np.asarray((elements.astype(np.int64) - zero_point) * scale)


def _elements(graph: Graph, step: Step) -> np.ndarray | None:
    """Return the elements that a step dequantizes, if they are constant."""
    found = graph.constant(step.arguments[0])
    before = graph.step(step.arguments[0])
    if found is None and before is not None and before.operator == "quantize":
        values = graph.constant(before.arguments[0])
        if values is None:
            return None
        parameters = quantization(graph, before, zero=True)
        scale, zero_point = (
            parameters.along(one, values.ndim) for one in (parameters.scale, parameters.zero_point)
        )
        limits = np.iinfo(parameters.dtype)
        # What is divided by a scale of zero is multiplied by it again.
        whole = np.rint(values / np.where(scale, scale, 1).astype(np.float32)) + zero_point
        found = np.clip(whole, limits.min, limits.max).astype(parameters.dtype)
    return found
