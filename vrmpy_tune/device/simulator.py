"""Which QEMU there is, and what it can do."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import DeviceError
from vrmpy_tune.process import ProcessLimits, run_limited
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from vrmpy_tune.target import HexagonTarget

PROGRAM: Final = "qemu-hexagon"
PROGRAM_VARIABLE: Final = "VRMPY_TUNE_QEMU"
"""Environment variable that names another QEMU than the one on the path."""

INSTALL_COMMAND: Final = "apt-get install qemu-user"

_LIMITS: Final = ProcessLimits(wall_s=30.0, cpu_s=10.0)

_ANY_FILE: Final = "/bin/sh"
"""A file that exists and is no Hexagon program: QEMU looks at ``-cpu`` before it refuses it."""


@dataclass(frozen=True)
class Simulator:
    """A QEMU that runs Hexagon user-mode programs.

    Attributes
    ----------
    program:
        Its path.
    version:
        Version as it prints it, for example ``"7.2.22"``.
    cpu_models:
        CPU models that it knows, of those that any target wants.
    has_plugins:
        Whether it accepts ``-plugin``.
    """

    program: Path
    version: str
    cpu_models: frozenset[str]
    has_plugins: bool

    def cpu_for(self, target: HexagonTarget) -> str | None:
        """Return the best CPU model that runs code for ``target``, or ``None``.

        QEMU's models differ in name only, and it runs v68 code as v67 with equal packets and
        outputs on every kernel tried.
        """
        return next((model for model in target.qemu_cpu if model in self.cpu_models), None)


def simulator_path() -> Path | None:
    """Return the path of the QEMU to use, or ``None`` if it is not installed."""
    found = shutil.which(os.environ.get(PROGRAM_VARIABLE) or PROGRAM)
    return Path(found) if found else None


def find_simulator() -> Simulator:
    """Return the installed QEMU.

    Raises
    ------
    DeviceError
        If there is none, or it does not run.
    """
    program = simulator_path()
    if program is None:
        raise DeviceError(
            f"The simulator {PROGRAM} is not installed. On Debian or Ubuntu run: "
            f"{INSTALL_COMMAND}; elsewhere install QEMU's user-mode emulators, or set "
            f"{PROGRAM_VARIABLE} to one."
        )
    return _examine(program)


@cache
def _examine(program: Path) -> Simulator:
    shown = run_limited([program, "--version"], _LIMITS)
    match = re.search(rb"version (\d+(?:\.\d+)+)", shown.stdout)
    if not shown.succeeded or match is None:
        raise DeviceError(
            f"{program} is not a QEMU that runs here: it {shown.describe()} when asked for its "
            f"version. Install another one: {INSTALL_COMMAND}"
        )
    wanted = {model for target in TARGETS.values() for model in target.qemu_cpu}
    options = run_limited([program, "--help"], _LIMITS)
    return Simulator(
        program=program,
        version=match[1].decode(),
        cpu_models=frozenset(model for model in wanted if _knows_cpu(program, model)),
        has_plugins=b"-plugin" in options.stdout,
    )


def _knows_cpu(program: Path, model: str) -> bool:
    """Whether QEMU has a CPU model; ``-cpu help`` prints nothing in 7.2, so it is tried."""
    tried = run_limited([program, "-cpu", model, _ANY_FILE], _LIMITS)
    return "unable to find CPU model" not in tried.error_text


def plugin_loads(simulator: Simulator, plugin: Path | str) -> bool:
    """Whether the simulator accepts a plugin's shared object, with any options behind a comma."""
    if not simulator.has_plugins:
        return False
    models = sorted(simulator.cpu_models)
    command: list[str | Path] = [
        simulator.program,
        "-cpu",
        *models[:1],
        "-plugin",
        plugin,
        _ANY_FILE,
    ]
    return "plugin" not in run_limited(command, _LIMITS).error_text
