"""Ways to generate code from the same TIR; which one is best differs by schedule.

The way is a decision of the trace (an annotation on the function's root block), so that a
search measures them all, and a record says by which one its figure was reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.toolchain import zig
from vrmpy_tune.toolchain.versions import toolchain_versions

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.process import ProcessLimits
    from vrmpy_tune.target import HexagonTarget

ANNOTATION: Final = "vrmpy_tune.codegen"
"""Key of the block annotation whose value is an index into :data:`CODE_GENERATORS`."""


@dataclass(frozen=True)
class CodeGenerator:
    """One way from TIR to assembly.

    Attributes
    ----------
    name:
        What records and reports call it.
    by_tvm:
        Whether TVM's own LLVM generates the assembly; else it prints LLVM IR for zig's clang.
    flags:
        Flags for zig's clang.
    prior:
        Probability with which a random sample takes it.
    """

    name: str
    by_tvm: bool
    flags: tuple[str, ...]
    prior: float


CODE_GENERATORS: Final = (
    # The header of a loop over accumulators holds one phi for each, too many for LLVM to rotate
    # the loop by default, and only rotated loops become hardware loops.
    CodeGenerator("zig-rotate", False, ("-mllvm", "-rotation-max-header-size=1000"), 0.7),
    CodeGenerator("zig", False, (), 0.15),
    CodeGenerator("tvm", True, (), 0.15),
)


def to_object(
    text: str,
    generator: CodeGenerator,
    target: HexagonTarget,
    directory: Path,
    limits: ProcessLimits = zig.COMPILE_LIMITS,
) -> zig.Compiled:
    """Turn the text that :mod:`vrmpy_tune.toolchain.lower` printed into an object file.

    Raises
    ------
    BuildError
        If the compiler rejects the text, crashes, or exceeds ``limits``.
    """
    if generator.by_tvm:
        return zig.assemble(text, target, directory, limits=limits)
    return zig.compile_llvm_ir(text, target, directory, flags=generator.flags, limits=limits)


def provenance() -> dict[str, str]:
    """Return the versions that decide which code a trace becomes: the toolchain of a record."""
    installed = toolchain_versions()
    return {name: installed[part] for name, part in _PROVENANCE.items()}


_PROVENANCE: Final = {"tvm": "tvm", "tvm_ffi": "tvm_ffi", "zig": "ziglang"}
