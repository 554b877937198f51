"""scikit-image's pictures, as networks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURES: Final = (
    "astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "hubble_deep_field", "retina",
    "ihc", "camera", "coins", "horse", "moon", "page", "clock_motion", "grass", "gravel",
)  # fmt: skip
"""Those that its wheel contains; gray ones get three equal channels."""

SHORT_SIDE: Final = 256 / 224
"""Short side before the crop, by the crop's: the usual evaluation of ImageNet networks."""


def picture(name: str, size: int) -> np.ndarray:
    """Return the middle of a picture.

    Parameters
    ----------
    name:
        One of :data:`PICTURES`.
    size:
        Height and width.

    Returns
    -------
    pixels:
        float32 of ``[3, size, size]``, between 0 and 1.
    """
    from importlib.resources import files

    from PIL import Image

    folder = files("skimage") / "data"
    found = next(one for one in folder.iterdir() if one.name.rpartition(".")[0] == name)
    with found.open("rb") as stream, Image.open(stream) as opened:
        image = opened.convert("RGB")
    scale = round(size * SHORT_SIDE) / min(image.size)
    resized = image.resize(
        (max(size, round(image.width * scale)), max(size, round(image.height * scale))),
        Image.Resampling.BILINEAR,
    )
    left, top = (resized.width - size) // 2, (resized.height - size) // 2
    cropped = resized.crop((left, top, left + size, top + size))
    return (np.asarray(cropped, np.float32) / np.float32(255)).transpose(2, 0, 1)


def batch(names: Sequence[str], size: int) -> np.ndarray:
    """Return pictures as ``[number, 3, size, size]``."""
    return np.stack([picture(name, size) for name in names])
