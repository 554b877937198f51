"""Traces of kernels, written by a plugin of QEMU."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from vrmpy_tune.device.simulator import plugin_loads
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.process import Ending, ProcessLimits, run_limited
from vrmpy_tune.toolchain.first_time import runtime_cache
from vrmpy_tune.toolchain.runtime import trace_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vrmpy_tune.device.simulator import Simulator
    from vrmpy_tune.process import Finished

TRACE_BYTES: Final = 1 << 30
"""Longest trace: some 100 M packets."""

_PLUGIN_APIS: Final = (1, 2, 3, 4, 5)
"""Versions of QEMU's plugin interface; QEMU refuses a plugin that asks for one it does not have."""

_STATUS_TRACE_FULL: Final = 93
"""Exit status of the plugin (``trace/trace.c``)."""


def find_trace_plugin(
    simulator: Simulator, progress: Callable[[str], None] = lambda _: None
) -> Path | None:
    """Return the plugin that this QEMU loads, or ``None`` if it loads none.

    Raises
    ------
    ToolchainError
        If the plugin cannot be built.
    """
    if not simulator.has_plugins:
        return None
    trace_plugin(_PLUGIN_APIS[0], runtime_cache(), progress)
    return _plugin_that_loads(simulator)


@cache
def _plugin_that_loads(simulator: Simulator) -> Path | None:
    for api in _PLUGIN_APIS:
        plugin = trace_plugin(api, runtime_cache())
        if plugin_loads(simulator, f"{plugin},out=/dev/null"):
            return plugin
    return None


def write_trace(
    command: Sequence[str | Path],
    plugin: Path,
    job: Sequence[bytes | memoryview],
    trace: Path,
    limits: ProcessLimits,
) -> Finished:
    """Run a kernel once and write what it executed.

    Parameters
    ----------
    command:
        QEMU, its options, and the linked kernel behind them.
    plugin:
        The trace plugin.
    job:
        What the kernel's runtime reads.
    trace:
        The file to write.
    limits:
        When to stop it.

    Returns
    -------
    finished:
        The process, whose output is the runtime's result.

    Raises
    ------
    DeviceError
        If its trace would be longer than :data:`TRACE_BYTES`.
    """
    program, *rest = command
    # Names in a plugin's arguments cannot hold commas, and those of our directories have none.
    option = f"{plugin},out={trace},limit={TRACE_BYTES}"
    finished = run_limited([program, "-plugin", option, *rest], limits, stdin=job)
    if finished.ending is Ending.EXITED and finished.status == _STATUS_TRACE_FULL:
        raise DeviceError(
            f"The kernel executes too much for a trace of {TRACE_BYTES >> 20} MiB, "
            "so that its time cannot be estimated; its packets can be counted."
        )
    return finished
