"""onnxruntime's static quantization of a float model."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Scheme:
    """How a model is quantized.

    Attributes
    ----------
    operators:
        True for QLinear operators, False for QuantizeLinear and DequantizeLinear round float ones.
    per_channel:
        Whether weights have a scale for each output channel.
    activations:
        ``"u8"`` or ``"i8"``; the latter symmetric.
    """

    operators: bool = False
    per_channel: bool = True
    activations: str = "u8"


def quantized(
    model: onnx.ModelProto, inputs: Sequence[np.ndarray], scheme: Scheme | None = None
) -> bytes:
    """Return the quantized model's file, calibrated by smallest and largest values.

    Parameters
    ----------
    inputs:
        What the model's only input is given, one after the other.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    chosen = scheme or Scheme()
    symmetric = chosen.activations == "i8"
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Reader(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QOperator if chosen.operators else QuantFormat.QDQ,
            per_channel=chosen.per_channel,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric},
        )
        return target.read_bytes()


class _Reader:
    """onnxruntime asks for inputs until there are none."""

    def __init__(self, name: str, inputs: Sequence[np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter([{name: one} for one in inputs])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the advice to pre-process the model, which has nothing to fold, from the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
