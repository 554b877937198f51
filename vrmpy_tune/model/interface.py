"""What a network takes and gives, as the ONNX model has it, and how it becomes integers.

The tensors of the integer module are 8-bit, images with the channels last.  The first quantization,
the last dequantization and the transposition between the two happen outside the device; the text
written here tells :func:`vrmpy_tune.model.network.network_of` how.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE_RANK: Final = 4
"""Dimensions of an image; tensors of other ranks keep their order."""


@dataclass(frozen=True)
class UserTensor:
    """One input or output of the ONNX model.

    Attributes
    ----------
    name, shape, dtype:
        Those of the model.
    scale, zero_point:
        ``value = (element - zero_point) * scale``, of the unsigned elements on the device.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def layout(self) -> str:
        """``"nchw"`` for images, which are ``nhwc`` on the device; ``"nc"`` for all others."""
        return "nchw" if len(self.shape) == IMAGE_RANK else "nc"


def interface_text(inputs: Iterable[UserTensor], outputs: Iterable[UserTensor]) -> str:
    """Return the text that ``main`` carries, in the order of its parameters and results."""
    document = {
        name: [{**asdict(one), "layout": one.layout} for one in tensors]
        for name, tensors in (("inputs", inputs), ("outputs", outputs))
    }
    return json.dumps(document, sort_keys=True)
