"""From LLVM's sequential assembly to scheduled packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.buffers import mark_buffers
from vrmpy_tune.toolchain.packets.function import Block, Function, UnknownAssemblyError, parse
from vrmpy_tune.toolchain.packets.liveness import live_in_and_out
from vrmpy_tune.toolchain.packets.loops import pipeline
from vrmpy_tune.toolchain.packets.registers import Surroundings, usable
from vrmpy_tune.toolchain.packets.rotation import Setup, loop_setup, rotate_loops, with_count
from vrmpy_tune.toolchain.packets.straight import schedule
from vrmpy_tune.toolchain.packets.zeros import start_without_zeros, zeros_at_ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vrmpy_tune.toolchain.packets.instruction import Instruction

SEQUENTIAL_FLAGS: Final = (
    "-mllvm", "-disable-packetizer",
    "-mllvm", "-enable-pipeliner=false",
    "-mllvm", "-disable-nvjump",
    "-mllvm", "-enable-misched=false",
)  # fmt: skip
"""Flags with which clang leaves instructions in sequence, each in a packet of its own."""

MIN_PEELED: Final = 4
"""Fewest iterations of a loop of which the first is taken out."""

MIN_ACCUMULATORS: Final = 4
"""Fewest accumulators that start at zero for which that is worth its code."""


def repack(assembly: str) -> str:
    """Schedule the instructions of sequential assembly into packets.

    Parameters
    ----------
    assembly:
        What clang prints with :data:`SEQUENTIAL_FLAGS`.

    Raises
    ------
    UnknownAssemblyError
        If it is not of that kind; the message is what is not understood.
    """
    lines: list[str] = []
    for part in parse(assembly):
        if isinstance(part, str):
            lines.append(part)
        else:
            _schedule(part)
            lines += _print(part)
    return "\n".join(lines) + "\n"


def _schedule(function: Function) -> None:
    try:
        if any(block.ends for block in function.blocks):
            mark_buffers(function)
            _peel_loops(function)
            start_without_zeros(function)
            _pipeline_loops(function)
            rotate_loops(function)
        _merge(function)
        live_in, live_out = live_in_and_out(function)
    except UnknownAssemblyError:  # its control flow: what runs in sequence is right as it is
        return
    allowed = usable(function)
    for index, block in enumerate(function.blocks):
        if not block.packets:
            around = Surroundings(live_in[index], live_out[index], allowed)
            block.packets = schedule(block.instructions, around, ends_loop=bool(block.ends))


def _peel_loops(function: Function) -> None:
    """Take the first iteration out of loops whose accumulators start at zero.

    There the multiplications need no accumulators yet, and the loop's first loads and the code in
    front of it share its packets.
    """
    zeros = zeros_at_ends(function)
    for index in range(1, len(function.blocks)):
        block, before = function.blocks[index], function.blocks[index - 1]
        setup = _loop_before(function, index)
        if setup is None or setup.count < MIN_PEELED or setup.register is not None:
            continue
        accumulators = {
            atom for one in block.instructions if one.unit.multiplies for atom in one.writes
        }
        if len(accumulators & zeros[index - 1]) >= MIN_ACCUMULATORS:
            before.instructions += block.instructions
            with_count(before, setup, setup.count - 1)


def _loop_before(function: Function, index: int) -> Setup | None:
    """Return the set-up, in the block before, of the innermost loop that a block is."""
    block = function.blocks[index]
    if 0 not in block.ends:
        return None
    flow = function.flow()
    if flow.starts[index, 0] != index or flow.precede[index] != [index - 1, index]:
        return None
    return loop_setup(function.blocks[index - 1], 0, block.label)


def _pipeline_loops(function: Function) -> None:
    for index in reversed(range(1, len(function.blocks))):
        block, before = function.blocks[index], function.blocks[index - 1]
        setup = _loop_before(function, index)
        if setup is None:
            continue
        live_in, live_out = live_in_and_out(function)
        around = Surroundings(live_in[index], live_out[index], usable(function))
        found = pipeline(block.instructions, around)
        if found is None or setup.count <= found.stages - 1:
            continue
        _replace(function, index, found.prologue, found.epilogue)
        block.packets = found.kernel
        block.instructions = [one for packet in found.kernel for one in packet]
        with_count(before, setup, setup.count - found.stages + 1)


def _replace(
    function: Function, index: int, prologue: list[Instruction], epilogue: list[Instruction]
) -> None:
    """Put the prologue before a loop and the epilogue behind it."""
    block, before = function.blocks[index], function.blocks[index - 1]
    before.instructions += prologue
    ends = tuple(loop for loop in block.ends if loop != 0)
    function.blocks.insert(index + 1, Block(None, [], epilogue, ends))
    block.ends = (0,)


def _merge(function: Function) -> None:
    """Join blocks that always follow each other."""
    targets = {
        one.loop[1] if one.loop else one.target
        for block in function.blocks
        for one in block.instructions
        if one.loop or one.target
    }
    merged: list[Block] = []
    for block in function.blocks:
        last = merged[-1] if merged else None
        joins = (
            last is not None
            and last.last is None
            and not last.ends
            and not last.packets
            and not block.packets
            and (block.label is None or block.label not in targets)
        )
        if joins and last is not None:
            last.instructions += block.instructions
            last.ends = block.ends
        else:
            merged.append(block)
    function.blocks[:] = merged


def _print(function: Function) -> Iterator[str]:
    for block in function.blocks:
        yield from block.head
        packets = block.packets or [[one] for one in block.instructions]
        packets = packets or ([[]] if block.ends else [])
        for number, packet in enumerate(packets):
            last = number == len(packets) - 1
            ends = block.ends if last else ()
            yield "\t{"
            for one in packet:
                yield f"\t\t{one.text}"
            # The encoding of a loop's end wants this many words in its packet.
            wanted = max((2 + loop for loop in ends), default=0)
            for _ in range(wanted - sum(one.words for one in packet)):
                yield "\t\tnop"
            yield "\t}" + "".join(f" :endloop{loop}" for loop in ends)
