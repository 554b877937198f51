"""Search spaces of the matrix product."""

from __future__ import annotations

from typing import Final

from search_spaces.program import Form
from search_spaces.space import Space

SPACES: Final = (
    Space("dense", Form.SCALAR, 1, "unsigned weights in vectors, activations as scalar words"),
    Space(
        "dense", Form.OFFSET, 1, "signed weights + 128 in vectors, sums of activations taken off"
    ),
    Space("dense", Form.SPLAT, 1, "activations copied to all lanes, vector by vector"),
)
