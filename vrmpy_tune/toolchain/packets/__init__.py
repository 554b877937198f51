"""Packet scheduling: what LLVM's Hexagon back end leaves on the table.

LLVM generates good sequences of instructions for a register tile, but its software pipeliner and
packetizer leave packets half empty: for a loop of 64 multiplies, 33 to 40 packets instead of 32.
Here LLVM stops in front of its packetizer, and its sequential assembly is

1. parsed (:mod:`.instruction`, :mod:`.function`),
2. given virtual registers again inside each block (:mod:`.values`),
3. scheduled: innermost loops by modulo scheduling (:mod:`.loops`), all else by list scheduling
   (:mod:`.straight`), under the resources of a packet (:mod:`.resources`),
4. given registers (:mod:`.registers`) and printed as packets (:mod:`.repack`).

The output of every kernel is compared with its reference on the device, as of any other code
generator; what cannot be scheduled so is left in LLVM's order.
"""

from __future__ import annotations

from typing import Final

UNKNOWN_ASSEMBLY: Final = 65
"""Exit status of ``python -m vrmpy_tune.toolchain.packets`` for assembly that it does not
understand (``EX_DATAERR``).  Python ends with 1 after an exception: that is a fault of ours."""
