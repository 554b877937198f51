"""``vrmpy-tune doctor``: every part of the toolchain, its state, and the command that mends it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from vrmpy_tune.device.simulator import (
    INSTALL_COMMAND,
    Simulator,
    find_simulator,
    plugin_loads,
)
from vrmpy_tune.errors import DeviceError, ToolchainError
from vrmpy_tune.process import ProcessLimits, run_limited
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.cache import cache_directory
from vrmpy_tune.toolchain.first_time import is_set_up, runtime_cache
from vrmpy_tune.toolchain.runtime import watch_plugin
from vrmpy_tune.toolchain.versions import (
    PINNED,
    installed_version,
    pip_command,
    require_toolchain,
)
from vrmpy_tune.toolchain.zig import zig_program

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_PYTHON: Final = (3, 11)
_LEAST_MEMORY: Final = 4 << 30
_LIMITS: Final = ProcessLimits(wall_s=120.0, cpu_s=60.0)
_TVM_LLVM: Final = "from tvm.target import codegen; print('LLVM', codegen.llvm_version_major())"


class Status(StrEnum):
    """State of one part."""

    OK = "ok"
    WARNING = "warning"
    """Works, with less than all of the abilities."""
    ERROR = "error"


@dataclass(frozen=True)
class Check:
    """What was found about one part.

    Attributes
    ----------
    name:
        The part.
    status:
        Its state.
    detail:
        What was found.
    remedy:
        The command that mends it; empty when nothing is wrong.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def doctor() -> list[Check]:
    """Examine every part; takes a few seconds, since it starts TVM in a process of its own.

    Whatever is wrong is in the list: nothing is raised for it.
    """
    checks = [_python(), *_distributions(), _tvm_ffi(), *_compilers(), _first_time()]
    try:
        checks += _simulator(find_simulator())
    except DeviceError as error:
        checks.append(Check("qemu-hexagon", Status.ERROR, str(error), INSTALL_COMMAND))
    return [*checks, _machine()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        return Check("Python", Status.ERROR, version, "Install Python 3.11 or newer.")
    return Check("Python", Status.OK, version)


def _distributions() -> Iterator[Check]:
    for part in ("tvm", "ziglang", "xgboost", "numpy"):
        found = installed_version(part)
        pinned = PINNED.get(part)
        if found is None:
            yield Check(part, Status.ERROR, "not installed", pip_command(part))
        elif pinned and found != pinned:
            detail = f"{found}, while this package is written against {pinned}"
            yield Check(part, Status.WARNING, detail, pip_command(part))
        else:
            yield Check(part, Status.OK, found)


def _tvm_ffi() -> Check:
    try:
        require_toolchain()
    except ToolchainError as error:
        return Check("tvm_ffi", Status.ERROR, str(error), pip_command("tvm_ffi"))
    return Check("tvm_ffi", Status.OK, installed_version("tvm_ffi") or "")


def _compilers() -> Iterator[Check]:
    """Compare LLVM inside zig, which compiles, with LLVM inside TVM, which prints what it reads."""
    try:
        zig_major = _major([zig_program(), "clang", "--version"], r"version (\d+)")
    except ToolchainError as error:
        yield Check("zig", Status.ERROR, str(error), pip_command("ziglang"))
        return
    if zig_major is None:
        yield Check("zig", Status.ERROR, "its clang does not run", pip_command("ziglang"))
        return
    yield Check("zig", Status.OK, f"clang {zig_major}, {zig_program()}")
    tvm_major = _major([sys.executable, "-c", _TVM_LLVM], r"LLVM (\d+)")
    if tvm_major is None:
        yield Check("LLVM", Status.ERROR, "TVM does not import", pip_command("tvm"))
    elif tvm_major != zig_major:
        detail = f"zig has LLVM {zig_major} and TVM has LLVM {tvm_major}"
        yield Check("LLVM", Status.ERROR, detail, pip_command("ziglang"))
    else:
        yield Check("LLVM", Status.OK, f"{zig_major} in zig and in TVM")


def _major(command: list[object], pattern: str) -> str | None:
    finished = run_limited([str(part) for part in command], _LIMITS, environment=dict(os.environ))
    match = re.search(pattern, finished.stdout.decode(errors="replace"))
    return match[1] if match and finished.succeeded else None


def _simulator(simulator: Simulator) -> Iterator[Check]:
    yield Check("qemu-hexagon", Status.OK, f"{simulator.version}, {simulator.program}")
    runnable = {target.name: simulator.cpu_for(target) for target in TARGETS.values()}
    detail = ", ".join(
        f"{name} as {cpu}" if cpu else f"{name} compiles only" for name, cpu in runnable.items()
    )
    missing = [
        target.name for target in TARGETS.values() if target.qemu_cpu and not runnable[target.name]
    ]
    status = Status.ERROR if missing else Status.OK
    yield Check("CPU models", status, detail, INSTALL_COMMAND if missing else "")
    yield _plugins(simulator)


def _plugins(simulator: Simulator) -> Check:
    name = "QEMU plugins"
    remedy = "Use Debian 12's qemu-user (7.2), which is built with plugins."
    lost = (
        "scalar alignment is not checked, hopeless candidates run to their end, and no times are "
        "estimated, only packets counted"
    )
    if not simulator.has_plugins:
        return Check(name, Status.WARNING, f"not supported by this QEMU: {lost}", remedy)
    try:
        if plugin_loads(simulator, watch_plugin(runtime_cache())):
            return Check(name, Status.OK, "alignment checks and packet limits work")
    except ToolchainError as error:
        return Check(name, Status.WARNING, f"{error} So {lost}.", pip_command("ziglang"))
    return Check(name, Status.WARNING, f"the plugin does not load: {lost}", remedy)


def _first_time() -> Check:
    if is_set_up():
        return Check("first-time work", Status.OK, f"done, in {cache_directory()}")
    detail = f"musl for Hexagon is not built yet in {cache_directory()}"
    remedy = "It is done by the first run, and takes about 75 s."
    return Check("first-time work", Status.WARNING, detail, remedy)


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    detail = f"{cores} cores, {memory / (1 << 30):.0f} GiB of memory"
    if memory < _LEAST_MEMORY:
        return Check("machine", Status.WARNING, detail, "Tune with fewer workers (--workers 1).")
    return Check("machine", Status.OK, detail)
