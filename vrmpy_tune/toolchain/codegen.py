"""Ways to generate code from the same TIR; which one is best differs by schedule.

The way is a decision of the trace (an annotation on the function's root block), so that a
search measures them all, and a record says by which one its figure was reached.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import vrmpy_tune
from vrmpy_tune.process import Ending, run_limited
from vrmpy_tune.toolchain import packets, zig
from vrmpy_tune.toolchain.packets.function import UnknownAssemblyError
from vrmpy_tune.toolchain.packets.repack import SEQUENTIAL_FLAGS
from vrmpy_tune.toolchain.pipelining import without_futile_pipelining
from vrmpy_tune.toolchain.sources import code_hash
from vrmpy_tune.toolchain.versions import toolchain_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

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

FALLBACK: Final = replace(
    next(one for one in CODE_GENERATORS if one.schedules_packets),
    name="packets-fallback",
    prior=0.0,
    schedules_packets=False,
)
"""What is used where the packet scheduler does not understand the assembly: LLVM's packets.  No
trace asks for it, but records, events and reports have its name."""


@dataclass(frozen=True)
class Generated(zig.Compiled):
    """What a code generator made of one kernel.

    Attributes
    ----------
    generator:
        Name of the code generator that was used: the one asked for, or :data:`FALLBACK`.
    fallback:
        Why it is the fallback, in a sentence; empty where it is not.
    """

    generator: str
    fallback: str = ""


def to_object(
    text: str,
    generator: CodeGenerator,
    target: HexagonTarget,
    directory: Path,
    limits: ProcessLimits = zig.COMPILE_LIMITS,
) -> Generated:
    """Turn the text that :mod:`vrmpy_tune.toolchain.lower` printed into an object file.

    Assembly that the packet scheduler does not understand gets LLVM's packets instead, and the
    result says so.

    Raises
    ------
    BuildError
        If the compiler or the packet scheduler rejects the text, crashes, or exceeds ``limits``.
    """
    if generator.by_tvm:
        return _by(generator, zig.assemble(text, target, directory, limits=limits))
    fallback = ""
    if generator.schedules_packets:
        try:
            compiled = zig.compile_llvm_ir(
                text,
                target,
                directory,
                flags=(*generator.flags, *SEQUENTIAL_FLAGS),
                revise=lambda assembly: _in_packets(assembly, directory, limits),
                limits=limits,
            )
            return _by(generator, compiled)
        except UnknownAssemblyError as error:
            generator, fallback = FALLBACK, str(error)
    text = without_futile_pipelining(text)
    compiled = zig.compile_llvm_ir(text, target, directory, flags=generator.flags, limits=limits)
    return _by(generator, compiled, fallback)


def _by(generator: CodeGenerator, compiled: zig.Compiled, fallback: str = "") -> Generated:
    return Generated(compiled.assembly, compiled.object_file, generator.name, fallback)


def _in_packets(assembly: str, directory: Path, limits: ProcessLimits) -> str:
    """Schedule packets, in a process of its own: Python would do one kernel at a time.

    Raises
    ------
    UnknownAssemblyError
        If the scheduler says that it does not understand the assembly.
    BuildError
        If it crashes or exceeds ``limits``.
    """
    finished = run_limited(
        (sys.executable, "-B", "-m", packets.__name__),
        limits,
        stdin=[assembly.encode("utf-8", "surrogateescape")],
        environment={"PYTHONPATH": str(Path(vrmpy_tune.__file__).parents[1])},
    )
    if finished.ending is Ending.EXITED and finished.status == packets.UNKNOWN_ASSEMBLY:
        raise UnknownAssemblyError(finished.error_text)
    if not finished.succeeded:
        raise zig.compiler_failure(finished, "scheduling packets", directory)
    return finished.stdout.decode("utf-8", "surrogateescape")


def provenance(device: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what decides which code a trace becomes, and its figure: the toolchain of a record.

    Parameters
    ----------
    device:
        The versions that the measuring device names (``DeviceInfo.versions``), of which QEMU's is
        taken; by default nothing was measured.

    Returns
    -------
    dict
        Versions of ``tvm``, ``tvm_ffi`` and ``zig``; hashes of our own part, ``lowering`` (from a
        schedule to LLVM IR, the tensor intrinsics included) and ``packets`` (from there to an
        object file, the packet scheduler included); and ``qemu``, where it was the device.
    """
    installed = toolchain_versions()
    found = {name: installed[part] for name, part in _PROVENANCE.items()}
    found |= {name: code_hash(*sources) for name, sources in SOURCES.items()}
    if device and QEMU in device:
        found[QEMU] = device[QEMU]
    return found


QEMU: Final = "qemu"
"""Key of the simulator's version in a toolchain."""

_PROVENANCE: Final = {"tvm": "tvm", "tvm_ffi": "tvm_ffi", "zig": "ziglang"}

SOURCES: Final = {
    "lowering": (
        "intrin",
        "quantize.py",
        "target.py",
        "toolchain/lower.py",
        "toolchain/statements.py",
        "toolchain/storage.py",
        "toolchain/transfers.py",
    ),
    "packets": (
        "toolchain/assembly.py",
        "toolchain/codegen.py",
        "toolchain/packets",
        "toolchain/pipelining.py",
        "toolchain/zig.py",
    ),
}
"""Our own files, and directories of files, that decide the code that a schedule becomes."""
