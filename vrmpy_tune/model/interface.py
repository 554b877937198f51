"""What a network takes and gives: the user's tensors, and how they become integers.

The tensors of the integer module are 8-bit, images with the channels last.  The user's are those of
the ONNX model: the first quantization, the last dequantization and the transposition between the
two happen outside the device.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

INTERFACE_ATTRIBUTE: Final = "vrmpy.interface"
"""Attribute of the function ``main`` that holds the text."""

IMAGE_RANK: Final = 4
"""Dimensions of an image; tensors of other ranks keep their order."""


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes
    ----------
    name, shape, dtype:
        Those of the ONNX model.
    layout:
        ``"nchw"`` for images, which are ``nhwc`` on the device; ``"nc"`` for tensors of all other
        ranks, which have the same order of elements on both sides.
    scale, zero_point:
        ``value = (element - zero_point) * scale``, of the unsigned elements on the device.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Interface:
    """All inputs and outputs, in the order of ``main``'s parameters and results."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def to_json(self) -> str:
        """Return the text that ``main`` carries."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Interface:
        """Read the text back."""
        document = json.loads(text)
        return Interface(_ports(document["inputs"]), _ports(document["outputs"]))


def port(name: str, shape: tuple[int, ...], dtype: str, scale: float, zero_point: int) -> Port:
    """Return the port of a tensor of the ONNX model, its layout told by its rank."""
    return Port(name, shape, dtype, "nchw" if len(shape) == IMAGE_RANK else "nc", scale, zero_point)


def _ports(entries: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(**{**entry, "shape": tuple(entry["shape"])}) for entry in entries)
