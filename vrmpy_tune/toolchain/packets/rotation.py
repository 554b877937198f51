"""Rotating the loop over tiles, so that one tile's end overlaps the next one's beginning.

``loop { head; inner; tail }`` becomes ``head; loop { inner; tail; head }; inner; tail``: the
same instructions, as often as before, but with the tail (stores) and the next head (initial
accumulators, first loads) in one block, where they share packets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.function import Block
from vrmpy_tune.toolchain.packets.instruction import Instruction

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.function import Flow, Function

MAX_CONSTANT: Final = 1023
"""Largest constant count of a hardware loop's set-up."""

_CONSTANT: Final = re.compile(r"(r\d+) = #+(\d+)")


@dataclass(frozen=True)
class Setup:
    """Where a hardware loop is set up.

    Attributes
    ----------
    position:
        Instruction of the block.
    count:
        Iterations.
    register:
        Register that holds the count, if it is not part of the instruction.
    """

    position: int
    count: int
    register: str | None


def loop_setup(block: Block, loop: int, label: str | None) -> Setup | None:
    """Return how a block, which control leaves at its end, sets up the loop at ``label``."""
    constants: dict[str, int] = {}
    found = None
    for position, one in enumerate(block.instructions):
        constant = _CONSTANT.fullmatch(one.text)
        for atom in one.writes:
            constants.pop(atom, None)
        if constant:
            constants[constant[1]] = int(constant[2])
        if one.loop and one.loop[:2] == (loop, label):
            _, _, count, register = one.loop
            if register is not None:
                count = constants.get(register)
            found = None if count is None else Setup(position, count, register)
    return None if block.last is not None or block.ends else found


def with_count(block: Block, setup: Setup, count: int, label: str | None = None) -> None:
    """Change a loop's count, and where it begins."""
    one = block.instructions[setup.position]
    assert one.loop is not None
    loop, old, _, _ = one.loop
    label = label or old
    if count <= MAX_CONSTANT:
        block.instructions[setup.position] = Instruction(f"loop{loop}({label},#{count})")
        return
    assert setup.register is not None  # only a register holds what was larger still
    block.instructions[setup.position : setup.position + 1] = [
        Instruction(f"{setup.register} = ##{count}"),
        Instruction(f"loop{loop}({label},{setup.register})"),
        # Others may read the register.
        Instruction(f"{setup.register} = ##{setup.count}"),
    ]


def rotate_loops(function: Function) -> None:
    """Rotate every outer hardware loop whose count is known.

    Raises
    ------
    UnknownAssemblyError
        If a branch leads nowhere known.
    """
    for end in reversed(range(1, len(function.blocks))):
        if 1 in function.blocks[end].ends:
            _rotate(function, end)


def _rotate(function: Function, end: int) -> None:
    flow = function.flow()
    start = flow.starts[end, 1]
    if start > end:
        return  # LLVM laid its beginning out behind it
    blocks = function.blocks[start : end + 1]
    before = function.blocks[start - 1] if start else None
    setup = loop_setup(before, 1, blocks[0].label) if before is not None else None
    inner = [position for position, block in enumerate(blocks) if 0 in block.ends]
    if before is None or setup is None or setup.count < 2 or not inner:
        return
    if not _is_plain(function, flow, start, end) or inner[0] == 0 or inner[-1] == len(blocks) - 1:
        return
    head, body, tail = blocks[: inner[0]], blocks[inner[0] : inner[-1] + 1], blocks[inner[-1] + 1 :]
    entry = loop_setup(_joined(head), 0, body[0].label)
    if entry is None or entry.register is not None:
        return
    first = _joined(head)
    again = _joined([*tail, *head])
    again.ends = (1,)
    # Back over the whole body: further than an unextended offset reaches.
    again.instructions = [
        one.written(extended(one.text)) if one.loop else one for one in again.instructions
    ]
    copied = _copies(body)
    last_setup = Block(None, [], [Instruction(f"loop0({copied[0].label},#{entry.count})")])
    with_count(before, setup, setup.count - 1, body[0].label)
    function.blocks[start : end + 1] = [
        first, *body, again, last_setup, *copied, _joined(tail),
    ]  # fmt: skip


def _is_plain(function: Function, flow: Flow, start: int, end: int) -> bool:
    """Whether blocks follow each other but for inner loops of one block."""
    for index in range(start, end + 1):
        block = function.blocks[index]
        if block.last is not None:
            return False
        if 0 in block.ends and flow.starts[index, 0] != index:
            return False
        inside = {index - 1, index} if 0 in block.ends else {index - 1}
        if index == start:
            inside |= {end}
        if not set(flow.precede[index]) <= inside:
            return False
    return True


def extended(setup: str) -> str:
    """Return the text of a loop's setup that reaches its label from anywhere.

    LLVM may have written it like that already, where the loop is far.
    """
    return re.sub(r"\((?:##)?", "(##", setup, count=1)


def _joined(blocks: list[Block]) -> Block:
    """Return one block of the instructions of several."""
    return Block(None, [], [one for block in blocks for one in block.instructions])


def _copies(body: list[Block]) -> list[Block]:
    """Return the blocks once more, under labels of their own."""
    names: dict[str | None, str] = {
        block.label: f"{block.label}_last" for block in body if block.label is not None
    }

    def moved(one: Instruction) -> Instruction:
        if one.loop is None or one.loop[1] not in names:
            return one
        return one.written(one.text.replace(one.loop[1], names[one.loop[1]]))

    return [
        Block(
            names.get(block.label),
            [f"{names[block.label]}:"] if block.label in names else [],
            [moved(one) for one in block.instructions],
            block.ends,
            [list(packet) for packet in block.packets],
        )
        for block in body
    ]
