"""Linking with LLD alone, which takes 0.02 s and shares nothing between processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.process import ProcessLimits, run_limited
from vrmpy_tune.toolchain.zig import compiler_failure, zig_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vrmpy_tune.toolchain.sysroot import Sysroot

LINK_LIMITS: Final = ProcessLimits(wall_s=60.0, cpu_s=20.0, memory_bytes=4 << 30)
"""For one link."""

_LINKER: Final = ("ld.lld", "-m", "hexagonelf")


def link_executable(
    objects: Sequence[Path],
    symbol: str,
    sysroot: Sysroot,
    output: Path,
    *,
    linker: Sequence[str | Path] | None = None,
    limits: ProcessLimits = LINK_LIMITS,
) -> None:
    """Link objects and the runtime into a static executable that calls one kernel.

    Parameters
    ----------
    objects:
        The runtime, and what defines the kernel.
    symbol:
        The kernel's name without the ``__tvm_ffi_`` prefix.
    sysroot:
        Start-up code and libraries.
    output:
        The executable.
    linker:
        Another linker command than zig's LLD (tests use this).
    limits:
        Limits of the linker process.

    Raises
    ------
    BuildError
        If a symbol is missing or defined twice, or the linker fails otherwise.
    BuildTimeoutError
        If the linker exceeds its time.
    """
    command: list[str | Path] = [
        *(linker or (zig_program(), *_LINKER)),
        "-static",
        "-no-pie",
        "--gc-sections",
        "--build-id=none",
        f"--defsym=vrmpy_kernel=__tvm_ffi_{symbol}",
        "-o",
        output,
        sysroot.start,
        *objects,
        *sysroot.archives,
    ]
    _link(command, limits, f"linking the kernel '{symbol}'", output.parent)


def link_relocatable(objects: Sequence[Path], output: Path) -> None:
    """Merge objects into one, without debug information.

    The errors are those of :func:`link_executable`.
    """
    command: list[str | Path] = [
        zig_program(),
        *_LINKER,
        "-r",
        "--strip-debug",
        "-o",
        output,
        *objects,
    ]
    _link(command, LINK_LIMITS, "merging objects", output.parent)


def _link(
    command: Sequence[str | Path], limits: ProcessLimits, purpose: str, directory: Path
) -> None:
    finished = run_limited(command, limits)
    if not finished.succeeded:
        raise compiler_failure(finished, purpose, directory)
