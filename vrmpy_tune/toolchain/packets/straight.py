"""List scheduling of a block, from its end to its beginning.

Backwards, because what is loaded then comes just before it is used, which keeps few registers
busy; and stores, which one packet holds one of, overlap the last steps of what they wait for.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.dependence import edges
from vrmpy_tune.toolchain.packets.registers import Allocation, rename
from vrmpy_tune.toolchain.packets.resources import MAX_WORDS, Unit, joins, least_packets
from vrmpy_tune.toolchain.packets.values import Values

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

NEAR: Final = 1.02
"""A schedule this much longer than its resources ask for is not tried to be improved."""

ATTEMPTS: Final = 6
"""Schedules of one block, with fewer values renamed each time, before none are."""


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
    units = [one.unit for one in instructions]
    hot = any(unit.multiply_pipes for unit in units)
    best: list[list[Instruction]] = []
    for rank in RANKS:
        values = Values(instructions, around.live_out)
        made = _attempt(values, around, rank, ends_loop=ends_loop)
        if not best or len(made) < len(best):
            best = made
        if not hot or len(best) <= NEAR * least_packets(units):
            break
    return best


def _attempt(
    values: Values, around: Surroundings, rank: Rank, *, ends_loop: bool
) -> list[list[Instruction]]:
    """Schedule, and rename; values for which no register is left keep LLVM's."""
    instructions = values.instructions
    for attempt in range(ATTEMPTS + 1):
        times = _times(instructions, edges(values, loop=False), rank, ends_loop)
        allocation = Allocation(values, times, around)
        names = allocation.assign()
        if not allocation.homeless:
            break
        # In LLVM's own order its own registers are enough.
        last = attempt == ATTEMPTS - 1
        for group in values.groups if last else allocation.homeless:
            group.is_fixed = True
    packets: list[list[Instruction]] = [[] for _ in range(max(times) + 1)]
    for time, one in zip(times, rename(instructions, names), strict=True):
        packets[time].append(one)
    return packets


def _times(
    instructions: list[Instruction], links: list[Edge], rank: Rank, ends_loop: bool
) -> list[int]:
    """Return the packet of each instruction, the first one being 0."""
    count = len(instructions)
    before: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    after = [0] * count
    for edge in links:
        before[edge.later].append((edge.earlier, edge.delay))
        after[edge.earlier] += 1
    depth = [0] * count
    for index in range(count):
        for earlier, delay in before[index]:
            depth[index] = max(depth[index], depth[earlier] + delay)
    deepest = max(depth) or 1
    # A loop's set-up reaches no further than 64 words back from the loop: it goes first.
    order: list[tuple[tuple[bool, float, float], int]] = []
    for index, one in enumerate(instructions):
        first, second = rank(depth[index] / deepest, index / count)
        order.append(((one.loop is None, -first, -second), index))
    bound = [int(ends_loop and one.loop is not None) for one in instructions]
    back = [0] * count
    ready = [order[index] for index in range(count) if after[index] == 0]
    heapq.heapify(ready)
    time, left = 0, count
    while left:
        packet: tuple[Unit, ...] = ()
        waiting = []
        while ready and len(packet) < MAX_WORDS:
            entry = heapq.heappop(ready)
            index = entry[-1]
            joined = joins(packet, instructions[index].unit) if bound[index] <= time else None
            if joined is None:
                waiting.append(entry)
                continue
            packet = joined
            back[index] = time
            left -= 1
            for earlier, delay in before[index]:
                bound[earlier] = max(bound[earlier], time + delay)
                after[earlier] -= 1
                if after[earlier] == 0:
                    heapq.heappush(ready, order[earlier])
        for entry in waiting:
            heapq.heappush(ready, entry)
        time += 1
    return [time - 1 - one for one in back]
