"""Which registers hold values that are still needed, at the edges of every block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.function import Block, Function


def live_in_and_out(function: Function) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """Return the registers live at the beginning and at the end of each block.

    Raises
    ------
    UnknownAssemblyError
        If a branch leads nowhere known.
    """
    follow = function.flow().follow
    effects = [_effects(block) for block in function.blocks]
    live_in = [frozenset[str]() for _ in function.blocks]
    live_out = list(live_in)
    changed = True
    while changed:
        changed = False
        for index in reversed(range(len(function.blocks))):
            out = frozenset().union(*(live_in[after] for after in follow[index]))
            read, written = effects[index]
            into = read | (out - written)
            if into != live_in[index] or out != live_out[index]:
                live_in[index], live_out[index], changed = into, out, True
    return live_in, live_out


def _effects(block: Block) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a block reads before it writes it, and what it writes."""
    read: set[str] = set()
    written: set[str] = set()
    packets = block.packets or [[one] for one in block.instructions]
    for packet in packets:
        for one in packet:
            read |= one.reads - written
        for one in packet:
            written |= one.writes
    return frozenset(read), frozenset(written)
