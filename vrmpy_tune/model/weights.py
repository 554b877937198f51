"""Quantization parameters and quantized constants of the float graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vrmpy_tune.errors import ModelError
from vrmpy_tune.model.edge import SIGN_OFFSET

if TYPE_CHECKING:
    from vrmpy_tune.model.reading import Graph, Step


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
    transposed = False
    step = graph.step(value)
    while step is not None and step.operator == "permute_dims":
        transposed = not transposed
        step = graph.step(step.arguments[0])
    if step is None or step.operator != "dequantize":
        raise ModelError(
            f"The weights of {user.describe()} are not quantized; "
            "quantize them to int8 with QuantizeLinear and DequantizeLinear."
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
    scale, axis = parameters.scale.reshape(-1), parameters.axis
    if signed.ndim == 2:
        # A matrix product's weights come as [depth, channels].
        channels = 0 if transposed else 1
        signed = signed if transposed else signed.T
    else:
        channels = 0
    if scale.size > 1 and axis % elements.ndim != channels:
        raise ModelError(
            f"The weights of {user.describe()} have scales along axis {axis}, "
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


def bias(graph: Graph, value: Any, scale: np.ndarray) -> np.ndarray | None:
    """Return a constant summand in units of the accumulators; ``None`` if it is not constant.

    Parameters
    ----------
    scale:
        Scale of the accumulators.
    """
    step = graph.step(value)
    while step is not None and step.operator in ("reshape", "expand_dims"):
        value = step.arguments[0]
        step = graph.step(value)
    found = graph.constant(value)
    if found is None and step is not None and step.operator == "dequantize":
        parameters = quantization(graph, step, zero=True)
        elements = _elements(graph, step)
        if elements is not None:
            whole = elements.astype(np.int64) - parameters.zero_point
            found = whole.reshape(-1) * parameters.scale
    if found is None:
        return None
    return np.asarray(np.rint(found.astype(np.float64).reshape(-1) / scale))


def _elements(graph: Graph, step: Step) -> np.ndarray | None:
    """Return the elements that a step dequantizes, if they are constant."""
    found = graph.constant(step.arguments[0])
    before = graph.step(step.arguments[0])
    if found is None and before is not None and before.operator == "quantize":
        values = graph.constant(before.arguments[0])
        if values is None:
            return None
        parameters = quantization(graph, before, zero=True)
        around = [1] * values.ndim
        around[parameters.axis if parameters.scale.size > 1 else 0] = -1
        scale, zero_point = (
            one.reshape(around) if values.ndim else one
            for one in (parameters.scale, parameters.zero_point)
        )
        limits = np.iinfo(parameters.dtype)
        # What is divided by a scale of zero is multiplied by it again.
        whole = np.rint(values / np.where(scale, scale, 1).astype(np.float32)) + zero_point
        found = np.clip(whole, limits.min, limits.max).astype(parameters.dtype)
    return found
