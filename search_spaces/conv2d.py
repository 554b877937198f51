"""Search spaces of the 2-D convolution."""

from __future__ import annotations

from typing import Final

from search_spaces.contraction import contraction_spaces

SPACES: Final = contraction_spaces("conv2d", version=3, staged_version=1)
