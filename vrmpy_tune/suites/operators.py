"""The operators around convolutions and matrix products, at sizes of ResNet-50 and MobileNet."""

from __future__ import annotations

from typing import Final

from vrmpy_tune.suites.quantized import depthwise, global_average, max_pool, pad, residual_add
from vrmpy_tune.suites.suite import Member, Suite

LAYERS: Final = (
    ("depthwise 3x3", depthwise(56, 128, 3, 1, act="relu")),
    ("depthwise 3x3, stride 2", depthwise(56, 128, 3, 2, act="relu")),
    ("residual add", residual_add(56, 256)),
    ("max pool 3x3, stride 2", max_pool(112, 64, 3, 2)),
    ("global average pool", global_average(7, 2048)),
    ("pad", pad(56, 64, 1)),
)
"""Name and workload of each."""


def suite() -> Suite:
    """Return the suite ``operators``."""
    members = tuple(Member(name, "u8", text) for name, text in LAYERS)
    return Suite("operators", "the operators around convolutions, one of each kind", members)
