"""Accumulators that start at zero: multiply into them instead of clearing them first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.liveness import live_in_and_out

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.function import Block, Function
    from vrmpy_tune.toolchain.packets.instruction import Instruction

_CLEAR: Final = re.compile(r"(v\d+) = vxor\(\1,\1\)")
_COPY: Final = re.compile(r"v\d+ = (v\d+)|v\d+:\d+ = vcombine\((v\d+),(v\d+)\)")
_ACCUMULATE: Final = re.compile(r"(v\d+\.\w+) \+= (vrmpy\(.*\))")


def zeros_at_ends(function: Function) -> list[frozenset[str]]:
    """Return the vector registers that are certainly zero at the end of each block.

    Raises
    ------
    UnknownAssemblyError
        If a branch leads nowhere known.
    """
    everything = frozenset(f"v{number}" for number in range(32))
    follow = function.flow().follow
    begins = [everything] * len(function.blocks)
    begins[0] = frozenset()
    ends = [everything] * len(function.blocks)
    waiting = list(range(len(function.blocks)))
    while waiting:
        index = waiting.pop(0)
        zeros = _through(function.blocks[index], begins[index])
        if zeros != ends[index]:
            ends[index] = zeros
        for after in follow[index]:
            if not begins[after] <= zeros:
                begins[after] &= zeros
                waiting.append(after)
    return ends


def start_without_zeros(function: Function) -> None:
    """Replace the first accumulation into zero by a plain multiplication; drop unused zeros.

    Raises
    ------
    UnknownAssemblyError
        If a branch leads nowhere known.
    """
    ends, precede = zeros_at_ends(function), function.flow().precede
    for index, block in enumerate(function.blocks):
        before = [ends[other] for other in precede[index]]
        zeros = set(frozenset.intersection(*before)) if before else set()
        for position, one in enumerate(block.instructions):
            found = _ACCUMULATE.fullmatch(one.text)
            if found and next(iter(one.writes)) in zeros:
                block.instructions[position] = one.written(f"{found[1]} = {found[2]}")
            _follow(one, zeros)
    _drop_unused(function)


def _through(block: Block, begin: frozenset[str]) -> frozenset[str]:
    zeros = set(begin)
    for one in block.instructions:
        _follow(one, zeros)
    return frozenset(zeros)


def _follow(one: Instruction, zeros: set[str]) -> None:
    is_zero = _is_clear(one) or (_COPY.fullmatch(one.text) is not None and one.reads <= zeros)
    zeros -= one.writes
    if is_zero:
        zeros |= one.writes


def _is_clear(one: Instruction) -> bool:
    return _CLEAR.fullmatch(one.text) is not None


def _drop_unused(function: Function) -> None:
    """Remove clears and copies whose result nobody reads."""
    changed = True
    while changed:
        changed = False
        _, live_out = live_in_and_out(function)
        for block, out in zip(function.blocks, live_out, strict=True):
            live = set(out)
            kept: list[Instruction] = []
            for one in reversed(block.instructions):
                droppable = _is_clear(one) or _COPY.fullmatch(one.text) is not None
                if droppable and not one.writes & live:
                    changed = True
                    continue
                live -= one.writes
                live |= one.reads
                kept.append(one)
            block.instructions[:] = reversed(kept)
