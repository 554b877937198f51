"""The compiler: clang and LLD for Hexagon inside the ``ziglang`` wheel.

``zig clang`` is plain clang: unlike ``zig cc`` it keeps no cache, so that any number of
compilations run side by side without waiting for a cache lock, and it passes ``-O3`` on (``zig cc``
makes it ``-O2``).

Assembling the printed assembly costs 0.03 s on top of 0.17 s for a typical kernel, no more than one
``-c`` does, hence every object comes from assembly text that can also be counted and shown.
"""

from __future__ import annotations

import errno
import importlib.util
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import BuildError, BuildTimeoutError, ToolchainError
from vrmpy_tune.process import Ending, Finished, ProcessLimits, run_limited
from vrmpy_tune.toolchain.assembly import without_debug

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.target import HexagonTarget

COMPILE_LIMITS: Final = ProcessLimits(wall_s=90.0, cpu_s=30.0, memory_bytes=4 << 30)
"""For one kernel.  Typical kernels take 0.2 s; unbounded unrolling would take minutes."""

_TRIPLE: Final = "hexagon-unknown-linux-musl"
_MESSAGE_LINES: Final = 6

_ROOM_BYTES: Final = 16 << 20
"""Room below which a failure is the disk's; a kernel's files take less than 1 MB a worker."""


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of one kernel.

    Attributes
    ----------
    assembly:
        Hexagon assembly text.
    object_file:
        Path of the object file made from it.
    """

    assembly: str
    object_file: Path


@cache
def zig_directory() -> Path:
    """Return the directory of the ``ziglang`` wheel, without importing it.

    Raises
    ------
    ToolchainError
        If the wheel is not installed, or has no program for this machine.
    """
    spec = importlib.util.find_spec("ziglang")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(location) / "zig").is_file():
            return Path(location)
    raise ToolchainError(
        "The Hexagon compiler is missing: the Python package 'ziglang' is not installed. "
        "Run: pip install ziglang==0.17.1"
    )


def zig_program() -> Path:
    """Return the path of the ``zig`` program."""
    return zig_directory() / "zig"


def target_flags(target: HexagonTarget) -> list[str]:
    """Return the flags of ``zig clang`` for a target.

    HVX floating point (qfloat) stays off: QEMU aborts on it.
    """
    return [
        f"--target={_TRIPLE}",
        f"-mcpu=hexagon{target.arch}",
        f"-mhvx={target.arch}",
        "-mhvx-length=128b",
        "-mno-hvx-qfloat",
        "-G0",  # no section for small data: nothing sets up its base register
    ]


def compile_llvm_ir(
    source: str,
    target: HexagonTarget,
    directory: Path,
    *,
    name: str = "kernel",
    flags: Sequence[str] = (),
    revise: Callable[[str], str] | None = None,
    limits: ProcessLimits = COMPILE_LIMITS,
) -> Compiled:
    """Compile LLVM IR text (as TVM prints it at optimization level 0) with ``-O3``.

    Parameters
    ----------
    source:
        LLVM IR.
    target:
        What to generate code for.
    directory:
        Existing directory that gets ``<name>.ll``, ``<name>.s`` and ``<name>.o``.
    name:
        Stem of these files.
    flags:
        More flags for the optimizer and code generator.
    revise:
        What is done to the assembly text before it is assembled.
    limits:
        Limits of each of the two compiler processes.

    Raises
    ------
    BuildError
        If the compiler rejects the text, crashes, or exceeds its memory.
    BuildTimeoutError
        If the compiler exceeds its time.
    """
    ir_file = directory / f"{name}.ll"
    assembly_file = directory / f"{name}.s"
    _write(ir_file, source)
    _clang(
        ["-O3", *flags, "-w", "-S", "-x", "ir", ir_file.name, "-o", assembly_file.name],
        target,
        limits,
        "compiling the kernel's LLVM IR",
        directory,
    )
    # LLVM's comments on debug information hold bytes that are no text.
    text = without_debug(assembly_file.read_text("utf-8", "surrogateescape"))
    if revise is not None:
        text = revise(text)
    return assemble(text, target, directory, name=name, limits=limits)


def assemble(
    assembly: str,
    target: HexagonTarget,
    directory: Path,
    *,
    name: str = "kernel",
    limits: ProcessLimits = COMPILE_LIMITS,
) -> Compiled:
    """Assemble text, for example what TVM's own LLVM printed, without debug information.

    The parameters and errors are those of :func:`compile_llvm_ir`.
    """
    assembly_file = directory / f"{name}.s"
    object_file = directory / f"{name}.o"
    stripped = without_debug(assembly)
    _write(assembly_file, stripped)
    _clang(
        ["-c", "-x", "assembler", assembly_file.name, "-o", object_file.name],
        target,
        limits,
        "assembling the kernel",
        directory,
    )
    return Compiled(stripped, object_file)


def compile_c(
    source: Path,
    target: HexagonTarget,
    object_file: Path,
    flags: Sequence[str | Path] = (),
    *,
    limits: ProcessLimits = COMPILE_LIMITS,
) -> None:
    """Compile a C file against musl's headers with ``-O2``.

    The errors are those of :func:`compile_llvm_ir`.
    """
    # TVM's structures hold enumerations of 4 bytes, where Hexagon's ABI would make them 1.
    _clang(
        [
            "-O2",
            "-std=gnu11",
            "-fno-short-enums",
            "-nostdinc",
            *_musl_include_flags(),
            *flags,
            "-c",
            source,
            "-o",
            object_file,
        ],
        target,
        limits,
        f"compiling {source.name}",
        object_file.parent,
        inside=False,
    )


@cache
def _musl_include_flags() -> tuple[str, ...]:
    """Return the flags with which ``zig cc`` finds clang's and musl's headers."""
    library = zig_directory() / "lib"
    directories = (
        library / "include",
        library / "libc" / "include" / "hexagon-linux-musl",
        library / "libc" / "include" / "generic-musl",
        library / "libc" / "include" / "any-linux-any",
    )
    return tuple(flag for path in directories for flag in ("-isystem", str(path)))


def _clang(
    arguments: Sequence[str | Path],
    target: HexagonTarget,
    limits: ProcessLimits,
    purpose: str,
    directory: Path,
    *,
    inside: bool = True,
) -> None:
    """Run clang, whose output goes to ``directory``.

    It runs inside that directory, so that messages about equal kernels are equal, unless its
    arguments are relative to the current one.
    """
    command = [zig_program(), "clang", *target_flags(target), *arguments]
    finished = run_limited(command, limits, directory=directory if inside else None)
    if not finished.succeeded:
        raise compiler_failure(finished, purpose, directory)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", "surrogateescape")
    except OSError as error:  # writing does not say which file it was
        raise OSError(error.errno, error.strerror, str(path)) from error


def compiler_failure(finished: Finished, purpose: str, directory: Path) -> BuildError:
    """Return the error that says how a compiler or linker process failed while ``purpose``.

    Parameters
    ----------
    directory:
        Where its output was to go.

    Raises
    ------
    OSError
        If there is no room in ``directory``: no fault of what was compiled.  LLD dies of SIGBUS
        then, without a word.
    """
    free = shutil.disk_usage(directory).free
    if free < _ROOM_BYTES:
        raise OSError(
            errno.ENOSPC,
            f"Only {free >> 10} KiB are left there for the compiler's files; free some space, or "
            "name another directory with TMPDIR",
            str(directory),
        )
    if finished.ending in (Ending.CPU_LIMIT, Ending.WALL_LIMIT):
        return BuildTimeoutError(
            f"The compiler {finished.describe()} while {purpose}; "
            "the kernel's code is probably too large, unroll less.",
            retryable=finished.ending is Ending.WALL_LIMIT,
        )
    lines = finished.error_text.splitlines()
    told = [line for line in lines if "error" in line.lower()] or lines
    detail = " / ".join(told[:_MESSAGE_LINES]) or "it printed nothing"
    return BuildError(f"The compiler {finished.describe()} while {purpose}: {detail}")
