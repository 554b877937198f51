"""Who must come before whom in a block, because of registers, memory, and the branch at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmpy_tune.toolchain.packets.buffers import UNKNOWN

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.instruction import Access, Instruction
    from vrmpy_tune.toolchain.packets.values import Values

Event = tuple[int, bool, bool]
"""An access to a register: instruction, whether it reads, whether it writes."""

Address = tuple[str, int]
"""A value, and bytes from where it points."""


@dataclass(frozen=True)
class Edge:
    """``time(later) >= time(earlier) + delay - distance * interval``.

    Attributes
    ----------
    earlier, later:
        Instructions by index.
    delay:
        Packets between them: 0 where they may share one.
    distance:
        Iterations of the loop between them.
    """

    earlier: int
    later: int
    delay: int
    distance: int = 0


def edges(values: Values, *, loop: bool) -> list[Edge]:
    """Return who must come before whom.

    Parameters
    ----------
    values:
        The block; values that are not fixed will be renamed.
    loop:
        Whether the block follows itself: edges between iterations are added.
    """
    found = _registers(values, loop=loop) + _memory(values.instructions, loop=loop)
    last = len(values.instructions) - 1
    if values.instructions and values.instructions[last].is_branch:
        found += [Edge(index, last, 0) for index in range(last)]
    return found


def _registers(values: Values, *, loop: bool) -> list[Edge]:
    found: list[Edge] = []
    chains: dict[str, list[Event]] = {}
    for group in values.groups:
        # Webs of one group that LLVM kept in one register will share one again.
        own: dict[str, list[Event]] = {}
        for web in group.webs:
            kept = chains if group.is_fixed else own
            kept.setdefault(web.atom, []).extend(web.events)
        for events in own.values():
            events.sort()
            found += _chain(events, around=False)
            if loop:  # one iteration's value must be used up before the next one's is made
                first = events[0][0]
                found += [
                    Edge(index, first, int(writes and index != first), 1)
                    for index, _, writes in events
                ]
    for events in chains.values():
        found += _chain(sorted(events), around=loop)
    return found


def _chain(events: list[Event], *, around: bool) -> list[Edge]:
    """Order the accesses to one register; ``around`` continues into the next iteration."""
    found: list[Edge] = []
    writer: tuple[int, int] | None = None
    readers: list[tuple[int, int]] = []
    for distance in (0, 1) if around else (0,):
        for index, reads, writes in events:
            here = (index, distance)
            if writer is not None and writer != here and (reads or writes):
                found.append(Edge(writer[0], index, 1, distance - writer[1]))
            if writes:
                found += [
                    Edge(reader, index, 0, distance - at)
                    for reader, at in readers
                    if (reader, at) != here
                ]
                writer, readers = here, []
            elif reads:
                readers.append(here)
    return found


def _memory(instructions: list[Instruction], *, loop: bool) -> list[Edge]:
    accesses = [
        (index, one.access, address)
        for (index, one), address in zip(
            enumerate(instructions), _addresses(instructions), strict=True
        )
        if one.access is not None
    ]
    found = []
    for at, (index, one, address) in enumerate(accesses):
        for later, other, elsewhere in accesses[at + 1 :]:
            if not (one.is_store or other.is_store):
                continue
            if other_buffer(instructions[index], instructions[later]):
                continue
            if not _apart(one, address, other, elsewhere):
                # A load and a store in one packet: the load comes first.
                found.append(Edge(index, later, int(one.is_store)))
        for earlier, other, _ in accesses if loop else ():
            if not (one.is_store or other.is_store) or one.is_spill != other.is_spill:
                continue
            if not other_buffer(instructions[index], instructions[earlier]):
                found.append(Edge(index, earlier, int(one.is_store), 1))
    return found


def other_buffer(one: Instruction, other: Instruction) -> bool:
    """Whether two accesses certainly go to different buffers."""
    known = bool(one.origins) and bool(other.origins) and UNKNOWN not in one.origins | other.origins
    return known and not one.origins & other.origins


def _apart(one: Access, address: Address | None, other: Access, elsewhere: Address | None) -> bool:
    """Whether two accesses certainly touch different bytes."""
    if address is None or elsewhere is None:
        return False
    if address[0] == elsewhere[0]:
        first, second = address[1], elsewhere[1]
        return first + one.size <= second or second + other.size <= first
    return one.is_spill != other.is_spill


def _addresses(instructions: list[Instruction]) -> list[Address | None]:
    """Return for each instruction the address that it accesses, if it is a value and a constant."""
    roots: dict[str, Address] = {}
    found: list[Address | None] = []
    for index, one in enumerate(instructions):
        access, moved = one.access, one.moved
        address = None
        if access is not None and access.base is not None:
            root, offset = roots.get(access.base, (access.base, 0))
            address = (root, offset + access.offset)
        found.append(address)
        origin = roots.get(moved[0], (moved[0], 0)) if moved else None
        for atom in one.writes:
            roots[atom] = (f"{atom} of {index}", 0)
        if access is not None and access.base in one.writes and access.step is not None:
            assert address is not None  # it has a base
            roots[access.base] = (address[0], address[1] + access.step)
        elif moved is not None and origin is not None:
            (target,) = one.writes
            roots[target] = (origin[0], origin[1] + moved[1])
    return found
