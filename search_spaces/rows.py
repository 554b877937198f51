"""Loops over rows of pixels that are copied: what runs in parallel, and how a single row is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.workload import ceildiv

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

MAX_PARTS: Final = 64
"""Parallel parts of a single row, at most: each costs a call."""


def parts_of(extent: int, contexts: int) -> int:
    """Return into how many equal parts to cut a loop, so that all contexts finish together."""
    divisors = (one for one in range(1, min(extent, MAX_PARTS) + 1) if extent % one == 0)
    return min(divisors, key=lambda parts: ceildiv(parts, contexts) / parts)


def parallel_rows(sch: Schedule, block: str) -> Any:
    """Run batch and rows in parallel; return the loop over a row's pixels, channels next in it."""
    b, y, x, g, _ = sch.get_loops(sch.get_sblock(block))
    sch.parallel(sch.fuse(b, y))
    sch.reorder(g, x)
    return x


def cut_row(sch: Schedule, rows: int, row: Any, width: int, *, contexts: int) -> tuple[int, Any]:
    """Cut a single row into parts that run in parallel; return the pixels of each, and its loop.

    Several ``rows`` are what runs in parallel, and stay whole.
    """
    parts = parts_of(width, contexts)
    if rows > 1 or parts in (1, width):
        return width, row
    part, pixels = sch.split(row, [parts, None])
    sch.parallel(part)
    return width // parts, pixels
