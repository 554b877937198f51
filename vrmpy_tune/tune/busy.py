"""How busy a run keeps the machine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from types import TracebackType


class BusyClock:
    """Measures wall time, and the CPU time of this process and all it starts.

    Attributes
    ----------
    wall_s:
        Seconds between entry and exit.
    busy_fraction:
        CPU seconds over wall seconds x cores, from 0 to 1.
    """

    def __init__(self) -> None:
        self.wall_s = 0.0
        self.busy_fraction = 0.0

    def __enter__(self) -> BusyClock:
        self._started, self._cpu = time.monotonic(), _cpu_seconds()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wall_s = time.monotonic() - self._started
        cores = len(os.sched_getaffinity(0))
        self.busy_fraction = (_cpu_seconds() - self._cpu) / max(1e-9, self.wall_s * cores)


def _cpu_seconds() -> float:
    """Return CPU seconds of this process, of its ended children, and of its living ones."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.Error:
            continue
        total += used.user + used.system
    return float(total)
