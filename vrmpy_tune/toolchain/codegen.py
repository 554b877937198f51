"""Ways to generate code from the same TIR; which one is best differs by schedule.

The way is a decision of the trace (an annotation on the function's root block), so that a
search measures them all, and a record says by which one its figure was reached.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import vrmpy_tune
from vrmpy_tune.errors import BuildError, BuildTimeoutError
from vrmpy_tune.process import run_limited
from vrmpy_tune.toolchain import packets, zig
from vrmpy_tune.toolchain.packets.repack import SEQUENTIAL_FLAGS
from vrmpy_tune.toolchain.pipelining import without_futile_pipelining
from vrmpy_tune.toolchain.versions import toolchain_versions

if TYPE_CHECKING:
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
    schedules_packets:
        Whether :mod:`vrmpy_tune.toolchain.packets` makes the packets instead of LLVM.
    prior:
        Probability with which a random sample takes it.
    """

    name: str
    by_tvm: bool
    flags: tuple[str, ...]
    prior: float
    schedules_packets: bool = False


_ROTATE: Final = ("-mllvm", "-rotation-max-header-size=1000")

CODE_GENERATORS: Final = (
    # The header of a loop over accumulators holds one phi for each, too many for LLVM to rotate
    # the loop by default, and only rotated loops become hardware loops.
    CodeGenerator("zig-rotate", False, _ROTATE, 0.1),
    CodeGenerator("zig", False, (), 0.05),
    CodeGenerator("tvm", True, (), 0.05),
    # Few pointers and constant offsets leave scalar registers to the schedule.
    CodeGenerator(
        "packets",
        False,
        (*_ROTATE, "-mllvm", "-lsr-preferred-addressing-mode=none"),
        0.8,
        schedules_packets=True,
    ),
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
    if generator.schedules_packets:
        flags = (*generator.flags, *SEQUENTIAL_FLAGS)
        try:
            return zig.compile_llvm_ir(
                text,
                target,
                directory,
                flags=flags,
                revise=lambda assembly: _in_packets(assembly, directory, limits),
                limits=limits,
            )
        except BuildTimeoutError:
            raise
        except BuildError:
            pass  # an instruction that the scheduler does not know: LLVM's own packets, then
    text = without_futile_pipelining(text)
    return zig.compile_llvm_ir(text, target, directory, flags=generator.flags, limits=limits)


def _in_packets(assembly: str, directory: Path, limits: ProcessLimits) -> str:
    """Schedule packets, in a process of its own: Python would do one kernel at a time."""
    finished = run_limited(
        (sys.executable, "-m", packets.__name__),
        limits,
        stdin=[assembly.encode("utf-8", "surrogateescape")],
        environment={"PYTHONPATH": str(Path(vrmpy_tune.__file__).parents[1])},
    )
    if not finished.succeeded:
        raise zig.compiler_failure(finished, "scheduling packets", directory)
    return finished.stdout.decode("utf-8", "surrogateescape")


def provenance() -> dict[str, str]:
    """Return the versions that decide which code a trace becomes: the toolchain of a record."""
    installed = toolchain_versions()
    return {name: installed[part] for name, part in _PROVENANCE.items()}


_PROVENANCE: Final = {"tvm": "tvm", "tvm_ffi": "tvm_ffi", "zig": "ziglang"}
