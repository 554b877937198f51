"""MobileNetV2 at 224 x 224: Sandler et al., "Inverted Residuals and Linear Bottlenecks", table 2.

ReLU6 is a ReLU here: its upper end is the largest value of its quantized output.  A residual is
added behind the projection, which has no activation; the variant ``adds`` has the same additions as
operators of their own, for compilers that do not fuse them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.suites.quantized import (
    classifier,
    convolution,
    depthwise,
    global_average,
    residual_add,
)
from vrmpy_tune.suites.suite import Member, Suite, distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTTLENECKS: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels, repetitions, and stride of the first of each row of table 2."""

LAST_CHANNELS: Final = 1280
_FUSED: Final = "int8"
_ADDS: Final = "adds"


def suite() -> Suite:
    """Return the suite ``mobilenetv2-int8``."""
    layers = (Member(name, variant, text) for name, variant, text in _layers())
    members = sorted(distinct(layers), key=lambda one: one.variant == _ADDS)
    return Suite("mobilenetv2-int8", "every layer of a quantized MobileNetV2", tuple(members))


def _layers() -> Iterator[tuple[str, str, str]]:
    yield "stem", _FUSED, convolution(224, (3, 32), 3, 2, act="relu")
    size, channels = 112, 32
    for row, (expansion, outputs, repetitions, first_stride) in enumerate(BOTTLENECKS, start=1):
        for block in range(repetitions):
            stride = first_stride if block == 0 else 1
            inner = expansion * channels
            name = f"bottleneck {row}"
            if expansion > 1:
                expand = convolution(size, (channels, inner), act="relu")
                yield f"{name} expand", _FUSED, expand
            yield f"{name} depthwise", _FUSED, depthwise(size, inner, 3, stride, act="relu")
            size //= stride
            adds = stride == 1 and channels == outputs
            project = convolution(size, (inner, outputs), residual=adds)
            yield f"{name} project", _FUSED, project
            if adds:
                yield f"{name} add", _ADDS, residual_add(size, outputs)
            channels = outputs
    yield "last", _FUSED, convolution(size, (channels, LAST_CHANNELS), act="relu")
    yield "average pool", _FUSED, global_average(size, LAST_CHANNELS)
    yield "classifier", _FUSED, classifier(LAST_CHANNELS, 1000)
