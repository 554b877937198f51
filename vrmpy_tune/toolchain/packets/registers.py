"""Registers for the values of a scheduled block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmpy_tune.toolchain.packets.instruction import CALLER_SAVED

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.function import Function
    from vrmpy_tune.toolchain.packets.instruction import Instruction
    from vrmpy_tune.toolchain.packets.values import Group, Values, Web

Names = dict[int, dict[int, tuple[int, ...]]]
"""New register numbers: by instruction, by operand."""

Span = tuple[int, int]
"""Packets after which a register holds a value, and up to which."""


def usable(function: Function) -> frozenset[str]:
    """Return the registers that a function may use: of those it must preserve, what it saves."""
    written = {
        atom for block in function.blocks for one in block.instructions for atom in one.writes
    }
    return (CALLER_SAVED | written) - {"r29", "r30", "r31"}


@dataclass(frozen=True)
class Surroundings:
    """What the rest of the function asks of a block.

    Attributes
    ----------
    live_in, live_out:
        Registers whose values come from, and go to, other blocks.
    usable:
        Registers that the function may use.
    """

    live_in: frozenset[str]
    live_out: frozenset[str]
    usable: frozenset[str]


class Allocation:
    """Registers of the values of one block.

    Parameters
    ----------
    values:
        The values.
    times:
        Packet of each instruction.
    around:
        What is asked of the block.
    interval:
        Packets after which the block's next iteration begins, of a loop that overlaps its
        iterations; else ``None``.
    """

    def __init__(
        self,
        values: Values,
        times: list[int],
        around: Surroundings,
        interval: int | None = None,
    ) -> None:
        self.values, self.times, self.interval = values, times, interval
        self.homeless: list[Group] = []
        self.busy: dict[str, list[Span]] = {}
        self.usable = around.usable
        live_in, live_out = around.live_in, around.live_out
        length = max(times) + 1
        whole = (-1, length + 1)
        written: set[str] = set()
        for group in values.groups:
            for web in group.webs:
                if group.is_fixed:
                    span = whole if interval is not None else self._span(web, length)
                    self.busy.setdefault(web.atom, []).append(span)
                    written.add(web.atom)
        for atom in (live_in | live_out) - written:
            self.busy.setdefault(atom, []).append(whole)
        if interval is not None:
            for atom in live_in | live_out:
                self.busy.setdefault(atom, []).append(whole)

    def assign(self) -> Names:
        """Return new register numbers; what none are left for is :attr:`homeless`."""
        chosen: dict[int, int] = {}
        groups = [group for group in self.values.groups if not group.is_fixed]
        for group in sorted(groups, key=self._start):
            base = self._choose(group)
            if base is None:
                self.homeless.append(group)
                continue
            for web in group.webs:
                number = base + (web.number & 1 if group.is_pair else 0)
                chosen[id(web)] = number
                self.busy.setdefault(f"{web.atom[0]}{number}", []).append(self._span(web, 0))
        names: Names = {}
        for (index, position), webs in self.values.at.items():
            if any(id(web) in chosen for web in webs):
                names.setdefault(index, {})[position] = tuple(chosen[id(web)] for web in webs)
        return names

    def _choose(self, group: Group) -> int | None:
        web = group.webs[0]
        kind = web.atom[0]
        if group.is_pair:
            bases = [web.number & ~1, *range(0, 32, 2)]
            return next((base for base in bases if self._fits(kind, base, group)), None)
        numbers = [web.number, *range(32)]
        return next((number for number in numbers if self._fits(kind, number, group)), None)

    def _fits(self, kind: str, base: int, group: Group) -> bool:
        for web in group.webs:
            atom = f"{kind}{base + (web.number & 1 if group.is_pair else 0)}"
            if atom not in self.usable:
                return False
            span = self._span(web, 0)
            if any(self._overlap(span, other) for other in self.busy.get(atom, ())):
                return False
        return True

    def _start(self, group: Group) -> tuple[int, int]:
        spans = [self._span(web, 0) for web in group.webs]
        return min(span[0] for span in spans), -max(span[1] for span in spans)

    def _span(self, web: Web, length: int) -> Span:
        first = -1 if web.lives_in else min(self.times[index] for index, _, _ in web.events)
        # Nothing else may be written where this is, even if nobody reads it.
        last = max(self.times[index] + writes for index, _, writes in web.events)
        last = length + 1 if web.lives_out else max(last, first + 1)
        return first, last

    def _overlap(self, one: Span, other: Span) -> bool:
        if self.interval is None:
            return max(one[0], other[0]) < min(one[1], other[1]) or one[0] == other[0]
        if other[0] == -1:
            return True
        spread = self.interval
        first, second = one[0] % spread, other[0] % spread
        ahead = (second - first) % spread
        return ahead < one[1] - one[0] or (first - second) % spread < other[1] - other[0]


def rename(instructions: list[Instruction], names: Names) -> list[Instruction]:
    """Return the instructions with new register numbers."""
    return [one.renamed(names.get(index, {})) for index, one in enumerate(instructions)]
