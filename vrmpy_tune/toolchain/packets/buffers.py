"""Which buffer each memory access goes to, as far as the code itself tells.

TVM's kernels get their buffers as arguments, or, in the body of a parallel loop, from a closure,
and different buffers never overlap (``tirx.noalias``).  LLVM knows that, but does not print it; so
each address is traced back to the argument, the closure's field, the call or the stack that it
comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain.packets.instruction import ARGUMENTS, CALLER_SAVED

if TYPE_CHECKING:
    from vrmpy_tune.toolchain.packets.function import Function
    from vrmpy_tune.toolchain.packets.instruction import Instruction

Origins = frozenset[str]

UNKNOWN: Final = "?"
_CLOSURE: Final = "closure"
_STACK: Final = frozenset({"stack"})
_NOTHING: Final[Origins] = frozenset()


def mark_buffers(function: Function) -> None:
    """Note on each memory access of a kernel where its address comes from.

    Raises
    ------
    UnknownAssemblyError
        If a branch leads nowhere known.
    """
    if function.name.startswith("__tvm_ffi_"):
        return  # takes arguments apart; its pointers come from memory
    follow = function.flow().follow
    states: list[dict[str, Origins] | None] = [None] * len(function.blocks)
    states[0] = _entry(function.name)
    waiting = [0]
    while waiting:
        index = waiting.pop()
        state = dict(states[index] or {})
        for position, one in enumerate(function.blocks[index].instructions):
            _step(one, state, (index, position))
        for after in follow[index]:
            old = states[after]
            joined = dict(state) if old is None else _join(old, state)
            if joined != old:
                states[after] = joined
                waiting.append(after)
    for index, (block, entry) in enumerate(zip(function.blocks, states, strict=True)):
        state = dict(entry or {})
        for position, one in enumerate(block.instructions):
            if one.access is not None and entry is not None:
                block.instructions[position] = one.at(_address(one, state))
            _step(one, state, (index, position))


def _entry(name: str) -> dict[str, Origins]:
    if "parallel_lambda" in name:
        # int lambda(int task, TVMParallelGroupEnv* environment, void* closure)
        return {"r0": _NOTHING, "r1": frozenset({"environment"}), "r2": frozenset({_CLOSURE})}
    return {register: frozenset({register}) for register in ARGUMENTS}


def _join(one: dict[str, Origins], other: dict[str, Origins]) -> dict[str, Origins]:
    return {key: one.get(key, _NOTHING) | other.get(key, _NOTHING) for key in one.keys() | other}


def _origins(atom: str, state: dict[str, Origins]) -> Origins:
    return _STACK if atom in ("r29", "r30") else state.get(atom, _NOTHING)


def _address(one: Instruction, state: dict[str, Origins]) -> Origins:
    """Return where the address of an access comes from."""
    inside = one.text[one.text.index("(") : one.text.index(")") + 1] if "(" in one.text else ""
    start = one.text.index("(") if inside else 0
    registers = [
        atom
        for operand in one.operands
        if operand.kind == "r" and start <= operand.start < start + len(inside)
        for atom in operand.atoms
    ]
    return _NOTHING.union(*(_origins(atom, state) for atom in registers))


def _step(one: Instruction, state: dict[str, Origins], where: tuple[int, int]) -> None:
    """Follow one instruction; ``where`` it stands tells calls apart."""
    access = one.access
    if one.is_call:
        for atom in CALLER_SAVED:
            state[atom] = frozenset({UNKNOWN})
        # LLVM's own helpers divide integers; other calls may return memory.
        is_arithmetic = "__hexagon_" in one.text
        state["r0"] = _NOTHING if is_arithmetic else frozenset({f"{one.text} at {where}"})
        return
    written = [atom for operand in one.operands if operand.is_written for atom in operand.atoms]
    if access is not None and access.base is not None:
        address = _address(one, state)
        moved = {access.base} if access.base in written else set()
        others = [atom for atom in written if atom not in moved]
        slots = [f"slot {access.offset + 4 * position}" for position in range(2)]
        if access.is_store:
            if access.base == "r29":
                sources = [
                    atom
                    for operand in one.operands
                    if operand.start > one.text.index("=")
                    for atom in operand.atoms
                ]
                for slot, atom in zip(slots, sources, strict=False):
                    state[slot] = _origins(atom, state)
        elif access.base == "r29":
            for slot, atom in zip(slots, others, strict=False):
                state[atom] = state.get(slot, frozenset({UNKNOWN}))
        else:
            for position, atom in enumerate(others):
                is_field = address == {_CLOSURE}
                field = frozenset({f"{_CLOSURE} {access.offset + 4 * position}"})
                state[atom] = field if is_field else _NOTHING
        return
    read = [atom for operand in one.operands if operand.is_read for atom in operand.atoms]
    result = _NOTHING.union(*(_origins(atom, state) for atom in read if atom[0] == "r"))
    for atom in written:
        state[atom] = result
