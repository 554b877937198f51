"""The network's edge on the host: the first quantize, the last dequantize, a softmax behind it.

The device computes with integers only and has channels last; users have floats in the layout of
the model file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.errors import UsageError
from vrmpy_tune.model.network import PASSED

SIGN_OFFSET: Final = 128
"""Between a signed tensor of the model file and the unsigned one that the network has for it."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vrmpy_tune.model.network import Port


def quantized(port: Port, values: np.ndarray) -> np.ndarray:
    """Return the integer tensor of an input: quantized (half to even), channels last, padded.

    Channels that the model file does not have are zero points.
    """
    if port.dtype in PASSED:
        integers = _retyped(values, port.integer_dtype)
    else:
        limits = np.iinfo(port.integer_dtype)
        scaled = np.rint(values.astype(np.float32) / np.float32(port.scale)) + port.zero_point
        integers = np.clip(scaled, limits.min, limits.max).astype(port.integer_dtype)
    if port.layout == "nchw":
        integers = integers.transpose(0, 2, 3, 1)
    if integers.size == np.prod(port.integer_shape):
        return np.ascontiguousarray(integers).reshape(port.integer_shape)
    padded = np.full(port.integer_shape, port.zero_point, port.integer_dtype)
    padded[..., : integers.shape[-1]] = integers
    return padded


def dequantized(port: Port, integers: np.ndarray) -> np.ndarray:
    """Return what the user gets of an output's integer tensor."""
    if port.after is not None:
        return port.after.of(dequantized(port.before, integers), port.dtype)
    if port.layout == "nchw":
        n, channels, height, width = port.shape
        integers = integers.reshape(n, height, width, channels).transpose(0, 3, 1, 2)
    integers = integers.reshape(port.shape)
    if port.dtype in PASSED:
        return np.ascontiguousarray(_retyped(integers, port.dtype))
    shifted = integers.astype(np.int32) - port.zero_point
    return np.ascontiguousarray(shifted.astype(np.float32) * np.float32(port.scale))


def _retyped(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return 8-bit integers as another 8-bit type, in which they are SIGN_OFFSET apart."""
    if str(values.dtype) == dtype:
        return values
    offset = SIGN_OFFSET if dtype == "uint8" else -SIGN_OFFSET
    return (values.astype(np.int16) + offset).astype(dtype)


def check_inputs(
    ports: Sequence[Port], given: Mapping[str, np.ndarray], source: str
) -> tuple[np.ndarray, ...]:
    """Return the arrays of all inputs in order.

    Parameters
    ----------
    source:
        Where they came from, for the message.

    Raises
    ------
    UsageError
        If one is missing, unknown, not of the port's shape, or of another type.
    """
    needed = ", ".join(f"{port.name} ({port.dtype}{list(port.shape)})" for port in ports)
    unknown = sorted(set(given) - {port.name for port in ports})
    if unknown:
        raise UsageError(f"{source}: the model has no input '{unknown[0]}'; it takes {needed}.")
    arrays = []
    for port in ports:
        if port.name not in given:
            raise UsageError(f"{source}: the input '{port.name}' is missing; it takes {needed}.")
        array = np.asarray(given[port.name])
        if array.shape != port.shape:
            raise UsageError(
                f"{source}: '{port.name}' has shape {list(array.shape)}, but the model takes "
                f"{list(port.shape)} ({port.layout})."
            )
        _check_type(port, array, source)
        arrays.append(array)
    return tuple(arrays)


def _check_type(port: Port, array: np.ndarray, source: str) -> None:
    if port.dtype in PASSED:
        if str(array.dtype) != port.dtype:
            raise UsageError(
                f"{source}: '{port.name}' is {array.dtype}, but the model takes {port.dtype}."
            )
        return
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{source}: '{port.name}' is {array.dtype}, which is not a number.")
    if not np.isfinite(array).all():
        raise UsageError(f"{source}: '{port.name}' holds values that are not finite.")
