"""What a network takes and gives, as the model file has it, and how it becomes integers.

The tensors of the integer module are 8-bit, images with the channels last.  The first quantization,
the last dequantization and the transposition between the two happen outside the device; the text
written here tells :func:`vrmpy_tune.model.network.network_of` how.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vrmpy_tune.model.softmax import Softmax

IMAGE_RANK: Final = 4
"""Dimensions of an image; tensors of other ranks keep their order."""

Images = Literal["nchw", "nhwc"]
"""How a model file has its images."""


@dataclass(frozen=True)
class UserTensor:
    """One input or output of the model file.

    Attributes
    ----------
    name, shape, dtype:
        Those of the model; images have their channels first here, whatever the file says.
    scale, zero_point:
        ``value = (element - zero_point) * scale``, of the unsigned elements on the device.
    images:
        The layout of the file's images.
    after:
        What the host computes of an output's values, if anything.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    images: Images
    after: Softmax | None = None

    @property
    def layout(self) -> str:
        """That of images, which are ``nhwc`` on the device; ``"nc"`` for all others."""
        return self.images if len(self.shape) == IMAGE_RANK else "nc"

    def as_json(self) -> dict[str, object]:
        """Return what :func:`vrmpy_tune.model.network.network_of` reads."""
        shape = self.shape
        if self.layout == "nhwc":
            shape = (shape[0], *shape[2:], shape[1])
        names = ("name", "dtype", "scale", "zero_point", "layout")
        after = {} if self.after is None else {"after": self.after.as_json()}
        return {"shape": shape, **{name: getattr(self, name) for name in names}, **after}


def interface_text(inputs: Iterable[UserTensor], outputs: Iterable[UserTensor]) -> str:
    """Return the text that ``main`` carries, in the order of its parameters and results."""
    document = {
        name: [one.as_json() for one in tensors]
        for name, tensors in (("inputs", inputs), ("outputs", outputs))
    }
    return json.dumps(document, sort_keys=True)
