"""Values that provoke errors: what kernels are verified on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

INPUT_SETS: Final = ("random", "extremes", "largest")
"""Names of the input sets: uniform; drawn from :data:`EXTREMES`; all of the largest magnitude."""

EXTREMES: Final = {"u8": (0, 1, 127, 128, 254, 255), "i8": (-128, -127, -1, 0, 1, 127)}
"""Values at which sign, offset and saturation errors show."""

_RANGES: Final = {"u8": (0, 256), "i8": (-128, 128)}
_LARGEST: Final = {"u8": 255, "i8": -128}
_NUMPY: Final = {"u8": "uint8", "i8": "int8"}


def draw_values(
    kind: str, dtype: str, shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """Draw an 8-bit tensor of one of :data:`INPUT_SETS`."""
    import numpy as np

    if kind == "random":
        return generator.integers(*_RANGES[dtype], shape).astype(_NUMPY[dtype])
    if kind == "extremes":
        return generator.choice(EXTREMES[dtype], shape).astype(_NUMPY[dtype])
    return np.full(shape, _LARGEST[dtype], _NUMPY[dtype])
