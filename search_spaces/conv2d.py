"""Search spaces of the 2-D convolution."""

from __future__ import annotations

from typing import Final

from search_spaces.contraction import ContractionSpace
from search_spaces.program import FORMS

SPACES: Final = tuple(
    ContractionSpace("conv2d", 3, description, form) for form, description in FORMS.items()
)
