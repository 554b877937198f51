"""Small float models, quantized by onnxruntime, imported, and compared with it layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vrmpy_tune.model.comparison import Reference, layer_differences
from vrmpy_tune.model.network import Network, network_of
from vrmpy_tune.model.onnx_import import import_onnx, integer_module, normalized_model
from vrmpy_tune.model.zoo.quantizer import Scheme, quantized
from vrmpy_tune.model.zoo.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT = "x"
SAMPLES = 4

Build = Callable[[Writer], str] if TYPE_CHECKING else object
"""Writes layers behind the input and returns the name of the last one's output."""


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Draw values round zero."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def samples(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Draw what calibrates, and what is compared."""
    return [drawn(shape, seed) for seed in range(SAMPLES)]


def write_model(
    path: Path,
    shape: tuple[int, ...],
    build: Build,
    parameters: dict[str, tuple[int, ...]] | None = None,
    scheme: Scheme | None = None,
) -> Path:
    """Write the quantized file of a model with random parameters of the given shapes."""
    named = {
        name: drawn(one, index) for index, (name, one) in enumerate((parameters or {}).items())
    }
    writer = Writer(named)
    output = build(writer)
    model = writer.model((INPUT, shape), [output])
    path.write_bytes(quantized(model, samples(shape), scheme))
    return path


def compared(path: Path, shape: tuple[int, ...]) -> Network:
    """Return the network of a file, no layer of which is further than one unit from onnxruntime."""
    model = normalized_model(path)
    plain = network_of(integer_module(model, fuse=False))
    reference = Reference(model)
    for values in samples(shape):
        differences = layer_differences(plain, reference, {INPUT: values})
        assert differences
        far = [one for one in differences if one.largest > 1]
        assert not far
    return network_of(import_onnx(path))


def operators(network: Network) -> list[str]:
    """Return the operators of all layers, in order."""
    return [layer.workload.operator for layer in network.layers]
