"""List scheduling of a block, from its end to its beginning.

Backwards, because what is loaded then comes just before it is used, which keeps few registers
busy; and stores, which one packet holds one of, overlap the last steps of what they wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.dependence import edges
from vrmpy_tune.toolchain.packets.registers import Allocation, rename
from vrmpy_tune.toolchain.packets.resources import MAX_WORDS, fits
from vrmpy_tune.toolchain.packets.values import Group, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.toolchain.packets.dependence import Edge
    from vrmpy_tune.toolchain.packets.instruction import Instruction
    from vrmpy_tune.toolchain.packets.registers import Surroundings

    Rank = Callable[[float, float], tuple[float, float]]

RANKS: Final[tuple[Rank, ...]] = (
    lambda depth, place: (depth, place),
    lambda depth, place: (place, depth),
    lambda depth, place: (depth + place, place),
)
"""Who goes first: what waits longest, what LLVM put last, or between; the shortest is kept."""


def schedule(
    instructions: list[Instruction], around: Surroundings, *, ends_loop: bool
) -> list[list[Instruction]]:
    """Return the instructions in packets.

    Parameters
    ----------
    instructions:
        In sequential order.
    around:
        What the rest of the function asks of them.
    ends_loop:
        Whether the last packet ends a hardware loop, and so must not set one up.
    """
    if len(instructions) < 2:
        return [[one] for one in instructions]
    best: list[list[Instruction]] | None = None
    for rank in RANKS:
        values = Values(instructions, around.live_out)
        made = _attempt(values, around, rank, ends_loop=ends_loop)
        if best is None or len(made) < len(best):
            best = made
    assert best is not None
    return best


def _attempt(
    values: Values, around: Surroundings, rank: Rank, *, ends_loop: bool
) -> list[list[Instruction]]:
    """Schedule, and rename; values for which no register is left keep LLVM's."""
    instructions = values.instructions
    while True:
        times = _times(instructions, edges(values, loop=False), rank, ends_loop)
        names = Allocation(values, times, around).assign()
        if not isinstance(names, Group):
            break
        names.is_fixed = True
    packets: list[list[Instruction]] = [[] for _ in range(max(times) + 1)]
    for time, one in zip(times, rename(instructions, names), strict=True):
        packets[time].append(one)
    return packets


def _times(
    instructions: list[Instruction], order: list[Edge], rank: Rank, ends_loop: bool
) -> list[int]:
    """Return the packet of each instruction, the first one being 0."""
    count = len(instructions)
    before: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    after = [0] * count
    for edge in order:
        before[edge.later].append((edge.earlier, edge.delay))
        after[edge.earlier] += 1
    depth = [0] * count
    for index in range(count):
        for earlier, delay in before[index]:
            depth[index] = max(depth[index], depth[earlier] + delay)
    deepest = max(depth)
    bound = [int(ends_loop and one.loop is not None) for one in instructions]
    back = [0] * count
    ready = [index for index in range(count) if after[index] == 0]
    time, left = 0, count
    while left:
        packet: list[int] = []
        tried = True
        while tried:
            tried = False
            # A loop's set-up reaches no further than 64 words back from the loop.
            ready.sort(
                key=lambda index: (
                    instructions[index].loop is not None,
                    rank(depth[index] / max(1, deepest), index / count),
                ),
                reverse=True,
            )
            for index in ready:
                if bound[index] > time or not _joins(instructions, packet, index):
                    continue
                packet.append(index)
                ready.remove(index)
                back[index] = time
                left -= 1
                for earlier, delay in before[index]:
                    bound[earlier] = max(bound[earlier], time + delay)
                    after[earlier] -= 1
                    if after[earlier] == 0:
                        ready.append(earlier)
                tried = True
                break
        time += 1
    return [time - 1 - one for one in back]


def _joins(instructions: list[Instruction], packet: list[int], index: int) -> bool:
    if len(packet) == MAX_WORDS:
        return False
    units = sorted((instructions[one].unit for one in (*packet, index)), key=repr)
    return fits(tuple(units))
