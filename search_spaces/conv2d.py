"""Search spaces of the 2-D convolution."""

from __future__ import annotations

from typing import Final

from search_spaces.program import Form
from search_spaces.space import Space

SPACES: Final = (
    Space("conv2d", Form.SCALAR, 1, "unsigned weights in vectors, activations as scalar words"),
    Space("conv2d", Form.OFFSET, 1, "signed weights + 128 in vectors, window sums taken off"),
    Space("conv2d", Form.SPLAT, 1, "activations copied to all lanes, vector by vector"),
)
