"""Search spaces of the matrix product."""

from __future__ import annotations

from typing import Final

from search_spaces.contraction import contraction_spaces

SPACES: Final = contraction_spaces("dense", version=3, staged_version=1)
