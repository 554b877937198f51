"""One instruction of Hexagon assembly: its registers, its memory access, its resources."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from vrmpy_tune.target import VECTOR_BYTES
from vrmpy_tune.toolchain.packets.resources import Unit, unit_of

ARGUMENTS: Final = tuple(f"r{number}" for number in range(6))
CALLER_SAVED: Final = frozenset(
    [*(f"r{number}" for number in (*range(16), 28, 31)), *(f"v{number}" for number in range(32))]
    + [f"{kind}{number}" for kind in "pq" for number in range(4)]
)
CALLEE_SAVED: Final = frozenset(f"r{number}" for number in (*range(16, 28), 29, 30, 31))
"""Hexagon's calling convention (*Qualcomm Hexagon Application Binary Interface User Guide*)."""

_REGISTER: Final = re.compile(r"(?<![\w.#$])([rvpqm])(\d+)(?::(\d+))?(?![\w:])")
_SPECIAL: Final = re.compile(r"(?<![\w.#$])(usr|lc[01]|sa[01]|gp|ugp|pc|cs[01])(?!\w)")
_CONDITION: Final = re.compile(r"if\s*\(!?[pq]\d+(?:\.new)?\)\s*")
_ASSIGN: Final = re.compile(r"(?<![<>=!&|+\-^])\s([+\-&|^]?)=\s")
_MEMORY: Final = re.compile(r"(v?mem(?:u?[bhwd]|ub|uh|u)?)\(([^)]*)\)")
_ADDRESS: Final = re.compile(r"(r\d+)(?:(\+\+|\+)#+(-?\d+))?")
_BRANCH: Final = re.compile(r"(?:jump|jumpr|call|callr|hintjr)\b|.*dealloc_return")
_ZERO: Final = re.compile(r"(v\d+)\s*=\s*vxor\(\1,\1\)")
_LOOP: Final = re.compile(r"loop([01])\((?:##)?([^#,]\S*?),\s*(?:#(\d+)|(r\d+))\)")
_ADD: Final = re.compile(r"r\d+ = add\((r\d+),#+(-?\d+)\)")
_LOW: Final = re.compile(r"(?:.*= )?v(?:align|lalign|asr|shuff|deal|lut\w*)\(.*,r\d+\)")
_LABEL: Final = re.compile(r"\.L\w+")
_RETURN: Final = re.compile(r"jumpr(?::n?t)? r31")
_TAIL_CALL: Final = re.compile(r"jump [A-Za-z_]\w*")
_PARTIAL: Final = re.compile(r"\S+\.[hl] = #|\S+ = v?insert\(|\S+ = \w+\([^()]*\w+\(")
"""Forms whose result keeps a part of what its register held, or must be one of its sources."""
_SIZES: Final = {"b": 1, "ub": 1, "h": 2, "uh": 2, "w": 4, "d": 8}


@dataclass(frozen=True)
class Operand:
    """One register, or one pair, in the text of an instruction.

    Attributes
    ----------
    kind:
        ``"r"``, ``"v"``, ``"p"``, ``"q"`` or ``"m"``.
    numbers:
        Register numbers, ascending: one, or two of a pair.
    start, end:
        Where it stands in the text.
    is_read, is_written:
        What the instruction does with it; both for ``+=`` and post-incremented addresses.
    """

    kind: str
    numbers: tuple[int, ...]
    start: int
    end: int
    is_read: bool
    is_written: bool

    @property
    def atoms(self) -> tuple[str, ...]:
        """Names of the single registers."""
        return tuple(f"{self.kind}{number}" for number in self.numbers)


@dataclass(frozen=True)
class Access:
    """A memory access.

    Attributes
    ----------
    is_store:
        Whether it writes.
    base:
        Register of the address; ``None`` where the address has another form.
    offset:
        Bytes from it.
    step:
        Bytes added to the base afterwards; ``None`` where it is not a constant.
    size:
        Bytes accessed.
    is_spill:
        Whether LLVM says that it is a spill slot, which no pointer leads to.
    """

    is_store: bool
    base: str | None
    offset: int
    step: int | None
    size: int
    is_spill: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes
    ----------
    text:
        As LLVM printed it, without comment.
    is_spill:
        Whether it accesses a spill slot.
    origins:
        Where the address of its memory access comes from; empty if that is not known.
    """

    text: str
    is_spill: bool = False
    origins: frozenset[str] = frozenset()
    operands: tuple[Operand, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "operands", _operands(self.text))

    @cached_property
    def unit(self) -> Unit:
        """What it takes of a packet."""
        return unit_of(self.text)

    @cached_property
    def words(self) -> int:
        """Words of code: a constant of more bits than fit takes one more."""
        return 1 + ("##" in self.text)

    @cached_property
    def is_branch(self) -> bool:
        """Whether control may leave the block here; calls included."""
        return _BRANCH.match(_CONDITION.sub("", self.text, count=1)) is not None

    @property
    def is_call(self) -> bool:
        """Whether control comes back."""
        return self.text.startswith(("call ", "callr "))

    @property
    def is_return(self) -> bool:
        """Whether the function ends here."""
        body = _CONDITION.sub("", self.text, count=1)
        leaves = "dealloc_return" in body or _RETURN.fullmatch(body) is not None
        return leaves or _TAIL_CALL.match(self.text) is not None

    @property
    def falls_through(self) -> bool:
        """Whether the next instruction may follow."""
        return not self.is_branch or self.is_call or self.text.startswith("if")

    @cached_property
    def target(self) -> str | None:
        """Label that a branch leads to."""
        found = _LABEL.search(self.text) if self.is_branch else None
        return found[0] if found else None

    @cached_property
    def loop(self) -> tuple[int, str, int | None, str | None] | None:
        """Of a loop setup: which loop, its label, its count if constant, else the register."""
        found = _LOOP.fullmatch(self.text)
        if not found:
            return None
        return int(found[1]), found[2], int(found[3]) if found[3] else None, found[4]

    @cached_property
    def reads(self) -> frozenset[str]:
        """Registers that are read, the ones that are implied included."""
        named = {atom for one in self.operands if one.is_read for atom in one.atoms}
        return frozenset(named | set(self.implied_reads))

    @cached_property
    def writes(self) -> frozenset[str]:
        """Registers that are written, the ones that are implied included."""
        named = {atom for one in self.operands if one.is_written for atom in one.atoms}
        return frozenset(named | set(self.implied_writes))

    @cached_property
    def implied_reads(self) -> tuple[str, ...]:
        """Registers that are read without standing in the text as operands."""
        special = _SPECIAL.findall(self.text)
        if self.is_call:
            return (*special, *ARGUMENTS, "r29", "r30")
        if self.is_return:
            return (*special, *sorted(CALLEE_SAVED), *ARGUMENTS)
        if self.text.startswith("allocframe"):
            return ("r29", "r30", "r31")
        if self.text.startswith("deallocframe") or "= deallocframe" in self.text:
            return ("r29", "r30")
        return tuple(special)

    @cached_property
    def implied_writes(self) -> tuple[str, ...]:
        """Registers that are written without standing in the text as operands."""
        special = [name for name in _SPECIAL.findall(self.text) if name != "pc"]
        if self.is_call:
            return (*special, *sorted(CALLER_SAVED))
        if self.loop:
            return (*special, f"lc{self.loop[0]}", f"sa{self.loop[0]}")
        if "frame" in self.text or "dealloc_return" in self.text:
            return ("r29", "r30", "r31")
        return tuple(special)

    @cached_property
    def access(self) -> Access | None:
        """The memory access, if any."""
        found = _MEMORY.search(self.text)
        if not found:
            if "frame" in self.text or "dcfetch" in self.text:
                return Access(True, None, 0, None, VECTOR_BYTES, is_spill=False)
            return None
        name, inside = found.groups()
        assign = _ASSIGN.search(self.text)
        is_store = assign is not None and found.start() < assign.start()
        is_vector = name.startswith("v")
        size = VECTOR_BYTES if is_vector else _SIZES[name[3:]]
        address = _ADDRESS.fullmatch(inside.strip())
        if not address:
            return Access(is_store, None, 0, None, size, self.is_spill)
        base, form, number = address.groups()
        value = int(number or 0) * (VECTOR_BYTES if is_vector else 1)
        if form == "++":
            return Access(is_store, base, 0, value, size, self.is_spill)
        return Access(is_store, base, value, 0, size, self.is_spill)

    def wants_low_register(self, position: int) -> bool:
        """Whether an operand must be one of r0 to r7."""
        return self.operands[position].kind == "r" and _LOW.match(self.text) is not None

    @cached_property
    def moved(self) -> tuple[str, int] | None:
        """Register and constant of ``rX = add(rY,#c)``."""
        found = _ADD.fullmatch(self.text)
        return (found[1], int(found[2])) if found else None

    def renamed(self, names: dict[int, tuple[int, ...]]) -> Instruction:
        """Return the instruction with other register numbers for some operands, by position."""
        if not names:
            return self
        parts, at = [], 0
        for position, one in enumerate(self.operands):
            numbers = names.get(position, one.numbers)
            printed = ":".join(str(number) for number in reversed(numbers))
            parts += [self.text[at : one.start], f"{one.kind}{printed}"]
            at = one.end
        return self.written("".join(parts) + self.text[at:])

    def written(self, text: str) -> Instruction:
        """Return an instruction of another text that goes to the same memory."""
        return Instruction(text, self.is_spill, self.origins)

    def at(self, origins: frozenset[str]) -> Instruction:
        """Return the same instruction, its address coming from ``origins``."""
        return Instruction(self.text, self.is_spill, origins)


def _operands(text: str) -> tuple[Operand, ...]:
    if _ZERO.fullmatch(text):
        return tuple(
            Operand("v", (int(found[2]),), found.start(), found.end(), False, True)
            for found in _REGISTER.finditer(text)
        )
    condition = _CONDITION.match(text)
    body = condition.end() if condition else 0
    assign = _ASSIGN.search(text, body)
    memory = _MEMORY.search(text)
    # The base of a post-increment, and the register that is set to an absolute address.
    updates = memory is not None and ("++" in memory[2] or "=" in memory[2])
    partial = _PARTIAL.match(text, body) is not None
    operands = []
    for found in _REGISTER.finditer(text):
        kind, low, high = found[1], found[2], found[3]
        numbers = (int(low),) if high is None else tuple(sorted((int(low), int(high))))
        inside = memory is not None and memory.start() < found.start() < memory.end()
        is_read, is_written = True, False
        if inside and memory is not None:
            first = found.start() == memory.start(2)
            is_written = updates and first
        elif assign is not None and body <= found.start() < assign.start():
            is_written = True
            is_read = assign[1] != "" or condition is not None or partial
        elif assign is None and text.startswith(("vshuff", "vdeal", "vswap")) and kind == "v":
            is_written = True
        operands.append(Operand(kind, numbers, found.start(), found.end(), is_read, is_written))
    return tuple(operands)
