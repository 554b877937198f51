"""Where the weights of a contraction are while they are multiplied."""

from __future__ import annotations

import enum
from typing import Final


class Memory(enum.StrEnum):
    """How weights reach the multiplier."""

    CACHED = "cached"
    """From where they are, through L2."""
    COPIED = "copied"
    """Through VTCM, copied by vectors."""
    DMA = "dma"
    """Through VTCM, by the user DMA, which the context waits for."""
    PIPELINED = "pipelined"
    """Through VTCM, by the user DMA, which brings the next slab while one is multiplied."""

    @property
    def slabs(self) -> int:
        """Slabs in VTCM at once, for each task."""
        return {Memory.CACHED: 0, Memory.PIPELINED: 2}.get(self, 1)

    @property
    def first_arch(self) -> int:
        """The first version of Hexagon that can: the user DMA came with v68 (TVM PR 12411)."""
        return 68 if self in (Memory.DMA, Memory.PIPELINED) else 0


STAGED: Final = (Memory.COPIED, Memory.DMA, Memory.PIPELINED)
"""The plans that use VTCM."""

DESCRIPTIONS: Final = {
    Memory.COPIED: "weights copied into VTCM",
    Memory.DMA: "weights brought into VTCM by the DMA",
    Memory.PIPELINED: "weights brought into VTCM by the DMA, one slab ahead",
}
