"""Registers of one block as values: what belongs together, and what can be renamed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.instruction import Instruction

RENAMED_KINDS: Final = ("r", "v")
FIRST_RESERVED: Final = 29
"""Stack, frame and link register follow."""


@dataclass
class Web:
    """All that one value is called by: from its definition through everything tied to it.

    Attributes
    ----------
    atom:
        The register that LLVM chose.
    events:
        Accesses in order: instruction, whether it reads, whether it writes.
    lives_in, lives_out:
        Whether the value comes from, or goes to, other blocks.
    """

    atom: str
    events: list[tuple[int, bool, bool]] = field(default_factory=list)
    lives_in: bool = False
    lives_out: bool = False
    group: Group | None = None

    @property
    def number(self) -> int:
        """Register number."""
        return int(self.atom[1:])


@dataclass
class Group:
    """Webs that get registers together: one, or those that pairs join."""

    webs: list[Web]
    is_pair: bool = False
    is_fixed: bool = False


class Values:
    """The webs of a block.

    Parameters
    ----------
    instructions:
        In sequential order.
    live_out:
        Registers whose values are used behind the block.
    """

    def __init__(self, instructions: list[Instruction], live_out: frozenset[str]) -> None:
        self.instructions = instructions
        self.webs: list[Web] = []
        self.at: dict[tuple[int, int], list[Web]] = {}
        current: dict[str, Web] = {}
        for index, one in enumerate(instructions):
            self._enter(index, one, current)
        for atom, web in current.items():
            web.lives_out = atom in live_out
        self.groups = self._group()

    def _enter(self, index: int, one: Instruction, current: dict[str, Web]) -> None:
        old: dict[str, Web] = {}
        for position, operand in enumerate(one.operands):
            if operand.is_read:
                webs = [self._current(atom, current) for atom in operand.atoms]
                self.at[index, position] = webs
                old.update(zip(operand.atoms, webs, strict=True))
        for atom in one.implied_reads:
            web = self._current(atom, current)
            web.events.append((index, True, False))
            web.lives_in = True  # the instruction does not name it: it must stay
        for atom in one.implied_writes:
            current[atom] = self._new(atom)
            current[atom].events.append((index, False, True))
            current[atom].lives_in = True
        made: dict[str, Web] = {}
        for position, operand in enumerate(one.operands):
            if not operand.is_written:
                continue
            webs = []
            for atom in operand.atoms:
                tied = operand.is_read
                web = old[atom] if tied else made.get(atom) or self._new(atom)
                made[atom] = web
                webs.append(web)
            self.at[index, position] = webs
        for web in {id(web): web for web in old.values()}.values():
            writes = made.get(web.atom) is web
            web.events.append((index, True, writes))
        for atom, web in made.items():
            if old.get(atom) is not web:
                web.events.append((index, False, True))
            current[atom] = web

    def _current(self, atom: str, current: dict[str, Web]) -> Web:
        if atom not in current:
            current[atom] = self._new(atom)
            current[atom].lives_in = True
        return current[atom]

    def _new(self, atom: str) -> Web:
        web = Web(atom)
        self.webs.append(web)
        return web

    def _group(self) -> list[Group]:
        for web in self.webs:
            web.group = Group([web])
        for webs in self.at.values():
            if len(webs) == 2:
                first, second = webs[0].group, webs[1].group
                assert first is not None
                assert second is not None
                first.is_pair = True
                if first is not second:
                    first.webs += second.webs
                    for web in second.webs:
                        web.group = first
        low = {
            id(web)
            for (index, position), webs in self.at.items()
            for web in webs
            if self.instructions[index].wants_low_register(position)
        }
        groups = {id(web.group): web.group for web in self.webs if web.group is not None}
        for group in groups.values():
            group.is_fixed = any(
                web.lives_in or web.lives_out or id(web) in low
                or web.atom[0] not in RENAMED_KINDS
                or (web.atom[0] == "r" and web.number >= FIRST_RESERVED)
                for web in group.webs
            )  # fmt: skip
            if group.is_pair and not group.is_fixed:
                group.is_fixed = len({web.number & ~1 for web in group.webs}) > 1
        return list(groups.values())
