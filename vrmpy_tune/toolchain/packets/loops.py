"""Modulo scheduling of an innermost loop: its iterations overlap, so that no packet waits.

The multiplies are spread evenly over the interval, since they are what a kernel consists of; all
else is placed around them, loads a few packets ahead of their first use.  A schedule whose values
do not fit the registers is tried again with shorter leads, then with a longer interval.
(*B. R. Rau, Iterative Modulo Scheduling, 1994*.)
"""

from __future__ import annotations

import heapq
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.dependence import edges, other_buffer
from vrmpy_tune.toolchain.packets.registers import Allocation, rename
from vrmpy_tune.toolchain.packets.resources import MAX_WORDS, Unit, joins, least_packets
from vrmpy_tune.toolchain.packets.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vrmpy_tune.toolchain.packets.dependence import Edge
    from vrmpy_tune.toolchain.packets.instruction import Instruction
    from vrmpy_tune.toolchain.packets.registers import Surroundings

LEADS: Final = (4, 2, 1)
"""Packets between a load and its first use, in the order they are tried."""

_DOUBLE_LOAD: Final = re.compile(
    r"r(?P<high>\d+):(?P<low>\d+) = memd\((?P<base>r\d+)\+#+(?P<offset>-?\d+)\)"
)

Order = list[tuple[int, float]]
"""Multiplies, and when each is wanted, as a share of the interval."""

EVICTIONS: Final = 3
"""Times that an instruction may take another one's place, on the average, in one attempt."""

TRIES: Final = 12_000
"""Instructions that all attempts at one loop may place, before the loop is left as it is."""

SLACK: Final = 4
"""Packets above the bound that are tried before the loop is left as it is."""


@dataclass(frozen=True)
class Pipelined:
    """A loop whose iterations overlap.

    Attributes
    ----------
    prologue:
        What runs before it, in sequential order.
    kernel:
        The packets of the loop.
    epilogue:
        What runs behind it, in sequential order.
    stages:
        Iterations that are under way at once; the loop runs ``stages - 1`` times less.
    """

    prologue: list[Instruction]
    kernel: list[list[Instruction]]
    epilogue: list[Instruction]
    stages: int


def pipeline(instructions: list[Instruction], around: Surroundings) -> Pipelined | None:
    """Return the pipelined loop, or ``None`` if it cannot be better than the loop as it is."""
    if any(one.is_branch or one.unit.alone for one in instructions):
        return None
    live = around.live_in | around.live_out
    bodies = [_Body(one, live) for one in _variants(instructions)]
    bound = min(body.bound for body in bodies)
    budget = TRIES
    for interval in range(bound, bound + SLACK):
        for body, lead in itertools.product(bodies, LEADS):
            for order in body.orders:
                if interval < body.bound or budget < 0:
                    continue
                placement = _Placement(body, interval, lead, order)
                times = placement.times()
                found = None if times is None else _allocate(body, times, interval, around)
                if found is not None:
                    return found
                budget -= placement.tries
    return None


class _Body:
    """One way to write the loop's body, and all that is known of it."""

    def __init__(self, instructions: list[Instruction], live: frozenset[str]) -> None:
        self.instructions = instructions
        self.values = Values(instructions, live)
        self.edges = edges(self.values, loop=True)
        self.bound = max(2, least_packets([one.unit for one in instructions]))
        sequence = _sequential(instructions)
        vectors = _by_vector(sequence, instructions, self.values)
        self.orders = [_evenly(sequence), _evenly(vectors)]
        if any(one.access is not None and one.access.is_store for one in instructions):
            # Whole sums in one iteration.
            self.orders += [
                _by_chain(sequence, instructions, self.values, active) for active in (2, 4)
            ]


def _variants(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Return the loop's body as it is, and with pairs of words loaded one by one.

    The second half of a pair waits in its register until its turn comes; where accumulators take
    many packets a word, two loads keep fewer registers busy.
    """
    split = [part for one in instructions for part in _halves(one)]
    return [instructions] if len(split) == len(instructions) else [instructions, split]


def _halves(one: Instruction) -> list[Instruction]:
    found = _DOUBLE_LOAD.fullmatch(one.text)
    if not found or found["base"] in one.writes:
        return [one]
    offset = int(found["offset"])
    parts = []
    for register, at in ((found["high"], offset + 4), (found["low"], offset)):
        mark = "#" if -4096 <= at <= 4092 else "##"
        text = f"r{register} = memw({found['base']}+{mark}{at})"
        parts.append(one.written(text))
    return parts


def _sequential(instructions: list[Instruction]) -> list[int]:
    """Return the multiplies in LLVM's order."""
    return [index for index, one in enumerate(instructions) if one.unit.multiplies]


def _evenly(sequence: list[int]) -> Order:
    """Spread multiplies over the interval, in this order."""
    return [(index, position / len(sequence)) for position, index in enumerate(sequence)]


def _by_vector(sequence: list[int], instructions: list[Instruction], values: Values) -> list[int]:
    """Return the multiplies so that those of one vector follow each other."""
    first: dict[int, int] = {}

    def rank(index: int) -> tuple[int, int]:
        vectors = [
            id(web)
            for position, operand in enumerate(instructions[index].operands)
            if operand.kind == "v" and operand.is_read and not operand.is_written
            for web in values.at[index, position]
        ]
        return min((first.setdefault(one, index) for one in vectors), default=index), index

    return sorted(sequence, key=rank)


def _by_chain(
    sequence: list[int], instructions: list[Instruction], values: Values, active: int
) -> Order:
    """Spread multiplies so that few accumulators are under way at once, each for a while."""
    chains: dict[int, list[int]] = {}
    for index in sequence:
        position = next(
            at for at, operand in enumerate(instructions[index].operands) if operand.is_written
        )
        chains.setdefault(id(values.at[index, position][0]), []).append(index)
    order = [
        (index, (number + active * place / len(chain)) / len(chains))
        for number, chain in enumerate(chains.values())
        for place, index in enumerate(chain)
    ]
    return sorted(order, key=lambda one: one[1])


class _Placement:
    """One attempt to give every instruction a packet."""

    def __init__(self, body: _Body, interval: int, lead: int, order: Order) -> None:
        self.instructions, self.interval = body.instructions, interval
        self.lead, self.order = lead, order
        self.pinned = {index for index, _ in order}
        self.packets: list[list[int]] = [[] for _ in range(interval)]
        self.units: list[tuple[Unit, ...]] = [()] * interval
        self.tries = 0
        self.placed: dict[int, int] = {}
        self.forced: dict[int, int] = {}
        self.after: list[list[Edge]] = [[] for _ in body.instructions]
        self.before: list[list[Edge]] = [[] for _ in body.instructions]
        for edge in body.edges:
            self.after[edge.earlier].append(edge)
            self.before[edge.later].append(edge)
        # The nearest packets first.
        self.steps = sorted(range(-interval, interval), key=lambda step: (abs(step), step))

    def times(self) -> list[int] | None:
        """Return the packet of each instruction, counted over iterations; ``None`` if it fails."""
        for index, share in self.order:
            if not self._place(index, int(share * self.interval), range(self.interval)):
                return None
        # Uses before what they use; what moves on to the next iteration behind all that it moves.
        waiting = [
            (self._moves_on(one), -one)
            for one in range(len(self.instructions))
            if one not in self.placed
        ]
        turn = {-entry[1]: entry for entry in waiting}
        heapq.heapify(waiting)
        budget = EVICTIONS * len(waiting)
        while waiting:
            index = -heapq.heappop(waiting)[1]
            self.tries += 1
            if self._place(index, self._wanted(index), self.steps):
                continue
            budget -= 1
            evicted = self._force(index) if budget > 0 else None
            if evicted is None:
                return None
            for other in evicted:
                heapq.heappush(waiting, turn[other])
        return [self.placed[index] for index in range(len(self.instructions))]

    def _moves_on(self, index: int) -> bool:
        """Whether the next iteration reads what an instruction writes: a pointer, a counter."""
        return any(edge.distance == 1 and edge.delay == 1 for edge in self.after[index])

    def _wanted(self, index: int) -> int:
        """Return the packet in which an instruction should be: a lead ahead of its first use."""
        lead = self.lead if self.instructions[index].access else 1
        uses = [
            self.placed[edge.later] - (lead if edge.delay else 0)
            for edge in self.after[index]
            if edge.distance == 0 and edge.later in self.placed
        ]
        if uses:
            return min(uses)
        readers = [
            self.placed[edge.earlier]
            for edge in self.before[index]
            if edge.distance == 0 and edge.earlier in self.placed
        ]
        return max(readers, default=self.interval - 1)

    def _window(self, index: int) -> tuple[int, int]:
        """Return the earliest and the latest packet that the placed instructions allow."""
        earliest, latest = -(1 << 20), 1 << 20
        for edge in self.before[index]:
            if edge.earlier in self.placed:
                time = self.placed[edge.earlier] + edge.delay - edge.distance * self.interval
                earliest = max(earliest, time)
        for edge in self.after[index]:
            if edge.later in self.placed:
                time = self.placed[edge.later] - edge.delay + edge.distance * self.interval
                latest = min(latest, time)
        return earliest, latest

    def _place(self, index: int, wanted: int, steps: Iterable[int]) -> bool:
        earliest, latest = self._window(index)
        for step in steps:
            time = wanted + step
            if not earliest <= time <= latest:
                continue
            joined = self._joined(time, index)
            if joined is not None:
                self._put(index, time, joined)
                return True
        return False

    def _joined(self, time: int, index: int) -> tuple[Unit, ...] | None:
        packet = self.packets[time % self.interval]
        if len(packet) == MAX_WORDS:
            return None
        return joins(self.units[time % self.interval], self.instructions[index].unit)

    def _put(self, index: int, time: int, joined: tuple[Unit, ...]) -> None:
        self.packets[time % self.interval].append(index)
        self.units[time % self.interval] = joined
        self.placed[index] = time

    def _force(self, index: int) -> list[int] | None:
        """Place an instruction all the same; return what had to give way, ``None`` if it cannot."""
        earliest, latest = self._window(index)
        time = min(max(self._wanted(index), earliest), latest)
        if self.forced.get(index) is not None and time <= self.forced[index]:
            time = self.forced[index] - 1
        self.forced[index] = time
        evicted = []
        while (joined := self._joined(time, index)) is None:
            others = [one for one in self.packets[time % self.interval] if one not in self.pinned]
            if not others:
                return None
            evicted.append(self._evict(others[-1]))
        self._put(index, time, joined)
        for edge in (*self.before[index], *self.after[index]):
            first, second = self.placed.get(edge.earlier), self.placed.get(edge.later)
            if first is None or second is None:
                continue
            if second < first + edge.delay - edge.distance * self.interval:
                other = edge.earlier if edge.later == index else edge.later
                if other in self.pinned or other == index:
                    return None
                evicted.append(self._evict(other))
        return evicted

    def _evict(self, index: int) -> int:
        slot = self.placed.pop(index) % self.interval
        self.packets[slot].remove(index)
        left = list(self.units[slot])
        left.remove(self.instructions[index].unit)
        self.units[slot] = tuple(left)
        return index


def _allocate(
    body: _Body, times: list[int], interval: int, around: Surroundings
) -> Pipelined | None:
    base = min(times) // interval * interval
    times = [time - base for time in times]
    allocation = Allocation(body.values, times, around, interval)
    names = allocation.assign()
    if allocation.homeless:
        return None
    renamed = rename(body.instructions, names)
    stages = max(times) // interval + 1
    kernel: list[list[Instruction]] = [[] for _ in range(interval)]
    for time, one in zip(times, renamed, strict=True):
        kernel[time % interval].append(one)
    before, behind = [], []
    for iteration in range(stages - 1):
        for time, one in zip(times, renamed, strict=True):
            if time + iteration * interval < (stages - 1) * interval:
                before.append((time + iteration * interval, one))
            if time >= (iteration + 1) * interval:
                behind.append((time - (iteration + 1) * interval, one))
    prologue, epilogue = _flatten(before), _flatten(behind)
    if prologue is None or epilogue is None:
        return None
    return Pipelined(prologue, kernel, epilogue, stages)


def _flatten(timed: list[tuple[int, Instruction]]) -> list[Instruction] | None:
    """Return instructions in sequential order; in one packet, readers come before writers.

    That holds for registers and for memory, which a packet's load reads before its store writes.
    """
    result: list[Instruction] = []
    for time in sorted({time for time, _ in timed}):
        packet = [one for at, one in timed if at == time]
        while packet:
            free = [
                one
                for one in packet
                if not any(_goes_first(other, one) for other in packet if other is not one)
            ]
            if not free:
                return None
            result.append(free[0])
            packet.remove(free[0])
    return result


def _goes_first(reader: Instruction, writer: Instruction) -> bool:
    """Whether one instruction reads what another one of its packet may write."""
    if reader.reads & writer.writes:
        return True
    load, store = reader.access, writer.access
    if load is None or store is None or load.is_store or not store.is_store:
        return False
    return load.is_spill == store.is_spill and not other_buffer(reader, writer)
