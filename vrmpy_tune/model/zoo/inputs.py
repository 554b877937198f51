"""Inputs of different kinds, on which a network's outputs should differ."""

from __future__ import annotations

from typing import Final

import numpy as np

from vrmpy_tune.model.zoo.pictures import PICTURES, picture

SHOWN: Final = PICTURES[:4]
"""Pictures among the inputs."""

TILE: Final = 16
"""Pixels of a field of the chessboard."""


def inputs(size: int) -> dict[str, np.ndarray]:
    """Return ten inputs by name: pictures, constants, ramps, a chessboard, and noise.

    Parameters
    ----------
    size:
        Height and width.

    Returns
    -------
    found:
        float32 of ``[3, size, size]`` each, between 0 and 1.
    """
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    fields = np.arange(size) // TILE % 2
    noise = np.random.default_rng(0).random((3, size, size))
    made = {
        "zeros": np.zeros((1, 1, 1)),
        "ones": np.ones((1, 1, 1)),
        "ramp across": ramp[None, None, :],
        "ramp down": ramp[None, :, None] * np.asarray((1, 0.5, 0.25))[:, None, None],
        "chessboard": (fields[:, None] ^ fields)[None],
        "noise": noise,
    }
    drawn = {
        name: np.ascontiguousarray(np.broadcast_to(one, (3, size, size)), np.float32)
        for name, one in made.items()
    }
    return {name: picture(name, size) for name in SHOWN} | drawn
