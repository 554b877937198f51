"""ResNet-50 at 224 x 224: He et al., "Deep Residual Learning", table 1.

Stride 2 stands on the 3x3 convolution of a block, as in torchvision and MLPerf ("v1.5").  The
residual is added behind the last 1x1 of a block, before the ReLU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.suites.quantized import classifier, convolution, global_average, max_pool
from vrmpy_tune.suites.suite import Member, Suite, distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES: Final = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and blocks of each stage; a block's output has four times the channels."""

EXPANSION: Final = 4
_VARIANT: Final = "int8"


def suite() -> Suite:
    """Return the suite ``resnet50-int8``."""
    layers = (Member(name, _VARIANT, text) for name, text in _layers())
    return Suite("resnet50-int8", "every layer of a quantized ResNet-50", distinct(layers))


def _layers() -> Iterator[tuple[str, str]]:
    yield "stem", convolution(224, (3, 64), 7, 2, act="relu")
    yield "max pool", max_pool(112, 64, 3, 2)
    size, channels = 56, 64
    for stage, (inner, blocks) in enumerate(STAGES, start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            outer = EXPANSION * inner
            name = f"stage {stage}"
            yield f"{name} reduce", convolution(size, (channels, inner), act="relu")
            yield f"{name} 3x3", convolution(size, (inner, inner), 3, stride, act="relu")
            if block == 0:
                yield f"{name} shortcut", convolution(size, (channels, outer), 1, stride)
            size //= stride
            expand = convolution(size, (inner, outer), act="relu", residual=True)
            yield f"{name} expand", expand
            channels = outer
    yield "average pool", global_average(size, channels)
    yield "classifier", classifier(channels, 1000)
