"""Sequential assembly as blocks: what LLVM prints when it is told not to make packets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from vrmpy_tune.toolchain.packets.instruction import Instruction

_FUNCTION: Final = re.compile(r"\s*\.type\s+([^,\s]+),@function")
_LABEL: Final = re.compile(r"([.\w$]+):")
_END: Final = re.compile(r"\s*\}\s*((?::endloop[01]\s*)*)")
_DROPPED: Final = re.compile(r"\s*\.cfi_|\.L(?:tmp|func_)\w+:")


class UnknownAssemblyError(Exception):
    """Assembly that this package does not understand."""


@dataclass
class Block:
    """Instructions without a branch in or out between them.

    Attributes
    ----------
    label:
        Its label, or ``None`` where only the block before leads here.
    head:
        Directives in front of it, alignment for example, and the label's line.
    instructions:
        In sequential order.
    ends:
        The hardware loops that end behind it: 0, 1.
    packets:
        The schedule, once it is made; empty until then.
    """

    label: str | None
    head: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    ends: tuple[int, ...] = ()
    packets: list[list[Instruction]] = field(default_factory=list)

    @property
    def last(self) -> Instruction | None:
        """The branch that ends it, if any."""
        end = self.instructions[-1] if self.instructions else None
        return end if end is not None and end.is_branch else None

    @property
    def falls_through(self) -> bool:
        """Whether control may reach the next block."""
        return self.last is None or self.last.falls_through


@dataclass(frozen=True)
class Flow:
    """Which block may follow which, by index.

    Attributes
    ----------
    follow, precede:
        For each block, those that may come next, and those that may have come before.
    starts:
        First block of a hardware loop, by its last block and its number.
    """

    follow: list[list[int]]
    precede: list[list[int]]
    starts: dict[tuple[int, int], int]


@dataclass
class Function:
    """One function.

    Attributes
    ----------
    name:
        Its symbol.
    blocks:
        In the order of the text.
    """

    name: str
    blocks: list[Block]

    def flow(self) -> Flow:
        """Return which block may follow which.

        Raises
        ------
        UnknownAssemblyError
            If a branch leads nowhere known.
        """
        labels = {block.label: index for index, block in enumerate(self.blocks) if block.label}
        follow: list[list[int]] = []
        for index, block in enumerate(self.blocks):
            found = []
            last = block.last
            if last is not None and not last.is_call and not last.is_return:
                if last.target not in labels:
                    raise UnknownAssemblyError(f"where {last.text} leads to in {self.name}")
                found.append(labels[last.target or ""])
            if block.falls_through and index + 1 < len(self.blocks):
                found.append(index + 1)
            follow.append(found)
        starts: dict[tuple[int, int], int] = {}
        for end, begins in self._loops(follow).items():
            if len(begins) != 1 or not begins <= labels.keys():
                raise UnknownAssemblyError(f"where a loop begins in {self.name}")
            starts[end] = labels[begins.pop()]
            follow[end[0]].insert(0, starts[end])
        precede: list[list[int]] = [[] for _ in self.blocks]
        for index, found in enumerate(follow):
            for after in dict.fromkeys(found):
                precede[after].append(index)
        return Flow(follow, precede, starts)

    def _loops(self, follow: list[list[int]]) -> dict[tuple[int, int], set[str]]:
        """Return the labels at which a loop may begin, by its last block and its number.

        That is what the set-ups say which reach its end: its first block may stand anywhere.
        """
        found: dict[tuple[int, int], set[str]] = {
            (index, loop): set() for index, block in enumerate(self.blocks) for loop in block.ends
        }
        reaching: list[set[tuple[int, str]]] = [set() for _ in self.blocks]
        waiting = list(range(len(self.blocks)))
        while waiting:
            index = waiting.pop()
            made = {one.loop[0]: one.loop[1] for one in self.blocks[index].instructions if one.loop}
            after = {one for one in reaching[index] if one[0] not in made} | set(made.items())
            for loop in self.blocks[index].ends:
                found[index, loop] |= {label for number, label in after if number == loop}
            for following in follow[index]:
                if not after <= reaching[following]:
                    reaching[following] |= after
                    waiting.append(following)
        return found


def parse(assembly: str) -> list[str | Function]:
    """Split assembly text into functions, and lines between them.

    Raises
    ------
    UnknownAssemblyError
        If a packet holds two instructions already.
    """
    parts: list[str | Function] = []
    lines = iter(assembly.splitlines())
    for line in lines:
        parts.append(line)
        found = _FUNCTION.match(line)
        if not found:
            continue
        for inner in lines:
            parts.append(inner)
            if inner.startswith(f"{found[1]}:"):
                break
        body: list[str] = []
        for inner in lines:
            if inner.lstrip().startswith(".size"):
                parts += [_parse_function(found[1], body), f"\t.size\t{found[1]}, .-{found[1]}"]
                break
            body.append(inner)
    return [part for part in parts if isinstance(part, Function) or not _DROPPED.match(part)]


def _parse_function(name: str, lines: list[str]) -> Function:
    block = Block(None)
    blocks, pending, packet = [block], [], 0
    for line in lines:
        code, _, comment = line.partition("//")
        code = code.rstrip()
        stripped = code.strip()
        label = _LABEL.match(code)
        end = _END.match(code)
        if not stripped or _DROPPED.match(code):
            continue
        if label or stripped.startswith("."):
            pending.append(code)
            if label:
                block = Block(label[1], pending)
                blocks.append(block)
                pending = []
        elif stripped == "{":
            packet = 0
        elif end:
            ends = tuple(int(one) for one in re.findall(r"endloop([01])", end[1]))
            # What follows in sequence may be spilled comments; loops end their block.
            if ends:
                block.ends = ends
                block = Block(None)
                blocks.append(block)
            elif "Folded" in comment and block.instructions and packet == 1:
                block.instructions[-1] = Instruction(block.instructions[-1].text, is_spill=True)
        elif stripped != "nop":
            packet += 1
            if packet > 1:
                raise UnknownAssemblyError(f"a packet of two instructions in {name}: {stripped}")
            block.instructions.append(Instruction(stripped))
            if block.instructions[-1].is_branch:
                block = Block(None)
                blocks.append(block)
    if pending:
        raise UnknownAssemblyError(f"directives at the end of {name}")
    kept = [one for one in blocks if one.label or one.instructions or one.ends]
    return Function(name, kept)
