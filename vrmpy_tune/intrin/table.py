"""The table of instruction forms that tensorization can use.

A row says what one instruction computes and on which data types; everything else
(TVMScript, tests, documentation of ``vrmpy-tune spaces``) follows from it.  Instruction
names, operand order and first architectures are from Qualcomm's *Hexagon V66/V73 HVX
Programmer's Reference Manual*; the LLVM names were checked by execution (``tests/device``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SCOPES: Final = ("global", "global.vtcm")
"""Memory scopes from which the operands of an instruction may come."""

ACCUMULATOR_SCOPES: Final = ("local", *SCOPES)
"""Memory scopes in which the accumulators may lie; ``local`` becomes vector registers."""


@dataclass(frozen=True)
class Scopes:
    """Memory scopes of an instruction's operands.

    Attributes
    ----------
    scalar, vector, accumulator:
        Scope of each operand; accumulators in ``local`` become vector registers.
    """

    scalar: str = "global"
    vector: str = "global"
    accumulator: str = "local"


@dataclass(frozen=True)
class Instruction:
    """One multiply instruction.

    Attributes
    ----------
    name:
        Name of the rule, without scopes.
    mnemonic:
        What the assembler prints, for checking that the instruction is really there.
    llvm:
        LLVM intrinsic for 128-byte vectors; its operands are accumulators, vector, scalar,
        or accumulators, splat scalar, vector where ``splat_first``.
    scalar_type, vector_type:
        Data types of the operand that is the same for all lanes, and of the one that is not.
    reduce:
        Elements multiplied and added into one 32-bit lane.
    splat:
        Whether the scalar is first copied into all lanes of a vector (one instruction a packet
        before v69), or read from a scalar register (two a packet).
    splat_first:
        Whether the splat scalar is the instruction's first operand.
    saturates:
        Whether the sum is clipped to int32, once, after all products were added.
    first_arch:
        First Hexagon version that has the instruction.
    """

    name: str
    mnemonic: str
    llvm: str
    scalar_type: str
    vector_type: str
    reduce: int = 4
    splat: bool = False
    splat_first: bool = False
    saturates: bool = False
    first_arch: int = 60

    def rule(self, scopes: Scopes) -> str:
        """Return the name under which TVM knows this instruction for the given scopes."""
        return "/".join((self.name, scopes.scalar, scopes.vector, scopes.accumulator))


TABLE: Final[tuple[Instruction, ...]] = (
    Instruction(
        name="vrmpy.u8_u8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpyub.acc.128B",
        scalar_type="uint8",
        vector_type="uint8",
    ),
    Instruction(
        name="vrmpy.i8_u8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpybus.acc.128B",
        scalar_type="int8",
        vector_type="uint8",
    ),
    Instruction(
        name="vrmpy.splat_u8_u8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpyubv.acc.128B",
        scalar_type="uint8",
        vector_type="uint8",
        splat=True,
    ),
    Instruction(
        name="vrmpy.splat_u8_i8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpybusv.acc.128B",
        scalar_type="uint8",
        vector_type="int8",
        splat=True,
        splat_first=True,
    ),
    Instruction(
        name="vrmpy.splat_i8_u8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpybusv.acc.128B",
        scalar_type="int8",
        vector_type="uint8",
        splat=True,
    ),
    Instruction(
        name="vrmpy.splat_i8_i8",
        mnemonic="vrmpy",
        llvm="llvm.hexagon.V6.vrmpybv.acc.128B",
        scalar_type="int8",
        vector_type="int8",
        splat=True,
    ),
    # TVM's own vdmpy rule describes a sum that wraps; the instruction saturates.
    Instruction(
        name="vdmpy.splat_i16_i16",
        mnemonic="vdmpy",
        llvm="llvm.hexagon.V6.vdmpyhvsat.acc.128B",
        scalar_type="int16",
        vector_type="int16",
        reduce=2,
        splat=True,
        saturates=True,
    ),
)


def instruction(name: str) -> Instruction:
    """Return the row called ``name``; raises ``KeyError`` if there is none."""
    return _BY_NAME[name]


_BY_NAME: Final = {row.name: row for row in TABLE}
